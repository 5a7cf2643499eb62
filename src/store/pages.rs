//! Whole listings, page after page, as the entries are asked for.

use std::vec;

use crate::{
    Key, KeyEntry, ListKeys, ListObjects, ListParts, ListUploads, Object, Part, PartStore, Result,
    Upload, UploadInfo,
};

/// The entries of pages, which `fetch` gets one after the other: it answers a query with a page and the query of
/// the next one. An error is the last entry.
struct Pages<Q, T, F> {
    page: vec::IntoIter<T>,
    /// What the next page is asked with; `None` behind the last.
    next: Option<Q>,
    fetch: F,
}

impl<Q, T, F: FnMut(Q) -> Result<(Vec<T>, Option<Q>)>> Pages<Q, T, F> {
    fn new(first: Q, fetch: F) -> Self {
        Self {
            page: Vec::new().into_iter(),
            next: Some(first),
            fetch,
        }
    }
}

impl<Q, T, F: FnMut(Q) -> Result<(Vec<T>, Option<Q>)>> Iterator for Pages<Q, T, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            match (self.fetch)(self.next.take()?) {
                Ok((page, next)) => (self.page, self.next) = (page.into_iter(), next),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

pub(super) fn parts(store: &PartStore, upload: &Upload) -> impl Iterator<Item = Result<Part>> {
    Pages::new(ListParts::new(), |asked| {
        let page = store.list_parts(upload, &asked)?;
        let next = page.next.map(|last| asked.marker(last.into()));
        Ok((page.parts, next))
    })
}

pub(super) fn uploads<'s>(
    store: &'s PartStore,
    prefix: &Key,
) -> impl Iterator<Item = Result<UploadInfo>> + use<'s> {
    let first = ListUploads::new()
        .namespace(prefix.namespace())
        .prefix(prefix.as_str());
    Pages::new(first, |asked| {
        let page = store.list_uploads(&asked)?;
        let next = page.next.map(|last| {
            let asked = asked.key_marker(last.key);
            match last.id {
                Some(id) => asked.upload_id_marker(id),
                None => asked,
            }
        });
        Ok((page.uploads, next))
    })
}

pub(super) fn keys<'s>(
    store: &'s PartStore,
    prefix: &Key,
) -> impl Iterator<Item = Result<KeyEntry>> + use<'s> {
    let first = ListKeys::new()
        .namespace(prefix.namespace())
        .prefix(prefix.as_str());
    Pages::new(first, |asked| {
        let page = store.list_keys(&asked)?;
        let next = page.next.map(|last| asked.after(last));
        Ok((page.keys, next))
    })
}

pub(super) fn objects(store: &PartStore) -> impl Iterator<Item = Result<Object>> {
    Pages::new(ListObjects::new(), |asked| {
        let page = store.list_objects(&asked)?;
        let next = page.next.map(|last| asked.marker(last));
        Ok((page.objects, next))
    })
}
