//! [`Held`]: what a hold is here: a reader of the lease, and the blobs that it counts for.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use partstore::ContentHash;
use partstore::backend::Hold;

use crate::session::Reader;

/// How many holds of this store keep each blob. Only reports need it: the reader's epoch keeps them all.
#[derive(Default)]
pub(super) struct Pins(Mutex<HashMap<ContentHash, usize>>);

pub(super) struct Held {
    pub reader: Reader,
    contents: Vec<ContentHash>,
    pins: Arc<Pins>,
}

impl Pins {
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// The blobs that some hold keeps.
    pub fn contents(&self) -> Vec<ContentHash> {
        self.0.lock().keys().copied().collect()
    }

    /// Makes a hold of a reader that began before these blobs were looked up.
    pub fn hold(self: &Arc<Self>, mut reader: Reader, mut contents: Vec<ContentHash>) -> Hold {
        contents.sort_unstable();
        contents.dedup();
        let mut counts = self.0.lock();
        for content in &contents {
            *counts.entry(*content).or_default() += 1;
        }
        drop(counts);
        reader.opened();
        Hold::new(Held {
            reader,
            contents,
            pins: Arc::clone(self),
        })
    }

    pub fn are(self: &Arc<Self>, held: &Held) -> bool {
        Arc::ptr_eq(self, &held.pins)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.pins.0.lock();
        for content in &self.contents {
            if let Some(count) = counts.get_mut(content) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(content);
                }
            }
        }
    }
}
