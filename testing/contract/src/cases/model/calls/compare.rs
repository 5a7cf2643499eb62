//! Comparing the whole state: uploads, parts, ETags, bytes, objects, numbers, files.

use std::io::Read;

use partstore::{
    CompletedPart, ListParts, ListUploads, Object, PartNumber, PartStore, Scope, Upload,
};

use super::super::expected::{Bodies, Entry, POOL, crc64};
use super::{Run, code};
use crate::support::{read_object, read_part};

/// Makes the entry an object, and checks what the completion answered.
pub(super) fn completed(entry: &mut Entry, list: Vec<CompletedPart>, object: &Object) {
    entry.complete(list, object.clone());
    let bytes = entry.bytes();
    assert_eq!(object.upload, entry.info.upload);
    assert_eq!(object.metadata, entry.info.metadata);
    assert_eq!(object.initiated_at, entry.info.initiated_at);
    assert_eq!(object.etag.to_string(), entry.etag());
    assert_eq!(usize::from(object.parts), entry.parts.len());
    assert_eq!(
        (object.size, object.checksums.crc64_xz()),
        (bytes.len() as u64, Some(crc64(&bytes)))
    );
}

impl Run {
    pub fn compare_all(&self) {
        self.compare_store(&self.fixture.store);
        self.verify();
    }

    /// What a `kill -9` now would keep is all that there is.
    pub fn compare_a_killed_copy(&self) {
        let copy = self.fixture.open_killed();
        self.compare_store(&copy);
        assert!(copy.verify(Scope::Metadata).unwrap().is_clean());
    }

    fn compare_store(&self, store: &PartStore) {
        self.compare_uploads(store);
        for name in &self.expected.names {
            match self.expected.entries.get(name) {
                Some(entry) if entry.object.is_some() => compare_object(store, name, entry),
                Some(entry) => compare_open(store, name, entry),
                None => {
                    assert_eq!(code(store.upload(name)), "NoSuchUpload");
                    assert_eq!(code(store.object(name)), "NoSuchKey");
                }
            }
        }
    }

    fn compare_uploads(&self, store: &PartStore) {
        let page = store.list_uploads(&ListUploads::new()).unwrap();
        let uploads: Vec<_> = self
            .expected
            .open_uploads()
            .map(|entry| &entry.info)
            .collect();
        assert_eq!(page.uploads.iter().collect::<Vec<_>>(), uploads);
        assert_eq!((page.common_prefixes, page.next), (vec![], None));
    }

    /// After a sweep: each referenced blob has its file, and there is no other.
    pub fn compare_files(&self) {
        assert_eq!(self.fixture.blob_files(), self.expected.contents());
        let stats = self.fixture.store.stats().unwrap();
        let blobs = self.expected.contents().len() as u64;
        assert_eq!((stats.blobs, stats.garbage), (blobs, 0));
        self.compare_stats();
    }

    pub(super) fn compare_stats(&self) {
        let stats = self.fixture.store.stats().unwrap();
        let (open, all) = (
            self.expected.open_uploads().count(),
            self.expected.entries.len(),
        );
        assert_eq!(
            (stats.open_uploads, stats.objects),
            (open as u64, (all - open) as u64)
        );
        let sizes: Vec<u64> = self
            .expected
            .all_parts()
            .map(|(part, _)| part.size)
            .collect();
        assert_eq!(
            (stats.parts, stats.part_bytes),
            (sizes.len() as u64, sizes.iter().sum())
        );
        assert_eq!(
            (
                stats.staged_bodies,
                stats.reserved_bytes,
                stats.pinned_blobs
            ),
            (0, 0, 0)
        );
        assert_eq!((stats.damaged_blobs, stats.background_failure), (0, None));
    }

    pub(super) fn verify(&self) {
        let report = self.fixture.store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.parts, self.expected.all_parts().count() as u64);
    }
}

fn compare_open(store: &PartStore, name: &Upload, entry: &Entry) {
    assert_eq!(store.upload(name).unwrap(), entry.info);
    assert_eq!(code(store.object(name)), "NoSuchKey");
    let page = store.list_parts(name, &ListParts::new()).unwrap();
    let parts: Vec<_> = entry.parts.values().map(|(part, _)| part).collect();
    assert_eq!(page.parts.iter().collect::<Vec<_>>(), parts);
    for (number, (_, body)) in &entry.parts {
        assert!(read_part(store, name, *number) == POOL[*body].bytes);
    }
}

fn compare_object(store: &PartStore, name: &Upload, entry: &Entry) {
    assert_eq!(code(store.upload(name)), "NoSuchUpload");
    assert_eq!(
        Some(&store.object(name).unwrap()),
        entry.object.as_ref().map(|(_, object)| object)
    );
    assert!(read_object(store, name) == entry.bytes());
    let reader = store.open_object(name).unwrap();
    for (number, (_, body)) in &entry.parts {
        let mut bytes = Vec::new();
        reader
            .part(*number)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert!(bytes == POOL[*body].bytes);
    }
    assert_eq!(
        code(reader.part(PartNumber::new(77).unwrap())),
        "InvalidPartNumber"
    );
    let parts: Vec<_> = reader.parts().map(|placed| placed.unwrap().part).collect();
    assert_eq!(
        parts.iter().collect::<Vec<_>>(),
        entry
            .parts
            .values()
            .map(|(part, _)| part)
            .collect::<Vec<_>>()
    );
}
