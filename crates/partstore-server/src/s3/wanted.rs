//! What of an object a request wants: all of it, a range, or a part.

use std::ops::Range;

use partstore::{Object, ObjectPart};
use s3s::S3Result;

use super::checksums::Named;
use super::error;

/// What of an object a request wants.
pub struct Wanted {
    pub bytes: Range<u64>,
    /// Its checksums are those of the answer.
    part: Option<ObjectPart>,
    is_whole: bool,
}

impl Wanted {
    /// A part excludes a range.
    pub fn of(
        size: u64,
        range: Option<&s3s::dto::Range>,
        part: Option<ObjectPart>,
    ) -> S3Result<Self> {
        if let Some(part) = part {
            return Ok(Self {
                bytes: part.offset..part.offset + part.part.size,
                part: Some(part),
                is_whole: false,
            });
        }
        let Some(range) = range else {
            return Ok(Self {
                bytes: 0..size,
                part: None,
                is_whole: true,
            });
        };
        let bytes = range.check(size).map_err(|_| {
            let mut refused = error::new("InvalidRange", "the range is not in the object");
            let mut headers = hyper::HeaderMap::new();
            if let Ok(value) = format!("bytes */{size}").parse() {
                headers.insert(hyper::header::CONTENT_RANGE, value);
            }
            refused.set_headers(headers);
            refused
        })?;
        Ok(Self {
            bytes,
            part: None,
            is_whole: false,
        })
    }

    pub fn content_range(&self, size: u64) -> Option<String> {
        // An empty part has no first byte.
        let last = self.bytes.end.checked_sub(1)?;
        (!self.is_whole && self.bytes.start <= last)
            .then(|| format!("bytes {}-{last}/{size}", self.bytes.start))
    }

    pub fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// The checksums of all that is answered. A range of bytes has none.
    pub fn checksums(&self, object: &Object) -> Named {
        match &self.part {
            Some(placed) => Named::of(&placed.part.checksums),
            None if self.is_whole => Named::of_object(object),
            None => Named::default(),
        }
    }
}
