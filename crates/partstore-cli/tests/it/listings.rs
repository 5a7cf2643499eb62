//! `info` and `ls`.

use std::io::Read;
use std::process::{Command, Stdio};

use partstore::Quota;
use serde_json::Value;

use crate::fixture::{Fixture, PROGRAM, Ran};

fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = ran.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn info_says_what_the_store_holds() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        store
            .create_namespace("films", Quota::new().bytes(1 << 20).keys(7))
            .unwrap();
        store.put_object(("films", "a"), vec![1; 1000]).unwrap();
        store.put_object(("films", "b"), vec![1; 1000]).unwrap();
        store.initiate_upload("open").unwrap();
    });
    let info = fixture.run(["--json", "info"]).json();
    for (name, value) in [
        ("objects", 2),
        ("keys", 2),
        ("open_uploads", 1),
        ("blobs", 1),
        ("part_bytes", 2000),
        ("saved_bytes", 1000),
        ("format", 4),
    ] {
        assert_eq!(info[name], value, "{name}: {info}");
    }
    let films = &info["namespaces"][1];
    assert_eq!(films["namespace"], "films");
    assert_eq!(
        (&films["bytes"], &films["quota_bytes"], &films["quota_keys"]),
        (&2000.into(), &(1 << 20).into(), &7.into())
    );
    let text = fixture.run(["info"]).ok();
    assert!(text.contains("films: 2 keys of 7"), "{text}");
    assert!(text.contains("as it was closed"), "{text}");
    // The directory may come from the environment.
    let by_environment = Command::new(PROGRAM)
        .arg("info")
        .env("PARTSTORE_STORE", fixture.store())
        .output()
        .unwrap();
    assert_eq!(by_environment.status.code(), Some(0));
}

#[test]
fn a_listing_of_any_length_is_whole_and_in_order() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        // Calls at the same time share syncs.
        std::thread::scope(|scope| {
            for at in 0..32 {
                scope.spawn(move || {
                    for number in (at..1_250).step_by(32) {
                        store
                            .put_object(format!("d{}/k{number:05}", number % 2), "x")
                            .unwrap();
                        store.initiate_upload(format!("u{number:05}")).unwrap();
                        store
                            .create_namespace(&format!("n{number:05}"), Quota::new())
                            .unwrap();
                    }
                });
            }
        });
    });
    let keys = rows(&fixture.run(["--json", "ls", "keys"]));
    assert_eq!(keys.len(), 1_250);
    assert!(keys.is_sorted_by_key(|row| row["key"].as_str().unwrap().to_owned()));
    assert_eq!(
        rows(&fixture.run(["--json", "ls", "keys", "d1/"])).len(),
        625
    );
    let rolled = rows(&fixture.run(["--json", "ls", "keys", "-d", "/"]));
    let prefixes: Vec<_> = rolled
        .iter()
        .map(|row| row["prefix"].as_str().unwrap())
        .collect();
    assert_eq!(prefixes, ["d0/", "d1/"]);
    assert_eq!(rows(&fixture.run(["--json", "ls", "uploads"])).len(), 1_250);
    assert_eq!(rows(&fixture.run(["--json", "ls", "objects"])).len(), 1_250);
    assert_eq!(rows(&fixture.run(["--json", "ls"])).len(), 1_251);

    // Whoever reads one line and leaves is no failure.
    let mut child = fixture.spawn(["ls", "keys"]);
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn prefixes_stand_between_the_keys_and_uploads_beside_them() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        for key in ["b/1", "c", "a", "c", "b/2"] {
            store.put_object(key, "x").unwrap();
            store.initiate_upload(key).unwrap();
        }
    });
    for (of, expected) in [("keys", "a b/ c"), ("uploads", "a b/ c c")] {
        let rows = rows(&fixture.run(["--json", "ls", of, "-d", "/"]));
        let shown = rows.iter().map(|row| match row["key"].as_str() {
            Some(key) => key,
            None => row["prefix"].as_str().unwrap(),
        });
        let names: Vec<_> = shown.collect();
        assert_eq!(names.join(" "), expected, "{of}");
    }
}

#[test]
fn a_reader_that_leaves_ends_a_get_quietly() {
    let fixture = Fixture::new();
    fixture.with(|store| drop(store.put_object("k", vec![1; 8 << 20]).unwrap()));
    let mut command = fixture.command(["get", "k"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    // The store was closed all the same.
    assert_eq!(
        fixture.run(["--json", "info"]).json()["open"]["index"],
        "trusted"
    );
}
