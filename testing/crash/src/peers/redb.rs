//! redb with its default durability.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::kv::{Kv, Result};

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("kv");

pub fn open(dir: &Path) -> Result<Box<dyn Kv>> {
    Ok(Box::new(Database::create(dir.join("kv.redb"))?))
}

/// As a careful user would: redb itself does not sync the directory.
pub fn open_synced(dir: &Path) -> Result<Box<dyn Kv>> {
    let db = open(dir)?;
    File::open(dir)?.sync_all()?;
    Ok(db)
}

impl Kv for Database {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let transaction = self.begin_write()?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        let transaction = self.begin_write()?;
        transaction.open_table(TABLE)?.remove(key)?;
        Ok(transaction.commit()?)
    }

    fn all(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let table = match self.begin_read()?.open_table(TABLE) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(found),
            table => table?,
        };
        for entry in table.iter()? {
            let (key, value) = entry?;
            found.insert(key.value().to_owned(), value.value().to_vec());
        }
        Ok(found)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
