//! `import`: a directory of files becomes objects, once.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::fixture::{Fixture, noise};

#[test]
fn a_second_import_does_nothing() {
    let fixture = Fixture::without_store();
    fs::create_dir_all(fixture.path("in/deep/deeper")).unwrap();
    let files = [("a", 10), ("deep/b", 0), ("deep/deeper/c", 2_000_000)];
    for (name, len) in files {
        fs::write(fixture.path("in").join(name), noise(len, 1)).unwrap();
    }
    fixture.run(["import", "in"]).fails(6);
    let import = || {
        fixture
            .run([
                "--json", "import", "in", "-n", "ns", "--prefix", "p/", "--create",
            ])
            .json()
    };
    let first = import();
    assert_eq!(
        (&first["imported"], &first["present"], &first["failed"]),
        (&3.into(), &0.into(), &0.into())
    );
    for (name, len) in files {
        let got = fixture.run(["get", &format!("p/{name}"), "-n", "ns"]);
        assert!(got.stdout == noise(len, 1), "{name}");
    }
    let before = fixture.run(["ls", "objects"]).ok();
    let second = import();
    assert_eq!(
        (&second["imported"], &second["present"]),
        (&0.into(), &3.into())
    );
    assert_eq!(fixture.run(["ls", "objects"]).ok(), before);

    // Of the same length, with other bytes.
    fs::write(fixture.path("in/a"), noise(10, 2)).unwrap();
    let third = import();
    assert_eq!(
        (&third["imported"], &third["present"]),
        (&1.into(), &2.into())
    );
    assert!(fixture.run(["get", "p/a", "-n", "ns"]).stdout == noise(10, 2));
}

#[test]
fn what_is_no_file_is_named_and_the_others_are_imported() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("in")).unwrap();
    fs::write(fixture.path("in/file"), "file").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", fixture.path("in/link")).unwrap();
    fs::write(fixture.path("in/.file.1.partstore-partial"), "half").unwrap();
    fs::write(
        fixture.path("in").join(OsStr::from_bytes(b"not\xffutf8")),
        "x",
    )
    .unwrap();
    let ran = fixture.run(["import", "in"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("in/link is no regular file"), "{ran:?}");
    assert!(ran.stderr.contains("not UTF-8"), "{ran:?}");
    assert!(ran.stderr.contains("left half-made"), "{ran:?}");
    let keys = fixture.run(["--json", "ls", "keys"]).json();
    assert_eq!(keys["key"], "file");
    fixture.run(["import", "nowhere"]).fails(1);
}

#[test]
fn an_import_that_was_killed_is_run_again() {
    let fixture = Fixture::without_store();
    fs::create_dir(fixture.path("in")).unwrap();
    for number in 0..60 {
        fs::write(fixture.path(format!("in/{number}")), noise(300_000, number)).unwrap();
    }
    for wait in [100, 200, 300] {
        let mut child = fixture.spawn(["import", "in", "--create"]);
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
    }
    fixture.run(["import", "in", "--create"]).ok();
    let again = fixture.run(["--json", "import", "in"]).json();
    assert_eq!(
        (&again["imported"], &again["present"]),
        (&0.into(), &60.into())
    );
    fixture.with(|store| {
        for number in 0..60 {
            let mut bytes = Vec::new();
            let mut object = store.open_key(number.to_string()).unwrap();
            object.read_to_end(&mut bytes).unwrap();
            assert!(bytes == noise(300_000, number));
        }
    });
    fixture.run(["verify"]).ok();
    fixture.run(["sweep"]).ok();
}
