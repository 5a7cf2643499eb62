//! Objects that come to exist at once: a body that is put under a key, and a copy.

use bytes::Bytes;

use super::copy;
use super::put::{self, Body};
use super::read::ObjectReader;
use super::session::Session;
use crate::backend::{Algorithms, NewObject, ObjectRow, PartRow};
use crate::ingest::BodyHasher;
use crate::{
    Checksums, Error, Key, Object, ObjectETag, ObjectOptions, PartNumber, Result, Upload, rules,
};

/// Puts an object whose body is in memory.
pub(super) fn put_bytes(
    session: &Session,
    key: &Key,
    body: Bytes,
    options: &ObjectOptions,
) -> Result<Object> {
    let len = body.len() as u64;
    let arrived = session.options.witness.begin();
    admit(session, key, options)?;
    rules::check_received(&session.options, &options.body, len)?;
    rules::check_length(&options.body, len)?;
    let mut room = session.blobs.room();
    room.receive(len, Some(0))?;
    let hasher = put::hash_bytes(session, &body, Algorithms::default(), &options.body)?;
    let body = Body::memory(body, arrived);
    let object = store(session, key, body, hasher, options)?;
    room.written(len);
    Ok(object)
}

/// Checks what can be checked before a body is invited, except room on the disk.
pub(super) fn admit(session: &Session, key: &Key, options: &ObjectOptions) -> Result<()> {
    key.check(session.options.max_key_len)?;
    let metadata = options.metadata.as_deref().unwrap_or_default();
    rules::metadata_len(&session.options, metadata)?;
    rules::check_announced(&session.options, PartNumber::MIN, &options.body)?;
    session.catalog.check()?;
    let size = options.body.length.unwrap_or(0);
    session.catalog.admit_object(key, options.condition, size)
}

/// Stores a body as the current object of a key, when its hash is known.
pub(super) fn store(
    session: &Session,
    key: &Key,
    body: Body,
    hasher: BodyHasher,
    options: &ObjectOptions,
) -> Result<Object> {
    put::store_body(
        session,
        body,
        hasher,
        &options.body.declared,
        |part, blob| {
            let new = NewObject {
                parts: &[(PartNumber::MIN, part.clone())],
                blob,
                metadata: options.metadata.as_deref().unwrap_or_default(),
                row: &whole(part),
            };
            session.catalog.commit_object(key, options.condition, &new)
        },
    )
}

/// What a body makes of an object.
fn whole(part: &PartRow) -> ObjectRow {
    ObjectRow {
        size: part.size,
        parts: 1,
        etag: ObjectETag::of_whole(part.etag),
        checksums: part.checksums,
        composite: Checksums::new(),
    }
}

/// Makes the object that `source` reads the current one of a key as well, by references to the same blobs.
pub(super) fn copy(
    session: &Session,
    source: &ObjectReader,
    key: &Key,
    options: &ObjectOptions,
) -> Result<Object> {
    // I4: a reader of another store has no hold in this one.
    if !session.catalog.owns(source.hold()) {
        return Err(Error::InvalidArgument {
            argument: "source",
            found: "a reader of another store".to_owned(),
            expected: "a reader that this store has opened since it was opened itself",
        });
    }
    let object = source.object();
    key.check(session.options.max_key_len)?;
    let catalog = &session.catalog;
    catalog.admit_object(key, options.condition, object.size)?;
    session.blobs.check_room(0)?;
    let mut parts = Vec::with_capacity(object.parts.into());
    let mut holds = Vec::with_capacity(object.parts.into());
    for placed in source.parts_in(session) {
        session.closing.check()?;
        let part = &placed?.part;
        let (hold, blob) = copy::hold(session, &part.content)?;
        holds.push(hold);
        session.blobs.require_sound(&part.content, &blob)?;
        parts.push((part.number, PartRow::from(part)));
    }
    let mut row = ObjectRow::from(object);
    if let ([(_, only)], true) = (parts.as_slice(), options.whole_etag) {
        row.etag = ObjectETag::of_whole(only.etag);
    }
    let new = NewObject {
        parts: &parts,
        blob: None,
        metadata: options.metadata.as_deref().unwrap_or(&object.metadata),
        row: &row,
    };
    catalog.commit_object(key, options.condition, &new)
}

/// Replaces the metadata of an object.
pub(super) fn replace_metadata(
    session: &Session,
    object: &Upload,
    metadata: &[u8],
) -> Result<Object> {
    let len = rules::metadata_len(&session.options, metadata)?;
    session.blobs.check_room(len.into())?;
    session.catalog.replace_metadata(object, metadata)
}
