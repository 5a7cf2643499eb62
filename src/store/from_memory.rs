//! Writes a body that is in memory.

use super::engine::Engine;
use crate::Result;
use crate::blob::DurableBlob;
use crate::ingest::BodyHasher;
use crate::values::digest::BLOCK_LEN;

/// Writes a body from memory and makes it durable. Each block is copied while the processor has it in its
/// cache for the checksums.
pub(super) fn write(engine: &Engine, hasher: &mut BodyHasher, body: &[u8]) -> Result<DurableBlob> {
    let mut staged = engine.blobs.stage()?;
    let mut blocks = body.chunks(BLOCK_LEN).peekable();
    while blocks.peek().is_some() {
        engine.closing.check()?;
        if staged.is_direct() {
            let mut buffer = engine.buffers.buffer_for(Some(body.len() as u64));
            if !buffer.is_direct() {
                staged.leave_direct()?;
                continue;
            }
            while let Some(block) = blocks.next_if(|_| !buffer.is_full()) {
                hasher.update_checksums(block);
                buffer.fill_from(block);
            }
            staged.write(buffer.as_ref())?;
        } else if let Some(block) = blocks.next() {
            hasher.update_checksums(block);
            staged.write(block)?;
        }
    }
    staged.sync()
}
