//! [`Lease`]: for how long, and what, the others must leave to this store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
#[cfg(doc)]
use partstore::Error;
use partstore::{Result, UploadId};

use super::{MARGIN, time_of};
use crate::database::{Arguments, Call, Database, Failure, SharedDatabase};
use crate::runtime::Runtime;

/// How many tokens are reserved at a time: few at first, more for a store that uses many.
const RESERVED: (i64, i64) = (16, 1024);
/// How many tokens are handed in by one call.
const HANDED_IN: usize = 1000;

/// A lease, from its beginning in the database to its end.
pub(crate) struct Lease {
    pub id: [u8; 8],
    state: Mutex<State>,
    /// One thread at a time reserves tokens.
    reserving: Mutex<()>,
}

struct State {
    /// When it is over, by the clock of this process. Moved by answers only.
    until: Instant,
    over: bool,
    /// The last epoch that was given to this store.
    known: i64,
    readers: Epochs,
    /// Of these, the ones that cannot say yet what they hold.
    opening: Epochs,
    /// The next token, and the first that is not reserved.
    next: i64,
    reserved: i64,
    more: i64,
    reserving_ahead: bool,
    /// Tokens of verbs that have been answered: their rows may go.
    finished: Vec<i64>,
    /// Names that are not used after all; whether a write may still be on its way.
    doomed: Vec<(i64, bool)>,
    /// What the clock of the database said, and when.
    clock: (SystemTime, Instant),
}

impl Lease {
    /// Begins a lease. Also returns the greatest id of an upload.
    pub async fn begin(
        database: &Database,
        id: [u8; 8],
        length: Duration,
    ) -> Result<(Self, Option<UploadId>), Failure> {
        let arguments = Arguments::new()
            .with(id.to_vec())
            .with(milliseconds(length));
        let call = Call::function(&database.schema, "begin_session_v1", arguments);
        let asked = Instant::now();
        // If its answer is lost, a second one finds the session there. Both begin it anew.
        let rows = database.change(&call).await.rows?;
        let row = rows.first().ok_or_else(|| nothing("begin_session"))?;
        let newest: Option<Vec<u8>> = row.get(2);
        let lease = Self {
            id,
            state: Mutex::new(State {
                until: asked + usable(length),
                over: false,
                known: row.get(0),
                readers: Epochs::default(),
                opening: Epochs::default(),
                next: 0,
                reserved: 0,
                more: RESERVED.0,
                reserving_ahead: false,
                finished: Vec::new(),
                doomed: Vec::new(),
                clock: (time_of(row.get(1)), Instant::now()),
            }),
            reserving: Mutex::new(()),
        };
        Ok((lease, newest.and_then(|id| UploadId::from_bytes(&id))))
    }

    /// Whether it still holds, as far as this process can know.
    pub fn holds(&self) -> bool {
        let state = self.state.lock();
        !state.over && Instant::now() < state.until
    }

    /// The time in the database, by the last that it told.
    pub fn now(&self) -> SystemTime {
        let (told, at) = self.state.lock().clock;
        told + at.elapsed()
    }

    /// Takes note that it is over.
    pub fn lose(&self) {
        self.state.lock().over = true;
    }

    /// Renews it, and publishes what its readers hold: nothing that was stamped behind the oldest of them, or
    /// behind the last epoch that is known here, since a reader may be about to begin at that.
    pub async fn renew(&self, database: &Database, length: Duration) -> Result<(), Failure> {
        // The tokens of verbs that were answered go with it, some at a time: no call grows with how many there are.
        while self.renew_with_some(database, length).await? > 0 {}
        Ok(())
    }

    /// Returns how many tokens of verbs that were answered are left.
    async fn renew_with_some(
        &self,
        database: &Database,
        length: Duration,
    ) -> Result<usize, Failure> {
        let (reads, finished, left) = {
            let mut state = self.state.lock();
            let reads = state.readers.oldest(state.known);
            let left = state.finished.len().saturating_sub(HANDED_IN);
            (reads, state.finished.split_off(left), left)
        };
        let arguments = Arguments::new()
            .with(self.id.to_vec())
            .with(reads)
            .with(milliseconds(length))
            .with(finished.clone());
        let call = Call::function(&database.schema, "heartbeat_v1", arguments);
        let asked = Instant::now();
        let rows = match database.read(&call).await {
            Ok(rows) => rows,
            Err(failure) => {
                self.state.lock().finished.extend(finished);
                return Err(failure);
            }
        };
        let row = rows.first().ok_or_else(|| nothing("heartbeat"))?;
        let epoch: Option<i64> = row.get(0);
        let mut state = self.state.lock();
        // An answer that comes late may be to a renewal that was late: others may not have waited for it.
        let in_time = Instant::now() < state.until;
        let Some(epoch) = epoch.filter(|_| in_time) else {
            state.over = true;
            return Err(Failure::Refused {
                code: "PS002".to_owned(),
                detail: "it was not renewed in time".to_owned(),
            });
        };
        state.known = state.known.max(epoch);
        state.until = state.until.max(asked + usable(length));
        state.clock = (time_of(row.get(1)), Instant::now());
        Ok(left)
    }

    /// Takes note of an epoch that the database told: readers that begin from now on begin at it.
    pub fn learn(&self, epoch: i64) {
        let mut state = self.state.lock();
        state.known = state.known.max(epoch);
    }

    /// From when on this store reads: at all, and what it cannot name yet.
    pub fn reads(&self) -> (i64, i64) {
        let state = self.state.lock();
        (
            state.readers.oldest(state.known),
            state.opening.oldest(state.known),
        )
    }

