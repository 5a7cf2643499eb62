//! The directory: whose it is, of which format, and what a closed store answers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use partstore::{
    CompletedPart, Error, IndexRecovery, ListParts, ListUploads, PartOptions, PartStore, Result,
    Scope,
};

use crate::fixture::{
    Fixture, bytes, files, free_options, in_own_process, number, read_part, refusal, role, tree,
};

fn open(path: &Path) -> Result<PartStore> {
    free_options().open(path)
}

#[test]
fn a_second_open_in_this_process_is_refused() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for _ in 0..2 {
        let error = open(&fixture.root()).unwrap_err();
        assert!(matches!(error, Error::StoreLocked { .. }), "{error}");
        assert_eq!(error.http_status(), 503);
    }
    fixture.put(&upload, 1, b"the first goes on");
    fixture.store.close().unwrap();
    open(&fixture.root()).unwrap();
}

#[test]
fn a_second_process_is_refused() {
    const SAYS: &str = "the second process: ";
    if let Some(path) = role() {
        let answer = match open(Path::new(&path)) {
            Ok(_) => "open".to_owned(),
            Err(error) => error.to_string(),
        };
        println!("\n{SAYS}{answer}");
        return;
    }
    let fixture = Fixture::new();
    let root = fixture.root();
    let other = || {
        let name = "directory::a_second_process_is_refused";
        let output = in_own_process(name, root.to_str().unwrap());
        let answer = output.lines().find_map(|line| line.strip_prefix(SAYS));
        answer.unwrap().to_owned()
    };
    let locked = Error::StoreLocked { path: root.clone() };
    assert_eq!(other(), locked.to_string());
    fixture.store.close().unwrap();
    assert_eq!(other(), "open");
}

/// Directories that must be refused, and left as they were.
#[test]
fn what_is_not_a_store_is_refused_and_nothing_is_written() {
    type Make<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Make); 7] = [
        ("a foreign file", &|root| {
            fs::write(root.join("notes.txt"), b"mine").unwrap();
        }),
        ("a foreign directory", &|root| {
            fs::create_dir(root.join("photos")).unwrap();
        }),
        ("a foreign FORMAT", &|root| {
            fs::write(root.join("FORMAT"), b"some other format\n1\n").unwrap();
        }),
        ("an empty FORMAT", &|root| {
            fs::write(root.join("FORMAT"), b"").unwrap();
        }),
        ("files in blobs", &|root| {
            fs::create_dir_all(root.join("blobs/ab")).unwrap();
            fs::write(root.join("blobs/ab/file"), b"mine").unwrap();
        }),
        ("files in staging", &|root| {
            fs::create_dir(root.join("staging")).unwrap();
            fs::write(root.join("staging/file"), b"mine").unwrap();
        }),
        ("a foreign file in meta", &|root| {
            fs::create_dir(root.join("meta")).unwrap();
            fs::write(root.join("meta/file"), b"mine").unwrap();
        }),
    ];
    for (what, make) in cases {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let before = tree(dir.path());
        let error = open(dir.path()).unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{what}: {error}");
        assert_eq!(error.http_status(), 500);
        assert_eq!(tree(dir.path()), before, "{what}");
    }
}

#[test]
fn a_file_is_not_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, b"mine").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

/// Somebody lost the file: what lies there is not to be taken for an unfinished creation.
#[test]
fn a_store_with_data_whose_format_is_missing_is_refused() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let holds: [&dyn Fn(); 2] = [&|| (), &|| {
        fixture.put(&upload, 1, b"bytes");
    }];
    for add in holds {
        add();
        let killed = fixture.killed();
        let format = fs::read(killed.join("FORMAT")).unwrap();
        fs::remove_file(killed.join("FORMAT")).unwrap();
        let before = tree(&killed);
        let error = open(&killed).unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
        assert_eq!(tree(&killed), before);
        fs::write(killed.join("FORMAT"), format).unwrap();
        let store = open(&killed).unwrap();
        assert_eq!(store.upload(&upload).unwrap().upload, upload);
    }
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let fixture = Fixture::new();
    fixture.complete("key", &[b"bytes"]);
    let killed = fixture.killed();
    let format = fs::read_to_string(killed.join("FORMAT")).unwrap();
    fs::write(killed.join("FORMAT"), format.replace('4', "5")).unwrap();
    let before = tree(&killed);
    let error = open(&killed).unwrap_err();
    let Error::NewerFormat {
        found, supported, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((found, supported), (5, 4));
    assert_eq!(tree(&killed), before);
}

