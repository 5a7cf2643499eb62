//! Listing, page by page: each page, and each marker that leads to the next.

use partstore::{ListObjects, ListParts, ListUploads, PartNumber, Upload, UploadPage};
use partstore_model::map::Line;

use super::{Run, code};

impl Run {
    pub(super) fn list_uploads(&self, prefix: &str, delimiter: &str, limit: u32) {
        let query = ListUploads::new()
            .prefix(prefix)
            .delimiter(delimiter)
            .limit(limit);
        let lines = self.expected.lines(prefix, delimiter);
        self.compare_pages(&query, &lines, limit);
    }

    /// From a marker that may name anything, also what is gone.
    pub(super) fn list_uploads_after(&self, key: &str, slot: usize, limit: u32) {
        let mut query = ListUploads::new().key_marker(key).limit(limit);
        let named = self.expected.names.get(slot);
        if let Some(upload) = named {
            query = query.upload_id_marker(upload.id());
        }
        let behind = |upload: &Upload| match named {
            Some(named) => (upload.key(), upload.id()) > (key, named.id()),
            None => upload.key() > key,
        };
        let mut lines = self.expected.lines("", "");
        lines.retain(|line| match line {
            Line::Upload(info) => behind(&info.upload),
            Line::Common(_) => true,
        });
        self.compare_pages(&query, &lines, limit);
    }

    pub(super) fn list_parts(&self, upload: &Upload, mut after: u32, limit: u32) {
        let store = &self.fixture.store;
        if !(1..=1000).contains(&limit) {
            assert_eq!(
                code(store.list_parts(upload, &ListParts::new().marker(after).limit(limit))),
                "InvalidArgument"
            );
            return;
        }
        let Some(entry) = self.expected.open(upload) else {
            assert_eq!(
                code(store.list_parts(upload, &ListParts::new().marker(after).limit(limit))),
                "NoSuchUpload"
            );
            return;
        };
        let above = |(number, _): &(&PartNumber, _)| u32::from(number.get()) > after;
        let parts = entry
            .parts
            .iter()
            .filter(above)
            .map(|(_, (part, _))| part.clone());
        let parts: Vec<_> = parts.collect();
        let pages: Vec<_> = parts.chunks(limit as usize).collect();
        for (at, expected) in pages.iter().copied().enumerate() {
            let page = store
                .list_parts(upload, &ListParts::new().marker(after).limit(limit))
                .unwrap();
            assert_eq!(page.parts, expected);
            let last = at + 1 == pages.len();
            let next = expected.last().map(|part| part.number).filter(|_| !last);
            assert_eq!(page.next, next);
            after = next.map_or(after, |next| u32::from(next.get()));
        }
        if pages.is_empty() {
            let page = store
                .list_parts(upload, &ListParts::new().marker(after).limit(limit))
                .unwrap();
            assert_eq!((page.parts, page.next), (vec![], None));
        }
    }

    /// Objects by initiation, after one that may be gone or still open.
    pub(super) fn list_objects(&self, slot: usize, limit: u32) {
        let store = &self.fixture.store;
        let mut after = self.expected.names.get(slot).map(Upload::id);
        if !(1..=1000).contains(&limit) {
            assert_eq!(
                code(store.list_objects(&ListObjects::new().marker(after).limit(limit))),
                "InvalidArgument"
            );
            return;
        }
        let objects = self.expected.objects();
        let objects: Vec<_> = objects
            .filter(|object| after.is_none_or(|after| object.upload.id() > after))
            .cloned()
            .collect();
        for (at, expected) in objects.chunks(limit as usize).enumerate() {
            let page = store
                .list_objects(&ListObjects::new().marker(after).limit(limit))
                .unwrap();
            assert_eq!(page.objects, expected);
            let is_last = (at + 1) * limit as usize >= objects.len();
            let next = expected
                .last()
                .map(|object| object.upload.id())
                .filter(|_| !is_last);
            assert_eq!(page.next, next);
            after = expected.last().map(|object| object.upload.id());
        }
        let page = store
            .list_objects(&ListObjects::new().marker(after).limit(limit))
            .unwrap();
        assert_eq!((page.objects, page.next), (vec![], None));
    }

    fn compare_pages(&self, first: &ListUploads, lines: &[Line], limit: u32) {
        let (store, mut query) = (&self.fixture.store, first.clone());
        if !(1..=1000).contains(&limit) {
            assert_eq!(code(store.list_uploads(&query)), "InvalidArgument");
            return;
        }
        let pages: Vec<_> = lines.chunks(limit as usize).collect();
        for (at, expected) in pages.iter().copied().enumerate() {
            let page = store.list_uploads(&query).unwrap();
            compare_page(&page, expected);
            let Some(next) = page.next else {
                assert_eq!(at + 1, pages.len(), "the listing ended early");
                return;
            };
            assert!(at + 1 < pages.len(), "a page behind the last");
            query = first.clone().key_marker(next.key);
            if let Some(id) = next.id {
                query = query.upload_id_marker(id);
            }
        }
        assert_eq!(store.list_uploads(&query).unwrap(), UploadPage::default());
    }
}

fn compare_page(page: &UploadPage, expected: &[Line]) {
    let (mut uploads, mut common) = (Vec::new(), Vec::new());
    for line in expected {
        match line {
            Line::Upload(info) => uploads.push(info.clone()),
            Line::Common(prefix) => common.push(prefix.clone()),
        }
    }
    assert_eq!((&page.uploads, &page.common_prefixes), (&uploads, &common));
}
