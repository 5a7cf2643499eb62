//! [`Session`]: what an open store is to the others: a lease, tokens, and what its readers hold.

mod lease;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use partstore::backend::{IdSource, Location};
use partstore::{Error, Result, UploadId};
use tokio::time::timeout;

use crate::database::{Arguments, Call, Failure, SharedDatabase};
use crate::runtime::Runtime;

pub(crate) use lease::{Lease, Reader};
pub(crate) use token::Token;

/// A lease ends so much earlier here than in the database, at least.
const MARGIN: Duration = Duration::from_secs(1);

/// So long a lease is given back by somebody who could not open the store.
const GIVE_UP: Duration = Duration::from_secs(1);

/// The one row of the store.
pub(crate) struct StoreRow {
    pub id: String,
    /// The mark of its bucket, if one was written.
    pub mark: Option<String>,
}

/// An open store. It lives from open to close, and has one lease after the other if it loses one.
pub(crate) struct Session {
    pub database: SharedDatabase,
    pub runtime: Arc<Runtime>,
    pub lane: i16,
    length: Duration,
    lease: RwLock<Arc<Lease>>,
    /// One thread at a time begins a new lease.
    beginning: Mutex<()>,
    ids: IdSource,
}

impl Session {
    /// Begins the first lease.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoRandomness`].
    pub fn begin(
        database: SharedDatabase,
        runtime: Arc<Runtime>,
        length: Duration,
    ) -> Result<Arc<Self>> {
        let (lease, newest) = begin_lease(&database, &runtime, length)?;
        let session = Arc::new(Self {
            lane: i16::from(lease.id[0] & 63),
            lease: RwLock::new(Arc::new(lease)),
            beginning: Mutex::new(()),
            ids: IdSource::after(newest),
            database,
            runtime,
            length,
        });
        session.beat();
        Ok(session)
    }

    /// The lease, or a new one if it is over.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoRandomness`].
    pub fn lease(&self) -> Result<Arc<Lease>> {
        let lease = Arc::clone(&self.lease.read());
        if lease.holds() {
            return Ok(lease);
        }
        let _one = self.beginning.lock();
        let lease = Arc::clone(&self.lease.read());
        if lease.holds() {
            return Ok(lease);
        }
        let (next, _) = begin_lease(&self.database, &self.runtime, self.length)?;
        let next = Arc::new(next);
        *self.lease.write() = Arc::clone(&next);
        Ok(next)
    }

