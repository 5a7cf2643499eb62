//! [`Gathered`]: questions that wait together are asked in one statement.

use std::collections::VecDeque;
use std::sync::{Arc, Weak, mpsc};

use parking_lot::Mutex;
use partstore::{Error, Result};
use tokio_postgres::Row;

use crate::database::{Call, Failure, Schema, SharedDatabase};
use crate::runtime::Runtime;

/// So many questions at most go in one statement.
const MOST: usize = 64;

/// So many statements are under way at most. While they are, the next questions gather.
const ASKING: usize = 2;

/// The row that answers a question, if there is one.
type Answer = Result<Option<Row>, Failure>;

/// Makes the statement for some questions. Its first column is the place of the question, from 1 on.
type Ask<Q> = fn(&Schema, &[Q]) -> Call;

/// Questions of one kind. None is asked before it came, so each sees what was committed before.
pub(super) struct Gathered<Q> {
    inner: Arc<Inner<Q>>,
    runtime: Arc<Runtime>,
}

struct Inner<Q> {
    database: SharedDatabase,
    ask: Ask<Q>,
    state: Mutex<State<Q>>,
}

struct State<Q> {
    waiting: VecDeque<(Q, mpsc::SyncSender<Answer>)>,
    asking: usize,
}

impl<Q: Send + Sync + 'static> Gathered<Q> {
    pub fn new(database: &SharedDatabase, runtime: &Arc<Runtime>, ask: Ask<Q>) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            asking: 0,
        };
        let inner = Inner {
            database: Arc::clone(database),
            ask,
            state: Mutex::new(state),
        };
        Self {
            inner: Arc::new(inner),
            runtime: Arc::clone(runtime),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn ask(&self, question: Q) -> Result<Answer> {
        let (reply, answer) = mpsc::sync_channel(1);
        let begins = {
            let mut state = self.inner.state.lock();
            state.waiting.push_back((question, reply));
            let begins = state.asking < ASKING;
            state.asking += usize::from(begins);
            begins
        };
        if begins {
            let inner = Arc::downgrade(&self.inner);
            self.runtime.spawn(async move { Inner::work(&inner).await });
        }
        answer.recv().map_err(|_| Error::Closed)
    }
}

impl<Q: Send + Sync> Inner<Q> {
    async fn work(inner: &Weak<Self>) {
        while let Some(inner) = inner.upgrade() {
            let (questions, replies) = inner.next();
            if questions.is_empty() {
                return;
            }
            let answers = inner.answers(&questions).await;
            for (reply, answer) in replies.iter().zip(answers) {
                let _ = reply.send(answer);
            }
        }
    }

    fn next(&self) -> (Vec<Q>, Vec<mpsc::SyncSender<Answer>>) {
        let mut state = self.state.lock();
        let count = state.waiting.len().min(MOST);
        if count == 0 {
            state.asking -= 1;
        }
        state.waiting.drain(..count).unzip()
    }

    async fn answers(&self, questions: &[Q]) -> Vec<Answer> {
        match self.rows(questions).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One of them cannot be answered: the others can.
            Err(Failure::Refused { .. }) if questions.len() > 1 => {
                let mut answers = Vec::with_capacity(questions.len());
                for question in questions {
                    let rows = self.rows(std::slice::from_ref(question)).await;
                    answers.push(rows.map(|rows| rows.into_iter().next().flatten()));
                }
                answers
            }
            Err(failure) => {
                let each = questions.iter().map(|_| Err(failure.clone()));
                each.collect()
            }
        }
    }

    async fn rows(&self, questions: &[Q]) -> Result<Vec<Option<Row>>, Failure> {
        let call = (self.ask)(&self.database.schema, questions);
        let mut answers: Vec<_> = questions.iter().map(|_| None).collect();
        for row in self.database.read(&call).await? {
            let place: i64 = row.get(0);
            let at = usize::try_from(place - 1).unwrap_or(usize::MAX);
            if let Some(answer) = answers.get_mut(at) {
                *answer = Some(row);
            }
        }
        Ok(answers)
    }
}