    /// Dooms the names that are not used after all.
    pub async fn hand_in(&self, database: &Database) -> Result<(), Failure> {
        let mut doomed = std::mem::take(&mut self.state.lock().doomed);
        // Some at a time, so that no call grows with how many there are.
        while !doomed.is_empty() {
            let rest = doomed.split_off(doomed.len().min(HANDED_IN));
            let (seq, late): (Vec<i64>, Vec<bool>) = doomed.iter().copied().unzip();
            let arguments = Arguments::new().with(self.id.to_vec()).with(seq).with(late);
            let call = Call::function(&database.schema, "doom_v1", arguments);
            if let Err(failure) = database.read(&call).await {
                self.state
                    .lock()
                    .doomed
                    .extend(doomed.into_iter().chain(rest));
                return Err(failure);
            }
            doomed = rest;
        }
        Ok(())
    }

    /// Ends it.
    pub async fn end(&self, database: &Database) -> Result<(), Failure> {
        let unused = {
            let mut state = self.state.lock();
            state.over = true;
            state.next
        };
        let arguments = Arguments::new().with(self.id.to_vec()).with(unused);
        let call = Call::function(&database.schema, "end_session_v1", arguments);
        database.read(&call).await.map(|_| ())
    }

    /// Notes that a verb was answered.
    pub fn finish(&self, seq: i64) {
        self.state.lock().finished.push(seq);
    }

    /// Notes that a name is not used after all.
    pub fn doom(&self, seq: i64, late: bool) {
        self.state.lock().doomed.push((seq, late));
    }

    /// The next token. Reserves more if none is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn next_token(
        self: &Arc<Self>,
        database: &SharedDatabase,
        runtime: &Runtime,
    ) -> Result<i64> {
        loop {
            if let Some(seq) = self.take() {
                self.reserve_ahead(database, runtime);
                return Ok(seq);
            }
            let _one = self.reserving.lock();
            if !self.state.lock().has_tokens() {
                let (lease, database) = (Arc::clone(self), Arc::clone(database));
                let reserved = runtime.wait(async move { lease.reserve(&database).await })?;
                reserved.map_err(Failure::into_error)?;
            }
        }
    }

    fn take(&self) -> Option<i64> {
        let mut state = self.state.lock();
        state.has_tokens().then(|| {
            state.next += 1;
            state.next - 1
        })
    }

    /// Reserves more before the last is taken, so that nobody waits for it.
    fn reserve_ahead(self: &Arc<Self>, database: &SharedDatabase, runtime: &Runtime) {
        let mut state = self.state.lock();
        let left = state.reserved - state.next;
        if left < state.more / 4 && !state.reserving_ahead {
            state.reserving_ahead = true;
            let (lease, database) = (Arc::clone(self), Arc::clone(database));
            runtime.spawn(async move {
                let _ = lease.reserve(&database).await;
                lease.state.lock().reserving_ahead = false;
            });
        }
    }

    async fn reserve(&self, database: &Database) -> Result<(), Failure> {
        let (first, count) = {
            let state = self.state.lock();
            (state.reserved, state.more)
        };
        let arguments = Arguments::new()
            .with(self.id.to_vec())
            .with(first)
            .with(i32::try_from(count).unwrap_or(i32::MAX));
        let call = Call::function(&database.schema, "reserve_v1", arguments);
        let reserved = database.read(&call).await;
        let mut state = self.state.lock();
        match reserved {
            Ok(_) => {
                // Another task may have reserved the same ones at the same time.
                state.reserved = state.reserved.max(first + count);
                state.more = (state.more * 2).min(RESERVED.1);
                Ok(())
            }
            Err(failure) => {
                if failure.is_token_lost() {
                    state.over = true;
                }
                Err(failure)
            }
        }
    }
}

impl State {
    fn has_tokens(&self) -> bool {
        self.next < self.reserved
    }
}

/// How many readers began at each epoch.
#[derive(Default)]
struct Epochs(BTreeMap<i64, usize>);

impl Epochs {
    fn add(&mut self, epoch: i64) {
        *self.0.entry(epoch).or_default() += 1;
    }

    fn remove(&mut self, epoch: i64) {
        if let Some(count) = self.0.get_mut(&epoch) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&epoch);
            }
        }
    }

    /// The oldest of them, or the last one that is known.
    fn oldest(&self, known: i64) -> i64 {
        self.0
            .keys()
            .next()
            .map_or(known, |oldest| known.min(*oldest))
    }
}

/// A reader of a lease, from before it looks until it has read.
pub(crate) struct Reader {
    pub lease: Arc<Lease>,
    began: i64,
    is_opening: bool,
}

impl Reader {
    pub fn begin(lease: Arc<Lease>) -> Self {
        let began = {
            let mut state = lease.state.lock();
            let known = state.known;
            state.readers.add(known);
            state.opening.add(known);
            known
        };
        Self {
            lease,
            began,
            is_opening: true,
        }
    }

    /// Says that what it holds is noted by name from now on.
    pub fn opened(&mut self) {
        if std::mem::take(&mut self.is_opening) {
            self.lease.state.lock().opening.remove(self.began);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.opened();
        self.lease.state.lock().readers.remove(self.began);
    }
}

/// How much of a lease is used here: others may take it as over a little earlier than this process would.
fn usable(length: Duration) -> Duration {
    length.saturating_sub(MARGIN.min(length / 4))
}

fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

fn nothing(what: &str) -> Failure {
    Failure::Away {
        cause: format!("{what} answered nothing"),
    }
}
