//! [`Committer`]: puts that wait together become durable in one transaction.

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use partstore::{Error, Event, Result};

use crate::database::{Arguments, Call, Failure, SharedDatabase};
use crate::runtime::Runtime;

/// So many puts at most share a transaction.
const MOST: usize = 64;
/// If more than so many wait, another transaction begins beside the one that is under way.
const MANY: usize = 16;

/// One put of a part: the columns of its row, and its token.
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
    /// Lanes of the usage's rows that no task has. A task takes one, and commits what comes until nothing is left.
    free: Vec<i16>,
    /// How many tasks are at work.
    works: usize,
}

impl Committer {
    /// At most one transaction for each lane is under way.
    pub fn new(database: &SharedDatabase, runtime: &Arc<Runtime>, lanes: &[i16]) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            free: lanes.to_vec(),
            works: 0,
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
        if let Some(number) = lane {
            let inner = Arc::downgrade(&self.inner);
            self.runtime
                .spawn(async move { Lane::work(&inner, number).await });
        }
        answer.recv().map_err(|_| Error::Closed)
    }
}

impl State {
    /// The lane of a task that is to begin. A few that wait are cheaper in one transaction, so the next one begins only
    /// for many.
    fn next_lane(&mut self) -> Option<i16> {
        if self.works > 0 && self.waiting.len() <= MANY {
            return None;
        }
        let lane = self.free.pop();
        self.works += usize::from(lane.is_some());
        lane
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
                let mut state = inner.state.lock();
                let batch = state.next_batch();
                if batch.is_empty() {
                    state.free.push(number);
                    state.works -= 1;
                    return;
                }
                batch
            };
            let lane = Self {
                database: Arc::clone(&inner.database),
                number,
            };
            drop(inner);
            lane.commit(batch).await;
        }
    }

    async fn commit(&self, batch: Vec<Waiting>) {
        let call = self.call(&batch.iter().map(|waiting| &waiting.put));
        let witness = &self.database.witness;
        let began = witness.begin();
        let changed = self.database.change(&call).await;
        match changed.rows {
            Ok(rows) => {
                witness.tell(began, |took| Event::group(batch.len() as u64, took));
                for (waiting, row) in batch.iter().zip(&rows) {
                    let answer = self.settled(&waiting.put, answer(row), changed.is_repeated);
                    let _ = waiting.reply.send(answer.await);
                }
            }
            // Something in it cannot be done: the others can. If the database is away, all are told.
            Err(Failure::Refused { .. }) if batch.len() > 1 => {
                let each = batch.iter().map(|waiting| self.commit_one(waiting));
                futures_util::future::join_all(each).await;
            }
            Err(failure) => {
                for waiting in &batch {
                    let _ = waiting.reply.send(Err(failure.clone()));
                }
            }
        }
    }

    async fn commit_one(&self, waiting: &Waiting) {
        let call = self.call(&std::iter::once(&waiting.put));
        let witness = &self.database.witness;
        let began = witness.begin();
        let changed = self.database.change(&call).await;
        let answer = only(changed.rows);
        if answer.is_ok() {
            witness.tell(began, |took| Event::group(1, took));
        }
        let answer = self.settled(&waiting.put, answer, changed.is_repeated);
        let _ = waiting.reply.send(answer.await);
    }

    /// What a put is answered. If an earlier attempt may still be on its way, a refusal is confirmed first.
    async fn settled(&self, put: &Put, answer: Answer, is_repeated: bool) -> Answer {
        let refusal = match answer {
            Err(failure) if is_repeated && failure.is_token_lost() => return Err(failure.unknown()),
            Err(failure) if is_repeated && failure.is_ours() => failure,
            answer => return answer,
        };
        let call = self.call(&std::iter::once(put));
        let confirmed = self.database.confirm(&call, put.session.clone(), put.seq);
        only(confirmed.await).map_err(|failure| failure.behind(refusal))
    }

    fn call<'a>(&self, puts: &(impl Iterator<Item = &'a Put> + Clone)) -> Call {
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
            .with(column(puts, |put| put.repairs));
        Call::function(&self.database.schema, "put_parts_v1", arguments)
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
