//! Small bodies: the journal carries them, and their files are synced later, many at once.

use std::fs;

use crate::fixture::{Fixture, blob_files, bytes, free_options, number, read_part};
use crate::seen::{segments, tail};
use partstore::{Background, Part, Scope, Upload};

/// What a power cut may leave of a file that was never synced.
const LOSSES: [fn(&std::path::Path); 4] = [
    |file| fs::remove_file(file).unwrap(),
    |file| fs::write(file, b"").unwrap(),
    |file| fs::write(file, vec![0; 1000]).unwrap(),
    |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(),
];

fn put_some(fixture: &Fixture) -> (Upload, Vec<Part>) {
    let upload = fixture.initiate("key");
    let put = |at: u32| fixture.put(&upload, at, &bytes(at.into(), 1000));
    let parts = (1..=8).map(put).collect();
    (upload, parts)
}

#[test]
fn the_files_of_small_bodies_that_a_power_cut_takes_are_written_anew() {
    let fixture = Fixture::with(free_options());
    let (upload, parts) = put_some(&fixture);
    for lose in LOSSES {
        let root = fixture.killed();
        for part in &parts {
            let name = part.content.to_string();
            lose(&root.join("blobs").join(&name[..2]).join(&name));
        }
        let store = free_options().open(&root).unwrap();
        for part in &parts {
            let body = bytes(u64::from(part.number.get()), 1000);
            assert_eq!(read_part(&store, &upload, part.number), body);
        }
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    }
}

#[test]
fn the_body_of_a_part_that_was_removed_does_not_come_back() {
    let fixture = Fixture::with(free_options().background(Background::Host));
    let (upload, _) = put_some(&fixture);
    fixture.store.abort_upload(&upload).unwrap();
    fixture.store.sweep().unwrap();
    let root = fixture.killed();
    assert_eq!(blob_files(&root).len(), 0);
    let store = fixture.options.clone().open(&root).unwrap();
    assert_eq!(blob_files(&root).len(), 0);
    drop(store);
}

/// A host that never makes a checkpoint does not fill its disk with the journal.
#[test]
fn the_journal_carries_no_more_than_some_segments_of_bodies() {
    let options = free_options()
        .background(Background::Host)
        .journal_sizes(64 * 1024, 1 << 30);
    let fixture = Fixture::with(options);
    let upload = fixture.initiate("key");
    for at in 1..=200 {
        fixture.put(&upload, at, &bytes(at.into(), 16_000));
    }
    let journal = fixture.store.stats().unwrap().journal_bytes;
    assert!(journal < 20 * 64 * 1024, "{journal}");
    fixture.store.maintain().unwrap();
    let journal = fixture.store.stats().unwrap().journal_bytes;
    assert!(journal < 3 * 64 * 1024, "{journal}");
    let store = free_options().open(fixture.killed()).unwrap();
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
    assert_eq!(read_part(&store, &upload, number(7)), bytes(7, 16_000));
}

/// A damaged batch is lost. The bodies of the others are not, although their files were never synced.
#[test]
fn a_salvage_gives_back_what_the_journal_carries() {
    let fixture = Fixture::with(free_options());
    let (upload, parts) = put_some(&fixture);
    let root = fixture.killed();
    assert_eq!(segments(&root).len(), 2);
    let (file, lost) = (tail(&root), parts[3].content.to_string());
    let mut journal = fs::read(&file).unwrap();
    let hash = parts[3].content.as_bytes();
    let at = journal.windows(32).position(|window| window == hash);
    journal[at.unwrap() + 100] ^= 1;
    fs::write(&file, journal).unwrap();
    for part in &parts {
        let name = part.content.to_string();
        if name != lost {
            fs::remove_file(root.join("blobs").join(&name[..2]).join(&name)).unwrap();
        }
    }
    assert!(free_options().open(&root).is_err());
    let store = free_options().salvage().open(&root).unwrap();
    for part in &parts {
        let body = bytes(u64::from(part.number.get()), 1000);
        assert_eq!(read_part(&store, &upload, part.number), body);
    }
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
}
