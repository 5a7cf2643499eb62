//! Migrations: the schema of a store, step by step, and which servers it still takes.

use std::io;

use deadpool_postgres::Object;
use partstore::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::failure::one_line;
use super::{Database, Schema};

/// One step. It is made once, in one transaction.
struct Migration {
    /// The greatest step that a server must know to work on the schema after this one. Steps that only add
    /// leave it as it was, so that old and new servers run together.
    needs: i32,
    scripts: &'static [&'static str],
}

const MIGRATIONS: [Migration; 5] = [
    Migration {
        needs: 1,
        scripts: &[include_str!("../../sql/0001-tables.sql")],
    },
    Migration {
        needs: 2,
        scripts: &[include_str!("../../sql/functions-v1.sql")],
    },
    // It takes nothing away that a server before it calls.
    Migration {
        needs: 2,
        scripts: &[
            include_str!("../../sql/0003-keys.sql"),
            include_str!("../../sql/functions-v2.sql"),
        ],
    },
    Migration {
        needs: 2,
        scripts: &[include_str!("../../sql/functions-v3.sql")],
    },
    // A server of before does not look for the mark.
    Migration {
        needs: 2,
        scripts: &[include_str!("../../sql/0005-mark.sql")],
    },
];

impl Database {
    /// Brings the schema to what this version knows. With `create` false it only looks.
    ///
    /// # Errors
    /// - [`Error::NewerFormat`]: the schema needs a newer version.
    /// - [`Error::NoSuchStore`]: it has no tables, or not all, and may not make them.
    /// - [`Error::NotAStore`]: the database may lose what it has acknowledged, or a pooler between does not keep sessions.
    /// - [`Error::Io`]: this role may not make them.
    /// - [`Error::Unavailable`].
    pub async fn migrate(&self, create: bool) -> Result<()> {
        let client = self.connection().await;
        let mut client = client.map_err(|error| away(&error))?;
        self.check_durable(&client).await?;
        self.check_sessions(&client).await?;
        if create {
            self.install(&mut client).await?;
        }
        let done = self.done(&client).await?;
        let (last, needs) = done.ok_or_else(|| self.missing())?;
        let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
        if needs > known {
            return Err(Error::NewerFormat {
                path: self.schema.quoted().into(),
                found: u32::try_from(needs).unwrap_or_default(),
                supported: u32::try_from(known).unwrap_or_default(),
            });
        }
        if last < known {
            return Err(self.missing());
        }
        Ok(())
    }

    fn missing(&self) -> Error {
        Error::NoSuchStore {
            path: self.schema.quoted().into(),
        }
    }

    /// The last step that was made, and the greatest that a server must know.
    async fn done(&self, client: &Object) -> Result<Option<(i32, i32)>> {
        let found = client
            .query_typed(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = $1 AND table_name = 'migrations'",
                &[(&self.schema.quoted().trim_matches('"').replace("\"\"", "\""), Type::TEXT)],
            )
            .await
            .map_err(|error| away(&error))?;
        if found.is_empty() {
            return Ok(None);
        }
        let sql = "SELECT coalesce(max(number), 0), coalesce(max(needs), 0) FROM ps.migrations";
        let row = client.query_typed(&self.schema.apply(sql), &[]).await;
        let row = row.map_err(|error| away(&error))?;
        Ok(row.first().map(|row| (row.get(0), row.get(1))))
    }

    /// Makes the steps that are missing, one server at a time.
    async fn install(&self, client: &mut Object) -> Result<()> {
        let steps = async |client: &mut Object, schema: &Schema| {
            let transaction = client.transaction().await?;
            let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
            let name = format!("partstore {}", schema.quoted());
            let name: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
                [(&name, Type::TEXT)];
            transaction.query_typed(lock, &name).await?;
            let begin = format!(
                "CREATE SCHEMA IF NOT EXISTS {};
                 CREATE TABLE IF NOT EXISTS ps.migrations (number int PRIMARY KEY, needs int NOT NULL, made timestamptz NOT NULL DEFAULT now());",
                schema.quoted()
            );
            transaction.batch_execute(&schema.apply(&begin)).await?;
            let last = schema.apply("SELECT coalesce(max(number), 0) FROM ps.migrations");
            let last = transaction.query_typed(&last, &[]).await?;
            let last: i32 = last.first().map_or(0, |row| row.get(0));
            for (number, step) in (1..).zip(&MIGRATIONS).filter(|(number, _)| *number > last) {
                let noted = format!(
                    "INSERT INTO ps.migrations (number, needs) VALUES ({number}, {});",
                    step.needs
                );
                for script in step.scripts {
                    transaction.batch_execute(&schema.apply(script)).await?;
                }
                transaction.batch_execute(&schema.apply(&noted)).await?;
            }
            transaction.commit().await
        };
        let done = steps(client, &self.schema).await;
        done.map_err(|error: tokio_postgres::Error| {
            if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                return Error::Io {
                    op: "make the tables of",
                    path: self.schema.quoted().into(),
                    source: io::Error::new(io::ErrorKind::PermissionDenied, one_line(&error)),
                };
            }
            away(&error)
        })
    }

    /// A pooler that gives each transaction another session loses what a connection has set, so a commit may not wait for its
    /// sync any more (I2). It shows when two connections at once have the same session.
    async fn check_sessions(&self, one: &Object) -> Result<()> {
        let two = self.pool.get().await;
        let mut two = two.map_err(|error| away(&error))?;
        let first = session_of(one.query_typed(SESSION, &[]).await)?;
        let transaction = two.transaction().await.map_err(|error| away(&error))?;
        let second = session_of(transaction.query_typed(SESSION, &[]).await)?;
        let again = session_of(one.query_typed(SESSION, &[]).await)?;
        transaction.rollback().await.map_err(|error| away(&error))?;
        if first == second || first != again {
            return Err(Error::NotAStore {
                path: self.schema.quoted().into(),
                reason: "a pooler stands before the database and does not keep sessions: use its session mode, or none"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// I2, I8: what PostgreSQL has committed survives a crash only with these settings.
    async fn check_durable(&self, client: &Object) -> Result<()> {
        for setting in ["fsync", "full_page_writes"] {
            let rows = client.query_typed(&format!("SHOW {setting}"), &[]).await;
            let rows = rows.map_err(|error| away(&error))?;
            let found: String = rows.first().map_or_else(String::new, |row| row.get(0));
            if found != "on" {
                return Err(Error::NotAStore {
                    path: self.schema.quoted().into(),
                    reason: format!(
                        "the database runs with {setting} = {found}, so it may lose what it has committed"
                    ),
                });
            }
        }
        Ok(())
    }
}

/// The process of the database that serves a connection.
const SESSION: &str = "SELECT pg_backend_pid()";

fn session_of(rows: Result<Vec<Row>, tokio_postgres::Error>) -> Result<Option<i32>> {
    let rows = rows.map_err(|error| away(&error))?;
    Ok(rows.first().map(|row| row.get(0)))
}

fn away(error: &dyn std::error::Error) -> Error {
    Error::Unavailable {
        cause: one_line(error),
    }
}
