//! [`Database`]: connections to PostgreSQL, and calls that are made again until their outcome is known.

mod call;
mod failure;
mod migrate;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod,
    Runtime,
};
use partstore::backend::Witness;
use partstore::{Error, Event, Remote, Result};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::{Config, Row};

pub(crate) use call::{Arguments, Call, Schema};
pub(crate) use failure::Failure;
use failure::{Attempt, one_line};

/// What a connection is told when it is made. `Ok` means durable, so a commit waits for its sync; a user who
/// has asked that it wait for more keeps that.
const PREPARE: &str = "
    SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false);
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '20s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s';";

/// Waits between attempts, milliseconds: doubled each time, up to the second.
const PAUSES: (u64, u64) = (5, 500);

/// A pool of connections, and the schema of one store.
pub(crate) struct Database {
    pool: Pool,
    pub schema: Schema,
    /// How long a call is made again.
    pub patience: Duration,
    pub witness: Witness,
}

/// What became of a change.
pub(crate) struct Changed {
    pub rows: Result<Vec<Row>, Failure>,
    /// An attempt of unknown outcome came before the answer, and may still be on its way.
    pub is_repeated: bool,
}

/// What a database is reached with.
pub(crate) struct Address<'a> {
    pub url: &'a str,
    pub schema: &'a str,
    pub root_certificates: Option<&'a std::path::Path>,
    pub connections: usize,
    pub patience: Duration,
    pub witness: Witness,
}

