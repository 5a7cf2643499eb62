//! [`LookUps`]: blobs that are looked for at the same time are looked for by one statement.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak, mpsc};

use parking_lot::Mutex;
use partstore::{ContentHash, Error, Result};
use tokio_postgres::Row;

use crate::database::{Arguments, Call, Failure, SharedDatabase};
use crate::runtime::Runtime;

/// So many at most are looked for by one statement.
const MOST: usize = 64;

/// So many statements are under way at most. While they are, the next look-ups gather.
const UNDER_WAY: usize = 2;
/// If more than so many wait, another statement begins beside the one that is under way.
const MANY: usize = 16;

/// The row `content, name, size, crcs, damaged` of a blob, if it has one.
type Answer = std::result::Result<Option<Row>, Failure>;

/// Look-ups of blobs. None is asked before its caller came, so each sees what was committed before that.
pub(super) struct LookUps {
    inner: Arc<Inner>,
    runtime: Arc<Runtime>,
}

struct Inner {
    database: SharedDatabase,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Tasks at work. Each takes what comes until nothing is left.
    works: usize,
}

struct Waiting {
    content: Vec<u8>,
    reply: mpsc::SyncSender<Answer>,
}

impl LookUps {
    pub fn new(database: &SharedDatabase, runtime: &Arc<Runtime>) -> Self {
        let inner = Inner {
            database: Arc::clone(database),
            state: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
            runtime: Arc::clone(runtime),
        }
    }

    /// Looks for a blob, and waits for the answer.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn look_up(&self, content: &ContentHash) -> Result<Answer> {
        let (reply, answer) = mpsc::sync_channel(1);
        let content = content.as_bytes().to_vec();
        let begins = {
            let mut state = self.inner.state.lock();
            state.waiting.push_back(Waiting { content, reply });
            // A few that wait are cheaper in one statement.
            let begins =
                state.works == 0 || (state.works < UNDER_WAY && state.waiting.len() > MANY);
            state.works += usize::from(begins);
            begins
        };
        if begins {
            let inner = Arc::downgrade(&self.inner);
            self.runtime.spawn(async move { Inner::work(&inner).await });
        }
        answer.recv().map_err(|_| Error::Closed)
    }
}

impl Inner {
    async fn work(inner: &Weak<Self>) {
        while let Some(inner) = inner.upgrade() {
            let batch = inner.next_batch();
            if batch.is_empty() {
                return;
            }
            inner.answer(&batch).await;
        }
    }

    fn next_batch(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let count = state.waiting.len().min(MOST);
        if count == 0 {
            state.works -= 1;
        }
        state.waiting.drain(..count).collect()
    }

    async fn answer(&self, batch: &[Waiting]) {
        let contents: Vec<_> = batch.iter().map(|one| one.content.clone()).collect();
        let arguments = Arguments::new().with(contents);
        let call = Call::function(&self.database.schema, "look_up_v1", arguments);
        let found = self.database.read(&call).await.map(by_content);
        for waiting in batch {
            let answer = found.as_ref().map_err(Failure::clone);
            let _ = waiting
                .reply
                .send(answer.map(|found| found.get(&waiting.content).cloned()));
        }
    }
}

fn by_content(rows: Vec<Row>) -> HashMap<Vec<u8>, Row> {
    let rows = rows.into_iter();
    rows.map(|row| (row.get(0), row)).collect()
}
