//! Lists parts by number, keys, uploads by key and initiation, objects by initiation, and namespaces by name,
//! in pages (R15 to R18, R32).

use std::ops::ControlFlow;

use super::super::engine::Engine;
use super::super::format::record::{UploadState, after_name, object_key};
use super::answers;
use super::roll_up::{RollUp, Start};
use crate::backend::Names;
use crate::{
    Error, KeyPage, NamespacePage, ObjectPage, PartPage, Result, Upload, UploadId, UploadMarker,
    UploadPage,
};

pub(super) fn parts(
    engine: &Engine,
    upload: &Upload,
    after: u16,
    limit: usize,
) -> Result<PartPage> {
    engine.record_if_open(upload)?;
    let mut page = PartPage {
        parts: Vec::with_capacity(limit.min(64)),
        next: None,
    };
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

pub(super) fn uploads(engine: &Engine, names: &Names<'_>) -> Result<UploadPage> {
    let namespace = engine.namespaces.find(names.namespace)?.id;
    let roll_up = RollUp::of(namespace, names);
    let after = names.after.map(|key| {
        let rest = after_name(namespace, key, names.after_id);
        (key, rest, names.after_id.is_none())
    });
    let mut page = UploadPage::default();
    let mut last: Option<UploadMarker> = None;
    let mut from = roll_up.start(after);
    while let Some(start) = from.take() {
        let mut skip_to = None;
        let visit = &mut |(found, key): (_, &str), id| {
            if found != namespace || !key.starts_with(names.prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if page.uploads.len() + page.common_prefixes.len() == names.limit {
                page.next.clone_from(&last);
                return Ok(ControlFlow::Break(()));
            }
            if let Some(common) = roll_up.rolled_up(key) {
                page.common_prefixes.push(common.to_owned());
                last = Some(UploadMarker {
                    key: common.to_owned(),
                    id: None,
                });
                skip_to = roll_up.behind(common);
                return Ok(ControlFlow::Break(()));
            }
            let upload = Upload::new((names.namespace, key), id);
            let info = engine
                .record_if_open(&upload)
                .and_then(|record| answers::upload(engine, &upload, &record));
            match info {
                Ok(info) => {
                    page.uploads.push(info);
                    last = Some(UploadMarker {
                        key: key.to_owned(),
                        id: Some(id),
                    });
                }
                // It was completed or aborted since its name was read.
                Err(Error::NoSuchUpload { .. }) => {}
                Err(error) => return Err(error),
            }
            Ok(ControlFlow::Continue(()))
        };
        engine.meta.uploads_in_progress(start.bound(), visit)?;
        from = skip_to.map(Start::At);
    }
    Ok(page)
}

pub(super) fn keys(engine: &Engine, names: &Names<'_>) -> Result<KeyPage> {
    let namespace = engine.namespaces.find(names.namespace)?.id;
    let mut page = KeyPage::default();
    let roll_up = RollUp::of(namespace, names);
    let after = names.after;
    let after = after.map(|key| (key, object_key(namespace, key), true));
    let mut last: Option<String> = None;
    let mut from = roll_up.start(after);
    while let Some(start) = from.take() {
        let mut skip_to = None;
        let visit = &mut |(found, key): (_, &str), current| {
            if found != namespace || !key.starts_with(names.prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if page.keys.len() + page.common_prefixes.len() == names.limit {
                page.next.clone_from(&last);
                return Ok(ControlFlow::Break(()));
            }
            if let Some(common) = roll_up.rolled_up(key) {
                page.common_prefixes.push(common.to_owned());
                last = Some(common.to_owned());
                skip_to = roll_up.behind(common);
                return Ok(ControlFlow::Break(()));
            }
            page.keys.push(answers::key_entry(key, &current));
            last = Some(key.to_owned());
            Ok(ControlFlow::Continue(()))
        };
        engine.meta.keys(start.bound(), visit)?;
        from = skip_to.map(Start::At);
    }
    Ok(page)
}

pub(super) fn namespaces(engine: &Engine, after: &str, limit: usize) -> Result<NamespacePage> {
    let (names, more) = engine.namespaces.names(after, limit);
    let mut page = NamespacePage {
        next: names.last().filter(|_| more).cloned(),
        ..NamespacePage::default()
    };
    for name in names {
        match engine.namespaces.describe(&engine.meta, &name) {
            Ok(namespace) => page.namespaces.push(namespace),
            // It was removed since its name was read.
            Err(Error::NoSuchNamespace { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

pub(super) fn objects(
    engine: &Engine,
    after: Option<UploadId>,
    limit: usize,
) -> Result<ObjectPage> {
    let mut page = ObjectPage::default();
    engine.meta.uploads(after, &mut |id, record| {
        if record.state == UploadState::Open {
            return Ok(ControlFlow::Continue(()));
        }
        if page.objects.len() == limit {
            page.next = page.objects.last().map(|last| last.upload.id());
            return Ok(ControlFlow::Break(()));
        }
        let upload = engine.namespaces.upload(record.namespace, &record.key, id);
        match answers::listed_object(engine, &upload, &record) {
            Ok(object) => page.objects.push(object),
            // It was removed since its record was read.
            Err(Error::NoSuchObject { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}
