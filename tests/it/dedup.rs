//! Equal bytes are stored once, and damaged ones are never given out: R12.

use crate::fixture::{Fixture, bytes, number, read_object, read_part};
use partstore::{Error, Part, Scope, Upload};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What shows that a file was written or replaced.
fn file_facts(path: &Path) -> (u64, i64, i64) {
    let facts = path.metadata().unwrap();
    (facts.ino(), facts.mtime(), facts.mtime_nsec())
}

/// R12: across parts, uploads and objects; a file's name is what `b3sum` prints.
#[test]
fn equal_bytes_share_one_file() {
    let fixture = Fixture::new();
    let body = bytes(1, 600_000);
    let uploads = ["one", "another"].map(|key| fixture.initiate(key));
    for upload in &uploads {
        fixture.put(upload, 1, &body);
        fixture.put(upload, 2, &body);
    }
    fixture.complete("object", &[&body, b"other"]);
    let files = fixture.blob_files();
    assert_eq!(files.len(), 2, "{files:?}");
    for upload in &uploads {
        for part in fixture.parts(upload) {
            let stored = fs::read(fixture.blob_path(&part.content)).unwrap();
            assert!(stored == body, "raw bytes");
            let hash = blake3::hash(&stored).to_hex().to_string();
            assert_eq!(part.content.to_string(), hash);
        }
    }
    fixture.assert_tidy();
}

/// R12: whichever way they come, and also when this process has not seen them yet.
#[test]
fn bytes_that_are_stored_are_not_written_again() {
    let mut fixture = Fixture::new();
    let body = bytes(1, 600_000);
    let upload = fixture.initiate("key");
    let path = fixture.blob_path(&fixture.put(&upload, 1, &body).content);
    let before = file_facts(&path);
    for _ in 0..2 {
        for (at, (way, put)) in (2..).zip(partstore_contract::cases::put::WAYS) {
            put(&fixture, &upload, &body, partstore::PartOptions::new()).expect(way);
            fixture.put(&upload, at, &body);
            assert_eq!(file_facts(&path), before, "{way}");
        }
        fixture.reopen();
    }
    fixture.assert_tidy();
}

pub type Damage = fn(&Path);

/// What can happen to a file, by others than this crate.
pub const DAMAGES: [(&str, Damage); 5] = [
    ("a flipped bit", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[300_000] ^= 1;
        fs::write(path, bytes).unwrap();
    }),
    ("truncated", |path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(300_000).unwrap();
    }),
    ("truncated to nothing", |path| fs::write(path, b"").unwrap()),
    ("missing", |path| fs::remove_file(path).unwrap()),
    ("another blob's bytes", |path| {
        fs::write(path, bytes(99, 600_000)).unwrap();
    }),
];

/// A part, also in an object, whose file is then damaged.
struct Damaged {
    fixture: Fixture,
    body: Vec<u8>,
    upload: Upload,
    part: Part,
    object: Upload,
}

impl Damaged {
    fn by(damage: Damage) -> Self {
        let fixture = Fixture::new();
        let body = bytes(1, 600_000);
        let upload = fixture.initiate("key");
        let part = fixture.put(&upload, 7, &body);
        fixture.put(&upload, 8, b"sound");
        let object = fixture.complete("object", &[b"sound", &body]).upload;
        damage(&fixture.blob_path(&part.content));
        Self {
            fixture,
            body,
            upload,
            part,
            object,
        }
    }

    /// The error of reading the part, and of reading the object, names the blob.
    fn assert_unreadable(&self, what: &str) {
        let store = &self.fixture.store;
        let read = |reader: partstore::Result<Box<dyn Read>>| {
            let mut bytes = Vec::new();
            let failed = match reader {
                Ok(mut reader) => reader
                    .read_to_end(&mut bytes)
                    .map_err(|error| (error.kind(), Error::from_io(error).unwrap())),
                Err(error) => Err((ErrorKind::InvalidData, error)),
            };
            (bytes, failed.unwrap_err())
        };
        let part = store.open_part(&self.upload, self.part.number);
        let part = read(part.map(|reader| Box::new(reader) as Box<dyn Read>));
        let object = store.open_object(&self.object);
        let object = read(object.map(|reader| Box::new(reader) as Box<dyn Read>));
        assert!(self.body.starts_with(&part.0), "{what}: only sound bytes");
        assert!([b"sound", &self.body[..]].concat().starts_with(&object.0));
        for (kind, error) in [part.1, object.1] {
            assert_eq!(kind, ErrorKind::InvalidData);
            assert_eq!((error.code(), error.http_status()), ("InternalError", 500));
            let Error::DamagedBlob { hash, .. } = &error else {
                panic!("{what}: {error}");
            };
            assert_eq!(*hash, self.part.content);
            assert!(error.to_string().contains(&hash.to_string()));
        }
        assert_eq!(store.stats().unwrap().damaged_blobs, 1, "{what}");
    }

