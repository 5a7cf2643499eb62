//! Puts a part: admit, receive, check, publish, commit, wait. The order of these steps is the store's
//! promise (design.md, section 6).

use bytes::Bytes;

use super::from_memory;
use super::session::Session;
use crate::backend::{Began, BlobWriter, DurableBlob, NewBlob, PartRow, StoredBlob};
use crate::ingest::{BodyHasher, Computed};
use crate::values::checksum::Algorithms;
use crate::values::part::Slot;
use crate::{Checksums, ContentHash, Event, Part, PartOptions, PutKind, Result, rules};

/// A body, all of which has arrived.
pub(super) struct Body {
    bytes: Arrived,
    since: Began,
}

impl Body {
    /// `since` is when its last byte arrived.
    pub(super) fn staged(writer: Box<dyn BlobWriter>, since: Began) -> Self {
        let bytes = Arrived::Staged(writer);
        Self { bytes, since }
    }

    pub(super) fn memory(bytes: Bytes, since: Began) -> Self {
        let bytes = Arrived::Memory(bytes);
        Self { bytes, since }
    }
}

/// Where the bytes of a body are when its BLAKE3 hash is known.
enum Arrived {
    /// With the blob store, without a name. Their checksums are known.
    Staged(Box<dyn BlobWriter>),
    Memory(Bytes),
}

/// What the store already has of a body's bytes.
enum Stored {
    Absent,
    /// A record exists, but the bytes are missing or damaged.
    Unsound,
    Sound(StoredBlob),
}

impl Stored {
    /// What a put makes of it.
    fn kind(&self) -> PutKind {
        match self {
            Self::Absent => PutKind::New,
            Self::Unsound => PutKind::Repaired,
            Self::Sound(_) => PutKind::Known,
        }
    }
}

/// Puts a body that is in memory. Its BLAKE3 hash is computed before anything is written, so a body whose
/// bytes are already stored needs no write.
pub(super) fn put_bytes(
    session: &Session,
    slot: Slot<'_>,
    body: Bytes,
    options: &PartOptions,
) -> Result<Part> {
    let len = body.len() as u64;
    let arrived = session.options.witness.begin();
    let _under_way = session.under_way.begin(slot.upload.id());
    let wanted = admit(session, slot, options)?;
    rules::check_received(&session.options, options, len)?;
    rules::check_length(options, len)?;
    rules::check_minimum(&session.options, slot.number, len)?;
    let mut room = session.blobs.room();
    room.receive(len, Some(0))?;
    let hasher = hash_bytes(session, &body, wanted, options)?;
    let body = Body::memory(body, arrived);
    let part = store_part(session, slot, body, hasher, options)?;
    room.written(len);
    Ok(part)
}

/// Begins the digests of a body that is in memory.
pub(super) fn hash_bytes(
    session: &Session,
    body: &Bytes,
    wanted: Algorithms,
    options: &PartOptions,
) -> Result<BodyHasher> {
    let mut hasher = hasher(session, wanted, options);
    hasher.begin_digests_of(body, &session.closing)?;
    Ok(hasher)
}

/// Begins the digests of a body: the store's own, what the upload wants, and what the request declares or
/// asks for.
pub(super) fn hasher(session: &Session, wanted: Algorithms, options: &PartOptions) -> BodyHasher {
    let wanted = wanted
        .union(options.wanted)
        .union(options.declared.algorithms());
    BodyHasher::new(&session.lanes, session.options.etag, wanted)
}

/// Steps 2 to 8 for a part.
pub(super) fn store_part(
    session: &Session,
    slot: Slot<'_>,
    body: Body,
    hasher: BodyHasher,
    options: &PartOptions,
) -> Result<Part> {
    let Slot { upload, number } = slot;
    store_body(session, body, hasher, &options.declared, |part, blob| {
        session.catalog.commit_part(upload, number, part, blob)
    })
}

