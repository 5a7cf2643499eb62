//! [`Trust`]: which blobs this server has found sound or damaged.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use partstore::backend::Location;
use partstore::{ContentHash, Error, Event, Result};

use crate::database::{Arguments, Call};
use crate::session::{Lease, Session};

/// So many names are remembered. Then all are forgotten, and asked for again.
const REMEMBERED: usize = 1 << 18;

/// What is known of blobs, for one open store.
pub(crate) struct Trust {
    pub session: Arc<Session>,
    sound: Mutex<HashSet<Location>>,
    damaged: Mutex<HashSet<Location>>,
    staged: AtomicU64,
}

impl Trust {
    pub fn new(session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self {
            session,
            sound: Mutex::default(),
            damaged: Mutex::default(),
            staged: AtomicU64::new(0),
        })
    }

    pub fn staged(&self) -> u64 {
        self.staged.load(Ordering::Relaxed)
    }

    /// Counts a body until the guard is dropped.
    pub fn stage(self: &Arc<Self>) -> Staged {
        self.staged.fetch_add(1, Ordering::Relaxed);
        Staged(Arc::clone(self))
    }

    /// Whether a blob is sound. It is looked at once; later only what was remembered counts.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn is_sound(&self, at: &Location, look: impl FnOnce() -> Result<bool>) -> Result<bool> {
        if self.damaged.lock().contains(at) {
            return Ok(false);
        }
        if self.sound.lock().contains(at) {
            return Ok(true);
        }
        let is_sound = look()?;
        if is_sound {
            let _ = remember(&self.sound, at);
        }
        Ok(is_sound)
    }

    /// Passes if a blob is sound. `what` keeps its bytes, the error says.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`], and those of `look`.
    pub fn require_sound(
        &self,
        content: &ContentHash,
        at: &Location,
        what: &str,
        look: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        if self.is_sound(at, look)? {
            return Ok(());
        }
        let lease = self.session.lease()?;
        let why = format!("its {what} is missing, damaged or has another size");
        Err(self.damaged(&lease, content, at, &why))
    }

    /// Says whether it was trusted before.
    pub fn distrust(&self, at: &Location) -> bool {
        self.sound.lock().remove(at);
        remember(&self.damaged, at)
    }

    /// Notes damage, also for the other servers, and returns the error. A server whose lease is over has not
    /// found damage: the others may have removed what it reads.
    pub fn damaged(&self, lease: &Lease, content: &ContentHash, at: &Location, why: &str) -> Error {
        if !lease.holds() {
            return Error::Unavailable {
                cause: format!(
                    "this server lost its lease of the store while it read {content}: {why}"
                ),
            };
        }
        if self.distrust(at) {
            let witness = &self.session.database.witness;
            witness.note(|| Event::damaged_blob(*content, why));
        }
        let database = Arc::clone(&self.session.database);
        let arguments = Arguments::new()
            .with(content.as_bytes().to_vec())
            .with(at.0.clone());
        let sql = "UPDATE ps.blobs SET damaged = true WHERE content = $1 AND name = $2";
        let call = Call::statement(&database.schema, sql, arguments);
        // It is only told: whoever reads it next finds it, too.
        let _ = self
            .session
            .runtime
            .wait(async move { database.read(&call).await.is_ok() });
        Error::DamagedBlob {
            hash: *content,
            reason: why.to_owned(),
        }
    }
}

/// Says whether it was not remembered before.
fn remember(names: &Mutex<HashSet<Location>>, name: &Location) -> bool {
    let mut names = names.lock();
    if names.len() >= REMEMBERED {
        names.clear();
    }
    names.insert(name.clone())
}

/// A body that is being received.
pub(crate) struct Staged(Arc<Trust>);

impl Drop for Staged {
    fn drop(&mut self) {
        self.0.staged.fetch_sub(1, Ordering::Relaxed);
    }
}
