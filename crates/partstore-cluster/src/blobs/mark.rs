//! The mark: an object in the bucket, of which the database knows the name. A server that is given another bucket, or
//! a directory that is not mounted, does not find it there, and opens nothing.
//!
//! The name has the id of the store in it, and a number of its own: `partstore-ID-NUMBER`. So a server sees whose marks lie in
//! a bucket, and of two servers that write one at once, only one has the mark that the database knows.

use std::io::{self, ErrorKind};

use partstore::backend::Location;
use partstore::{Error, Result};

use super::{Bucket, text_of};
use crate::session::{Session, StoreRow};

/// What the name of a mark begins with. No blob's does.
pub(super) const PREFIX: &str = "partstore-";
/// All names of marks sort before this.
pub(super) const BEHIND: &str = "partstore-g";
/// How many hex digits the id of a store has, and the number behind it.
const DIGITS: (usize, usize) = (32, 16);

/// What stands in it, for a person.
pub(super) const TEXT: &str =
    "The bytes beside this belong to a store of partstore. Its servers look for this name.\n";

/// So many blobs of a store without a mark are looked for.
const SAMPLE: i64 = 16;

/// Whether this is the name of a mark, of this store or of another.
pub(super) fn is_mark(name: &str) -> bool {
    store_of(name).is_some()
}

/// The id of the store whose mark has this name.
fn store_of(name: &str) -> Option<&str> {
    let (store, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let is_hex = |text: &str| text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_right = (store.len(), number.len()) == DIGITS && is_hex(store) && is_hex(number);
    is_right.then_some(store)
}

/// A bucket that is to be opened.
pub(crate) struct Candidate<'a> {
    pub bucket: &'a dyn Bucket,
    /// For a person.
    pub address: &'a str,
    /// Whether a store may be made there.
    pub create: bool,
    /// Whether it becomes the store's, whatever is there.
    pub adopt: bool,
}

