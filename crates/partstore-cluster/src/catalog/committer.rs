//! [`Committer`]: puts that wait together become durable in one transaction.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use partstore::{Error, Event, Result};

use crate::database::{Arguments, Call, Failure, SharedDatabase};
use crate::runtime::Runtime;

/// So many puts at most share a transaction.
const MOST: usize = 64;
/// A lane beside one that is at work takes a batch only if more than so many wait. Fewer are cheaper together with the next
/// ones. Yet while one transaction waits for its sync, the processors are free for another, so these are few.
const FEW: usize = 5;
/// A transaction that takes longer counts no more as under way: it may have lost its connection.
const SLOW: Duration = Duration::from_millis(200);

/// Puts that are committed alone have so many lanes, from this one on, each 64 behind the last.
const ALONE: i16 = 8;
const FIRST_ALONE: i16 = 5;

/// One put of a part: the columns of its row, and its token.
#[derive(Clone)]
pub(super) struct Put {
    pub session: Vec<u8>,
    pub seq: i64,
    pub upload: Vec<u8>,
    pub namespace: Vec<u8>,
    pub key: Vec<u8>,
    pub number: i32,
    pub content: Vec<u8>,
    pub size: i64,
    pub etag: Vec<u8>,
    pub sums: Vec<u8>,
    /// The name and the CRCs of a blob that was stored for it.
    pub blob: Option<(Vec<u8>, Vec<u8>)>,
    pub repairs: bool,
    /// Nobody has looked whether its bytes are stored.
    pub is_blind: bool,
    /// Its token was sent before, and an attempt with it may still be on its way.
    pub is_again: bool,
}

/// When a part was stored, or why it was not.
pub(super) type Answer = std::result::Result<i64, Failure>;

struct Waiting {
    put: Put,
    reply: mpsc::SyncSender<Answer>,
}

/// Puts that wait, and the tasks that commit them.
pub(super) struct Committer {
    inner: Arc<Inner>,
    runtime: Arc<Runtime>,
}

struct Inner {
    database: SharedDatabase,
    state: Mutex<State>,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// Lanes of the usage's rows that no task has. A task takes one, and gives it back when the others suffice.
    free: Vec<i16>,
    /// Lanes that a task has, and since when it commits its batch.
    at_work: Vec<(i16, Instant)>,
}

impl Committer {
    /// At most one transaction for each lane is under way.
    pub fn new(database: &SharedDatabase, runtime: &Arc<Runtime>, lanes: &[i16]) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            free: lanes.to_vec(),
            at_work: Vec::new(),
        };
        let inner = Inner {
            database: Arc::clone(database),
            state: Mutex::new(state),
        };
        Self {
            inner: Arc::new(inner),
            runtime: Arc::clone(runtime),
        }
    }

    /// Commits a put, and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn commit(&self, put: Put) -> Result<Answer> {
        let (reply, answer) = mpsc::sync_channel(1);
        let lane = {
            let mut state = self.inner.state.lock();
            state.waiting.push_back(Waiting { put, reply });
            state.next_lane()
        };
        self.begin(lane);
        loop {
            match answer.recv_timeout(SLOW) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => {
                    let lane = self.inner.state.lock().next_lane();
                    self.begin(lane);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Closed),
            }
        }
    }

    fn begin(&self, lane: Option<i16>) {
        if let Some(number) = lane {
            let inner = Arc::downgrade(&self.inner);
            self.runtime
                .spawn(async move { Lane::work(&inner, number).await });
        }
    }
}

impl State {
    /// The lane of a task that is to begin, if one is to.
    fn next_lane(&mut self) -> Option<i16> {
        let lane = self.needs_a_lane().then(|| self.free.pop()).flatten()?;
        self.at_work.push((lane, Instant::now()));
        Some(lane)
    }

