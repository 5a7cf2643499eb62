//! `verify` and `salvage`, on stores that are whole and on damaged ones.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::fixture::{Fixture, noise};

/// Flips a byte of a file.
fn damage(path: &Path, at: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

pub fn blob_of(fixture: &Fixture, key: &str) -> (String, PathBuf) {
    let part = fixture.run(["--json", "ls", "parts", key]).json();
    let hash = part["hash"].as_str().unwrap().to_owned();
    let path = fixture.store().join("blobs").join(&hash[..2]).join(&hash);
    (hash, path)
}

#[test]
fn a_whole_store_is_clean() {
    let fixture = Fixture::new();
    fixture.with(|store| drop(store.put_object("k", noise(1 << 20, 3)).unwrap()));
    let all = fixture.run(["--json", "verify"]);
    assert_eq!(
        (all.code, &all.json()["clean"], &all.json()["bytes"]),
        (Some(0), &true.into(), &(1 << 20).into())
    );
    let rows = fixture.run(["--json", "verify", "--metadata"]).json();
    assert_eq!(
        (&rows["clean"], &rows["parts"], &rows["bytes"]),
        (&true.into(), &1.into(), &0.into())
    );
}

#[test]
fn damaged_bytes_are_named_by_key_and_part() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        store.put_object("whole", "whole").unwrap();
        store.put_object("rotten", noise(700_000, 4)).unwrap();
    });
    let (hash, path) = blob_of(&fixture, "rotten");
    damage(&path, 600_000);

    let found = fixture.run(["verify"]);
    let said = found.fails(4);
    assert!(said.contains("put the same bytes again"), "{said}");
    assert!(
        found.text().contains(&format!("damaged blob {hash}")),
        "{found:?}"
    );
    assert!(found.text().contains("part 1 of \"rotten\""), "{found:?}");
    let json = fixture.run(["verify", "--json"]).json();
    assert_eq!(
        (&json["clean"], &json["damaged_blobs"][0]["parts"][0]["key"]),
        (&false.into(), &"rotten".into())
    );

    fixture.run(["where", &hash]).fails(4);
    // No file gets the name before it is whole.
    for command in ["get", "export"] {
        fixture.run([command, "rotten", "out"]).fails(4);
        assert!(!fixture.path("out").exists());
    }
    let all = fixture.run(["export", "--all", "out"]);
    assert_eq!(all.code, Some(4), "{all:?}");
    assert_eq!(crate::fixture::names(&fixture.path("out")), ["whole"]);

    // What the line says helps.
    fixture.run_with(["put", "again"], &noise(700_000, 4)).ok();
    fixture.run(["verify"]).ok();
}

#[test]
fn a_rate_holds_the_reading_back() {
    let fixture = Fixture::new();
    fixture.with(|store| drop(store.put_object("k", noise(1 << 20, 5)).unwrap()));
    let began = Instant::now();
    fixture.run(["verify", "--rate", "1M"]).ok();
    // At least this long: what there is beside the blob takes more.
    assert!(began.elapsed().as_millis() >= 1_000);
}

/// A store with so many blobs of 1 MiB, and the paths of their files in the order of their hashes.
fn with_blobs(count: u64) -> (Fixture, Vec<PathBuf>) {
    let fixture = Fixture::new();
    fixture.with(|store| {
        for seed in 0..count {
            store
                .put_object(format!("key {seed}").as_str(), noise(1 << 20, seed))
                .unwrap();
        }
    });
    let mut blobs: Vec<_> = (0..count)
        .map(|seed| blob_of(&fixture, &format!("key {seed}")).1)
        .collect();
    blobs.sort_by_key(|path| path.file_name().unwrap().to_owned());
    (fixture, blobs)
}

/// What the file of a verify says, if it is there and says that blobs were compared.
fn reached(fixture: &Fixture) -> Option<serde_json::Value> {
    let text = fs::read(fixture.path("state")).ok()?;
    let said: serde_json::Value = serde_json::from_slice(&text).expect("never half-written");
    said["through"].is_string().then_some(said)
}

