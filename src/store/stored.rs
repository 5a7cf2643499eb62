//! Puts a part whose bytes are stored already, or lie in a file with which the file system shares them. They are read
//! for the digests, and not written.

#[cfg(not(shuttle))]
use std::os::fd::BorrowedFd;

use super::ahead::{open_in_order, read_all};
#[cfg(not(shuttle))]
use super::put::Body;
use super::put::{self, admit};
use super::session::Session;
use crate::ingest::BodyHasher;
use crate::values::checksum::Algorithms;
use crate::values::part::Slot;
use crate::{ContentHash, Error, Part, PartOptions, Result, rules};

/// Puts a part of the blob with this hash, if it is stored and sound.
pub(super) fn put_by_hash(
    session: &Session,
    slot: Slot<'_>,
    content: &ContentHash,
    options: &PartOptions,
) -> Result<Option<Part>> {
    if !session.options.put_by_hash {
        return Err(Error::InvalidArgument {
            argument: "content",
            found: "a hash in place of bytes".to_owned(),
            expected: "a store that was opened with `Options::put_by_hash`",
        });
    }
    let _under_way = session.under_way.begin(slot.upload.id());
    let wanted = admit(session, slot, options)?;
    session.blobs.check_room(0)?;
    // I4: it stays until the part is durable.
    let (_hold, known) = session.catalog.look_up(content)?;
    let Some(blob) = known else {
        return Ok(None);
    };
    if !session.blobs.is_sound(content, &blob)? {
        return Ok(None);
    }
    let size = blob.crcs.size;
    check_size(session, slot, options, size)?;
    let mut reader = open_in_order(session, content, blob)?;
    let computed = hash(session, (wanted, options), size, &mut |position, into| {
        read_all(&mut *reader, position, into, into.len()).map(drop)
    });
    let hasher = match computed {
        // The bytes would repair it.
        Err(Error::DamagedBlob { .. }) => return Ok(None),
        computed => computed?,
    };
    let row = put::row_of(&hasher.end().computed(content), *content);
    rules::check_digests(&options.declared, &row.checksums)?;
    let Slot { upload, number } = slot;
    session
        .catalog
        .commit_part(upload, number, &row, None)
        .map(Some)
}

/// Puts a part of all bytes of a file. `None` if the file system cannot share them, and nothing was done.
#[cfg(not(shuttle))]
pub(super) fn put_file(
    session: &Session,
    slot: Slot<'_>,
    file: BorrowedFd<'_>,
    options: &PartOptions,
) -> Result<Option<Part>> {
    let arrived = session.options.witness.begin();
    let _under_way = session.under_way.begin(slot.upload.id());
    let wanted = admit(session, slot, options)?;
    session.blobs.check_room(0)?;
    let Some((staged, size)) = session.blobs.begin_with(file)? else {
        return Ok(None);
    };
    check_size(session, slot, options, size)?;
    let hasher = hash(session, (wanted, options), size, &mut |position, into| {
        staged.read_at(position, into)
    })?;
    let body = Body::staged(staged, arrived);
    put::store_part(session, slot, body, hasher, options).map(Some)
}

fn check_size(session: &Session, slot: Slot<'_>, options: &PartOptions, size: u64) -> Result<()> {
    rules::check_received(&session.options, options, size)?;
    rules::check_length(options, size)?;
    rules::check_minimum(&session.options, slot.number, size)
}

/// Computes all digests of `size` bytes.
fn hash(
    session: &Session,
    (wanted, options): (Algorithms, &PartOptions),
    size: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<BodyHasher> {
    let mut hasher = put::hasher(session, wanted, options);
    let mut position = 0;
    while position < size {
        session.closing.check()?;
        let rest = size - position;
        let mut buffer = session.buffers.buffer_for(Some(rest));
        let space = buffer.space();
        let len = usize::try_from(rest).map_or(space.len(), |rest| rest.min(space.len()));
        read(position, space.get_mut(..len).unwrap_or_default())?;
        buffer.fill(len);
        hasher.update(&buffer.freeze());
        hasher.settle_until(&session.closing)?;
        position += len as u64;
    }
    Ok(hasher)
}
