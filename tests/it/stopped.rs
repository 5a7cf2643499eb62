//! After a write of the journal has failed, nothing is acknowledged until the store is opened again.
//!
//! The failure is a real one: a child process lowers its own limit for the size of a file, so that
//! the kernel refuses what goes behind the journal's end.

use std::path::Path;
use std::process::Command;

use partstore::{CompletedPart, IndexRecovery, ListObjects, ListParts, ListUploads, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::fixture::{Fixture, free_options, number, read_part};

const CHILD: &str = "PARTSTORE_STOPPED_CHILD";

/// I8, I2
#[test]
fn after_a_failed_journal_write_nothing_is_acknowledged_until_the_store_is_opened_again() {
    if let Some(root) = std::env::var_os(CHILD) {
        return child(Path::new(&root));
    }
    let fixture = Fixture::new();
    let root = fixture.root();
    fixture.store.close().unwrap();
    // The signal that goes with the limit must be ignored: a shell can do that for its child.
    let this_test = "stopped::after_a_failed_journal_write_nothing_is_acknowledged_until_the_store_is_opened_again";
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(this_test)
        .env(CHILD, &root)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );

    let store = free_options().open(&root).unwrap();
    let IndexRecovery::Rebuilt { .. } = store.recovery().index else {
        panic!("a stopped store was closed cleanly")
    };
    let page = store.list_uploads(&ListUploads::new()).unwrap();
    let [open] = page.uploads.as_slice() else {
        panic!("{page:?}")
    };
    let parts = store
        .list_parts(&open.upload, &ListParts::new())
        .unwrap()
        .parts;
    assert_eq!(
        parts.len(),
        1,
        "of three puts only the first was acknowledged"
    );
    assert_eq!(read_part(&store, &open.upload, number(1)), b"bytes");
    let objects = store
        .list_objects(&ListObjects::new().limit(10))
        .unwrap()
        .objects;
    assert_eq!(objects.len(), 1, "it was not replaced");
    store.put_part(&open.upload, number(2), "more").unwrap();
}

fn child(root: &Path) {
    let store = free_options().open(root).unwrap();
    let upload = store.initiate_upload("key").unwrap();
    store.put_part(&upload, number(1), "bytes").unwrap();
    let source = store.open_part(&upload, number(1)).unwrap();
    let object = store.initiate_upload("object").unwrap();
    let list = [store.put_part(&object, number(1), "bytes").unwrap()];
    let list = list.each_ref().map(CompletedPart::from);
    store.complete_upload(&object, &list).unwrap();
    limit_files(Some(store.stats().unwrap().journal_bytes));
    // The bytes are stored already: only the journal is written.
    assert_stopped(store.put_part(&upload, number(2), "bytes"));
    limit_files(None);
    assert_stopped(store.put_part(&upload, number(3), "bytes"));
    assert_stopped(store.copy_part(&source, &upload, number(3)));
    assert_stopped(store.complete_upload_replacing(&upload, &list, &object));
    assert_stopped(store.abort_upload(&upload));
    assert_stopped(store.initiate_upload("key"));
    assert_stopped(store.sweep());
    assert_eq!(
        read_part(&store, &upload, number(1)),
        b"bytes",
        "reading goes on"
    );
    assert_stopped(store.close());
}

fn limit_files(bytes: Option<u64>) {
    let maximum = None;
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: bytes,
            maximum,
        },
    )
    .unwrap();
}

fn assert_stopped<T: std::fmt::Debug>(answer: Result<T>) {
    let error = answer.unwrap_err();
    assert_eq!(
        (error.code(), error.http_status()),
        ("ServiceUnavailable", 503),
        "{error}"
    );
    assert!(
        error.to_string().contains("write"),
        "it names the cause: {error}"
    );
}
