//! What every engine of partstore must do, as cases that run on any engine.
//!
//! A case uses the calls of [`PartStore`] only, so it says what a user of the store would see: every rule,
//! every error, listings, races, a model, and what a crash leaves. An engine is handed in as a function that
//! makes an empty store, as an [`Engine`]. In an integration test:
//!
//! ```ignore
//! partstore_contract::contract!(crate::my_engine);
//! ```
//!
//! What an engine does beyond, such as the bytes on its disk, is for tests of its own.

#![expect(
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::should_implement_trait,
    reason = "tests: the names of cases say what they show, and each panics when it fails"
)]

#[doc(hidden)]
pub mod cases;
mod embedded;
mod list;
#[doc(hidden)]
pub mod support;

use std::collections::BTreeSet;

use partstore::{ContentHash, Options, PartStore, Result};

pub use embedded::{Embedded, copy_tree, embedded, files};
pub use support::{run, skip};

/// In which state a store was that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It had been closed.
    Closed,
    /// It had been closed, and its index was lost since.
    WithoutIndex,
    /// Its process had crashed.
    Crashed,
}

/// One store of an engine, which is empty at first. It can be opened again after it was closed.
pub trait Engine: Send + Sync {
    /// Opens it.
    ///
    /// # Errors
    /// Those of the engine.
    fn open(&self, options: Options) -> Result<PartStore>;

    /// Opens it for servers that have it open as well, if the engine allows that. The model then has them take
    /// turns. By default there are none.
    ///
    /// # Errors
    /// Those of the engine.
    fn open_peers(&self, options: &Options) -> Result<Vec<PartStore>> {
        let _ = options;
        Ok(Vec::new())
    }

    /// The hashes of all blobs whose bytes it keeps, whoever refers to them. So cases see what leaks.
    fn contents(&self) -> BTreeSet<ContentHash>;

    /// Changes the first byte of a blob where it is kept.
    fn damage(&self, content: &ContentHash);

    /// Deletes what can be made anew, such as an index. The store is closed. By default there is nothing.
    fn lose_index(&self) {}

    /// Checks what opening says that it found and did. By default it says nothing.
    fn check_recovery(&self, store: &PartStore, opened: Opened) {
        let _ = (store, opened);
    }

    /// A store with what a crash of every process at this moment would leave.
    fn crashed(&self) -> Box<dyn Engine>;
}
