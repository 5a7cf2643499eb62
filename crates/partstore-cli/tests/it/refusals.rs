//! Directories that are no store, and stores that cannot be opened now: a line that says what to do, and a code.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use crate::fixture::{Fixture, Ran, copy_dir, names, skipped};

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
    let mut command = std::process::Command::new(crate::fixture::PROGRAM);
    let ran = Ran::of(
        command
            .env_remove("PARTSTORE_STORE")
            .arg("info")
            .output()
            .unwrap(),
    );
    assert!(ran.fails(2).contains("--store"));
}
