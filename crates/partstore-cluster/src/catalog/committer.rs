//! [`Committer`]: puts that wait together become durable in one transaction.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use partstore::{Error, Result};

use crate::database::{Arguments, Call, Failure, SharedDatabase};
use crate::runtime::Runtime;

/// So many puts at most go in one transaction.
const MOST: usize = 64;

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
pub(super) type Answer = Result<i64, Failure>;

struct Waiting {
    put: Put,
    reply: mpsc::SyncSender<Answer>,
}

/// Lanes of puts. Those of one upload share a lane, so few transactions lock its row at a time.
pub(super) struct Committer {
    lanes: Vec<Arc<Lane>>,
    runtime: Arc<Runtime>,
}

struct Lane {
    database: SharedDatabase,
    /// The lane of the usage's rows.
    number: i16,
    state: Mutex<LaneState>,
}

#[derive(Default)]
struct LaneState {
    waiting: VecDeque<Waiting>,
    /// A task is at work, and takes what comes until nothing is left.
    works: bool,
}

impl Committer {
    pub fn new(database: &SharedDatabase, runtime: &Arc<Runtime>, numbers: &[i16]) -> Self {
        let lane = |number: &i16| {
            Arc::new(Lane {
                database: Arc::clone(database),
                number: *number,
                state: Mutex::default(),
            })
        };
        Self {
            lanes: numbers.iter().map(lane).collect(),
            runtime: Arc::clone(runtime),
        }
    }

    /// Commits a put, and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn commit(&self, put: Put) -> Result<Answer> {
        let (reply, answer) = mpsc::sync_channel(1);
        let spread = put.upload.last().copied().unwrap_or_default();
        let lane = self.lanes.get(usize::from(spread) % self.lanes.len());
        let lane = lane.ok_or(Error::Closed)?;
        let begins = {
            let mut state = lane.state.lock();
            state.waiting.push_back(Waiting { put, reply });
            !std::mem::replace(&mut state.works, true)
        };
        if begins {
            let lane = Arc::downgrade(lane);
            self.runtime.spawn(async move { Lane::work(&lane).await });
        }
        answer.recv().map_err(|_| Error::Closed)
    }
}

impl Lane {
    /// Commits what has gathered, again and again. Nothing waits for more to come: while one transaction is
    /// under way, the next ones gather.
    async fn work(lane: &Weak<Self>) {
        while let Some(lane) = lane.upgrade() {
            let batch = lane.next_batch();
            if batch.is_empty() {
                return;
            }
            lane.commit(batch).await;
        }
    }

    /// Those of one lease. In the order of their blobs, so that batches which share some wait for each other
    /// in one direction.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let session = state.waiting.front().map(|first| first.put.session.clone());
        let mut batch = Vec::new();
        while batch.len() < MOST {
            let next = state.waiting.front();
            if next.is_none_or(|next| Some(&next.put.session) != session.as_ref()) {
                break;
            }
            batch.extend(state.waiting.pop_front());
        }
        state.works = !batch.is_empty();
        batch.sort_by(|one, other| one.put.content.cmp(&other.put.content));
        batch
    }

    async fn commit(&self, batch: Vec<Waiting>) {
        let call = self.call(&batch.iter().map(|waiting| &waiting.put));
        match self.database.change(&call).await {
            Ok(rows) => {
                for (waiting, row) in batch.iter().zip(&rows) {
                    let _ = waiting.reply.send(answer(row));
                }
            }
            // Something in it cannot be done at all: the others can.
            Err(Failure::Away { .. } | Failure::Refused { .. }) if batch.len() > 1 => {
                for waiting in batch {
                    let call = self.call(&std::iter::once(&waiting.put));
                    let rows = self.database.change(&call).await;
                    let nothing = || Err(gone("2"));
                    let answer = rows.and_then(|rows| rows.first().map_or_else(nothing, answer));
                    let _ = waiting.reply.send(answer);
                }
            }
            Err(failure) => {
                for waiting in &batch {
                    let _ = waiting.reply.send(Err(failure.clone()));
                }
            }
        }
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

fn gone(code: &str) -> Failure {
    Failure::Refused {
        code: format!("PS{code:0>3}"),
        detail: String::new(),
    }
}
