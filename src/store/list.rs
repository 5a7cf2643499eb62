//! Lists parts by number, uploads by key and initiation, and objects by initiation, in pages (R15 to R18,
//! R32).

use std::ops::{Bound, ControlFlow};

use super::answers;
use super::engine::Engine;
use crate::format::record::UploadState;
use crate::meta::after_name;
use crate::{
    Error, ListObjects, ListParts, ListUploads, ObjectPage, PartPage, Result, Upload, UploadId,
    UploadMarker, UploadPage, rules,
};

pub(super) fn parts(engine: &Engine, upload: &Upload, query: &ListParts) -> Result<PartPage> {
    let limit = rules::page_len(&engine.options, "max-parts", query.limit)?;
    engine.record_if_open(upload)?;
    let mut page = PartPage {
        parts: Vec::with_capacity(limit.min(64)),
        next: None,
    };
    let after = u16::try_from(query.marker).unwrap_or(u16::MAX);
    engine.meta.parts(upload.id(), after, &mut |number, part| {
        if page.parts.len() == limit {
            page.next = page.parts.last().map(|last| last.number);
            return Ok(ControlFlow::Break(()));
        }
        page.parts.push(answers::part(number, &part));
        Ok(ControlFlow::Continue(()))
    })?;
    // The upload is still open. An abort or a completion changes the upload's row first, so none has begun
    // to remove parts.
    engine.record_if_open(upload)?;
    Ok(page)
}

pub(super) fn uploads(engine: &Engine, query: &ListUploads) -> Result<UploadPage> {
    let limit = rules::page_len(&engine.options, "max-uploads", query.limit)?;
    let mut listing = Listing {
        query,
        limit,
        page: UploadPage::default(),
        last: None,
    };
    let mut from = Start::of(query);
    loop {
        let skip_to = listing.read_from(engine, &from)?;
        match skip_to {
            Some(next) => from = Start::At(next),
            None => return Ok(listing.page),
        }
    }
}

pub(super) fn objects(engine: &Engine, query: &ListObjects) -> Result<ObjectPage> {
    let limit = rules::page_len(&engine.options, "max-objects", query.limit)?;
    let mut page = ObjectPage::default();
    engine.meta.uploads(query.marker, &mut |id, record| {
        if record.state == UploadState::Open {
            return Ok(ControlFlow::Continue(()));
        }
        if page.objects.len() == limit {
            page.next = page.objects.last().map(|last| last.upload.id());
            return Ok(ControlFlow::Break(()));
        }
        let upload = Upload::new(record.key.clone(), id);
        match answers::object(engine, &upload, &record) {
            Ok(object) => page.objects.push(object),
            // It was removed since its record was read.
            Err(Error::NoSuchObject { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// Where reading begins, in the order of names.
enum Start {
    At(Vec<u8>),
    After(Vec<u8>),
}

impl Start {
    fn of(query: &ListUploads) -> Self {
        let Some(marker) = query
            .key_marker
            .as_deref()
            .filter(|marker| *marker >= query.prefix.as_str())
        else {
            return Self::At(query.prefix.clone().into_bytes());
        };
        // After a page that ended with a common prefix, the next one begins behind all keys that were
        // rolled up to it.
        match rolled_up(query, marker)
            .filter(|common| *common == marker && query.id_marker.is_none())
        {
            Some(common) => {
                successor(common).map_or_else(|| Self::After(after_name(marker, None)), Self::At)
            }
            None => Self::After(after_name(marker, query.id_marker)),
        }
    }

    fn bound(&self) -> Bound<&[u8]> {
        match self {
            Self::At(name) => Bound::Included(name),
            Self::After(name) => Bound::Excluded(name),
        }
    }
}

/// A page that is being made.
struct Listing<'a> {
    query: &'a ListUploads,
    limit: usize,
    page: UploadPage,
    /// Where the page would end now.
    last: Option<UploadMarker>,
}

impl Listing<'_> {
    /// Reads names until the page is full, the prefix ends, or a common prefix is found. In the last case,
    /// returns the place behind it.
    fn read_from(&mut self, engine: &Engine, from: &Start) -> Result<Option<Vec<u8>>> {
        let mut skip_to = None;
        engine
            .meta
            .uploads_in_progress(from.bound(), &mut |key, id| {
                if !key.starts_with(&self.query.prefix) {
                    return Ok(ControlFlow::Break(()));
                }
                if self.page.uploads.len() + self.page.common_prefixes.len() == self.limit {
                    self.page.next.clone_from(&self.last);
                    return Ok(ControlFlow::Break(()));
                }
                if let Some(common) = rolled_up(self.query, key) {
                    self.page.common_prefixes.push(common.to_owned());
                    self.last = Some(UploadMarker {
                        key: common.to_owned(),
                        id: None,
                    });
                    skip_to = successor(common);
                    return Ok(ControlFlow::Break(()));
                }
                self.push(engine, key, id)?;
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(skip_to)
    }

    fn push(&mut self, engine: &Engine, key: &str, id: UploadId) -> Result<()> {
        let upload = Upload::new(key, id);
        let info = engine
            .record_if_open(&upload)
            .and_then(|record| answers::upload(engine, &upload, &record));
        match info {
            Ok(info) => {
                self.page.uploads.push(info);
                self.last = Some(UploadMarker {
                    key: key.to_owned(),
                    id: Some(id),
                });
                Ok(())
            }
            // It was completed or aborted since its name was read.
            Err(Error::NoSuchUpload { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The common prefix that `key` is rolled up to: up to and including the first delimiter after the prefix.
fn rolled_up<'a>(query: &ListUploads, key: &'a str) -> Option<&'a str> {
    let delimiter = query.delimiter.as_deref()?;
    let behind = key.strip_prefix(query.prefix.as_str())?;
    let end = query.prefix.len() + behind.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// The first name that does not begin with `prefix`. `None` if no such name exists.
fn successor(prefix: &str) -> Option<Vec<u8>> {
    let mut bytes = prefix.as_bytes().to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes);
        }
    }
    None
}
