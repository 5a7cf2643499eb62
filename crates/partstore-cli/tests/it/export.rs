//! `export`: whole files or none, whatever the keys and whatever happens.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, PROGRAM, Ran, copy_dir, names, noise};

#[test]
fn an_object_of_several_parts_is_exported_whole() {
    let fixture = Fixture::new();
    let parts = [noise(5 << 20, 1), noise(1000, 2)];
    fixture.with(|store| {
        let upload = store.initiate_upload("k").unwrap();
        let put = |number: u32, bytes: &Vec<u8>| {
            let number = partstore::PartNumber::new(number).unwrap();
            (&store.put_part(&upload, number, bytes.clone()).unwrap()).into()
        };
        let list = [put(1, &parts[0]), put(2, &parts[1])];
        let current = partstore::CompleteOptions::new().make_current(partstore::Condition::Always);
        store
            .complete_upload_with(&upload, &list, &current)
            .unwrap();
    });
    fixture.run(["export", "k", "out"]).ok();
    assert!(fs::read(fixture.path("out")).unwrap() == parts.concat());
    assert_eq!(names(fixture.dir.path()), ["out", "store"]);
}

#[test]
fn all_keys_become_files_and_come_back_as_keys() {
    let fixture = Fixture::new();
    let keys = [
        "a",
        "a/b",
        "a/b/c",
        "b/",
        "//x",
        "../../up",
        ".",
        "50%",
        "a%2Fb",
        "new\nline",
        "ü",
        "-dash",
        "x y",
        ".x.partstore-partial",
        ".x.partstore-partial/.y.1.partstore-partial",
    ];
    fixture.with(|store| {
        for key in keys {
            store.put_object(key, key).unwrap();
        }
    });
    let said = fixture.run(["--json", "export", "--all", "out"]);
    assert_eq!(
        (&said.json()["exported"], &said.json()["failed"]),
        (&keys.len().into(), &0.into()),
        "{said:?}"
    );
    assert_eq!(names(fixture.dir.path()), ["out", "store"]);

    // A second run finds all of them.
    let again = fixture.run(["--json", "export", "--all", "out"]).json();
    assert_eq!(
        (&again["exported"], &again["present"]),
        (&0.into(), &keys.len().into())
    );

    let other = Fixture::without_store();
    copy_dir(&fixture.path("out"), &other.path("out"));
    other.run(["import", "out", "--escaped", "--create"]).ok();
    for key in keys {
        assert_eq!(other.run(["get", "--", key]).ok(), key);
    }
    assert_eq!(other.run(["ls", "keys"]).ok().lines().count(), keys.len());
}

#[test]
fn a_key_that_no_file_can_have_is_named_and_the_others_are_exported() {
    let fixture = Fixture::new();
    let long = "k".repeat(300);
    fixture.run_with(["put", &long], b"long").ok();
    fixture.run_with(["put", "short"], b"short").ok();
    let ran = fixture.run(["export", "--all", "out"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&long), "{ran:?}");
    assert_eq!(names(&fixture.path("out")), ["short"]);
}

#[test]
fn a_full_destination_leaves_nothing_under_the_name() {
    let fixture = Fixture::new();
    fixture.with(|store| drop(store.put_object("k", noise(3 << 20, 7)).unwrap()));
    let dir = fixture.path("small");
    fs::create_dir(&dir).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&dir)
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        return crate::fixture::skipped("a small file system cannot be mounted here");
    }
    let ran = fixture.run(["export", "k", "small/out"]);
    let left = names(&dir);
    let unmounted = Command::new("umount").arg(&dir).status().unwrap();
    assert!(unmounted.success());
    let said = ran.fails(9);
    assert!(said.contains("small"), "{said}");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_killed_export_leaves_a_name_that_says_so_and_can_be_run_again() {
    let fixture = Fixture::new();
    let bytes = noise(64 << 20, 8);
    fixture.with(|store| drop(store.put_object("k", bytes.clone()).unwrap()));
    for wait in [0, 20, 40, 80] {
        let mut child = fixture.spawn(["export", "k", "out"]);
        until(|| fs::read_dir(fixture.dir.path()).unwrap().count() > 1);
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
        for name in names(fixture.dir.path()) {
            let is_partial = name.ends_with(".partstore-partial");
            assert!(
                is_partial || name == "store" || fs::read(fixture.path(&name)).unwrap() == bytes,
                "{name}"
            );
            if is_partial || name == "out" {
                fs::remove_file(fixture.path(name)).unwrap();
            }
        }
    }
    fixture.run(["export", "k", "out"]).ok();
    assert!(fs::read(fixture.path("out")).unwrap() == bytes);
}

#[test]
fn ctrl_c_removes_what_is_half_made() {
    let fixture = Fixture::new();
    // The destination is a directory of its own, so that its files are seen.
    fs::create_dir(fixture.path("to")).unwrap();
    fixture.with(|store| drop(store.put_object("k", noise(256 << 20, 9)).unwrap()));
    let child = fixture.spawn(["export", "k", "to/out"]);
    until(|| !names(&fixture.path("to")).is_empty());
    interrupt(&child);
    let ran = Ran::of(child.wait_with_output().unwrap());
    if ran.code == Some(0) {
        // Faster than the signal.
        assert_eq!(names(&fixture.path("to")), ["out"]);
    } else {
        ran.fails(130);
        assert!(names(&fixture.path("to")).is_empty());
    }
}

#[test]
fn a_terminal_that_says_nothing_does_not_hold_ctrl_c_up() {
    let fixture = Fixture::new();
    let mut child = fixture.spawn(["put", "k"]);
    let stdin = child.stdin.take();
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..2 {
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = child.wait().unwrap();
    drop(stdin);
    assert_eq!(status.code(), Some(130), "{PROGRAM}");
    assert_eq!(fixture.run(["ls", "keys"]).ok(), "");
}

/// Ctrl-C.
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.unwrap().success());
}

fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
}
