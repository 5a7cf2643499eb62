//! Where the store is, and what happens to it at the end.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::Result;
use crate::args::Args;

/// The store's directory. A temporary one is removed when this is dropped.
pub struct Place {
    pub store: PathBuf,
    pub fate: &'static str,
    _temporary: Option<TempDir>,
}

impl Place {
    pub fn choose(args: &Args) -> Result<Self> {
        if let Some(store) = args.dir.clone() {
            return Ok(Self {
                store,
                fate: "kept",
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("partstore-upload-")
            .disable_cleanup(args.keep)
            .tempdir()?;
        Ok(Self {
            store: temporary.path().join("store"),
            fate: if args.keep { "kept" } else { "removed" },
            _temporary: Some(temporary),
        })
    }
}
