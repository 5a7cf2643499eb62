//! The mark: an object in the bucket, of which the database knows the name. A server that is given another bucket, or
//! a directory that is not mounted, does not find it there, and opens nothing.
//!
//! The name has the id of the store in it, and a number of its own: `partstore-ID-NUMBER`. So a server sees whose marks lie in
//! a bucket, and of two servers that write one at once, only one has the mark that the database knows.

use std::io::{self, ErrorKind};

use partstore::backend::Location;
use partstore::{Error, Result};

use super::{Bucket, text_of};
use crate::session::{Session, StoreRow, random};

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
    /// Whether it becomes the store's alone, whatever is there.
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
        if self.adopt {
            return self.adopt(session, &store);
        }
        let Some(mark) = &store.mark else {
            return self.mark_first(session, &store);
        };
        if self.bucket.has(mark)? {
            return self.bucket.prepare();
        }
        Err(self.refused(format!(
            "it does not have {mark}, which the store's bucket has: it is another, it is not mounted, or it was emptied"
        )))
    }

    /// Makes it the bucket of this store alone. The store has another id from then on: if its rows are a copy of another's, it
    /// does not pass for that one any more.
    fn adopt(&self, session: &Session, store: &StoreRow) -> Result<()> {
        if session.has_company()? {
            return Err(Error::Unavailable {
                cause:
                    "the bucket cannot be adopted while the store has other servers or commands; \
                        end them, and wait until their leases are over"
                        .to_owned(),
            });
        }
        let id = hex::encode(random::<{ DIGITS.0 / 2 }>()?);
        let mark = self.write(session, store, &id, Other::MayBe)?;
        // Servers of another store are to find no mark of theirs.
        for other in self.bucket.marks()? {
            if other != mark {
                self.bucket.remove_mark(&other)?;
            }
        }
        Ok(())
    }

    /// Refuses a bucket with the mark of another store.
    ///
    /// # Errors
    /// [`Error::NotAStore`].
    pub fn refuse_others(&self, store: &StoreRow, marks: &[String]) -> Result<()> {
        let other = marks.iter().find(|mark| store_of(mark) != Some(&store.id));
        other.map_or(Ok(()), |mark| {
            Err(self.refused(format!("it is another store's, whose mark is {mark}")))
        })
    }

    /// Writes the mark of a store that has none, if the bucket can be its own.
    fn mark_first(&self, session: &Session, store: &StoreRow) -> Result<()> {
        let names = session.some_names(SAMPLE)?;
        if names.is_empty() {
            self.require_free(session, store)?;
            return self
                .write(session, store, &store.id, Other::Refused)
                .map(drop);
        }
        self.require_all(session, &names)?;
        match self.write(session, store, &store.id, Other::MayBe) {
            // Who makes no store may only want to read, and a full disk is to be made emptier. A later open writes the mark.
            Err(Error::Io { source, .. }) if !self.create && is_of_rights(&source) => Ok(()),
            Err(Error::StorageFull { .. }) => Ok(()),
            written => written.map(drop),
        }
    }

    /// Passes if a new store may be made there.
    fn require_free(&self, session: &Session, store: &StoreRow) -> Result<()> {
        if !self.create {
            return Err(Error::NoSuchStore {
                path: self.address.into(),
            });
        }
        self.refuse_others(store, &self.bucket.marks()?)?;
        if self.has_foreign_blobs(session)? {
            return Err(self.refused(
                "it has bytes, and the database knows none; they may be another database's"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Passes if all of these are there, or are gone because they were removed.
    fn require_all(&self, session: &Session, names: &[Location]) -> Result<()> {
        let mut missing = Vec::new();
        for name in names {
            if !self.bucket.has(&text_of(name))? {
                missing.push(name.clone());
            }
        }
        if missing.is_empty() || !session.knows_any(&missing)? {
            return Ok(());
        }
        Err(self.refused(format!(
            "it lacks {} of {} objects that the database knows: it is another, it is not mounted, or it has lost some",
            missing.len(),
            names.len()
        )))
    }

    /// Whether it has blobs, none of which the database knows.
    fn has_foreign_blobs(&self, session: &Session) -> Result<bool> {
        let mut found = None;
        let listed = self.bucket.list(&mut |listed| {
            if listed.names.is_empty() {
                return Ok(());
            }
            let names = &listed.names;
            found = Some(!session.knows_any(names)? && !session.dooms_any(names)?);
            // Nothing more needs to be listed.
            Err(Error::Closed)
        });
        match found {
            Some(foreign) => Ok(foreign),
            None => listed.map(|()| false),
        }
    }

    /// Writes a mark, and makes it the store's in place of the one that it had. Of several servers at once, one does. Returns
    /// the mark that the store has then.
    fn write(&self, session: &Session, store: &StoreRow, id: &str, other: Other) -> Result<String> {
        // Whatever fails here must not have changed what the database knows.
        self.bucket.prepare()?;
        let mark = fresh(id)?;
        let written = self.bucket.write_mark(&mark).and_then(|()| match other {
            // Another new store may have looked at the same time.
            Other::Refused => self.refuse_others(store, &self.bucket.marks()?),
            Other::MayBe => Ok(()),
        });
        if let Err(error) = written {
            let _ = self.bucket.remove_mark(&mark);
            return Err(error);
        }
        session.replace_mark(store.mark.as_deref(), id, &mark)?;
        let found = session.store()?.mark.unwrap_or_default();
        if found == mark {
            return Ok(mark);
        }
        // Another server was first. Its bucket must be this one.
        let is_same = self.bucket.has(&found);
        let _ = self.bucket.remove_mark(&mark);
        if is_same? {
            return Ok(found);
        }
        Err(self.refused(
            "another server has opened the store with another bucket at the same time".to_owned(),
        ))
    }

    /// The refusal of this bucket.
    pub fn refused(&self, reason: String) -> Error {
        Error::NotAStore {
            path: self.address.into(),
            reason,
        }
    }
}

/// What the mark of another store in the same bucket means.
#[derive(Clone, Copy)]
enum Other {
    MayBe,
    Refused,
}

fn is_of_rights(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

fn fresh(store: &str) -> Result<String> {
    let number = random::<{ DIGITS.1 / 2 }>()?;
    Ok(format!("{PREFIX}{store}-{}", hex::encode(number)))
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
