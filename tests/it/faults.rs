//! Files that cannot be removed for a while: nothing is lost by it, and nothing stays for ever.
//!
//! Needs a file system with immutable files, and the right to make them.

use std::path::{Path, PathBuf};
use std::process::Command;

use partstore::{CompletedPart, Error, IndexRecovery, Scope};

use crate::fixture::{Fixture, bytes, free_options, lines, number, read_object, read_part};
use crate::skipped::skipped;

/// A file that cannot be removed until this is dropped.
struct Immutable(PathBuf);

impl Immutable {
    /// `None`, and a printed line, where that is not possible.
    fn make(path: PathBuf) -> Option<Self> {
        let made = change_attribute("+i", &path);
        if !made {
            skipped("no immutable files here (chattr +i, as root, on ext4 or xfs)");
        }
        made.then_some(Self(path))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        change_attribute("-i", &self.0);
    }
}

fn change_attribute(change: &str, path: &Path) -> bool {
    let changed = Command::new("chattr").arg(change).arg(path).output();
    changed.is_ok_and(|output| output.status.success())
}

/// I2: the snapshot counts from the moment that it is durable.
#[test]
fn a_journal_segment_that_can_not_be_removed_costs_nothing() {
    let mut fixture = Fixture::with(free_options().journal_sizes(4096, 8192));
    let done = fixture.initiate("object");
    let part = fixture.put(&done, 1, b"of the object");
    let object = fixture
        .store
        .complete_upload(&done, &lines(&[part]))
        .unwrap();
    let upload = fixture.initiate("key");
    let replace = |round: u64| {
        for put in 0..40 {
            fixture.put(&upload, 1, &bytes(100 * round + put, 10));
        }
    };
    replace(0);
    let oldest = fixture.root().join("meta/journal/00000000000000000001.log");
    let Some(held) = Immutable::make(oldest.clone()) else {
        return;
    };
    assert!(matches!(fixture.store.maintain(), Err(Error::Io { .. })));
    replace(1);
    assert!(matches!(fixture.store.maintain(), Err(Error::Io { .. })));
    drop(held);
    replace(2);
    let killed = fixture.open_killed();
    assert_eq!(read_object(&killed, &object.upload), b"of the object");
    fixture.store.maintain().unwrap();
    assert!(!oldest.exists());

    fixture.reopen();
    assert_eq!(fixture.store.recovery().index, IndexRecovery::Trusted);
    for store in [&fixture.open_killed(), &fixture.store] {
        assert_eq!(read_object(store, &object.upload), b"of the object");
        assert_eq!(read_part(store, &upload, number(1)), bytes(239, 10));
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    }
}

/// I7: the record is gone by then, so only a look at all files finds it.
#[test]
fn a_blob_that_can_not_be_removed_goes_later() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let stays: Vec<CompletedPart> = (1..=20)
        .map(|at| CompletedPart::from(&fixture.put(&upload, at, &bytes(at.into(), 100))))
        .collect();
    assert_eq!(stays.len(), fixture.blob_files().len());
    let name = fixture.blob_files().pop_first().unwrap();
    let file = fixture.root().join("blobs").join(&name[..2]).join(&name);
    let Some(held) = Immutable::make(file) else {
        return;
    };
    fixture.store.abort_upload(&upload).unwrap();
    assert!(fixture.store.sweep().is_err());
    assert!(fixture.store.sweep().is_err(), "it is still looked for");
    fixture.reopen();
    assert!(fixture.store.recovery().orphans_possible);
    drop(held);
    assert!(fixture.store.sweep().unwrap().orphans > 0);
    assert!(fixture.blob_files().is_empty());
    fixture.assert_tidy();
}

/// One that stays costs the sweeps after it no look at all the others.
#[test]
fn a_blob_that_can_not_be_removed_keeps_no_other_and_is_tried_again_alone() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for at in 1..=600 {
        fixture.put(&upload, at, &at.to_be_bytes());
    }
    let names = fixture.blob_files();
    let name = names.first().unwrap().clone();
    let path = |name: &str| fixture.root().join("blobs").join(&name[..2]).join(name);
    let file = path(&name);
    let Some(held) = Immutable::make(file.clone()) else {
        return;
    };
    fixture.store.abort_upload(&upload).unwrap();
    let error = fixture.store.sweep().unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if *path == file),
        "{error}"
    );
    assert_eq!(fixture.blob_files().into_iter().collect::<Vec<_>>(), [name]);

    // A look at all files would find this one.
    let stranger = path(&"0".repeat(64));
    std::fs::create_dir_all(stranger.parent().unwrap()).unwrap();
    std::fs::write(&stranger, "no record names it").unwrap();
    assert!(fixture.store.sweep().is_err());
    drop(held);
    assert_eq!(fixture.store.sweep().unwrap().orphans, 1);
    assert!(!file.exists() && stranger.exists());
    std::fs::remove_file(stranger).unwrap();
    fixture.assert_tidy();
    fixture.reopen();
    assert!(!fixture.store.recovery().orphans_possible);
}
