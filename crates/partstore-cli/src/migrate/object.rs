//! One object: compared, then put as a whole or [part by part](super::staged).

use partstore::{
    Condition, Error, Key, ObjectOptions, ObjectReader, Part, PartOptions, PartReader, Upload,
};

use super::Work;
use super::same::{Likeness, likeness};
use crate::failure::{Done, Failure};
use crate::interrupt;

/// The most bytes of a step.
const STEP: usize = 2 << 20;

/// What a migration did with an object.
#[derive(Clone, Copy)]
pub enum Became {
    Migrated,
    Present,
}

impl Work<'_> {
    pub fn one(&self, key: &Key) -> Done<Became> {
        let source = self.source.open_key(key)?;
        let found = self.compare(&source, key)?;
        if let Some((Likeness::Same, _)) = found {
            return Ok(Became::Present);
        }
        let done = self.bring(&source, key, found);
        // Whoever failed may have done it all the same: the answer was lost, or another migration was quicker.
        match (self.compare(&source, key)?, done) {
            (Some((Likeness::Same, _)), _) => Ok(Became::Migrated),
            (_, Err(failure)) => Err(failure),
            (_, Ok(())) => Err(Failure::Refused(
                "the cluster does not have what was put; if somebody else writes there, stop that, and run this again".into(),
            )),
        }
    }

    fn bring(&self, source: &ObjectReader, key: &Key, found: Option<(Likeness, Upload)>) -> Done {
        match found {
            None => self.put(source, key, Condition::IfAbsent),
            Some(_) if !self.migrate.mirror => Err(Failure::Refused(
                "the cluster has another object under this key, which was left; --mirror replaces it".into(),
            )),
            Some((Likeness::OtherMetadata, there)) => {
                let metadata = source.object().metadata.clone();
                self.target.store().replace_metadata(&there, metadata)?;
                self.bar.inc(source.object().size);
                Ok(())
            }
            Some((_, there)) => self.put(source, key, Condition::IfCurrent(there.id())),
        }
    }

    /// The object that the cluster has under the key, and how it is like this one.
    fn compare(&self, source: &ObjectReader, key: &Key) -> Done<Option<(Likeness, Upload)>> {
        match self.target.store().open_key(key) {
            Ok(found) => {
                let likeness = likeness(source, &found)?;
                Ok(Some((likeness, found.object().upload.clone())))
            }
            Err(Error::NoSuchKey { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn put(&self, source: &ObjectReader, key: &Key, condition: Condition) -> Done {
        match whole(source)? {
            Some(part) => self.put_whole(source, &part, key, condition),
            None => self.put_staged(source, key, condition),
        }
    }

    /// One step: nothing half-made can be found, and what was sent of it is removed by a sweep.
    fn put_whole(
        &self,
        source: &ObjectReader,
        part: &Part,
        key: &Key,
        condition: Condition,
    ) -> Done {
        let options = ObjectOptions::new()
            .body(declared(part))
            .metadata(source.object().metadata.clone())
            .only(condition);
        let store = self.target.giving(part.etag)?;
        let mut writer = store.object_writer(key, options)?;
        self.pour(source.part(part.number)?, |bytes| writer.append(bytes))?;
        writer.finish()?;
        Ok(())
    }

    /// Reads a part, whose blocks are compared with their checksums, to its end.
    pub fn pour(
        &self,
        mut part: PartReader,
        mut into: impl FnMut(&[u8]) -> partstore::Result<()>,
    ) -> Done {
        loop {
            interrupt::check()?;
            let chunk = part.next_chunk(STEP)?;
            if chunk.is_empty() {
                return Ok(());
            }
            into(&chunk)?;
            self.bar.inc(chunk.len() as u64);
        }
    }
}

/// The only part of an object that is just as if its bytes were put as a whole.
fn whole(source: &ObjectReader) -> Done<Option<Part>> {
    let object = source.object();
    let mut parts = source.parts();
    let (Some(only), None) = (parts.next().transpose()?, parts.next()) else {
        return Ok(None);
    };
    let part = only.part;
    let is_whole = is_whole(source)
        && part.number.get() == 1
        && object.composite.iter().next().is_none()
        && object.checksums == part.checksums;
    Ok(Some(part).filter(|_| is_whole))
}

/// Whether the ETag is that of bytes that were put as a whole: it names no number of parts.
pub fn is_whole(source: &ObjectReader) -> bool {
    !source.object().etag.to_string().contains('-')
}

/// What the cluster must find in the bytes, and what it computes of them.
pub fn declared(part: &Part) -> PartOptions {
    let length = PartOptions::new().content_length(part.size);
    part.checksums.iter().fold(length, PartOptions::checksum)
}
