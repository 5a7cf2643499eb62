//! sled as it comes, flushed after each change.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sled::Db;

use super::kv::{Kv, Result};

/// For how long the lock of the file is waited for: sled lets it go some time after a close.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

pub fn open(dir: &Path) -> Result<Box<dyn Kv>> {
    let is_locked = |error: &sled::Error| error.to_string().contains("could not acquire lock");
    for _ in 0..LOCK_TRIES {
        match sled::open(dir) {
            Err(error) if is_locked(&error) => std::thread::sleep(LOCK_PAUSE),
            opened => return Ok(Box::new(opened?)),
        }
    }
    Err("another open holds the lock".into())
}

impl Kv for Db {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.insert(key, value)?;
        self.flush()?;
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.remove(key)?;
        self.flush()?;
        Ok(())
    }

    fn all(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        for entry in self.iter() {
            let (key, value) = entry?;
            found.insert(String::from_utf8(key.to_vec())?, value.to_vec());
        }
        Ok(found)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.flush()?;
        Ok(())
    }
}
