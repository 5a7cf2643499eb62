//! Bytes in a map. Each location is used once, as in a bucket.

use std::sync::Arc;

use parking_lot::Mutex;
use partstore::backend::{
    BlobReader, BlobStore, BlobWriter, DurableBlob, Location, Source, StoredBlob, Verified,
};
use partstore::{ContentHash, Error, Result, Stats};

use super::state::{State, location_of};

pub struct MemoryBlobs {
    pub state: Arc<Mutex<State>>,
}

impl MemoryBlobs {
    fn damage_of(&self, content: &ContentHash, blob: &StoredBlob) -> Option<Error> {
        let bytes = self.state.lock().bytes_at(blob);
        let is_sound = bytes.is_some_and(|bytes| {
            bytes.len() as u64 == blob.crcs.size
                && blake3::hash(&bytes).as_bytes() == content.as_bytes()
        });
        (!is_sound).then(|| {
            damaged(
                &self.state,
                content,
                "its bytes are not those that were put",
            )
        })
    }
}

fn damaged(state: &Mutex<State>, content: &ContentHash, reason: &str) -> Error {
    state.lock().damaged.insert(*content);
    Error::DamagedBlob {
        hash: *content,
        reason: reason.to_owned(),
    }
}

impl BlobStore for MemoryBlobs {
    fn begin(&self) -> Result<Box<dyn BlobWriter>> {
        self.state.lock().staged += 1;
        Ok(Box::new(Body {
            state: Arc::clone(&self.state),
            bytes: Vec::new(),
        }))
    }

    fn open(&self, content: &ContentHash, blob: StoredBlob) -> Result<Box<dyn BlobReader>> {
        let found = self.state.lock().bytes_at(&blob);
        let bytes = found.ok_or_else(|| damaged(&self.state, content, "its bytes are missing"))?;
        let source = Opened {
            state: Arc::clone(&self.state),
            content: *content,
            bytes,
        };
        Ok(Box::new(Verified::new(source, blob.crcs)))
    }

    fn is_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<bool> {
        Ok(self.damage_of(content, blob).is_none())
    }

    fn require_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<()> {
        self.damage_of(content, blob).map_or(Ok(()), Err)
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        let kept = self.state.lock();
        stats.damaged_blobs = kept.damaged.len() as u64;
        stats.staged_bodies = kept.staged;
        Ok(())
    }
}

/// A body on its way in.
struct Body {
    state: Arc<Mutex<State>>,
    bytes: Vec<u8>,
}

impl BlobWriter for Body {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(self: Box<Self>) -> Result<Box<dyn DurableBlob>> {
        Ok(self)
    }
}

impl DurableBlob for Body {
    fn publish(mut self: Box<Self>, content: &ContentHash) -> Result<Location> {
        let bytes = std::mem::take(&mut self.bytes).into();
        let mut state = self.state.lock();
        let number = state.next_location;
        state.next_location += 1;
        state.bytes.insert(number, (*content, bytes));
        Ok(location_of(number))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.state.lock().staged -= 1;
    }
}

/// The bytes of a blob as they were when it was opened.
struct Opened {
    state: Arc<Mutex<State>>,
    content: ContentHash,
    bytes: Arc<[u8]>,
}

impl Source for Opened {
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()> {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let end = start.saturating_add(into.len());
        let found = self.bytes.get(start..end);
        let bytes = found.ok_or_else(|| self.damaged("its bytes are too few"))?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn damaged(&self, reason: &str) -> Error {
        damaged(&self.state, &self.content, reason)
    }
}