/// Step 1: checks what can be checked before a body is invited (R1, R3, R9, R10a), except room on the disk.
/// A server calls it before it sends `100 Continue`. Returns the checksums that the upload wants.
pub(super) fn admit(
    session: &Session,
    slot: Slot<'_>,
    options: &PartOptions,
) -> Result<Algorithms> {
    rules::check_announced(&session.options, slot.number, options)?;
    session.catalog.check()?;
    let length = options.length.unwrap_or(0);
    session.catalog.admit_part(slot.upload, length)
}

/// Steps 2 to 8, once the body's hash is known. Their order is the promise (I1, I4).
///
/// `commit` does 6 and 7 with the part's row, and with its blob if that was published for it.
pub(super) fn store_body<T>(
    session: &Session,
    body: Body,
    mut hasher: BodyHasher,
    declared: &Checksums,
    commit: impl FnOnce(&PartRow, Option<&NewBlob>) -> Result<T>,
) -> Result<T> {
    let content = hasher.content();
    // 2. I4: the blob is held before it is looked for, and until the part is durable. So no sweep can remove
    // it in between.
    let in_memory = match &body.bytes {
        Arrived::Memory(bytes) => Some(bytes.len() as u64),
        Arrived::Staged(_) => None,
    };
    let (hold, known) = session.catalog.look_up_for_body(&content, in_memory)?;
    let stored = check_stored(session, &content, known)?;
    let kind = stored.kind();
    // 3.
    let Body { bytes, since } = body;
    let durable = make_durable(session, bytes, stored, &mut hasher)?;
    // 4. The body's MD5 is computed at the same time. If it is not declared, the name may come before it.
    let mut ended = hasher.end();
    let found = ended.checksums(declared.algorithms(), &session.closing)?;
    rules::check_digests(declared, &found)?;
    ended.hurry(&session.closing)?;
    // 5. From here to 7 nothing asks for closing: a name without a row would be left.
    let published = durable.map(|durable| durable.publish(&content)).transpose();
    // 6 and 7.
    let committed = published.and_then(|location| {
        let computed = ended.computed(&content);
        let part = row_of(&computed, content);
        let blob = location.map(|location| NewBlob {
            stored: StoredBlob {
                location,
                crcs: computed.blocks,
            },
            repairs: kind == PutKind::Repaired,
        });
        let done = commit(&part, blob.as_ref())?;
        Ok((done, part.size))
    });
    if committed.is_err() && kind == PutKind::New {
        // I7: the bytes may lie there without a row, so a sweep must check them.
        session.catalog.uncommitted(&content);
    }
    // 8.
    drop(hold);
    let (done, bytes) = committed?;
    let witness = &session.options.witness;
    witness.tell(since, |took| Event::Put { bytes, kind, took });
    Ok(done)
}

/// The row of a part with these digests.
pub(super) fn row_of(computed: &Computed, content: ContentHash) -> PartRow {
    PartRow {
        size: computed.blocks.size,
        etag: computed.etag,
        content,
        checksums: computed.checksums,
    }
}

/// Whether a part may rely on what the catalog knows.
fn check_stored(
    session: &Session,
    content: &ContentHash,
    known: Option<StoredBlob>,
) -> Result<Stored> {
    match known {
        None => Ok(Stored::Absent),
        Some(blob) if session.blobs.is_sound(content, &blob)? => Ok(Stored::Sound(blob)),
        Some(_) => Ok(Stored::Unsound),
    }
}

/// Step 3: makes the bytes durable, without a name yet. `None` if they are already stored.
fn make_durable(
    session: &Session,
    body: Arrived,
    stored: Stored,
    hasher: &mut BodyHasher,
) -> Result<Option<Box<dyn DurableBlob>>> {
    match (body, stored) {
        (Arrived::Staged(_), Stored::Sound(_)) => Ok(None),
        (Arrived::Memory(bytes), Stored::Sound(blob)) => {
            hasher.update_known_checksums(&bytes, blob.crcs, &session.closing)?;
            Ok(None)
        }
        (Arrived::Staged(staged), _) => staged.sync().map(Some),
        (Arrived::Memory(bytes), _) => from_memory::write(session, hasher, &bytes).map(Some),
    }
}
