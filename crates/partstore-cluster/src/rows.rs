//! Values of partstore as columns, and back.

use partstore::backend::{Algorithms, BlockCrcs, Location, ObjectRow, PartRow, StoredBlob, Times};
use partstore::{
    Checksum, ChecksumAlgorithm, Checksums, ContentHash, ETag, Error, Key, Object, Part,
    PartNumber, Result, Upload, UploadId,
};
use tokio_postgres::Row;

use crate::session::time_of;

/// A row has something that this version does not write.
fn strange(what: &'static str) -> Error {
    Error::DamagedRow {
        tree: what,
        key: String::new(),
    }
}

pub(crate) fn bytes_of_checksums(sums: &Checksums, etag: Option<&ETag>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sum in sums.iter() {
        // The ETag says it already.
        if sum.algorithm() == ChecksumAlgorithm::Md5
            && etag.is_some_and(|etag| etag.md5().is_some())
        {
            continue;
        }
        let mask = Algorithms::default().with(sum.algorithm()).mask();
        bytes.extend_from_slice(&mask.to_be_bytes());
        bytes.extend_from_slice(&sum.to_bytes());
    }
    bytes
}

pub(crate) fn checksums(mut bytes: &[u8], etag: Option<&ETag>) -> Result<Checksums> {
    let mut sums = Checksums::new();
    if let Some(md5) = etag.and_then(ETag::md5) {
        sums = sums.with(Checksum::Md5(md5));
    }
    let wrong = || strange("checksums");
    while let Some((mask, rest)) = bytes.split_first_chunk::<2>() {
        let mask = Algorithms::from_mask(u16::from_be_bytes(*mask)).ok_or_else(wrong)?;
        let algorithm = mask.iter().next().ok_or_else(wrong)?;
        let (digest, rest) = rest
            .split_at_checked(algorithm.digest_len())
            .ok_or_else(wrong)?;
        sums = sums.with(Checksum::from_bytes(algorithm, digest).ok_or_else(wrong)?);
        bytes = rest;
    }
    Ok(sums)
}

pub(crate) fn algorithms(mask: i32) -> Result<Algorithms> {
    let mask = u16::try_from(mask).ok().and_then(Algorithms::from_mask);
    mask.ok_or_else(|| strange("algorithms"))
}

pub(crate) fn mask(algorithms: Algorithms) -> i32 {
    algorithms.mask().into()
}

/// Those of long blocks. Servers of earlier versions read no others.
pub(crate) fn bytes_of_crcs(crcs: &BlockCrcs) -> Vec<u8> {
    let long = crcs.with_long_blocks().crcs;
    long.iter().flat_map(|crc| crc.to_be_bytes()).collect()
}

pub(crate) fn content(bytes: &[u8]) -> Result<ContentHash> {
    let hash = bytes.try_into().map(ContentHash::from_bytes);
    hash.map_err(|_| strange("content"))
}

pub(crate) fn etag(bytes: &[u8]) -> Result<ETag> {
    if let Ok(md5) = bytes.try_into() {
        return Ok(ETag::from_md5(md5));
    }
    let digits = hex::encode(bytes);
    digits.parse().map_err(|_| strange("etag"))
}

pub(crate) fn id(bytes: &[u8]) -> Result<UploadId> {
    UploadId::from_bytes(bytes).ok_or_else(|| strange("id"))
}

pub(crate) fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| strange("key"))
}

pub(crate) fn size(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default()
}

pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The columns `name, size, crcs` of a blob, from the given one on.
pub(crate) fn stored(row: &Row, from: usize) -> StoredBlob {
    let crcs: &[u8] = row.get(from + 2);
    let crcs = crcs.chunks_exact(4);
    let crcs = crcs.map(|crc| u32::from_be_bytes(crc.try_into().unwrap_or_default()));
    StoredBlob {
        location: Location(row.get(from)),
        crcs: BlockCrcs {
            size: size(row.get(from + 1)),
            crcs: crcs.collect(),
        },
    }
}

/// What `part` reads.
pub(crate) const PART: &str = "p.number, p.content, p.size, p.etag, p.sums, p.stored";

/// The columns of [`PART`], from the given one on.
pub(crate) fn part(row: &Row, from: usize) -> Result<Part> {
    let number: i32 = row.get(from);
    let number = u32::try_from(number).ok().map(PartNumber::new);
    let number = number
        .and_then(Result::ok)
        .ok_or_else(|| strange("number"))?;
    let etag = etag(row.get(from + 3))?;
    let found = PartRow {
        size: size(row.get(from + 2)),
        content: content(row.get(from + 1))?,
        checksums: checksums(row.get(from + 4), Some(&etag))?,
        etag,
    };
    Ok(found.part(number, time_of(row.get(from + 5))))
}

/// What [`object`] reads.
pub(crate) const OBJECT: &str = "u.id, u.namespace, u.key, u.initiated, u.metadata, u.completed, \
    u.modified, u.size, u.parts, u.etag, u.sums, u.composite_sums";

/// How many columns [`OBJECT`] has.
pub(crate) const OBJECT_COLUMNS: usize = 12;

/// The columns of [`OBJECT`], from the first on.
pub(crate) fn object(row: &Row) -> Result<Object> {
    let upload = Upload::new(
        Key::new(text(row.get(1))?, text(row.get(2))?),
        id(row.get(0))?,
    );
    let etag: &str = row.get(9);
    let parts: i32 = row.get(8);
    let found = ObjectRow {
        size: size(row.get(7)),
        parts: u16::try_from(parts).map_err(|_| strange("parts"))?,
        etag: etag.parse().map_err(|_| strange("etag"))?,
        checksums: checksums(row.get(10), None)?,
        composite: checksums(row.get(11), None)?,
    };
    let times = Times {
        initiated_at: time_of(row.get(3)),
        completed_at: time_of(row.get(5)),
        modified_at: time_of(row.get(6)),
    };
    Ok(found.object(&upload, times, row.get(4)))
}
