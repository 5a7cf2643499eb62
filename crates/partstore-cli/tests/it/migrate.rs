//! A store in a directory goes into a cluster. Without a database each test says in a line that it is skipped.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use partstore::{
    ChecksumAlgorithm, CompleteOptions, CompletedPart, Condition, ETagKind, ObjectOptions, Options,
    Part, PartNumber, PartStore, Quota, Upload, UploadOptions,
};

use crate::cluster::OnCluster;
use crate::fixture::{Ran, copy_dir, noise};

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

/// The listed parts become the object of the upload's key.
fn complete(store: &PartStore, upload: &Upload, parts: &[Part]) {
    let list: Vec<_> = parts.iter().map(CompletedPart::from).collect();
    let options = CompleteOptions::new()
        .make_current(Condition::Always)
        .min_part_size(0);
    store.complete_upload_with(upload, &list, &options).unwrap();
}

/// An object of parts with these numbers, of some bytes each.
fn in_parts(store: &PartStore, key: (&str, &str), numbers: &[u32], options: UploadOptions) {
    let upload = store.initiate_upload_with(key, options).unwrap();
    let put = |at: &u32| {
        let body = noise(1000 + *at as usize, (*at).into());
        store.put_part(&upload, number(*at), body).unwrap()
    };
    let parts: Vec<_> = numbers.iter().map(put).collect();
    complete(store, &upload, &parts);
}

/// Objects of every make.
fn fill(store: &PartStore) {
    store
        .create_namespace("films", Quota::new().bytes(1 << 30))
        .unwrap();
    store.create_namespace("empty", Quota::new()).unwrap();
    let described = ObjectOptions::new().metadata(vec![0, 255, 7]);
    store
        .put_object_with(("films", "whole"), noise(300_000, 1), &described)
        .unwrap();
    store.put_object(("films", "nothing"), "").unwrap();
    let key = "k/".repeat(512);
    let odd = ["%2F", "/", " \n\u{1F3AC}'\"\\", &key];
    for (at, key) in (10..).zip(odd) {
        store.put_object(("films", key), noise(10, at)).unwrap();
        store.put_object(key, noise(11, at)).unwrap();
    }
    let composite = UploadOptions::new()
        .metadata("in parts")
        .composite(ChecksumAlgorithm::Sha256)
        .checksum(ChecksumAlgorithm::Crc64Nvme);
    in_parts(store, ("films", "parts"), &[1, 2, 5, 10_000], composite);
    in_parts(store, ("films", "one part"), &[7], UploadOptions::new());
    let one = store.open_key(("films", "one part")).unwrap();
    let as_whole = ObjectOptions::new().whole_etag();
    store
        .copy_object(&one, ("films", "as whole"), &as_whole)
        .unwrap();
    let parts = store.open_key(("films", "parts")).unwrap();
    store
        .copy_object(&parts, "copy", &ObjectOptions::new().metadata("other"))
        .unwrap();
}

/// All that a client could see of all keys, but for times.
fn seen(store: &PartStore) -> Vec<String> {
    let mut seen = Vec::new();
    let mut namespaces = vec![store.namespace("").unwrap()];
    let listed = store.list_namespaces(&partstore::ListNamespaces::new());
    namespaces.extend(listed.unwrap().namespaces);
    for namespace in namespaces {
        seen.push(format!("{} {:?}", namespace.name, namespace.quota));
        assert_eq!(namespace.usage.open_uploads, 0);
        for entry in store.keys((namespace.name.as_str(), "")) {
            let key = (namespace.name.as_str(), entry.unwrap().key);
            let mut reader = store.open_key((key.0, key.1.as_str())).unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
            let object = reader.object();
            let parts = reader.parts().map(|placed| {
                let part = placed.unwrap().part;
                (
                    part.number,
                    part.size,
                    part.etag,
                    part.content,
                    part.checksums,
                )
            });
            let parts: Vec<_> = parts.collect();
            seen.push(format!(
                "{key:?} {} {} {:?} {:?} {:?} {parts:?} {}",
                object.etag,
                object.size,
                object.checksums,
                object.composite,
                object.metadata,
                blake3::hash(&bytes)
            ));
        }
    }
    seen
}

