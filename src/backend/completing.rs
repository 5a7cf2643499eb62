//! [`Completing`]: a completion as its caller asks for it, and what the rules say when it meets the parts.

use std::collections::HashMap;

use super::rows::{ObjectRow, PartRow};
use crate::values::checksum::Algorithms;
use crate::values::combine;
use crate::values::digest::etag_of_parts;
use crate::{
    CompleteOptions, CompletedPart, Condition, Options, PartNumber, Result, Upload, rules,
};

/// A completion. An engine hands it the upload's parts within its step, and does what it says.
#[derive(Clone, Copy, Debug)]
pub struct Completing<'a> {
    list: &'a [CompletedPart],
    options: &'a CompleteOptions,
    limits: &'a Options,
}

/// What a completion makes of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The object.
    pub object: ObjectRow,
    /// The parts that it does not have, ascending. They are removed.
    pub unlisted: Vec<PartNumber>,
}

impl<'a> Completing<'a> {
    /// # Errors
    /// [`Error::EmptyPartList`](crate::Error::EmptyPartList). [`Error::InvalidArgument`] if the options say
    /// in two ways what is replaced.
    ///
    /// [`Error::InvalidArgument`]: crate::Error::InvalidArgument
    pub(crate) fn new(
        list: &'a [CompletedPart],
        options: &'a CompleteOptions,
        limits: &'a Options,
    ) -> Result<Self> {
        rules::check_not_empty(list)?;
        rules::check_one_successor(options)?;
        Ok(Self {
            list,
            options,
            limits,
        })
    }

    /// Returns what identifies this completion: BLAKE3 of numbers and ETags. The same one again gets the same
    /// answer ([R25](crate::rules#r25)); an engine keeps it with the object.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for line in self.list {
            hasher.update(&line.number.get().to_be_bytes());
            hasher.update(line.etag.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Returns what the current object of the key must be, for this one to take its place. `None` leaves the
    /// key alone.
    #[must_use]
    pub fn condition(&self) -> Option<Condition> {
        self.options.current
    }

    /// Returns the object that is removed in the same step, whatever its key. Never together with a
    /// [condition](Self::condition).
    #[must_use]
    pub fn replaced(&self) -> Option<&'a Upload> {
        self.options.replaced.as_ref()
    }

    /// Judges the parts of the upload, which are given ascending by number. `composite` are the checksums
    /// that the upload asks for in this form.
    ///
    /// # Cost
    /// About a microsecond a part.
    ///
    /// # Errors
    /// Those of [`complete_upload_with`](crate::PartStore::complete_upload_with) that are about the list, the
    /// sizes and what is declared. Nothing may be changed then ([R27](crate::rules#r27)).
    pub fn judge(
        &self,
        composite: Algorithms,
        parts: impl IntoIterator<Item = (PartNumber, PartRow)>,
    ) -> Result<Verdict> {
        let numbering = self.options.numbering;
        rules::check_order(numbering.unwrap_or(self.limits.numbering), self.list)?;
        let wanted: HashMap<PartNumber, &CompletedPart> =
            self.list.iter().map(|line| (line.number, line)).collect();
        let (mut listed, mut unlisted) = (Vec::with_capacity(self.list.len()), Vec::new());
        for (number, part) in parts {
            match wanted.get(&number) {
                Some(line) => {
                    rules::check_current(line, part.etag, &part.checksums)?;
                    listed.push((number, part));
                }
                None => unlisted.push(number),
            }
        }
        let is_missing = |line: &&CompletedPart| {
            let found = listed.binary_search_by_key(&line.number, |(number, _)| *number);
            found.is_err()
        };
        if let Some(missing) = self.list.iter().find(is_missing) {
            return Err(rules::never_put(missing));
        }
        let sizes = listed.iter();
        let sizes = sizes.map(|(number, part)| (*number, part.etag, part.size));
        let minimum = self.options.min_part_size;
        rules::check_sizes(minimum.unwrap_or(self.limits.min_part_size), sizes)?;
        let object = object_of(&listed, composite);
        let sums = (&object.checksums, &object.composite);
        rules::check_whole(self.options, object.size, sums)?;
        Ok(Verdict { object, unlisted })
    }
}

fn object_of(parts: &[(PartNumber, PartRow)], composite: Algorithms) -> ObjectRow {
    let parts = || parts.iter().map(|(_, part)| part);
    let etag = etag_of_parts(parts().map(|part| part.etag));
    let sums = || parts().map(|part| (&part.checksums, part.size));
    ObjectRow {
        size: parts().map(|part| part.size).sum(),
        parts: etag.parts,
        etag,
        checksums: combine::whole(sums()),
        composite: combine::composite(&sums(), composite),
    }
}