    fn assert_verify_names_it(&self, what: &str) {
        let report = self.fixture.store.verify(Scope::Everything).unwrap();
        assert_eq!(report.inconsistent, [""; 0]);
        let [damaged] = &report.damaged[..] else {
            panic!("{what}: {report:?}");
        };
        let mut parts = damaged.parts.clone();
        parts.sort();
        let mut expected = vec![
            (self.upload.clone(), self.part.number),
            (self.object.clone(), number(2)),
        ];
        expected.sort();
        assert_eq!((damaged.hash, parts), (self.part.content, expected));
        assert!(!damaged.reason.is_empty());
        assert_eq!(self.fixture.store.stats().unwrap().damaged_blobs, 1);
    }

    /// Putting the same bytes, under any name, makes all of it readable again.
    fn assert_repaired_by_a_put(&self, what: &str) {
        let elsewhere = self.fixture.initiate("elsewhere");
        let again = self.fixture.put(&elsewhere, 1, &self.body);
        assert_eq!(again.content, self.part.content);
        let store = &self.fixture.store;
        assert!(read_part(store, &self.upload, self.part.number) == self.body);
        assert!(read_object(store, &self.object).ends_with(&self.body));
        assert_eq!(store.stats().unwrap().damaged_blobs, 0, "{what}");
        self.fixture.assert_tidy();
    }
}

#[test]
fn a_damaged_blob_is_named_and_repaired_by_its_bytes() {
    for (what, damage) in DAMAGES {
        let damaged = Damaged::by(damage);
        damaged.assert_unreadable(what);
        damaged.assert_verify_names_it(what);
        damaged.assert_repaired_by_a_put(what);
    }
}

#[test]
fn damage_is_found_and_repaired_after_a_reopen_too() {
    for (what, damage) in DAMAGES {
        let mut damaged = Damaged::by(damage);
        damaged.fixture.reopen();
        assert_eq!(damaged.fixture.store.stats().unwrap().damaged_blobs, 0);
        damaged.assert_verify_names_it(what);
        damaged.assert_unreadable(what);
        damaged.fixture.reopen();
        damaged.assert_repaired_by_a_put(what);
    }
}

/// Nobody has read it yet: the put itself looks, the first time that a process meets the bytes.
#[test]
fn a_put_never_builds_on_damage_from_before_the_open() {
    for (what, damage) in DAMAGES {
        let mut damaged = Damaged::by(damage);
        damaged.fixture.reopen();
        damaged.assert_repaired_by_a_put(what);
    }
}

/// A file that grew is found by verify, and reads as it should.
#[test]
fn bytes_behind_a_blobs_end_are_never_given_out() {
    let damaged = Damaged::by(|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.extend_from_slice(b"more");
        fs::write(path, bytes).unwrap();
    });
    let store = &damaged.fixture.store;
    let read = read_part(store, &damaged.upload, damaged.part.number);
    assert!(read == damaged.body);
    damaged.assert_verify_names_it("longer");
    damaged.assert_repaired_by_a_put("longer");
}

/// Damage stays with its blob: everything else goes on.
#[test]
fn damage_to_one_blob_hinders_no_other_call() {
    let damaged = Damaged::by(|path| fs::remove_file(path).unwrap());
    let fixture = &damaged.fixture;
    damaged.assert_unreadable("missing");
    assert_eq!(
        read_part(&fixture.store, &damaged.upload, number(8)),
        b"sound"
    );
    fixture.put(&damaged.upload, 9, b"new");
    let line = partstore::CompletedPart::from(&damaged.part);
    fixture
        .store
        .complete_upload(&damaged.upload, &[line])
        .unwrap();
    for object in [&damaged.upload, &damaged.object] {
        fixture.store.remove_object(object).unwrap();
    }
    fixture.assert_tidy();
    assert_eq!(fixture.store.stats().unwrap().damaged_blobs, 0);
}