impl Database {
    /// Makes the pool. It connects when it is used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]: the address is none. [`Error::Io`]: a certificate cannot be read.
    pub fn new(address: &Address<'_>) -> Result<Self> {
        let refuse = |found: String| Error::InvalidArgument {
            argument: "catalog",
            found,
            expected: "the address of a PostgreSQL database, such as postgres://user@host/name",
        };
        let mut config: Config = address
            .url
            .parse()
            .map_err(|error: tokio_postgres::Error| refuse(one_line(&error)))?;
        if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
            config.password(password);
        }
        config
            .application_name("partstore")
            .connect_timeout(Duration::from_secs(5))
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_secs(15))
            .target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        let manager = Manager::from_config(
            config,
            tls::connector(address.root_certificates)?,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let prepare = Hook::async_fn(|client, _| {
            Box::pin(async move {
                client
                    .batch_execute(PREPARE)
                    .await
                    .map_err(HookError::Backend)
            })
        });
        let pool = Pool::builder(manager)
            .max_size(address.connections)
            // The connection that was used last has its plans and rows in the processor's caches.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(address.patience))
            .create_timeout(Some(Duration::from_secs(10)))
            .runtime(Runtime::Tokio1)
            .post_create(prepare)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            pool,
            schema: Schema::new(address.schema),
            patience: address.patience,
            witness: address.witness.clone(),
        })
    }

    /// Calls a function that changes something, with a token that makes it happen once. The same call is made
    /// again until its outcome is known, or patience ends.
    pub async fn change(&self, call: &Call) -> Changed {
        let mut is_repeated = false;
        let rows = self.run(call, Some(&mut is_repeated)).await;
        Changed { rows, is_repeated }
    }

    /// Makes the refusal of a call final, of which an earlier attempt may still be on its way: without its
    /// token that attempt changes nothing. Answers what the call says then: that its token
    /// is lost, or what it answered, if it was made in the meantime.
    pub async fn confirm(
        &self,
        call: &Call,
        session: Vec<u8>,
        seq: i64,
    ) -> Result<Vec<Row>, Failure> {
        let token = Arguments::new().with(session).with(vec![seq]);
        let doom = Call::function(&self.schema, "doom_v1", token.with(vec![false]));
        self.read(&doom).await.map_err(Failure::unknown)?;
        self.read(call).await
    }

    /// Calls what changes nothing.
    pub async fn read(&self, call: &Call) -> Result<Vec<Row>, Failure> {
        self.run(call, None).await
    }

    /// A connection. One that is slow to come, from a machine that is busy, is asked for again until patience ends; one that
    /// is refused is not.
    pub(super) async fn connection(&self) -> Result<Object, PoolError> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.pool.get().await {
                Err(PoolError::Timeout(_)) if Instant::now() < deadline => {}
                got => return got,
            }
        }
    }

    /// Reads as [`read`](Self::read) does, once, for as long as it takes.
    pub async fn read_long(&self, call: &Call) -> Result<Vec<Row>, Failure> {
        let away = |cause| Failure::Away { cause };
        let client = self.connection().await;
        let client = Object::take(client.map_err(|error| away(one_line(&error)))?);
        let unlimited = client.batch_execute("SET statement_timeout = 0").await;
        unlimited.map_err(|error| away(one_line(&error)))?;
        let rows = client.query_typed(&call.sql, &call.values()).await;
        rows.map_err(|error| away(one_line(&error)))
    }

    /// Makes a call, and tells the observer. `repeated` says of a change whether an attempt of unknown outcome came
    /// before the answer.
    async fn run(&self, call: &Call, repeated: Option<&mut bool>) -> Result<Vec<Row>, Failure> {
        let began = self.witness.begin();
        let rows = self.run_until_known(call, repeated).await;
        let answered = !matches!(rows, Err(Failure::Away { .. } | Failure::Unknown { .. }));
        self.witness.tell(began, |took| {
            Event::request(Remote::Database, (0, answered), took)
        });
        rows
    }

    async fn run_until_known(
        &self,
        call: &Call,
        mut repeated: Option<&mut bool>,
    ) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + self.patience;
        let mut pause = PAUSES.0;
        loop {
            let answer = self.attempt(call, deadline).await;
            let unknown = repeated.as_deref().copied().unwrap_or_default();
            // Behind an attempt of unknown outcome only the answer tells what has happened.
            let answer = answer.map_err(|attempt| {
                if call.gives_way && !unknown {
                    attempt.giving_way()
                } else {
                    attempt
                }
            });
            let cause = match answer {
                Ok(rows) => return Ok(rows),
                // A token goes with its lease, used or not. What is no refusal of ours tells nothing of it.
                Err(Attempt::Refused(failure))
                    if unknown && (failure.is_token_lost() || !failure.is_ours()) =>
                {
                    return Err(failure.unknown());
                }
                // An earlier attempt, if it happened, would have been answered again.
                Err(Attempt::Refused(failure)) => return Err(failure),
                Err(Attempt::Undone(failure)) => failure,
                Err(Attempt::Unknown(cause)) => {
                    if let Some(repeated) = &mut repeated {
                        **repeated = true;
                    }
                    Failure::Away { cause }
                }
            };
            let unknown = repeated.as_deref().copied().unwrap_or_default();
            if Instant::now() + Duration::from_millis(pause) >= deadline {
                return Err(if unknown { cause.unknown() } else { cause });
            }
            sleep(Duration::from_millis(pause)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(&self, call: &Call, deadline: Instant) -> Result<Vec<Row>, Attempt> {
        let away = |cause| Attempt::Undone(Failure::Away { cause });
        let client = timeout_at(deadline, self.pool.get()).await;
        let client =
            client.map_err(|_| away("no connection to it was free or made in time".to_owned()))?;
        let client = client.map_err(|error| away(one_line(&error)))?;
        let answer = timeout_at(deadline, planned(&client, call)).await;
        let Ok(answer) = answer else {
            // The connection is in the middle of something, so nobody else may have it.
            drop(Object::take(client));
            return Err(Attempt::Unknown("it did not answer in time".to_owned()));
        };
        answer
    }

    /// Ends all connections.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Runs a call. Each connection parses a statement once, and soon keeps its plan.
async fn planned(client: &Object, call: &Call) -> Result<Vec<Row>, Attempt> {
    let (values, types): (Vec<_>, Vec<_>) = call.values().into_iter().unzip();
    let statement = client.prepare_typed_cached(&call.sql, &types).await;
    let statement = statement.map_err(|error| Attempt::of(&error).before_it_ran())?;
    let rows = client.query(&statement, &values).await;
    rows.map_err(|error| {
        let attempt = Attempt::of(&error);
        if attempt.is_of_the_statement() {
            client.statement_cache.clear();
        }
        attempt
    })
}

/// A database that several tasks use.
pub(crate) type SharedDatabase = Arc<Database>;
