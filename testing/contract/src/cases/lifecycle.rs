//! An upload's whole life, and what of it a reopen and a `kill -9` leave.

use crate::support::{Fixture, bytes, lines, number, read_object, read_part, refusal};
use partstore::{ListParts, ListUploads, Object, Part, PartStore, Scope, Upload};

/// One upload in each state, and how to see that all of them are as they were.
struct States {
    open: Upload,
    open_parts: Vec<Part>,
    object: Object,
    aborted: Upload,
    removed: Upload,
}

impl States {
    fn make(fixture: &Fixture) -> Self {
        let open = fixture.initiate("states/open");
        let put = |at, len| fixture.put(&open, at, &bytes(u64::from(at), len));
        put(4, 100);
        let open_parts = vec![put(2, 300_000), put(4, 7), put(5, 0)];
        let aborted = fixture.initiate("states/aborted");
        fixture.put(&aborted, 1, b"aborted");
        fixture.store.abort_upload(&aborted).unwrap();
        let removed = fixture.complete("states/removed", &[b"removed"]).upload;
        fixture.store.remove_object(&removed).unwrap();
        Self {
            open,
            open_parts,
            object: fixture.complete("states/object", &[&bytes(8, 600_000), b"", b"end"]),
            aborted,
            removed,
        }
    }

    fn check(&self, store: &PartStore) {
        assert_eq!(uploads(store), std::slice::from_ref(&self.open));
        let listed = store
            .list_parts(&self.open, &ListParts::new())
            .unwrap()
            .parts;
        assert_eq!(listed, self.open_parts);
        for part in &self.open_parts {
            let read = read_part(store, &self.open, part.number);
            assert_eq!(
                blake3::hash(&read).to_hex().to_string(),
                part.content.to_string()
            );
        }
        assert_eq!(store.object(&self.object.upload).unwrap(), self.object);
        assert_eq!(
            read_object(store, &self.object.upload),
            [&bytes(8, 600_000)[..], b"end"].concat()
        );
        for gone in [&self.aborted, &self.removed] {
            assert_eq!(refusal(store.upload(gone)), ("NoSuchUpload", 404));
            assert_eq!(refusal(store.object(gone)), ("NoSuchKey", 404));
        }
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    }
}

pub fn uploads(store: &PartStore) -> Vec<Upload> {
    let page = store.list_uploads(&ListUploads::new()).unwrap();
    page.uploads.into_iter().map(|info| info.upload).collect()
}

/// R14: whatever was answered is on disk before the answer.
pub fn every_state_outlives_a_reopen_and_a_kill() {
    let mut fixture = Fixture::new();
    let states = States::make(&fixture);
    states.check(&fixture.store);
    states.check(&fixture.open_killed());
    fixture.reopen();
    states.check(&fixture.store);
    fixture.store.sweep().unwrap();
    states.check(&fixture.open_killed());
    fixture.reopen();
    states.check(&fixture.store);
    fixture.assert_tidy();
}

/// The numbers of [`PartStore::stats`] at each step of a life.
pub fn the_numbers_follow_what_happens() {
    let fixture = Fixture::new();
    let numbers = || {
        let stats = fixture.store.stats().unwrap();
        let parts = (stats.parts, stats.part_bytes);
        let blobs = (stats.blobs, stats.blob_bytes, stats.garbage);
        ((stats.open_uploads, stats.objects), parts, blobs)
    };
    assert_eq!(numbers(), ((0, 0), (0, 0), (0, 0, 0)));
    let upload = fixture.initiate("key");
    let first = fixture.put(&upload, 1, &bytes(1, 10));
    fixture.put(&upload, 2, &bytes(1, 10));
    assert_eq!(numbers(), ((1, 0), (2, 20), (1, 10, 0)));
    fixture.put(&upload, 2, &bytes(2, 5));
    fixture.store.sweep().unwrap();
    assert_eq!(numbers(), ((1, 0), (2, 15), (2, 15, 0)));
    let list = lines(&[first]);
    fixture.store.complete_upload(&upload, &list).unwrap();
    assert_eq!(numbers(), ((0, 1), (1, 10), (2, 15, 1)));
    fixture.store.sweep().unwrap();
    assert_eq!(numbers(), ((0, 1), (1, 10), (1, 10, 0)));
    assert_eq!(read_object(&fixture.store, &upload), bytes(1, 10));
    assert_eq!(
        refusal(fixture.store.open_part(&upload, number(1))),
        ("NoSuchUpload", 404)
    );
}
