//! An engine of partstore that keeps everything in maps, under one lock. It is for tests, and the shortest
//! answer to what an engine must do.
//!
//! A verb takes the lock once, so it is atomic. Nothing is durable, of course: a crash of the process loses all.
//! What another process would find is [`Memory::after_a_crash`].

mod blobs;
mod catalog;
#[cfg(feature = "contract")]
mod contract;
mod page;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use partstore::{ContentHash, Options, PartStore, Result};

use blobs::MemoryBlobs;
use catalog::MemoryCatalog;
#[cfg(feature = "contract")]
pub use contract::engine;
use state::State;

/// A store in memory. Clones are the same store, and each may be opened, also at the same time.
#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

/// Numbers the openings, so that a hold of one is not taken for a hold of another.
static OPENINGS: AtomicU64 = AtomicU64::new(0);

impl Memory {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it.
    ///
    /// # Errors
    /// As for [`Options::open_on`].
    pub fn open(&self, options: Options) -> Result<PartStore> {
        let catalog = MemoryCatalog {
            state: Arc::clone(&self.state),
            opening: OPENINGS.fetch_add(1, Ordering::Relaxed),
        };
        let blobs = MemoryBlobs {
            state: Arc::clone(&self.state),
        };
        options.open_on(Box::new(catalog), Arc::new(blobs))
    }

    /// Returns the hashes of all blobs whose bytes it keeps, as often as it keeps them.
    #[must_use]
    pub fn contents(&self) -> Vec<ContentHash> {
        let state = self.state.lock();
        state.bytes.values().map(|(content, _)| *content).collect()
    }

    /// Changes the first byte of a blob.
    pub fn damage(&self, content: &ContentHash) {
        let mut state = self.state.lock();
        for (of, bytes) in state.bytes.values_mut() {
            if of == content {
                let mut damaged = bytes.to_vec();
                damaged[0] ^= 1;
                *bytes = damaged.into();
            }
        }
    }

    /// Makes a store with what a crash of every process at this moment would leave.
    #[must_use]
    pub fn after_a_crash(&self) -> Self {
        let state = self.state.lock().after_a_crash();
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }
}
