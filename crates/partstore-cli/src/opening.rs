//! Opens the store: never makes one by accident, and never changes what its server relies on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use partstore::{Background, Options, PartStore};

use crate::args::Place;
use crate::failure::{Done, Failure};

/// The format that this program makes of older ones.
const NEWEST_FORMAT: u32 = 4;

/// The directory of the store.
pub fn path(place: &Place) -> Done<&Path> {
    let path = place.store().map(PathBuf::as_path);
    path.ok_or_else(|| {
        Failure::Usage("no store is named; say --store DIR, or set PARTSTORE_STORE".into())
    })
}

/// Opens the store. If `create`, one is made where none exists.
pub fn open(place: &Place, create: bool) -> Done<PartStore> {
    let path = path(place)?;
    check(place, path)?;
    let options = if create {
        options()
    } else {
        options().must_exist()
    };
    Ok(options.open(path)?)
}

/// What a server's store allows, this allows, too. Each command does its housekeeping itself.
pub fn options() -> Options {
    Options::s3().background(Background::Host)
}

/// Refuses what opening would change without a word: the format, and the owner of files.
pub fn check(place: &Place, path: &Path) -> Done {
    if !place.as_root {
        check_owner(path)?;
    }
    match format(path) {
        Some(format) if format < NEWEST_FORMAT && !place.upgrade => {
            Err(Failure::OlderFormat(format!(
                "the store at {} has format {format}, and opening it makes it one of format {NEWEST_FORMAT}, which older servers refuse; \
                 say --upgrade if its server is new enough",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Root may open every store, and would leave files that its server cannot write.
fn check_owner(path: &Path) -> Done {
    let is_root = rustix::process::geteuid().is_root();
    let owner = fs::metadata(path).map_or(0, |found| found.uid());
    if is_root && owner != 0 {
        return Err(Failure::Permission(format!(
            "the store at {} belongs to the user {owner}, and files that root makes there would be root's; \
             run this as that user (sudo -u '#{owner}' partstore ...), or say --as-root",
            path.display()
        )));
    }
    Ok(())
}

/// The format that the file `FORMAT` names. `None` if it cannot be told: opening the store then says why.
pub fn format(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path.join("FORMAT")).ok()?;
    let number = text.strip_prefix("partstore format\n")?;
    number.trim_end().parse().ok()
}
