//! fjall, persisted with `SyncAll` after each change.

use std::collections::BTreeMap;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::kv::{Kv, Result};

struct Fjall {
    db: Database,
    keyspace: Keyspace,
}

pub fn open(dir: &Path) -> Result<Box<dyn Kv>> {
    let db = Database::builder(dir).open()?;
    // Small, so that tables are written, too.
    let options = || KeyspaceCreateOptions::default().max_memtable_size(64 << 10);
    let keyspace = db.keyspace("kv", options)?;
    Ok(Box::new(Fjall { db, keyspace }))
}

impl Kv for Fjall {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.keyspace.remove(key)?;
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn all(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        for entry in self.keyspace.iter() {
            let (key, value) = entry.into_inner()?;
            found.insert(String::from_utf8(key.to_vec())?, value.to_vec());
        }
        Ok(found)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}
