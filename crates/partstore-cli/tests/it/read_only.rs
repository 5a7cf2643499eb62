//! `--read-only`: what looks at a store works, what changes it is refused, and the store stays as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use crate::fixture::{Fixture, Ran, copy_dir, names};

/// With an object, and a directory for what is made meanwhile.
fn filled() -> Fixture {
    let fixture = Fixture::new();
    fixture.run_with(["put", "key"], b"body").ok();
    fs::create_dir(fixture.path("tmp")).unwrap();
    fixture
}

fn run(fixture: &Fixture, args: &[&str]) -> Ran {
    let mut command = fixture.command(["--read-only"].iter().chain(args));
    command.env("TMPDIR", fixture.path("tmp"));
    Ran::of(command.output().unwrap())
}

fn hash_of(fixture: &Fixture) -> String {
    let said = run(fixture, &["--json", "ls", "parts", "key"]).ok();
    let part: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    part["hash"].as_str().unwrap().to_owned()
}

#[test]
fn what_looks_at_a_store_works_and_what_changes_it_is_refused() {
    let fixture = filled();
    let before = names(&fixture.store().join("meta"));
    let hash = hash_of(&fixture);
    for args in [
        &["info"][..],
        &["ls"],
        &["ls", "keys"],
        &["ls", "objects"],
        &["where", &hash],
        &["verify"],
        &["export", "key", "exported"],
    ] {
        assert!(!run(&fixture, args).ok().is_empty(), "{args:?}");
    }
    run(&fixture, &["ls", "uploads"]).ok();
    assert_eq!(run(&fixture, &["get", "key"]).ok(), "body");
    assert_eq!(fs::read(fixture.path("exported")).unwrap(), b"body");
    for args in [
        &["sweep"][..],
        &["quota", "", "--bytes", "1"],
        &["put", "key"],
        &["rm", "key"],
        &["salvage", "--yes"],
        &["rebuild-index"],
    ] {
        let said = run(&fixture, args).fails(2);
        assert!(said.contains("leave --read-only out"), "{args:?}: {said}");
    }
    run(&fixture, &["restore", "nowhere"]).fails(2);
    run(&fixture, &["backup", "backups"]).ok();
    assert_eq!(names(&fixture.store().join("meta")), before);
    assert!(names(&fixture.path("tmp")).is_empty());
}

/// As a snapshot of the file system has it.
#[test]
fn a_copy_of_a_store_that_is_open_is_read() {
    let fixture = filled();
    let copy = Fixture::without_store();
    fs::create_dir(copy.path("tmp")).unwrap();
    fixture.with(|store| {
        store.put_object("another", b"body".to_vec()).unwrap();
        copy_dir(&fixture.store(), &copy.store());
        let said = run(&fixture, &["info"]).fails(5);
        assert!(said.contains("--read-only"), "{said}");
    });
    assert_eq!(run(&copy, &["get", "another"]).ok(), "body");
    run(&copy, &["verify"]).ok();
}

#[test]
fn a_store_of_an_older_format_keeps_it() {
    let fixture = Fixture::without_store();
    fs::create_dir(fixture.path("tmp")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    copy_dir(&root.join("format-2"), &fixture.store());
    run(&fixture, &["verify"]).ok();
    let format = fs::read_to_string(fixture.store().join("FORMAT")).unwrap();
    assert_eq!(format, "partstore format\n2\n");
}

#[test]
fn who_may_only_read_the_files_reads_the_store() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run the program as another user");
        return;
    }
    let fixture = filled();
    fs::set_permissions(fixture.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = fixture.command(args);
        command
            .env("TMPDIR", fixture.path("tmp"))
            .uid(65534)
            .gid(65534);
        Ran::of(command.output().unwrap())
    };
    as_nobody(&["--read-only", "info"]).fails(8);
    open_to_all(&fixture.store());
    fs::set_permissions(fixture.path("tmp"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = as_nobody(&["info"]).fails(8);
    assert!(said.contains("--read-only"), "{said}");
    as_nobody(&["--read-only", "verify"]).ok();
    assert_eq!(as_nobody(&["--read-only", "get", "key"]).ok(), "body");
    assert!(names(&fixture.path("tmp")).is_empty());
}

/// Everybody may read it, and only its owner may write.
fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

/// The copy of the rows is removed, too.
#[test]
fn a_signal_leaves_nothing() {
    let fixture = filled();
    fixture.run_with(["put", "large"], &vec![7; 4 << 20]).ok();
    let mut command = fixture.command(["--read-only", "get", "large"]);
    command
        .env("TMPDIR", fixture.path("tmp"))
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It writes to a pipe that nobody reads.
    while names(&fixture.path("tmp")).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(names(&fixture.path("tmp")).is_empty());
}

#[test]
fn a_cluster_has_no_such_thing() {
    let fixture = Fixture::without_store();
    let mut command = fixture.command([
        "--read-only",
        "info",
        "--catalog",
        "postgres://x@127.0.0.1:1/x",
    ]);
    let place = ["--blobs", "file:///nowhere"];
    let ran = Ran::of(
        command
            .env_remove("PARTSTORE_STORE")
            .args(place)
            .output()
            .unwrap(),
    );
    ran.fails(2);
}
