//! What the fuzz targets share.

use std::path::Path;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use partstore::fuzzing::Row;

/// A directory in memory where there is one.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() {
        tempfile::tempdir_in(shm)
    } else {
        tempfile::tempdir()
    };
    made.expect("a directory")
}

/// A row within its limits, of a known tree.
#[derive(Arbitrary, Clone, Debug)]
pub struct AnyRow {
    tree: u8,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl From<AnyRow> for Row {
    fn from(row: AnyRow) -> Self {
        let cut = |mut bytes: Vec<u8>, len| {
            bytes.truncate(len);
            bytes
        };
        Self {
            tree: row.tree % 7 + 1,
            key: cut(row.key, 1100),
            value: row.value.map(|value| cut(value, 4000)),
        }
    }
}

/// A change of one byte somewhere.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Damage {
    at: u32,
    by: u8,
}

impl Damage {
    /// Changes one of `bytes`, if there are any.
    pub fn apply(self, bytes: &mut [u8]) {
        let len = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(self.at as usize % len) {
            *byte ^= self.by;
        }
    }
}
