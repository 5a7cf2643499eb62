//! `SQLite`. The index of its log, `-shm`, is mapped to memory, which the recorder does not see; each
//! first open makes it anew, and the last close removes it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, params};

use super::kv::{Kv, Result};

pub fn open(dir: &Path, journal: &str, synchronous: &str) -> Result<Box<dyn Kv>> {
    let db = Connection::open(dir.join("kv.db"))?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "journal_mode", journal)?;
    // Some checkpoints before the last.
    db.pragma_update(None, "wal_autocheckpoint", 30)?;
    db.execute_batch("CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value BLOB NOT NULL)")?;
    Ok(Box::new(db))
}

impl Kv for Connection {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO kv VALUES (?1, ?2)",
            params![key, value],
        )?;
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.execute("DELETE FROM kv WHERE key = ?1", [key])?;
        Ok(())
    }

    fn all(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut rows = self.prepare("SELECT key, value FROM kv")?;
        let found = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        (*self).close().map_err(|(_, error)| error.into())
    }
}