impl OnCluster {
    fn migrate(&self, more: &[&str]) -> Ran {
        self.run([&["migrate", "store"], more].concat())
    }
}

/// A cluster, and a directory that has been filled.
fn filled() -> Option<(OnCluster, Vec<String>)> {
    let on = OnCluster::without_store()?;
    on.fixture.with(fill);
    let seen = on.fixture.with(seen);
    Some((on, seen))
}

#[test]
fn all_that_a_client_can_see_is_migrated_and_a_second_run_copies_nothing() {
    let Some((on, before)) = filled() else { return };
    // No tables are made by accident.
    on.migrate(&[]).fails(6);
    let ran = on.migrate(&["--create", "--json"]);
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        (&report["migrated"], &report["present"], &report["failed"]),
        (&14.into(), &0.into(), &0.into())
    );
    assert_eq!(on.with(seen), before);
    assert_eq!(on.json(["verify", "--json"])["clean"], true);
    let ids = || {
        on.with(|store| {
            let ids = store.objects().map(|object| object.unwrap().upload);
            ids.collect::<Vec<_>>()
        })
    };
    let made = ids();
    let again = on.migrate(&["--json"]).json();
    assert_eq!(
        (&again["migrated"], &again["bytes"], &again["present"]),
        (&0.into(), &0.into(), &14.into())
    );
    assert_eq!(ids(), made);
    // The directory is as it was, and still works.
    assert_eq!(on.fixture.with(seen), before);
    assert!(
        on.fixture
            .run(["migrate", "store"])
            .fails(2)
            .contains("--catalog")
    );
}

