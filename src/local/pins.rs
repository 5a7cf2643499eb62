//! Pins: which content hashes are in use now (I4).
//!
//! Whoever publishes a blob, adds or removes one of its references, or reads it, holds a pin on its hash in
//! the meantime. Whoever removes a blob holds a claim on its hash. A claim excludes pins. So while a hash
//! is claimed, nobody is between finding the blob and referring to it, and only the claimer changes its
//! rows.
//!
//! Holders of pins and of claims may wait for the journal. Nobody waits for an upload's lock while holding
//! a claim.
//!
//! Whoever compares the references of a blob at two moments [watches](Pins::watch) its hash in between. If
//! nobody had the blob pinned in that time, its references have not changed.

#[cfg(all(test, shuttle))]
mod schedules;

use std::collections::HashMap;
use std::sync::Arc;

use crate::local::meta::Pulse;
use crate::process::Process;
use crate::sync::{Condvar, GLANCE, Mutex};
use crate::{ContentHash, Result};

pub(crate) struct Pins {
    process: Process,
    pulse: Arc<Pulse>,
    uses: Mutex<Uses>,
    unclaimed: Condvar,
}

#[derive(Default)]
struct Uses {
    now: HashMap<ContentHash, Use>,
    /// The watched hashes, and whether each was pinned at any moment of the watch.
    watched: HashMap<ContentHash, bool>,
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

/// Hashes that are watched until this is dropped.
pub(crate) struct Watch {
    pins: Arc<Pins>,
}

/// Hashes that stay claimed until this is dropped.
pub(crate) struct Claimed {
    pins: Arc<Pins>,
    contents: Vec<ContentHash>,
}

impl Pins {
    pub(crate) fn new(pulse: &Arc<Pulse>) -> Arc<Self> {
        Arc::new(Self {
            process: Process::current(),
            pulse: Arc::clone(pulse),
            uses: Mutex::default(),
            unclaimed: Condvar::new(),
        })
    }

    /// Pins the hashes. Waits while any of them is claimed.
    ///
    /// # Errors
    /// [`Error::Index`](crate::Error::Index) if the index does not answer any more, because then a claim
    /// may last for ever.
    pub(crate) fn pin(self: &Arc<Self>, contents: Vec<ContentHash>) -> Result<Pinned> {
        let mut uses = self.uses.lock();
        while contents
            .iter()
            .any(|content| matches!(uses.now.get(content), Some(Use::Claimed)))
        {
            self.unclaimed.wait_for(&mut uses, GLANCE);
            self.pulse.check()?;
        }
        for content in &contents {
            if let Use::Pinned(count) = uses.now.entry(*content).or_insert(Use::Pinned(0)) {
                *count += 1;
            }
            if let Some(touched) = uses.watched.get_mut(content) {
                *touched = true;
            }
        }
        Ok(Pinned {
            pins: Arc::clone(self),
            contents,
        })
    }

    /// Claims those hashes that nobody uses, and leaves the others out.
    pub(crate) fn claim(self: &Arc<Self>, mut contents: Vec<ContentHash>) -> Claimed {
        let mut uses = self.uses.lock();
        contents.retain(|content| {
            let free = !uses.now.contains_key(content);
            if free {
                uses.now.insert(*content, Use::Claimed);
            }
            free
        });
        Claimed {
            pins: Arc::clone(self),
            contents,
        }
    }

    /// Notes from now on which of the hashes are pinned. Those that are already pinned count as well. Only
    /// one watch may exist at a time.
    pub(crate) fn watch(self: &Arc<Self>, contents: &[ContentHash]) -> Watch {
        let mut uses = self.uses.lock();
        let pinned = |content| matches!(uses.now.get(content), Some(Use::Pinned(_)));
        let watched = contents.iter().map(|content| (*content, pinned(content)));
        uses.watched = watched.collect();
        Watch {
            pins: Arc::clone(self),
        }
    }

    /// Returns how many hashes are pinned.
    pub(crate) fn count(&self) -> u64 {
        self.uses
            .lock()
            .now
            .values()
            .filter(|one| matches!(one, Use::Pinned(_)))
            .count() as u64
    }
}

impl Pinned {
    /// Whether this pin belongs to `pins`, so that claims there respect it.
    pub(crate) fn is_of(&self, pins: &Arc<Pins>) -> bool {
        Arc::ptr_eq(&self.pins, pins)
    }
}

impl Watch {
    /// Whether somebody had the hash pinned since the watch began, or it is not watched.
    pub(crate) fn is_touched(&self, content: &ContentHash) -> bool {
        let uses = self.pins.uses.lock();
        uses.watched.get(content).copied().unwrap_or(true)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.pins.uses.lock().watched = HashMap::new();
    }
}

impl Claimed {
    /// Ends the claim on all hashes except `kept`, which is sorted.
    pub(crate) fn keep_only(&mut self, kept: &[ContentHash]) {
        let mut uses = self.pins.uses.lock();
        self.contents.retain(|content| {
            let keep = kept.binary_search(content).is_ok();
            if !keep {
                uses.now.remove(content);
            }
            keep
        });
        self.pins.unclaimed.notify_all();
    }

    pub(crate) fn contents(&self) -> &[ContentHash] {
        &self.contents
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.pins.process.is_another() {
            return;
        }
        let mut uses = self.pins.uses.lock();
        for content in &self.contents {
            match uses.now.get_mut(content) {
                Some(Use::Pinned(count)) if *count > 1 => *count -= 1,
                _ => drop(uses.now.remove(content)),
            }
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut uses = self.pins.uses.lock();
        for content in &self.contents {
            uses.now.remove(content);
        }
        self.pins.unclaimed.notify_all();
    }
}
