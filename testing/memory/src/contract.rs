//! The engine for the contract's cases.

use std::collections::BTreeSet;

use partstore::{ContentHash, Options, PartStore, Result};
use partstore_contract::Engine;

use super::Memory;

/// Makes an empty store for the contract's cases.
#[must_use]
pub fn engine() -> Box<dyn Engine> {
    Box::new(Memory::new())
}

impl Engine for Memory {
    fn open(&self, options: Options) -> Result<PartStore> {
        Memory::open(self, options)
    }

    fn contents(&self) -> BTreeSet<ContentHash> {
        Memory::contents(self).into_iter().collect()
    }

    fn damage(&self, content: &ContentHash) {
        Memory::damage(self, content);
    }

    fn crashed(&self) -> Box<dyn Engine> {
        Box::new(self.after_a_crash())
    }
}
