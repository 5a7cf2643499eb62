//! The mark: an object in the bucket, of which the database knows the name. A server that is given another bucket, or
//! a directory that is not mounted, does not find it there, and opens nothing.

use partstore::{Error, Result};

use super::{Bucket, text_of};
use crate::session::Session;

/// What the name of a mark begins with. No blob's does.
const PREFIX: &str = "partstore-";

/// What stands in it, for a person.
pub(super) const TEXT: &str =
    "The bytes beside this belong to a store of partstore. Its servers look for this name.\n";

/// So many blobs of a store without a mark are looked for.
const SAMPLE: i64 = 16;

/// Whether this is the name of a mark, of this store or of another.
pub(super) fn is_mark(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Passes if the bucket is the store's, and writes the mark of a store that has none. If `adopt`, it becomes the
/// store's.
///
/// # Errors
/// - [`Error::NotAStore`]: the bucket, whose address is `address`, lacks the mark, or a store without a mark has blobs, and
///   none of them is there.
/// - [`Error::NoSuchStore`]: its directory is missing, and may not be made.
/// - [`Error::NoRandomness`], [`Error::Unavailable`], [`Error::Io`].
pub(crate) fn require_mark(
    session: &Session,
    bucket: &dyn Bucket,
    address: &str,
    adopt: bool,
) -> Result<()> {
    let known = session.mark()?;
    let foreign = match &known {
        Some(mark) if bucket.has(mark)? => return bucket.prepare(),
        Some(mark) => Some(format!(
            "it does not have {mark}, which the store's bucket has: it is another, it is not mounted, or it was emptied"
        )),
        None => has_none(session, bucket)?,
    };
    if let Some(reason) = foreign.filter(|_| !adopt) {
        return Err(Error::NotAStore {
            path: address.into(),
            reason,
        });
    }
    write(session, bucket, known.as_deref(), address)
}

/// Why the bucket cannot be the one of a store that was never marked.
fn has_none(session: &Session, bucket: &dyn Bucket) -> Result<Option<String>> {
    let names = session.some_names(SAMPLE)?;
    for name in &names {
        if bucket.has(&text_of(name))? {
            return Ok(None);
        }
    }
    Ok((!names.is_empty()).then(|| {
        format!(
            "it has none of {} objects that the database knows: it is another, it is not mounted, or it was emptied",
            names.len()
        )
    }))
}

/// Writes a mark, and makes it the store's in place of `known`. Of several servers at once, one does.
fn write(session: &Session, bucket: &dyn Bucket, known: Option<&str>, address: &str) -> Result<()> {
    let mark = fresh()?;
    bucket.prepare()?;
    bucket.write_mark(&mark)?;
    session.replace_mark(known, &mark)?;
    match session.mark()? {
        Some(found) if found == mark => Ok(()),
        // Another server was first. Its bucket must be this one.
        Some(found) => {
            bucket.remove_mark(&mark)?;
            if bucket.has(&found)? {
                return Ok(());
            }
            Err(Error::NotAStore {
                path: address.into(),
                reason: "another server has opened the store with another bucket at the same time"
                    .to_owned(),
            })
        }
        None => Err(Error::Unavailable {
            cause: "the database has forgotten the mark of the bucket".to_owned(),
        }),
    }
}

fn fresh() -> Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|cause| Error::NoRandomness {
        cause: cause.to_string(),
    })?;
    Ok(format!("{PREFIX}{}", hex::encode(random)))
}