    /// What a lane commits next. If the others suffice it is free: the first of them that ends takes what waits. So batches
    /// stay of a size, and not one of many beside one of few.
    fn next_batch_of(&mut self, lane: i16) -> Vec<Waiting> {
        self.at_work.retain(|(other, _)| *other != lane);
        if !self.needs_a_lane() {
            self.free.push(lane);
            return Vec::new();
        }
        self.at_work.push((lane, Instant::now()));
        self.next_batch()
    }

    /// Whether more wait than the lanes at work are left to take.
    fn needs_a_lane(&self) -> bool {
        let mut at_work = self.at_work.iter();
        let is_left_to_them = at_work.any(|(_, since)| since.elapsed() < SLOW);
        self.waiting.len() > if is_left_to_them { FEW } else { 0 }
    }

    /// Those of one lease, and one for each number of an upload. In the order of their blobs, so that batches which
    /// share some wait for each other in one direction.
    fn next_batch(&mut self) -> Vec<Waiting> {
        let session = self.waiting.front().map(|first| first.put.session.clone());
        let (mut batch, mut numbers) = (Vec::new(), HashSet::new());
        while let Some(next) = self.waiting.front().filter(|_| batch.len() < MOST) {
            let put = &next.put;
            let fits = Some(&put.session) == session.as_ref()
                && numbers.insert((put.upload.clone(), put.number));
            if !fits {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch.sort_by(|one, other| one.put.content.cmp(&other.put.content));
        batch
    }
}

/// What one task commits with.
#[derive(Clone)]
struct Lane {
    database: SharedDatabase,
    number: i16,
}

impl Lane {
    /// Commits what has gathered, again and again. Nothing waits for more to come: while one transaction is
    /// under way, the next ones gather.
    async fn work(inner: &Weak<Inner>, number: i16) {
        while let Some(inner) = inner.upgrade() {
            let batch = {
                let batch = inner.state.lock().next_batch_of(number);
                if batch.is_empty() {
                    return;
                }
                batch
            };
            let lane = Self {
                database: Arc::clone(&inner.database),
                number,
            };
            drop(inner);
            // A bug in one batch must not keep the lane. Its callers are told that nobody knows.
            let replies: Vec<_> = batch.iter().map(|waiting| waiting.reply.clone()).collect();
            let committed = AssertUnwindSafe(lane.commit(batch)).catch_unwind();
            if committed.await.is_err() {
                let cause = "the commit was broken off by a bug".to_owned();
                for reply in replies {
                    let cause = cause.clone();
                    let _ = reply.try_send(Err(Failure::Unknown { cause }));
                }
            }
        }
    }

    async fn commit(&self, batch: Vec<Waiting>) {
        let call = self.call(&batch.iter().map(|waiting| &waiting.put), false);
        let began = self.database.witness.begin();
        let changed = self.database.change(&call.giving_way()).await;
        let is_repeated = changed.is_repeated;
        match changed.rows {
            Ok(rows) => {
                let took = began.took();
                let mut put_aside = Vec::new();
                for (waiting, row) in batch.into_iter().zip(&rows) {
                    match answer(row) {
                        Err(failure) if failure.is_to_be_alone() => put_aside.push(waiting),
                        answer => {
                            let answer = self.settled(&waiting.put, answer, is_repeated).await;
                            let _ = waiting.reply.send(answer);
                        }
                    }
                }
                self.tell(took, || {
                    rows.iter().filter(|row| answer(row).is_ok()).count()
                });
                self.commit_each(put_aside, is_repeated);
            }
            // Something is in the way of one: the others can be put. If the database is away, all are told.
            Err(Failure::Refused { .. }) => self.commit_each(batch, is_repeated),
            Err(failure) => {
                for waiting in &batch {
                    let _ = waiting.reply.send(Err(failure.clone()));
                }
            }
        }
    }

    /// Commits each alone, beside the batches that follow: some may wait for a lock.
    fn commit_each(&self, batch: Vec<Waiting>, is_repeated: bool) {
        for (beside, waiting) in (0..ALONE).cycle().zip(batch) {
            // Rows of the usage are locked until the commit, so those that are alone share few of them.
            let lane = Self {
                number: self.number % 64 + 64 * (FIRST_ALONE + beside),
                ..self.clone()
            };
            tokio::spawn(async move { lane.commit_alone(&waiting, is_repeated).await });
        }
    }

    async fn commit_alone(&self, waiting: &Waiting, is_repeated: bool) {
        let call = self.call(&std::iter::once(&waiting.put), true);
        let began = self.database.witness.begin();
        let changed = self.database.change(&call).await;
        let took = began.took();
        let answer = only(changed.rows);
        let stored = usize::from(answer.is_ok());
        let is_repeated = is_repeated || changed.is_repeated;
        let answer = self.settled(&waiting.put, answer, is_repeated);
        let _ = waiting.reply.send(answer.await);
        self.tell(took, || stored);
    }

    /// Tells an observer that wants to know `took` how many parts a transaction has stored. Those that waited for it
    /// have their answers.
    fn tell(&self, took: Option<Duration>, stored: impl FnOnce() -> usize) {
        let Some(took) = took else { return };
        let stored = stored() as u64;
        if stored > 0 {
            self.database.witness.note(|| Event::group(stored, took));
        }
    }

    /// What a put is answered. If an earlier attempt may still be on its way, a refusal is confirmed first.
    /// Bytes that are known already are no refusal: the same token comes again, so an earlier attempt can do no more than that.
    async fn settled(&self, put: &Put, answer: Answer, is_repeated: bool) -> Answer {
        let is_repeated = is_repeated || put.is_again;
        let refusal = match answer {
            Err(failure) if failure.is_known_already() => return Err(failure),
            Err(failure) if is_repeated && failure.is_token_lost() => return Err(failure.unknown()),
            Err(failure) if is_repeated && failure.is_ours() => failure,
            answer => return answer,
        };
        let call = self.call(&std::iter::once(put), true);
        let confirmed = self.database.confirm(&call, put.session.clone(), put.seq);
        only(confirmed.await).map_err(|failure| failure.behind(refusal))
    }

    fn call<'a>(&self, puts: &(impl Iterator<Item = &'a Put> + Clone), is_alone: bool) -> Call {
        let session = puts.clone().next().map(|put| put.session.clone());
        let name = |put: &Put| put.blob.as_ref().map(|(name, _)| name.clone());
        let crcs = |put: &Put| put.blob.as_ref().map(|(_, crcs)| crcs.clone());
        let arguments = Arguments::new()
            .with(session)
            .with(column(puts, |put| put.seq))
            .with(self.number)
            .with(column(puts, |put| put.upload.clone()))
            .with(column(puts, |put| put.namespace.clone()))
            .with(column(puts, |put| put.key.clone()))
            .with(column(puts, |put| put.number))
            .with(column(puts, |put| put.content.clone()))
            .with(column(puts, |put| put.size))
            .with(column(puts, |put| put.etag.clone()))
            .with(column(puts, |put| put.sums.clone()))
            .with(column(puts, name))
            .with(column(puts, crcs))
            .with(column(puts, |put| put.repairs))
            .with(column(puts, |put| put.is_blind))
            .with(is_alone);
        Call::function(&self.database.schema, "put_parts_v2", arguments)
    }
}

fn column<'a, T>(puts: &(impl Iterator<Item = &'a Put> + Clone), of: impl Fn(&Put) -> T) -> Vec<T> {
    puts.clone().map(of).collect()
}

/// What the database says of one put.
fn answer(row: &tokio_postgres::Row) -> Answer {
    let (outcome, detail): (i32, Option<String>) = (row.get(1), row.get(3));
    if outcome == 0 {
        return Ok(row.get(2));
    }
    Err(Failure::Refused {
        code: format!("PS{outcome:03}"),
        detail: detail.unwrap_or_default(),
    })
}

/// What the database says of the only put.
fn only(rows: Result<Vec<tokio_postgres::Row>, Failure>) -> Answer {
    let nothing = || {
        Err(Failure::Unknown {
            cause: "the database answered nothing".to_owned(),
        })
    };
    rows?.first().map_or_else(nothing, answer)
}