#[test]
fn what_the_cluster_has_is_left_unless_it_shall_be_a_mirror() {
    let Some((on, before)) = filled() else { return };
    on.with(|store| {
        store.create_namespace("films", Quota::new()).unwrap();
        store.create_namespace("theirs", Quota::new()).unwrap();
        store.put_object(("films", "whole"), "theirs").unwrap();
        store.put_object(("films", "more"), "theirs").unwrap();
        // The same bytes, and another ETag.
        let bytes = [1_u32, 2, 5, 10_000].map(|at| noise(1000 + at as usize, at.into()));
        store
            .put_object(("films", "parts"), bytes.concat())
            .unwrap();
        store.put_object(("films", "nothing"), "").unwrap();
    });
    let ran = on.migrate(&[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stderr.matches("--mirror").count(), 2, "{ran:?}");
    let theirs = on.run(["get", "whole", "-n", "films"]).ok();
    assert_eq!(theirs, "theirs");
    assert!(ran.text().contains("1 were there; 2 failed"), "{ran:?}");

    // Only metadata have changed since.
    on.fixture.with(|store| {
        let copy = store.object_by_key("copy").unwrap();
        store.replace_metadata(&copy.upload, "other").unwrap();
        let one = store.object_by_key(("films", "one part")).unwrap();
        store.replace_metadata(&one.upload, "since").unwrap();
    });
    let ran = on.migrate(&["--mirror", "--json"]);
    assert_eq!(
        (&ran.json()["removed"], &ran.json()["migrated"]),
        (&1.into(), &3.into())
    );
    assert!(ran.stderr.contains("\"theirs\""), "{ran:?}");
    let mut after = on.with(|store| {
        store.remove_namespace("theirs").unwrap();
        seen(store)
    });
    let changed = on.fixture.with(seen);
    assert_ne!(changed, before);
    after.sort();
    let mut changed = changed;
    changed.sort();
    assert_eq!(after, changed);
}

#[test]
fn what_only_an_id_names_is_refused_and_left_behind_on_request() {
    let Some((on, before)) = filled() else { return };
    let upload = on.fixture.with(|store| {
        let upload = store.initiate_upload(("films", "open")).unwrap();
        store.put_part(&upload, number(1), "a part").unwrap();
        upload
    });
    let ran = on.migrate(&["--create"]);
    assert!(ran.fails(2).contains("--skip-uploads"), "{ran:?}");
    on.run(["info"]).fails(6);
    on.fixture.with(|store| {
        let part = store.parts(&upload).next().unwrap().unwrap();
        let list = [CompletedPart::from(&part)];
        store.complete_upload(&upload, &list).unwrap();
        store.initiate_upload("another").unwrap();
    });
    let ran = on.migrate(&["--create", "--skip-uploads"]);
    assert!(ran.fails(2).contains("--skip-keyless"), "{ran:?}");
    let left = on.migrate(&["--create", "--skip-uploads", "--skip-keyless", "--json"]);
    assert_eq!(left.code, Some(0), "{left:?}");
    let left = left.json();
    assert_eq!(
        (&left["skipped_uploads"], &left["skipped_keyless"]),
        (&1.into(), &1.into())
    );
    assert_eq!(on.with(seen), before);
}

#[test]
fn parts_with_opaque_etags_keep_them_beside_others() {
    let Some(on) = OnCluster::without_store() else {
        return;
    };
    let with = |kind, call: &dyn Fn(&PartStore)| {
        let options = Options::s3().etag(kind);
        let store = options.open(on.fixture.store()).unwrap();
        call(&store);
        store.close().unwrap();
    };
    with(ETagKind::Opaque, &|store| {
        store.put_object("whole", noise(9, 9)).unwrap();
        in_parts(store, ("", "parts"), &[3, 4], UploadOptions::new());
        let mixed = store.initiate_upload("mixed").unwrap();
        store.put_part(&mixed, number(1), "opaque").unwrap();
    });
    with(ETagKind::Md5, &|store| {
        let open = store.uploads("mixed").next().unwrap().unwrap().upload;
        store.put_part(&open, number(2), "MD5").unwrap();
        let parts: Vec<_> = store.parts(&open).map(Result::unwrap).collect();
        complete(store, &open, &parts);
    });
    on.migrate(&["--create"]).ok();
    let before = on.fixture.with(seen);
    assert_eq!(on.with(seen), before);
}

#[test]
fn damage_is_named_and_everything_else_is_migrated() {
    let Some((on, _)) = filled() else { return };
    let hash = blake3::hash(&noise(300_000, 1)).to_hex().to_string();
    let found = on.fixture.run(["where", &hash, "--json"]).json();
    let file = Path::new(found["file"].as_str().unwrap()).to_owned();
    let file = if file.is_absolute() {
        file
    } else {
        on.fixture.store().join(file)
    };
    let mut bytes = fs::read(&file).unwrap();
    bytes[200_000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let ran = on.migrate(&["--create"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("\"whole\" in \"films\""), "{ran:?}");
    on.run(["get", "whole", "-n", "films"]).fails(3);
    bytes[200_000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    on.migrate(&[]).ok();
    let before = on.fixture.with(seen);
    assert_eq!(on.with(seen), before);
}

#[test]
fn wrong_places_are_refused() {
    let Some(on) = OnCluster::new() else { return };
    on.run(["migrate", "nowhere"]).fails(6);
    assert!(!on.fixture.path("nowhere").exists());
    on.fixture.with(|_| ());
    on.migrate(&[]).ok();
    assert!(on.migrate(&["--mirror"]).fails(2).contains("no object"));
    let open = Options::s3().open(on.fixture.store()).unwrap();
    on.migrate(&[]).fails(5);
    open.close().unwrap();
    let away = on.run([
        "--catalog",
        "postgres://u@127.0.0.1:1/n",
        "migrate",
        "store",
    ]);
    away.fails(10);
}

#[test]
fn a_migration_that_is_killed_again_and_again_goes_on_and_leaves_nothing_behind() {
    let Some(on) = OnCluster::without_store() else {
        return;
    };
    let numbers: Vec<u32> = (1..=300).collect();
    on.fixture.with(|store| {
        fill(store);
        in_parts(
            store,
            ("films", "many parts"),
            &numbers,
            UploadOptions::new(),
        );
    });
    let before = on.fixture.with(seen);
    on.with(|_| ());
    let whole = Instant::now();
    let mut wait = Duration::from_millis(20);
    let mut killed = 0;
    // Each gets a little longer, so that the kill meets another step.
    loop {
        let mut command = on.command(["migrate", "store"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(wait);
        if child.try_wait().unwrap().is_some() {
            let ran = Ran::of(child.wait_with_output().unwrap());
            assert_eq!(ran.code, Some(0), "{ran:?}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        wait += Duration::from_millis(40);
        assert!(
            whole.elapsed() < Duration::from_secs(120),
            "it gets nowhere"
        );
    }
    assert!(killed > 0);
    assert_eq!(on.with(seen), before);
    assert_eq!(on.json(["verify", "--json"])["clean"], true);
}

#[test]
fn parts_that_a_killed_migration_has_put_are_not_put_again() {
    let Some(on) = OnCluster::without_store() else {
        return;
    };
    let numbers: Vec<u32> = (1..=2_000).collect();
    let make = |store: &PartStore| in_parts(store, ("", "key"), &numbers, UploadOptions::new());
    on.fixture.with(make);
    on.with(|_| ());
    let mut child = on.command(["migrate", "store"]).spawn().unwrap();
    let put = on.with(|store| {
        let begun = Instant::now();
        loop {
            let mut parts = Vec::new();
            for open in store.uploads("") {
                let open = open.unwrap().upload;
                parts.extend(store.parts(&open).filter_map(Result::ok));
            }
            if parts.len() >= 50 {
                return parts;
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // It was killed before it was done.
    on.run(["get", "key"]).fails(3);
    std::thread::sleep(Duration::from_millis(20));
    on.migrate(&[]).ok();
    on.with(|store| {
        let object = store.open_key("key").unwrap();
        for part in put {
            assert_eq!(object.placed_part(part.number).unwrap().part, part);
        }
    });
    let before = on.fixture.with(seen);
    assert_eq!(on.with(seen), before);
}

#[test]
fn two_at_once_and_one_behind_them_leave_what_one_does() {
    let Some((on, before)) = filled() else { return };
    on.with(|_| ());
    // As from a backup, while another migrates the store itself.
    copy_dir(&on.fixture.store(), &on.fixture.path("copy"));
    let spawn = |dir| on.command(["migrate", dir]).spawn().unwrap();
    for mut child in ["store", "copy"].map(spawn) {
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
    }
    on.migrate(&[]).ok();
    assert_eq!(on.with(seen), before);
}

/// The steps of the README.
#[test]
fn most_is_migrated_from_a_backup_and_the_rest_when_the_server_has_stopped() {
    let Some((on, _)) = filled() else { return };
    let fixture = &on.fixture;
    fixture
        .with(|store| store.initiate_upload("open").map(drop))
        .unwrap();
    fixture.run(["backup", "backup"]).ok();
    let scratch = ["--store", "scratch", "restore", "backup"];
    on.run(scratch).ok();
    let first = [
        "migrate",
        "scratch",
        "--create",
        "--skip-uploads",
        "--skip-keyless",
    ];
    on.run(first).ok();
    fixture.with(|store| {
        store.put_object(("films", "new"), "new").unwrap();
        store.put_object(("films", "whole"), "replaced").unwrap();
        in_parts(store, ("films", "parts"), &[8, 9], UploadOptions::new());
        store
            .remove_key(("films", "nothing"), Condition::Always)
            .unwrap();
    });
    on.run(["--store", "store", "expire", "0s"]).ok();
    let report = on.migrate(&["--mirror", "--json"]).json();
    assert_eq!(
        (&report["migrated"], &report["removed"], &report["present"]),
        (&3.into(), &1.into(), &11.into())
    );
    let before = fixture.with(seen);
    assert_eq!(on.with(seen), before);
}
