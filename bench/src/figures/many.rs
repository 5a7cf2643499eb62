//! Stores with many parts.

use std::path::Path;

use partstore::{CompletedPart, ListParts, Options, PartNumber, PartStore, Result, Upload};
use partstore_bench::at_once;
use partstore_bench::bodies::body;

/// Parts of an upload.
pub const PARTS: u32 = 10_000;
/// Uploads of a store with 100,000 parts.
pub const UPLOADS: u32 = 10;
const FILLERS: u32 = 16;
const LEN: usize = 64;

pub fn options() -> Options {
    Options::cos().min_part_size(0)
}

/// Makes so many uploads, and fills them with parts that are all different.
pub fn filled(store: &PartStore, uploads: u32) -> Result<Vec<Upload>> {
    let each = (0..uploads).map(|round| {
        let upload = store.initiate_upload("bench/many")?;
        fill(store, &upload, round)?;
        Ok(upload)
    });
    each.collect()
}

/// Puts 10,000 small parts that no other `round` has.
pub fn fill(store: &PartStore, upload: &Upload, round: u32) -> Result<()> {
    let filled = at_once(FILLERS, |thread| {
        for number in (1 + thread..=PARTS).step_by(FILLERS as usize) {
            let body = body(LEN, u64::from(round) << 32 | u64::from(number));
            store.put_part(upload, PartNumber::new(number)?, body)?;
        }
        Ok(())
    });
    filled.map(drop)
}

/// The list that completes the upload.
pub fn all_parts(store: &PartStore, upload: &Upload) -> Result<Vec<CompletedPart>> {
    let (mut list, mut after) = (Vec::new(), 0);
    loop {
        let page = store.list_parts(upload, &ListParts::new().marker(after))?;
        list.extend(page.parts.iter().map(CompletedPart::from));
        match page.next {
            Some(next) => after = u32::from(next.get()),
            None => return Ok(list),
        }
    }
}

/// Makes the next opening one after a kill: nothing says that the store was closed.
pub fn forget_the_close(root: &Path) {
    std::fs::remove_file(root.join("meta/CLEAN")).expect("the marker");
}
