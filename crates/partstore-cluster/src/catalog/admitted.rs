//! [`Admitted`]: open uploads that this server has looked at a moment ago.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partstore::backend::Algorithms;
use partstore::{Key, Upload, UploadId};

/// For so long a look counts.
const COUNTS: Duration = Duration::from_secs(1);

/// So many uploads are remembered. Then all are forgotten, and looked at again.
const REMEMBERED: usize = 4096;

/// What admitted a part admits those that come behind it. An upload may end at any time while its part is received, so the
/// commit judges again, whatever was seen here.
#[derive(Default)]
pub(super) struct Admitted(Mutex<HashMap<UploadId, Seen>>);

struct Seen {
    key: Key,
    wanted: Algorithms,
    at: Instant,
}

impl Admitted {
    /// The checksums that an upload wants, if it was open a moment ago.
    pub fn wanted(&self, upload: &Upload) -> Option<Algorithms> {
        let seen = self.0.lock();
        let seen = seen.get(&upload.id())?;
        let counts = seen.at.elapsed() < COUNTS && seen.key == *upload.full_key();
        counts.then_some(seen.wanted)
    }

    /// Remembers an upload that was open at some time behind `at`, in a namespace without a quota.
    pub fn remember(&self, upload: &Upload, wanted: Algorithms, at: Instant) {
        let mut all = self.0.lock();
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let key = upload.full_key().clone();
        all.insert(upload.id(), Seen { key, wanted, at });
    }

    /// Forgets an upload that has ended, or has another key.
    pub fn forget(&self, upload: UploadId) {
        self.0.lock().remove(&upload);
    }

    /// Forgets all: a quota was set.
    pub fn forget_all(&self) {
        self.0.lock().clear();
    }
}
