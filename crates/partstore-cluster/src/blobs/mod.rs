//! Where bytes are kept: a bucket of an object store, or a directory that all servers share.
//!
//! A name is used once, and a token has it before anything is stored under it. So nothing is ever renamed,
//! replaced, or found by listing.

mod bucket;
mod directory;
mod mark;
mod trust;

use partstore::Result;
use partstore::backend::{BlobStore, Location};

pub(crate) use bucket::ObjectBucket;
pub use bucket::ObjectStorage;
pub(crate) use directory::SharedDirectory;
pub(crate) use mark::Candidate;
pub(crate) use trust::Trust;

/// A name whose object is to be removed, and the id of an upload to the bucket that may be under way there.
pub(crate) struct Doomed {
    pub location: Location,
    pub multipart: Option<String>,
}

/// Some of what is stored.
#[derive(Default)]
pub(crate) struct Listed {
    pub names: Vec<Location>,
    pub marks: Vec<String>,
    /// What is not the store's.
    pub foreign: u64,
}

impl Listed {
    /// So many names are visited at a time.
    const MOST: usize = 1000;

    fn is_full(&self) -> bool {
        self.names.len() >= Self::MOST
    }

    /// Takes a text that [`text_of`] may have made.
    fn add(&mut self, text: &str) {
        match name_of(text) {
            Some(name) if text_of(&name) == text => self.names.push(name),
            _ if mark::is_mark(text) => self.marks.push(text.to_owned()),
            _ => self.foreign += 1,
        }
    }
}

/// A blob store, and what the catalog's sweep asks of it.
pub(crate) trait Bucket: BlobStore {
    /// Removes objects, and says of each whether it may have existed, or why it could not be removed. One that
    /// does not exist is removed. Each may be removed again.
    ///
    /// # Errors
    /// [`Error::Closed`](partstore::Error::Closed).
    fn remove(&self, names: &[Doomed]) -> Result<Vec<Result<bool>>>;

    /// Visits all names that are stored, some at a time, and what has no name that this crate gives. Nothing
    /// else lists.
    ///
    /// # Errors
    /// As for [`remove`](Self::remove), and those of the visitor.
    fn list(&self, visit: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()>;

    /// Whether something has this name.
    ///
    /// # Errors
    /// [`Error::Unavailable`](partstore::Error::Unavailable), [`Error::Io`](partstore::Error::Io).
    fn has(&self, name: &str) -> Result<bool>;

    /// Makes what is missing for bytes to be put.
    ///
    /// # Errors
    /// [`Error::NoSuchStore`](partstore::Error::NoSuchStore): it may not be made. [`Error::Io`](partstore::Error::Io).
    fn prepare(&self) -> Result<()>;

    /// The names of all marks, if the bucket lists in order.
    ///
    /// # Errors
    /// As for [`has`](Self::has).
    fn marks(&self) -> Result<Vec<String>>;

    /// Writes a mark durably.
    ///
    /// # Errors
    /// As for [`has`](Self::has).
    fn write_mark(&self, name: &str) -> Result<()>;

    /// Removes a mark that is nobody's.
    ///
    /// # Errors
    /// As for [`has`](Self::has).
    fn remove_mark(&self, name: &str) -> Result<()>;

    /// Remembers that another server found this one damaged.
    fn distrust(&self, location: &Location);
}

/// The text of a name: `<first level>/<session>-<number>`, in hex digits.
pub(crate) fn text_of(location: &Location) -> String {
    let (session, number) = location.0.split_at(location.0.len().min(8));
    let last = location.0.last().copied().unwrap_or_default();
    format!(
        "{last:02x}/{}-{}",
        hex::encode(session),
        hex::encode(number)
    )
}

fn name_of(text: &str) -> Option<Location> {
    let (_, name) = text.split_once('/')?;
    let (session, number) = name.split_once('-')?;
    let name = [hex::decode(session).ok()?, hex::decode(number).ok()?].concat();
    (name.len() == 16).then_some(Location(name))
}