    /// Makes an upload's id, by the clock of the database.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn next_id(&self, lease: &Lease) -> Result<UploadId> {
        self.ids.next_at(lease.now())
    }

    /// Calls a verb with a token of its own, so that it happens once. `arguments` come behind the token's.
    /// Answers what the verb answered, or why it was refused. If the lease turns out to be over, it has not
    /// happened, and is called once more with a new one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoRandomness`].
    pub fn verb(
        &self,
        name: &str,
        arguments: impl Fn(&Token) -> Arguments,
    ) -> Result<Result<Answer, Failure>> {
        let mut tries = 0;
        loop {
            let token = self.token()?;
            let call = Call::function(&self.database.schema, name, arguments(&token));
            let answer = self.settle(token, call)?;
            tries += 1;
            let is_over = matches!(&answer, Err(failure) if failure.is_token_lost());
            if !is_over || tries == 2 {
                return Ok(answer);
            }
        }
    }

    /// Calls a verb with a given token. The token is used, or doomed.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn settle(&self, token: Token, call: Call) -> Result<Result<Answer, Failure>> {
        let database = Arc::clone(&self.database);
        let (session, seq) = (token.session(), token.seq());
        let answer = self.runtime.wait(async move {
            let changed = database.change(&call).await;
            match changed.rows {
                Err(refusal) if changed.is_repeated && refusal.is_ours() => {
                    let confirmed = database.confirm(&call, session, seq).await;
                    confirmed.map_err(|failure| failure.behind(refusal))
                }
                rows => rows,
            }
        })?;
        Ok(token
            .settle(answer)
            .map(|rows| rows.first().map_or(0, |row| row.get(0))))
    }

    /// A token that nobody else has.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoRandomness`].
    pub fn token(&self) -> Result<Token> {
        let lease = self.lease()?;
        let seq = lease.next_token(&self.database, &self.runtime)?;
        Ok(Token::new(lease, seq))
    }

    /// Registers a reader: what it reads from now on stays while it lives.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoRandomness`].
    pub fn reader(&self) -> Result<Reader> {
        Ok(Reader::begin(self.lease()?))
    }

    /// Runs a call that changes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn read(&self, call: Call) -> Result<Result<Vec<tokio_postgres::Row>, Failure>> {
        let database = Arc::clone(&self.database);
        self.runtime.wait(async move { database.read(&call).await })
    }

    /// Runs a call that changes nothing, once, for as long as it takes.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn read_long(&self, call: Call) -> Result<Result<Vec<tokio_postgres::Row>, Failure>> {
        let database = Arc::clone(&self.database);
        self.runtime
            .wait(async move { database.read_long(&call).await })
    }

    /// Hands in what is doomed, renews the lease, and publishes what readers hold.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the database is away.
    pub fn publish(&self) -> Result<()> {
        let mut tries = 0;
        loop {
            let lease = self.lease()?;
            let (database, length) = (Arc::clone(&self.database), self.length);
            let renewed = self.runtime.wait(async move {
                lease.hand_in(&database).await?;
                lease.renew(&database, length).await
            })?;
            tries += 1;
            match renewed {
                // The next one begins a new lease.
                Err(failure) if failure.is_token_lost() && tries < 2 => {}
                renewed => return renewed.map_err(Failure::into_error),
            }
        }
    }

    /// Whether anybody else has the store open.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn has_company(&self) -> Result<bool> {
        let own = self.lease()?.id.to_vec();
        let sql = "SELECT 1 FROM ps.sessions WHERE id <> $1 AND expires > now() LIMIT 1";
        let call = Call::statement(&self.database.schema, sql, Arguments::new().with(own));
        let rows = self.read(call)?.map_err(Failure::into_error)?;
        Ok(!rows.is_empty())
    }

    /// Whether a blob has one of these names.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn knows_any(&self, names: &[Location]) -> Result<bool> {
        self.has_any(
            "SELECT 1 FROM ps.blobs WHERE name = ANY ($1) LIMIT 1",
            names,
        )
    }

    /// Whether one of these names is doomed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn dooms_any(&self, names: &[Location]) -> Result<bool> {
        self.has_any(
            "SELECT 1 FROM ps.doomed WHERE name = ANY ($1) LIMIT 1",
            names,
        )
    }

    fn has_any(&self, sql: &str, names: &[Location]) -> Result<bool> {
        let names: Vec<_> = names.iter().map(|name| name.0.clone()).collect();
        let arguments = Arguments::new().with(names);
        let call = Call::statement(&self.database.schema, sql, arguments);
        let rows = self.read(call)?.map_err(Failure::into_error)?;
        Ok(!rows.is_empty())
    }

    /// Names of some blobs, at most `count`, by chance. Damaged ones are among them only if there are no others.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoRandomness`].
    pub fn some_names(&self, count: i64) -> Result<Vec<Location>> {
        let from = random::<32>()?.to_vec();
        let sql = "
            (SELECT name FROM ps.blobs WHERE content >= $1 AND damaged = $3 ORDER BY content LIMIT $2)
            UNION ALL
            (SELECT name FROM ps.blobs WHERE content < $1 AND damaged = $3 ORDER BY content LIMIT $2)
            LIMIT $2";
        for damaged in [false, true] {
            let arguments = Arguments::new()
                .with(from.clone())
                .with(count)
                .with(damaged);
            let call = Call::statement(&self.database.schema, sql, arguments);
            let rows = self.read(call)?.map_err(Failure::into_error)?;
            if !rows.is_empty() {
                return Ok(rows.iter().map(|row| Location(row.get(0))).collect());
            }
        }
        Ok(Vec::new())
    }

    /// What the database says of the store itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn store(&self) -> Result<StoreRow> {
        let sql = "SELECT id, mark FROM ps.store";
        let call = Call::statement(&self.database.schema, sql, Arguments::new());
        let rows = self.read(call)?.map_err(Failure::into_error)?;
        let row = rows.first().ok_or_else(|| Error::Unavailable {
            cause: "the table `store` has no row".to_owned(),
        })?;
        Ok(StoreRow {
            id: row.get(0),
            mark: row.get(1),
        })
    }

    /// Sets the store's id and the mark of its bucket, unless the mark is no longer `known`. Made twice, it happens once.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn replace_mark(&self, known: Option<&str>, id: &str, mark: &str) -> Result<()> {
        let sql = "UPDATE ps.store SET id = $2, mark = $3 WHERE mark IS NOT DISTINCT FROM $1";
        let arguments = Arguments::new()
            .with(known.map(str::to_owned))
            .with(id.to_owned())
            .with(mark.to_owned());
        let call = Call::statement(&self.database.schema, sql, arguments);
        self.read(call)?.map(drop).map_err(Failure::into_error)
    }

    /// Dooms the names that no row has, and returns their number.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn reconcile(&self, names: &[Location]) -> Result<u64> {
        let split = names.iter().filter_map(token::split);
        let split = split.map(|(session, seq)| (session.to_vec(), seq));
        let (sessions, numbers): (Vec<Vec<u8>>, Vec<i64>) = split.unzip();
        let arguments = Arguments::new().with(sessions).with(numbers);
        let call = Call::function(&self.database.schema, "reconcile_v1", arguments);
        let rows = self.read(call)?.map_err(Failure::into_error)?;
        let doomed: i64 = rows.first().map_or(0, |row| row.get(0));
        Ok(u64::try_from(doomed).unwrap_or_default())
    }

    /// Renews the lease again and again, until the session is dropped.
    fn beat(self: &Arc<Self>) {
        let (weak, every) = (Arc::downgrade(self), self.length / 6);
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(session) = weak.upgrade() else {
                    return;
                };
                let lease = Arc::clone(&session.lease.read());
                let (database, length) = (Arc::clone(&session.database), session.length);
                drop(session);
                if lease.holds() {
                    // What is handed in may take its time.
                    let _ = lease.renew(&database, length).await;
                    let _ = lease.hand_in(&database).await;
                }
            }
        });
    }

    /// Gives the lease back if that takes no time. Otherwise it ends by itself.
    pub fn give_up(&self) {
        let lease = Arc::clone(&self.lease.read());
        let database = Arc::clone(&self.database);
        let ended = async move { timeout(GIVE_UP, lease.end(&database)).await };
        let _ = self.runtime.wait(ended);
    }

    /// Gives the lease back. What readers of it still hold may be removed from then on.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn end(&self) -> Result<()> {
        let lease = Arc::clone(&self.lease.read());
        let database = Arc::clone(&self.database);
        let ended = self.runtime.wait(async move {
            lease.hand_in(&database).await?;
            lease.end(&database).await
        })?;
        ended.map_err(Failure::into_error)
    }
}

/// What a verb answers: a time, or 0 and 1.
pub(crate) type Answer = i64;

fn begin_lease(
    database: &SharedDatabase,
    runtime: &Runtime,
    length: Duration,
) -> Result<(Lease, Option<UploadId>)> {
    let id = random()?;
    let database = Arc::clone(database);
    let begun = runtime.wait(async move { Lease::begin(&database, id, length).await })?;
    begun.map_err(Failure::into_error)
}

/// # Errors
/// [`Error::NoRandomness`].
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| Error::NoRandomness {
        cause: cause.to_string(),
    })?;
    Ok(bytes)
}

/// Milliseconds since 1970 as a time.
pub(crate) fn time_of(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}
