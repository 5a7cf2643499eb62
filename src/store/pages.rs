//! Whole listings, page after page, as the entries are asked for.

use std::vec;

use crate::{
    ListObjects, ListParts, ListUploads, Object, Part, PartStore, Result, Upload, UploadInfo,
};

/// The entries of the pages that `fetch` gets one after the other. `None` is the end. An error is the last
/// entry.
struct Pages<T, F> {
    page: vec::IntoIter<T>,
    fetch: F,
    is_done: bool,
}

impl<T, F: FnMut() -> Result<Option<Vec<T>>>> Pages<T, F> {
    fn new(fetch: F) -> Self {
        Self {
            page: Vec::new().into_iter(),
            fetch,
            is_done: false,
        }
    }
}

impl<T, F: FnMut() -> Result<Option<Vec<T>>>> Iterator for Pages<T, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            if self.is_done {
                return None;
            }
            match (self.fetch)() {
                Ok(Some(page)) => self.page = page.into_iter(),
                Ok(None) => self.is_done = true,
                Err(error) => {
                    self.is_done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

pub(super) fn parts(store: &PartStore, upload: &Upload) -> impl Iterator<Item = Result<Part>> {
    let mut query = Some(ListParts::new());
    Pages::new(move || {
        let Some(asked) = query.take() else {
            return Ok(None);
        };
        let page = store.list_parts(upload, &asked)?;
        query = page.next.map(|last| asked.marker(last.into()));
        Ok(Some(page.parts))
    })
}

pub(super) fn uploads(store: &PartStore, prefix: &str) -> impl Iterator<Item = Result<UploadInfo>> {
    let mut query = Some(ListUploads::new().prefix(prefix));
    Pages::new(move || {
        let Some(asked) = query.take() else {
            return Ok(None);
        };
        let page = store.list_uploads(&asked)?;
        query = page.next.map(|last| {
            let asked = asked.key_marker(last.key);
            match last.id {
                Some(id) => asked.upload_id_marker(id),
                None => asked,
            }
        });
        Ok(Some(page.uploads))
    })
}

pub(super) fn objects(store: &PartStore) -> impl Iterator<Item = Result<Object>> {
    let mut query = Some(ListObjects::new());
    Pages::new(move || {
        let Some(asked) = query.take() else {
            return Ok(None);
        };
        let page = store.list_objects(&asked)?;
        query = page.next.map(|last| asked.marker(last));
        Ok(Some(page.objects))
    })
}
