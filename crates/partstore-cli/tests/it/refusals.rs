//! Directories that are no store, and stores that cannot be opened now: a line that says what to do, and a code.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, PROGRAM, Ran, copy_dir, names, skipped};

const READ_ONLY: [&[&str]; 6] = [
    &["info"],
    &["ls"],
    &["verify"],
    &["sweep"],
    &["salvage", "--yes"],
    &["rebuild-index"],
];

#[test]
fn where_no_store_is_none_is_made() {
    let fixture = Fixture::without_store();
    for args in READ_ONLY {
        let said = fixture.run(args).fails(6);
        assert!(said.contains("no part store"), "{said}");
    }
    assert!(names(fixture.dir.path()).is_empty());

    fs::create_dir(fixture.store()).unwrap();
    fixture.run(["info"]).fails(6);
    assert!(names(&fixture.store()).is_empty());

    fs::write(fixture.store().join("letter.txt"), "dear").unwrap();
    let said = fixture.run(["info"]).fails(6);
    assert!(said.contains("no part store"), "{said}");
    let said = fixture.run_with(["put", "k", "--create"], b"").fails(6);
    assert!(said.contains("is not a part store"), "{said}");
    assert_eq!(names(&fixture.store()), ["letter.txt"]);

    fs::remove_dir_all(fixture.store()).unwrap();
    fs::write(fixture.store(), "a file").unwrap();
    fixture.run(["info"]).fails(6);
}

#[test]
fn what_works_on_a_cluster_asks_for_one() {
    for args in [
        &["reconcile"][..],
        &["migrate", "store"],
        &["--store", "store", "migrate", "other"],
    ] {
        let output = Command::new(PROGRAM).args(args).env_clear().output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("say --catalog and --blobs"), "{said}");
    }
}

#[test]
fn a_store_that_is_open_is_left_to_its_server() {
    let fixture = Fixture::new();
    fixture.with(|_| {
        for args in READ_ONLY {
            let said = fixture.run(args).fails(5);
            assert!(said.contains("server; stop that first"), "{said}");
        }
    });
    fixture.run(["info"]).ok();
}

#[test]
fn while_a_store_is_open_each_command_names_what_works() {
    let fixture = Fixture::new();
    let hash = "0".repeat(64);
    let asked: [&[&str]; 8] = [
        &["info"],
        &["ls"],
        &["ls", "parts", "k"],
        &["where", &hash],
        &["verify"],
        &["verify", "--resume", "notes"],
        &["sweep"],
        &["backup", "backups"],
    ];
    let read_and_written: [&[&str]; 6] = [
        &["get", "k"],
        &["put", "k", "store/FORMAT"],
        &["export", "k", "file"],
        &["import", "store"],
        &["rm", "k"],
        &["abort", "k", "id"],
    ];
    let ways = [
        "--server HOST:PORT",
        "client of S3",
        "--read-only of a snapshot",
        "without --resume",
    ];
    fixture.with(|_| {
        let said = |args: &[&str]| {
            let said = fixture.run(args).fails(5);
            ways.map(|way| said.contains(way))
        };
        for args in asked {
            let resumes = args.contains(&"--resume");
            let reads = args != ["sweep"];
            assert_eq!(said(args), [true, false, reads, resumes], "{args:?}");
        }
        for args in read_and_written {
            let reads = ["get", "export"].contains(&args[0]);
            assert_eq!(said(args), [false, true, reads, false], "{args:?}");
        }
        for args in [&["expire", "7d"][..], &["quota", ""], &["rebuild-index"]] {
            assert_eq!(said(args), [false; 4], "{args:?}");
        }
    });
    assert_eq!(names(fixture.dir.path()), ["store"]);
}

#[test]
fn a_server_is_asked_for_no_bytes_and_no_change_and_the_refusal_says_what_to_do() {
    let fixture = Fixture::new();
    let refused: [&[&str]; 6] = [
        &["get", "k", "--server", "127.0.0.1:1"],
        &["get", "--server=127.0.0.1:1", "k"],
        &["export", "k", "file", "--server", "127.0.0.1:1"],
        &["put", "k", "--server", "127.0.0.1:1"],
        &["rm", "k", "--server", "127.0.0.1:1"],
        &["--server", "127.0.0.1:1", "ls"],
    ];
    for args in refused {
        let said = fixture.run(args).fails(2);
        assert!(
            said.contains("behind info, ls, where") && said.contains("client of S3 or COS"),
            "{args:?} {said}"
        );
    }
    // What else is wrong is said as ever.
    let said = fixture.run(["get", "k", "--nothing"]).stderr;
    assert!(
        said.contains("--nothing") && said.contains("Usage"),
        "{said}"
    );
}

#[test]
fn other_formats_are_refused_and_an_older_one_is_changed_only_when_asked() {
    let fixture = Fixture::new();
    fs::write(fixture.store().join("FORMAT"), "partstore format\n99\n").unwrap();
    let said = fixture.run(["info"]).fails(7);
    assert!(
        said.contains("format 99") && said.contains("newer"),
        "{said}"
    );

    let older = Fixture::without_store();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    copy_dir(&root.join("format-2"), &older.store());
    let said = older.run(["info"]).fails(7);
    assert!(said.contains("--upgrade"), "{said}");
    assert_eq!(
        fs::read(older.store().join("FORMAT")).unwrap(),
        b"partstore format\n2\n"
    );
    let info = older.run(["--upgrade", "--json", "info"]).json();
    // The newest one is what the refusal named.
    assert!(
        said.contains(&format!("makes it one of format {}", info["format"])),
        "{said}"
    );
    older.run(["info"]).ok();
}

#[test]
fn a_store_of_another_user_is_refused() {
    let fixture = Fixture::new();
    fixture.run_with(["put", "k"], b"bytes").ok();
    let mut command = fixture.command(["info"]);
    let Ok(output) = command
        .uid(65_534)
        .gid(65_534)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
    else {
        return skipped("only root can run a program as another user");
    };
    // The directory of the test lets nobody else in, and neither may that of the program.
    let ran = Ran::of(output);
    ran.fails(8);

    std::os::unix::fs::chown(fixture.store(), Some(65_534), Some(65_534)).unwrap();
    let said = fixture.run(["info"]).fails(8);
    assert!(
        said.contains("sudo -u '#65534'") && said.contains("--as-root"),
        "{said}"
    );
    fixture.run(["--as-root", "info"]).ok();
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let fixture = Fixture::new();
    for args in [
        &[][..],
        &["fly"],
        &["ls", "planets"],
        &["get"],
        &["export", "k"],
        &["import", "d", "-j", "0"],
        &["verify", "--rate", "0"],
    ] {
        assert_eq!(fixture.run(args).code, Some(2), "{args:?}");
    }
    let mut command = Command::new(PROGRAM);
    let ran = Ran::of(
        command
            .env_remove("PARTSTORE_STORE")
            .arg("info")
            .output()
            .unwrap(),
    );
    assert!(ran.fails(2).contains("--store"));
}
