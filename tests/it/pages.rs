//! Listings as iterators: what the pages hold, one after the other (R15, R32).

use partstore::{ErrorKind, ListObjects, Upload};

use crate::fixture::{Fixture, fast_dir, free_options};

/// One entry more than two pages hold.
const ENTRIES: u32 = 2001;

fn quick() -> Fixture {
    Fixture::within(fast_dir(), free_options())
}

#[test]
fn parts_of_many_pages_are_iterated_in_order() {
    let fixture = quick();
    let (upload, empty) = (fixture.initiate("key"), fixture.initiate("empty"));
    for at in 1..=ENTRIES {
        fixture.put(&upload, at, b"the same");
    }
    let numbers = fixture
        .store
        .parts(&upload)
        .map(|part| part.unwrap().number.get());
    assert!(numbers.map(u32::from).eq(1..=ENTRIES));
    assert_eq!(fixture.store.parts(&empty).count(), 0);
}

#[test]
fn uploads_and_objects_of_many_pages_are_iterated_in_order() {
    let fixture = quick();
    let open: Vec<Upload> = (0..ENTRIES)
        .map(|at| fixture.initiate(&format!("open/{at:04}")))
        .collect();
    let objects = ["object/0", "object/1"].map(|key| fixture.complete(key, &[b"bytes"]).upload);
    let uploads = |prefix| {
        let found = fixture.store.uploads(prefix);
        found.map(|info| info.unwrap().upload).collect::<Vec<_>>()
    };
    assert_eq!(uploads("open/"), open);
    assert_eq!(uploads("open/000"), open[..10]);
    assert_eq!(uploads("object/"), [], "they are completed");
    let found = fixture.store.objects().map(|object| object.unwrap().upload);
    assert!(found.eq(objects));
}

/// An error ends an iterator: whoever loops over it does not loop for ever.
#[test]
fn an_error_is_the_last_entry() {
    let fixture = quick();
    let upload = fixture.initiate("key");
    fixture.store.abort_upload(&upload).unwrap();
    let entries: Vec<_> = fixture.store.parts(&upload).collect();
    let [Err(error)] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (error.code(), error.kind()),
        ("NoSuchUpload", ErrorKind::Request)
    );

    // Closed between two pages.
    for at in 0..1001 {
        fixture.initiate(&format!("{at}"));
    }
    let mut uploads = fixture.store.uploads("");
    assert!(uploads.next().unwrap().is_ok());
    fixture.store.close().unwrap();
    let rest: Vec<_> = uploads.collect();
    assert_eq!(rest.len(), 1000);
    assert_eq!(rest.iter().filter(|entry| entry.is_err()).count(), 1);
    let error = rest.last().unwrap().as_ref().unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("ServiceUnavailable", ErrorKind::Reopen)
    );
    let error = fixture.store.list_objects(&ListObjects::new()).unwrap_err();
    assert_eq!(error.one_line(), "the store is closed");
}
