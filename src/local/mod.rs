//! The embedded engine: a catalog and blobs in one directory, crash-safe by a journal of its own.

mod ages;
#[cfg(not(shuttle))]
pub(crate) mod backup;
mod ballast;
mod blob;
mod blobs;
mod catalog;
mod directory;
pub(crate) mod engine;
#[cfg_attr(shuttle, path = "file/memory.rs")]
pub(crate) mod file;
pub(crate) mod format;
mod health;
mod held;
mod locks;
pub(crate) mod meta;
mod namespaces;
mod pins;
mod release;
mod room;
mod salvage;
mod suspects;
mod sweep;
mod upgrade;
mod verify;
#[cfg(not(shuttle))]
mod view;

use std::path::Path;
use std::sync::Arc;

use crate::backend::{BlobStore, Catalog};
use crate::buffers::Buffers;
use crate::going::Closing;
use crate::{Options, RecoveryReport, Result};

use engine::Engine;

/// An engine that was opened, and what opening found and did.
pub(crate) struct Opened {
    pub catalog: Box<dyn Catalog>,
    pub blobs: Arc<dyn BlobStore>,
    pub recovery: RecoveryReport,
}

/// Opens the engine in this directory. Its long work ends when `closing` begins.
///
/// # Errors
/// As for [`Options::open`].
pub(crate) fn open(
    path: &Path,
    options: &Options,
    closing: &Closing,
    buffers: &Arc<Buffers>,
) -> Result<Opened> {
    let (engine, recovery) = Engine::open(path, options, closing, buffers)?;
    Ok(Opened {
        blobs: Arc::new(engine.blob_store()),
        catalog: Box::new(engine),
        recovery,
    })
}