/// What a crash may leave of a creation, up to all but the last step.
#[test]
fn a_creation_that_was_interrupted_is_finished() {
    let made: [&[&str]; 5] = [
        &[],
        &["LOCK"],
        &["LOCK", "blobs/"],
        &["LOCK", "blobs/", "staging/", "meta/"],
        &["LOCK", "blobs/", "staging/", "meta/", "FORMAT.tmp"],
    ];
    for names in made {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir(dir.path().join(name)).unwrap(),
                None => fs::write(dir.path().join(name), b"").unwrap(),
            }
        }
        assert_becomes_a_store(dir.path());
    }
    // All but the last step of a real one.
    let fixture = Fixture::new();
    let killed = fixture.killed();
    undo_the_first_open(&killed);
    // What the first segment was given and nobody wrote yet may read as anything.
    for written in [0, 32] {
        let torn = fixture.killed();
        undo_the_first_open(&torn);
        let segment = torn.join("meta/journal/00000000000000000001.log");
        let mut content = fs::read(&segment).unwrap();
        content.truncate(written);
        content.extend(bytes(1, 4096));
        fs::write(&segment, content).unwrap();
        assert_becomes_a_store(&torn);
    }
    assert_becomes_a_store(&killed);
}

/// Removes what comes behind `FORMAT`, and that.
fn undo_the_first_open(root: &Path) {
    for name in ["FORMAT", "meta/CLEAN.tmp"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    fs::remove_dir_all(root.join("meta/index")).unwrap();
}

fn assert_becomes_a_store(path: &Path) {
    let store = open(path).unwrap();
    assert!(store.recovery().created);
    let upload = store.initiate_upload("key").unwrap();
    store.put_part(&upload, number(1), "bytes").unwrap();
    store.close().unwrap();
    let store = open(path).unwrap();
    assert!(!store.recovery().created);
    assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
}

/// Also where several directories are missing.
#[test]
fn a_store_is_made_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    assert_becomes_a_store(&dir.path().join("some/where/new"));
}

#[test]
fn a_closed_store_answers_that_it_is_closed() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, b"bytes");
    let object = fixture.complete("object", &[b"bytes", b"more"]).upload;
    let store = &fixture.store;
    let options = PartOptions::new;
    let mut writer = store.part_writer(&upload, number(2), options()).unwrap();
    writer.write_all(b"half").unwrap();
    let reader = store.open_object(&object).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    let answers = [
        store.initiate_upload("key").map(drop),
        store.put_part(&upload, number(1), "bytes").map(drop),
        store
            .put_part_from(&upload, number(1), &b"bytes"[..], options())
            .map(drop),
        store.part_writer(&upload, number(1), options()).map(drop),
        writer.finish().map(drop),
        store
            .list_parts(&upload, &ListParts::new().limit(1))
            .map(drop),
        store.list_uploads(&ListUploads::new()).map(drop),
        store.upload(&upload).map(drop),
        store
            .complete_upload(&upload, &[CompletedPart::from(&part)])
            .map(drop),
        store.abort_upload(&upload),
        store.remove_object(&object),
        store.expire_uploads(std::time::Duration::ZERO).map(drop),
        store.open_part(&upload, number(1)).map(drop),
        store.object(&object).map(drop),
        store.open_object(&object).map(drop),
        reader.part(number(1)).map(drop),
        store.sweep().map(drop),
        store.maintain().map(drop),
        store.verify(Scope::Metadata).map(drop),
        store.stats().map(drop),
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Closed), "call {at}: {error}");
        assert_eq!(error.http_status(), 503);
    }
    let error = std::io::read_to_string(reader).unwrap_err();
    assert!(matches!(Error::from_io(error), Ok(Error::Closed)));
    let again = open(&fixture.root()).unwrap();
    assert_eq!(again.recovery().index, IndexRecovery::Trusted);
    assert_eq!(
        again
            .list_parts(&upload, &ListParts::new().limit(9))
            .unwrap()
            .parts,
        [part]
    );
    assert_eq!(files(&fixture.root().join("staging")), BTreeSet::new());
}

/// A part's reader needs the file only, and has it open.
#[test]
fn a_part_that_is_being_read_outlives_its_store() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 600_000);
    fixture.put(&upload, 1, &body);
    let mut reader = fixture.store.open_part(&upload, number(1)).unwrap();
    let mut read = vec![0; 1000];
    reader.read_exact(&mut read).unwrap();
    fixture.reopen();
    fixture.store.abort_upload(&upload).unwrap();
    fixture.store.sweep().unwrap();
    assert_eq!(fixture.blob_files().len(), 0);
    reader.read_to_end(&mut read).unwrap();
    assert!(read == body);
    drop(reader);
    fixture.assert_tidy();
    assert_eq!(refusal(fixture.store.abort_upload(&upload)).1, 404);
}
