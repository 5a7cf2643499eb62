//! The plain map that the store is compared with, and what it says each call must answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use md5::{Digest as _, Md5};
use partstore::{CompletedPart, ETag, Numbering, Object, Part, PartNumber, Upload, UploadInfo};

use super::steps::{BODIES, List};
use crate::fixture::bytes;

/// Bytes and their digests, taken by other code than the store's.
pub struct Body {
    pub bytes: Vec<u8>,
    pub md5: [u8; 16],
    pub content: String,
    pub crc32: u32,
    pub crc64: u64,
}

pub static POOL: LazyLock<Vec<Body>> = LazyLock::new(|| {
    let seeded = |(seed, len): (u64, &usize)| Body::of(bytes(seed, *len));
    (1..).zip(&BODIES).map(seeded).collect()
});

impl Body {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            md5: Md5::digest(&bytes).into(),
            content: blake3::hash(&bytes).to_string(),
            crc32: crc32fast::hash(&bytes),
            crc64: crc64(&bytes),
            bytes,
        }
    }

    /// Whether `part` is what putting these bytes must answer.
    pub fn assert_is(&self, part: &Part) {
        assert_eq!(part.size, self.bytes.len() as u64);
        assert_eq!(part.etag, ETag::from_md5(self.md5));
        assert_eq!(part.content.to_string(), self.content);
        assert_eq!((part.crc32, part.crc64), (self.crc32, self.crc64));
    }
}

pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, bytes)
}

/// One upload, open or completed.
pub struct Entry {
    pub info: UploadInfo,
    /// Each part as it was answered, and its bytes by their place in the pool.
    pub parts: BTreeMap<PartNumber, (Part, usize)>,
    /// The list that completed it, and what that answered.
    pub object: Option<(Vec<CompletedPart>, Object)>,
}

impl Entry {
    pub fn bytes(&self) -> Vec<u8> {
        let bodies = self.parts.values();
        bodies
            .flat_map(|(_, body)| POOL[*body].bytes.iter().copied())
            .collect()
    }

    pub fn etag(&self) -> String {
        let md5s: Vec<u8> = self
            .parts
            .values()
            .flat_map(|(_, body)| POOL[*body].md5)
            .collect();
        format!("{}-{}", hex::encode(Md5::digest(md5s)), self.parts.len())
    }

    pub fn list(&self, which: &List) -> Vec<CompletedPart> {
        let mut all: Vec<_> = self.parts.values().map(|(part, _)| part.into()).collect();
        match which {
            List::All => {}
            List::Subset(mask) => {
                let mut at = 0;
                all.retain(|_: &CompletedPart| {
                    at += 1;
                    mask >> (at % 8) & 1 == 1
                });
            }
            List::WrongETag(at) => {
                let len = all.len().max(1);
                if let Some(line) = all.get_mut(at % len) {
                    line.etag = ETag::from_md5([7; 16]);
                }
            }
            List::Reversed => all.reverse(),
            List::Doubled => all.extend(all.last().copied()),
            List::WithMissing => {
                let number = PartNumber::new(9999).unwrap();
                let at = all.partition_point(|line| line.number < number);
                all.insert(at, CompletedPart::new(number, ETag::from_md5([7; 16])));
            }
            List::Empty => all.clear(),
            List::Again => {
                if let Some((list, _)) = &self.object {
                    all.clone_from(list);
                }
            }
        }
        all
    }

    /// The code with which a completion of this open upload must be refused.
    pub fn refusal(&self, list: &[CompletedPart], numbering: Numbering) -> Option<&'static str> {
        // R21 before R23: an order that does not ascend is named, whatever gaps there are.
        let steps = list.windows(2).map(|pair| (pair[0].number, pair[1].number));
        if steps.clone().any(|(before, after)| after <= before) {
            return Some("InvalidPartOrder");
        }
        let mut steps = steps.map(|(before, after)| after.get() - before.get());
        if numbering == Numbering::Consecutive && steps.any(|step| step != 1) {
            return Some("InvalidPart");
        }
        let known = |line: &CompletedPart| {
            self.parts
                .get(&line.number)
                .is_some_and(|(part, _)| part.etag == line.etag)
        };
        (!list.iter().all(known)).then_some("InvalidPart")
    }
}

/// Uploads and objects in the order in which uploads are listed: by key, then by id.
#[derive(Default)]
pub struct Expected {
    pub entries: BTreeMap<Upload, Entry>,
    /// All that were ever initiated, oldest first.
    pub names: Vec<Upload>,
}

/// One line of a listing of uploads.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Upload(UploadInfo),
    Common(String),
}

impl Expected {
    pub fn open(&self, upload: &Upload) -> Option<&Entry> {
        self.entries
            .get(upload)
            .filter(|entry| entry.object.is_none())
    }

    pub fn completed(&self, upload: &Upload) -> Option<&Entry> {
        self.entries
            .get(upload)
            .filter(|entry| entry.object.is_some())
    }

    pub fn open_uploads(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.object.is_none())
    }

    pub fn lines(&self, prefix: &str, delimiter: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        for entry in self.open_uploads() {
            let Some(rest) = entry.info.upload.key().strip_prefix(prefix) else {
                continue;
            };
            let rolled = rest.find(delimiter).filter(|_| !delimiter.is_empty());
            let line = match rolled {
                Some(at) => Line::Common(format!("{prefix}{}{delimiter}", &rest[..at])),
                None => Line::Upload(entry.info.clone()),
            };
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// The blobs that something refers to.
    pub fn contents(&self) -> BTreeSet<String> {
        self.all_parts()
            .map(|(part, _)| part.content.to_string())
            .collect()
    }

    pub fn all_parts(&self) -> impl Iterator<Item = &(Part, usize)> {
        self.entries.values().flat_map(|entry| entry.parts.values())
    }
}
