//! A process that may open no more files: the calls that need one fail, and nothing else happens.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use partstore::{Error, ListParts, Options, PartOptions, Scope};

use crate::fixture::{
    Fixture, bytes, fast_dir, free_options, in_own_process_with_files, lines, number, read_part,
    role,
};

/// EMFILE.
const TOO_MANY: i32 = 24;

/// Opens files until there can be no more.
fn take_all() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(TOO_MANY));
                return taken;
            }
        }
    }
}

fn assert_too_many<T>(what: &str, answer: partstore::Result<T>) {
    let code = |source: &io::Error| source.raw_os_error() == Some(TOO_MANY);
    match answer {
        Err(Error::Io { source, .. }) if code(&source) => {}
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what} needs no file"),
    }
}

fn options() -> Options {
    free_options().journal_sizes(16 * 1024, 0)
}

#[test]
fn calls_that_can_open_no_file_fail_and_the_store_goes_on() {
    const NAME: &str = "no_files_left::calls_that_can_open_no_file_fail_and_the_store_goes_on";
    if role().is_none() {
        in_own_process_with_files(NAME, "few files", 64);
        return;
    }
    let mut fixture = Fixture::within(fast_dir(), options());
    let upload = fixture.initiate("key");
    let other = fixture.initiate("other");
    let body = bytes(1, 300_000);
    fixture.put(&upload, 1, &body);
    for at in 1..=100 {
        fixture.put(&other, at, b"other");
    }
    let store = fixture.store.clone();
    let mut open = store
        .part_writer(&upload, number(2), PartOptions::new())
        .unwrap();
    open.append(&body).unwrap();
    let reader = store.open_part(&upload, number(1));

    for left in 0..6 {
        let mut taken = take_all();
        taken.truncate(taken.len() - left);
        if left == 0 {
            let declared = PartOptions::new();
            assert_too_many("put", store.put_part(&upload, number(3), "new"));
            assert_too_many("writer", store.part_writer(&upload, number(3), declared));
            assert_too_many("open", store.open_part(&upload, number(1)));
            assert_too_many("verify", store.verify(Scope::Everything));
        } else {
            // With one or two some get further than others.
            let _ = store.put_part(&upload, number(4), bytes(left as u64, 100));
            let _ = store.put_part(&upload, number(4), body.clone());
            let _ = store.maintain();
            let _ = store.verify(Scope::Everything);
        }
        let list = store
            .list_parts(&upload, &ListParts::new().limit(1))
            .unwrap();
        assert_eq!(list.parts.len(), 1, "{left} files left");
        store.initiate_upload("needs none").unwrap();
        drop(taken);
        fixture.put(&upload, 3, b"then");
    }
    drop(reader);
    open.append(&body).unwrap();
    open.finish().unwrap();
    store.abort_upload(&other).unwrap();
    store.maintain().unwrap();
    fixture.assert_tidy();
    drop(store);
    fixture.reopen();
    assert!(read_part(&fixture.store, &upload, number(2)) == [body.as_slice(), &body].concat());
    let list = lines(&fixture.parts(&upload)[..3]);
    fixture.store.complete_upload(&upload, &list).unwrap();
    fixture.assert_tidy();
}

/// A reader that seeks keeps blobs open, but never more than it can.
#[test]
fn a_reader_that_seeks_over_many_parts_goes_on_with_few_files() {
    const NAME: &str = "no_files_left::a_reader_that_seeks_over_many_parts_goes_on_with_few_files";
    if role().is_none() {
        in_own_process_with_files(NAME, "few files", 64);
        return;
    }
    let fixture = Fixture::within(fast_dir(), options());
    let bodies: Vec<Vec<u8>> = (0..100).map(|at| bytes(at, 1000)).collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let object = fixture.complete("key", &slices);
    let mut reader = fixture.store.open_object(&object.upload).unwrap();
    for at in [7, 3, 1]
        .into_iter()
        .flat_map(|step| (0..100).map(move |at| at * step % 100))
    {
        let mut byte = [0];
        reader.seek(SeekFrom::Start(at * 1000 + at)).unwrap();
        reader.read_exact(&mut byte).unwrap();
        let at = usize::try_from(at).unwrap();
        assert_eq!(byte[0], bodies[at][at]);
    }
}
