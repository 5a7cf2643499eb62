//! Whether a file has exactly the bytes of an object.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use partstore::ObjectReader;

use crate::failure::{Done, Failure};
use crate::interrupt;

/// Compares length and BLAKE3 hashes, part by part. The object's bytes are not read.
pub fn is_same(path: &Path, object: &ObjectReader) -> Done<bool> {
    let failed = |error| Failure::file("read", path)(error);
    let mut file = File::open(path).map_err(failed)?;
    let len = object.object().size;
    if file.metadata().map_err(failed)?.len() != len {
        return Ok(false);
    }
    for placed in object.parts() {
        let placed = placed?;
        let hash = hash_of(&mut (&mut file).take(placed.part.size), path)?;
        if hash.as_bytes() != placed.part.content.as_bytes() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The BLAKE3 hash of what a reader has.
pub fn hash_of(from: &mut impl Read, path: &Path) -> Done<blake3::Hash> {
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        interrupt::check()?;
        let read = from
            .read(&mut buffer)
            .map_err(Failure::file("read", path))?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(hash.finalize()),
            Some(bytes) => hash.update(bytes),
        };
    }
}
