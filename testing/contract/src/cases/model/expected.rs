//! The bodies that are put, and what an entry of the map says of its bytes.

use std::sync::LazyLock;

use md5::{Digest as _, Md5};
use partstore::{CompletedPart, ETag, Part, PartNumber};
use partstore_model::map;

use super::steps::{BODIES, List};
use crate::support::bytes;

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
        assert_eq!(
            (part.checksums.crc32(), part.checksums.crc64_xz()),
            (Some(self.crc32), Some(self.crc64))
        );
    }
}

pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, bytes)
}

/// Bodies are known by their place in the pool.
pub type Entry = map::Entry<usize>;

/// What follows from the bodies of an entry.
pub trait Bodies {
    fn bytes(&self) -> Vec<u8>;
    fn etag(&self) -> String;
    fn list(&self, which: &List) -> Vec<CompletedPart>;
}

impl Bodies for Entry {
    fn bytes(&self) -> Vec<u8> {
        let bodies = self.parts.values();
        bodies
            .flat_map(|(_, body)| POOL[*body].bytes.iter().copied())
            .collect()
    }

    fn etag(&self) -> String {
        let md5s: Vec<u8> = self
            .parts
            .values()
            .flat_map(|(_, body)| POOL[*body].md5)
            .collect();
        format!("{}-{}", hex::encode(Md5::digest(md5s)), self.parts.len())
    }

    fn list(&self, which: &List) -> Vec<CompletedPart> {
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
}