impl Candidate<'_> {
    /// Passes if the bucket is the store's, and writes the mark of a store that has none.
    ///
    /// # Errors
    /// - [`Error::NotAStore`]: it is another bucket.
    /// - [`Error::NoSuchStore`]: a store would be made there, and none may be.
    /// - [`Error::NoRandomness`], [`Error::Unavailable`], [`Error::Io`].
    pub fn require_mark(&self, session: &Session) -> Result<()> {
        let store = session.store()?;
        let Some(mark) = &store.mark else {
            return self.mark_first(session, &store);
        };
        match self.bucket.has(mark) {
            Ok(true) => return self.bucket.prepare(),
            Ok(false) => {}
            // Some stores say so of what does not exist.
            Err(_) if self.adopt => {}
            Err(error) => return Err(error),
        }
        if self.adopt {
            return self.write(session, &store);
        }
        Err(self.refused(format!(
            "it does not have {mark}, which the store's bucket has: it is another, it is not mounted, or it was emptied"
        )))
    }

    /// Passes if only this store has a mark there.
    ///
    /// # Errors
    /// [`Error::NotAStore`], [`Error::Unavailable`], [`Error::Io`].
    pub fn require_alone(&self, session: &Session) -> Result<()> {
        self.refuse_others(&session.store()?)
    }

    fn refuse_others(&self, store: &StoreRow) -> Result<()> {
        let marks = self.bucket.marks()?;
        let other = marks.iter().find(|mark| store_of(mark) != Some(&store.id));
        other.map_or(Ok(()), |mark| {
            Err(self.refused(format!(
                "it has the bytes of another store, whose mark is {mark}"
            )))
        })
    }

    /// Writes the mark of a store that has none, if the bucket can be its own.
    fn mark_first(&self, session: &Session, store: &StoreRow) -> Result<()> {
        if !self.adopt {
            let names = session.some_names(SAMPLE)?;
            if names.is_empty() {
                self.require_free(store)?;
            } else {
                self.require_all(&names)?;
            }
        }
        match self.write(session, store) {
            // Who makes no store may only want to read. A server writes the mark later.
            Err(Error::Io { source, .. }) if !self.create && is_of_rights(&source) => Ok(()),
            written => written,
        }
    }

    /// Passes if a new store may be made there.
    fn require_free(&self, store: &StoreRow) -> Result<()> {
        if !self.create {
            return Err(Error::NoSuchStore {
                path: self.address.into(),
            });
        }
        self.refuse_others(store)?;
        if self.has_blobs()? {
            return Err(self.refused(
                "it has bytes, and the database knows none; they may be another database's"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Passes if all of these are there.
    fn require_all(&self, names: &[Location]) -> Result<()> {
        let mut there = 0;
        for name in names {
            there += usize::from(self.bucket.has(&text_of(name))?);
        }
        if there < names.len() {
            return Err(self.refused(format!(
                "it has {there} of {} objects that the database knows: it is another, it is not mounted, or it has lost some",
                names.len()
            )));
        }
        Ok(())
    }

    fn has_blobs(&self) -> Result<bool> {
        let mut has = false;
        let listed = self.bucket.list(&mut |listed| {
            has = !listed.names.is_empty();
            // Nothing more needs to be listed.
            if has { Err(Error::Closed) } else { Ok(()) }
        });
        if has {
            return Ok(true);
        }
        listed.map(|()| false)
    }

    /// Writes a mark, and makes it the store's in place of the one that it had. Of several servers at once, one does.
    fn write(&self, session: &Session, store: &StoreRow) -> Result<()> {
        let mark = fresh(&store.id)?;
        self.bucket.write_mark(&mark)?;
        session.replace_mark(store.mark.as_deref(), &mark)?;
        let found = session.store()?.mark;
        if found.as_ref() == Some(&mark) {
            if store.mark.is_none() {
                self.remove_strays(store, &mark);
            }
            return self.bucket.prepare();
        }
        // Another server was first. Its bucket must be this one.
        let is_same = found.map_or(Ok(false), |found| self.bucket.has(&found));
        let _ = self.bucket.remove_mark(&mark);
        if is_same? {
            return self.bucket.prepare();
        }
        Err(self.refused(
            "another server has opened the store with another bucket at the same time".to_owned(),
        ))
    }

    /// Removes what first opens have left that failed. A server whose mark is among them finds the one that counts.
    fn remove_strays(&self, store: &StoreRow, mark: &str) {
        let marks = self.bucket.marks().unwrap_or_default();
        let strays = marks.iter().filter(|name| *name != mark);
        for stray in strays.filter(|name| store_of(name) == Some(&store.id)) {
            let _ = self.bucket.remove_mark(stray);
        }
    }

    fn refused(&self, reason: String) -> Error {
        Error::NotAStore {
            path: self.address.into(),
            reason,
        }
    }
}

fn is_of_rights(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

fn fresh(store: &str) -> Result<String> {
    let mut random = [0; DIGITS.1 / 2];
    getrandom::fill(&mut random).map_err(|cause| Error::NoRandomness {
        cause: cause.to_string(),
    })?;
    Ok(format!("{PREFIX}{store}-{}", hex::encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_mark_is_one() {
        let store = "0123456789abcdef0123456789abcdef";
        let mark = fresh(store).unwrap();
        assert_eq!(store_of(&mark), Some(store));
        for name in [
            "partstore-",
            "partstore-notes.txt",
            "partstore-b/00/0011-22",
            &mark[1..],
            &mark[..mark.len() - 1],
            &format!("{mark}0"),
            &mark.replace('0', "g"),
        ] {
            assert!(!is_mark(name), "{name}");
        }
        let last = fresh(&"f".repeat(DIGITS.0)).unwrap();
        assert!(PREFIX < last.as_str() && last.as_str() < BEHIND);
    }
}
