//! Pins: which content hashes are in use right now (I4).
//!
//! Whoever publishes a blob, adds or removes one of its references, or reads it, holds a pin on its
//! hash meanwhile. Whoever removes a blob holds a claim on its hash, which excludes pins. So while
//! a hash is claimed nobody is between looking for the blob and referring to it, and its rows do
//! not change but by the claimer.
//!
//! Holders of pins may wait for the journal; claimers may too; nobody waits for an upload's lock
//! while holding a claim.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::ContentHash;
use crate::process::Process;

pub(crate) struct Pins {
    process: Process,
    uses: Mutex<HashMap<ContentHash, Use>>,
    released: Condvar,
}

enum Use {
    Pinned(usize),
    Claimed,
}

/// Hashes that stay pinned until this is dropped.
pub(crate) struct Pinned {
    pins: Arc<Pins>,
    contents: Vec<ContentHash>,
}

/// Hashes that stay claimed until this is dropped.
pub(crate) struct Claimed {
    pins: Arc<Pins>,
    contents: Vec<ContentHash>,
}

impl Pins {
    /// Pins the hashes; waits while any of them is claimed.
    pub(crate) fn pin(self: &Arc<Self>, contents: Vec<ContentHash>) -> Pinned {
        let mut uses = self.uses.lock();
        while contents
            .iter()
            .any(|content| matches!(uses.get(content), Some(Use::Claimed)))
        {
            self.released.wait(&mut uses);
        }
        for content in &contents {
            if let Use::Pinned(count) = uses.entry(*content).or_insert(Use::Pinned(0)) {
                *count += 1;
            }
        }
        Pinned {
            pins: Arc::clone(self),
            contents,
        }
    }

    /// Claims those of the hashes that nobody uses; the others are left out.
    pub(crate) fn claim(self: &Arc<Self>, mut contents: Vec<ContentHash>) -> Claimed {
        let mut uses = self.uses.lock();
        contents.retain(|content| {
            let free = !uses.contains_key(content);
            if free {
                uses.insert(*content, Use::Claimed);
            }
            free
        });
        Claimed {
            pins: Arc::clone(self),
            contents,
        }
    }

    /// How many hashes are pinned.
    pub(crate) fn count(&self) -> u64 {
        self.uses
            .lock()
            .values()
            .filter(|one| matches!(one, Use::Pinned(_)))
            .count() as u64
    }
}

impl Pinned {
    /// Whether claims of `pins` heed this.
    pub(crate) fn is_of(&self, pins: &Arc<Pins>) -> bool {
        Arc::ptr_eq(&self.pins, pins)
    }
}

impl Claimed {
    /// Gives up the claim on all but `kept`, which is sorted.
    pub(crate) fn keep_only(&mut self, kept: &[ContentHash]) {
        let mut uses = self.pins.uses.lock();
        self.contents.retain(|content| {
            let keep = kept.binary_search(content).is_ok();
            if !keep {
                uses.remove(content);
            }
            keep
        });
        self.pins.released.notify_all();
    }

    pub(crate) fn contents(&self) -> &[ContentHash] {
        &self.contents
    }
}

impl Default for Pins {
    fn default() -> Self {
        Self {
            process: Process::current(),
            uses: Mutex::default(),
            released: Condvar::new(),
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.pins.process.is_another() {
            return;
        }
        let mut uses = self.pins.uses.lock();
        for content in &self.contents {
            match uses.get_mut(content) {
                Some(Use::Pinned(count)) if *count > 1 => *count -= 1,
                _ => drop(uses.remove(content)),
            }
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut uses = self.pins.uses.lock();
        for content in &self.contents {
            uses.remove(content);
        }
        self.pins.released.notify_all();
    }
}