/// Runs a slow verify until `enough` of its file, and kills it.
fn kill_when(fixture: &Fixture, enough: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let mut child = fixture.spawn(["verify", "--rate", "2M", "--resume", "state"]);
    let said = loop {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        match reached(fixture) {
            Some(said) if enough(&said) => break said,
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn a_verify_that_is_killed_goes_on_where_it_was() {
    let (fixture, blobs) = with_blobs(16);
    let whole = fs::read(&blobs[1]).unwrap();
    damage(&blobs[1], 5);
    damage(&blobs[15], 70_000);
    let first = kill_when(&fixture, |said| said["blobs"].as_u64() >= Some(3));
    let again = kill_when(&fixture, |said| {
        said["blobs"].as_u64() > first["blobs"].as_u64()
    });
    assert!(again["through"].as_str() > first["through"].as_str());
    assert_eq!(again["damaged_blobs"].as_array().unwrap().len(), 1);

    // What was compared is not read again, and what was found is not forgotten.
    fs::write(&blobs[1], whole).unwrap();
    damage(&blobs[0], 5);
    let ran = fixture.run(["verify", "--resume", "state", "--json"]);
    ran.fails(4);
    let found = ran.json();
    assert_eq!((&found["blobs"], &found["parts"]), (&16.into(), &16.into()));
    let named: Vec<_> = found["damaged_blobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|blob| blob["hash"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = [1, 15]
        .iter()
        .map(|at: &usize| blobs[*at].file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(named, expected);
    assert_eq!(
        found["damaged_blobs"][0]["parts"].as_array().unwrap().len(),
        1
    );

    // It was done, so the next one begins anew.
    assert!(!fixture.path("state").exists() && !fixture.path("state.tmp").exists());
    let ran = fixture.run(["verify", "--resume", "state", "--json"]);
    ran.fails(4);
    assert_eq!(ran.json()["damaged_blobs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_file_of_another_verify_is_refused() {
    let (fixture, _) = with_blobs(12);
    let said = kill_when(&fixture, |_| true);
    let wrong = |field: &str, value: serde_json::Value| {
        let mut wrong = said.clone();
        wrong[field] = value;
        wrong.to_string()
    };
    for text in [
        wrong("store", "/elsewhere".into()),
        wrong("scope", "metadata".into()),
        wrong("partstore_verify", 2.into()),
        wrong("through", "12".into()),
        wrong("blobs", (-1).into()),
        wrong("damaged_blobs", serde_json::json!([1])),
        said.to_string()[..100].to_owned(),
        String::new(),
        "\0\0\0".to_owned(),
    ] {
        fs::write(fixture.path("state"), &text).unwrap();
        let said = fixture.run(["verify", "--resume", "state"]).fails(2);
        assert!(said.contains("remove it"), "{said}");
        assert_eq!(fs::read_to_string(fixture.path("state")).unwrap(), text);
    }
    // Where no file can be, it says so at once.
    fixture
        .run(["verify", "--resume", "missing/state"])
        .fails(1);
    fs::write(fixture.path("state"), said.to_string()).unwrap();
    fixture.run(["verify", "--resume", "state"]).ok();
}

#[test]
fn ctrl_c_ends_a_slow_verify_and_closes_the_store() {
    let fixture = Fixture::new();
    fixture.with(|store| drop(store.put_object("k", noise(8 << 20, 6)).unwrap()));
    let child = fixture.spawn(["--json", "verify", "--rate", "64K"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let ran = crate::fixture::Ran::of(child.wait_with_output().unwrap());
    ran.fails(130);
    assert_eq!(
        (&ran.json()["cut_short"], &ran.json()["clean"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        fixture.run(["--json", "info"]).json()["open"]["index"],
        "trusted"
    );
}

#[test]
fn a_damaged_journal_is_salvaged_when_that_is_asked_for() {
    let fixture = Fixture::new();
    fixture.run(["salvage"]).ok();
    fixture.with(|store| {
        for number in 0..20 {
            store
                .put_object(format!("k{number}"), noise(100, number))
                .unwrap();
        }
    });
    // As after a kill: no index proves what the journal held.
    fs::remove_file(fixture.store().join("meta/CLEAN")).unwrap();
    let segment = fs::read_dir(fixture.store().join("meta/journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .min()
        .unwrap();
    damage(&segment, 3_000);

    for command in ["info", "salvage"] {
        let said = fixture.run([command]).fails(4);
        assert!(said.contains("salvage"), "{said}");
    }
    let salvaged = fixture.run(["--json", "salvage", "--yes"]);
    assert!(matches!(salvaged.code, Some(0 | 4)), "{salvaged:?}");
    let json = salvaged.json();
    assert_eq!(json["salvaged"], true);
    assert!(Path::new(json["aside"].as_str().unwrap()).is_dir());
    fixture.run(["info"]).ok();
    fixture.run(["salvage", "--yes"]).ok();
}

#[test]
fn the_index_is_made_anew_when_that_is_asked_for() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        store.put_object("k", "hello").unwrap();
    });
    let info = || fixture.run(["--json", "info"]).json();
    assert_eq!(info()["open"]["index"], "trusted");
    let json = fixture.run(["--json", "rebuild-index"]).json();
    assert_eq!(
        (&json["rebuilt"], &json["parts"]),
        (&true.into(), &1.into())
    );
    assert_eq!(info()["open"]["index"], "trusted");
    assert_eq!(fixture.run(["--json", "verify"]).json()["clean"], true);
    assert_eq!(fixture.run(["get", "k", "-"]).ok(), "hello");
}
