//! [`Blind`]: small bodies that are stored before anybody has looked whether their bytes are stored already.
//!
//! The commit finds that out in any case. So a look-up before it only saves the bytes of the body, and costs a round trip.

use std::sync::atomic::{AtomicU32, Ordering};

use partstore::backend::{Hold, NewBlob};
use partstore::{ContentHash, Result};

use super::ClusterCatalog;

/// Bodies up to so many bytes are put without a look.
const MOST: u64 = 64 << 10;

/// At first, and after one whose bytes were stored already, so many are looked up first.
const LOOKS: u32 = 32;

/// How many of the next small bodies are looked up first: their bytes may be stored already.
pub(super) struct Blind(AtomicU32);

impl Default for Blind {
    fn default() -> Self {
        Self(AtomicU32::new(LOOKS))
    }
}

impl Blind {
    /// Whether a body of this size may be stored without a look.
    pub fn allows(&self, bytes: u64) -> bool {
        let looks = |left: u32| left.checked_sub(1);
        bytes <= MOST
            && self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, looks)
                .is_err()
    }

    /// Notes that the bytes of a small body were stored already.
    pub fn was_known(&self, bytes: u64) {
        if bytes <= MOST {
            self.0.store(LOOKS, Ordering::Relaxed);
        }
    }

    /// Whether nobody may have looked for this blob before it was stored.
    pub fn may_have_stored(blob: &NewBlob) -> bool {
        !blob.repairs && blob.stored.crcs.size <= MOST
    }
}

impl ClusterCatalog {
    /// Looks for the bytes of a body that was stored without a look. Holds what it finds, and says whether what was stored
    /// now must repair that. Without a repair, the commit dooms the name that came second.
    ///
    /// # Errors
    /// Those of a look-up, and [`Error::Io`](partstore::Error::Io).
    pub(super) fn look_behind(&self, content: &ContentHash) -> Result<(Hold, bool)> {
        let (hold, known) = self.look(content)?;
        let Some(known) = known else {
            return Ok((hold, false));
        };
        self.blind.was_known(known.crcs.size);
        let is_sound = self.blobs.is_sound(content, &known)?;
        Ok((hold, !is_sound))
    }
}
