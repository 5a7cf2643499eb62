//! Writes a body that is in memory.

use super::session::Session;
use crate::Result;
use crate::backend::{DurableBlob, LONG_BLOCK};
use crate::buffers::Buffer;
use crate::ingest::BodyHasher;

/// Writes a body from memory and makes it durable. Each piece is copied while the processor has it in its
/// cache for the checksums, if a copy makes the write faster.
pub(super) fn write(
    session: &Session,
    hasher: &mut BodyHasher,
    body: &[u8],
) -> Result<Box<dyn DurableBlob>> {
    let mut staged = session.blobs.begin()?;
    let mut pieces = body.chunks(LONG_BLOCK).peekable();
    while pieces.peek().is_some() {
        session.closing.check()?;
        let aligned = staged
            .likes_aligned()
            .then(|| session.buffers.buffer_for(Some(body.len() as u64)))
            .filter(Buffer::is_direct);
        if let Some(mut buffer) = aligned {
            while let Some(piece) = pieces.next_if(|_| !buffer.is_full()) {
                hasher.update_checksums(piece);
                buffer.fill_from(piece);
            }
            staged.write(buffer.as_ref())?;
        } else if let Some(piece) = pieces.next() {
            hasher.update_checksums(piece);
            staged.write(piece)?;
        }
    }
    staged.sync()
}
