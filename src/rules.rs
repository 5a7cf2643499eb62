#![doc = include_str!("../docs/rules.md")]

// The checks below are pure: they read and change nothing but their arguments.

use crate::{
    Checksum, ChecksumAlgorithm, Checksums, CompleteOptions, CompletedPart, Condition, ETag, Error,
    Key, MinimumAt, Numbering, ObjectETag, Options, PageLimit, PartNumber, PartOptions, Result,
    UploadId, UploadOptions,
};

/// The longest page, entries (R16).
pub(crate) const MAX_PAGE: u32 = 1000;

/// Checks R1 and R3 for a body that has not come yet.
pub(crate) fn check_announced(
    limits: &Options,
    number: PartNumber,
    options: &PartOptions,
) -> Result<()> {
    if number > limits.max_part_number {
        let found = number.to_string();
        return Err(Error::InvalidPartNumber { found });
    }
    let maximum = limits.max_part_size;
    match options.length.filter(|declared| *declared > maximum) {
        Some(proposed) => Err(Error::EntityTooLarge { proposed, maximum }),
        None => Ok(()),
    }
}

/// Checks R3 and R8 while the body comes in, so that it is refused at the first byte too many.
pub(crate) fn check_received(limits: &Options, options: &PartOptions, received: u64) -> Result<()> {
    let maximum = limits.max_part_size;
    if received > maximum {
        return Err(Error::EntityTooLarge {
            proposed: received,
            maximum,
        });
    }
    match options.length {
        Some(declared) if received > declared => Err(Error::IncompleteBody { declared, received }),
        _ => Ok(()),
    }
}

/// Checks R8 at the end of the body.
pub(crate) fn check_length(options: &PartOptions, received: u64) -> Result<()> {
    match options.length {
        Some(declared) if received != declared => Err(Error::IncompleteBody { declared, received }),
        _ => Ok(()),
    }
}

/// Checks R4 for servers that want it at put.
pub(crate) fn check_minimum(limits: &Options, number: PartNumber, size: u64) -> Result<()> {
    let minimum = limits.min_part_size;
    if limits.min_size_at == MinimumAt::Put && size < minimum {
        return Err(Error::EntityTooSmall {
            number,
            etag: None,
            size,
            minimum,
        });
    }
    Ok(())
}

/// Checks R7, and the other checksums that a client may declare, against those of the body.
///
/// # Errors
/// [`Error::BadDigest`]. [`Error::InvalidArgument`] for a checksum that was not computed.
pub(crate) fn check_digests(declared: &Checksums, computed: &Checksums) -> Result<()> {
    for expected in declared.iter() {
        let algorithm = expected.algorithm();
        let found = computed.get(algorithm).ok_or_else(|| Error::InvalidArgument {
            argument: "checksum",
            found: algorithm.to_string(),
            expected: "an algorithm that was asked for before the body, or when the upload was initiated",
        })?;
        if found != expected {
            return Err(Error::BadDigest {
                algorithm: algorithm.name(),
                expected: expected.to_hex(),
                found: found.to_hex(),
            });
        }
    }
    Ok(())
}

/// Checks that a checksum behind the body does not contradict one that was declared before it. One of the
/// two cannot be the body's.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub(crate) fn check_trailer(declared: &Checksums, trailer: &Checksums) -> Result<()> {
    let contradicts = |checksum: &Checksum| {
        let before = declared.get(checksum.algorithm());
        before.is_some_and(|before| before != *checksum)
    };
    match trailer.iter().find(contradicts) {
        Some(checksum) => Err(Error::InvalidArgument {
            argument: "checksum",
            found: format!("two values of {}", checksum.algorithm()),
            expected: "one value, before the body or behind it",
        }),
        None => Ok(()),
    }
}

/// Checks that an upload asks for composite checksums only of algorithms that have them. S3 has none of a
/// CRC-64, because that of the whole follows from those of the parts.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub(crate) fn check_composite(options: &UploadOptions) -> Result<()> {
    let crc64 = |algorithm: &ChecksumAlgorithm| {
        matches!(
            algorithm,
            ChecksumAlgorithm::Crc64Xz | ChecksumAlgorithm::Crc64Nvme
        )
    };
    match options.composite.iter().find(crc64) {
        Some(algorithm) => Err(Error::InvalidArgument {
            argument: "composite",
            found: algorithm.to_string(),
            expected: "an algorithm other than a CRC-64, which only all bytes of an object have",
        }),
        None => Ok(()),
    }
}

/// Checks what a call wants the current object of a key to be.
///
/// # Errors
/// [`Error::PreconditionFailed`]. [`Error::NoSuchKey`] if the key has no object, and must have one with a
/// certain ETag.
pub fn check_condition(
    condition: Condition,
    key: &Key,
    current: Option<(UploadId, ObjectETag)>,
) -> Result<()> {
    let holds = match (condition, current) {
        (Condition::Always, _) | (Condition::IfAbsent, None) => true,
        (Condition::IfMatch(_), None) => return Err(key.not_found()),
        (Condition::IfMatch(wanted), Some((_, etag))) => wanted == etag,
        (Condition::IfCurrent(wanted), Some((id, _))) => wanted == id,
        (Condition::IfAbsent, Some(_)) | (Condition::IfCurrent(_), None) => false,
    };
    if holds {
        return Ok(());
    }
    Err(Error::PreconditionFailed { key: key.clone() })
}

/// Checks R19.
pub(crate) fn check_not_empty(list: &[CompletedPart]) -> Result<()> {
    if list.is_empty() {
        return Err(Error::EmptyPartList);
    }
    Ok(())
}

/// Checks R21 and R23.
pub(crate) fn check_order(numbering: Numbering, list: &[CompletedPart]) -> Result<()> {
    let pairs = || list.iter().zip(list.iter().skip(1));
    if let Some((before, after)) = pairs().find(|(before, after)| after.number <= before.number) {
        let (previous, number) = (before.number, after.number);
        return Err(Error::InvalidPartOrder { previous, number });
    }
    let gap = pairs().find(|(before, after)| after.number.get() != before.number.get() + 1);
    match gap {
        Some((_, after)) if numbering == Numbering::Consecutive => {
            let reason = "the part before it is not listed, and numbers must be consecutive";
            Err(unusable(after, reason))
        }
        _ => Ok(()),
    }
}

/// Checks R22: a listed part has the ETag and the checksums that the client knows.
pub(crate) fn check_current(line: &CompletedPart, etag: ETag, known: &Checksums) -> Result<()> {
    if line.etag != etag {
        let reason = "it was replaced since; it has another ETag now";
        return Err(unusable(line, reason));
    }
    for checksum in line.checksums.iter() {
        if known.get(checksum.algorithm()) != Some(checksum) {
            let reason = "it does not have the checksum that is listed";
            return Err(unusable(line, reason));
        }
    }
    Ok(())
}

/// Checks that a completion says in one way what it replaces.
pub(crate) fn check_one_successor(options: &CompleteOptions) -> Result<()> {
    match &options.replaced {
        Some(replaced) if options.current.is_some() => Err(Error::InvalidArgument {
            argument: "replacing",
            found: replaced.id().to_string(),
            expected: "none where the object becomes the current one of its key",
        }),
        _ => Ok(()),
    }
}

/// Checks what a completion declares about the whole object.
///
/// # Errors
/// [`Error::BadDigest`]. [`Error::InvalidArgument`] for a checksum that the object does not have.
/// [`Error::IncompleteBody`] for another size.
pub(crate) fn check_whole(
    options: &CompleteOptions,
    size: u64,
    (checksums, composite): (&Checksums, &Checksums),
) -> Result<()> {
    if let Some(declared) = options.size.filter(|declared| *declared != size) {
        let received = size;
        return Err(Error::IncompleteBody { declared, received });
    }
    check_digests(&options.declared, checksums)?;
    check_digests(&options.declared_composite, composite)
}

/// The error of R20: a listed part does not exist.
pub(crate) fn never_put(line: &CompletedPart) -> Error {
    unusable(line, "it was never put")
}

/// Checks R4: every listed part other than the last has the smallest size or more. `listed` gives number,
/// ETag and size of each.
pub(crate) fn check_sizes(
    minimum: u64,
    listed: impl ExactSizeIterator<Item = (PartNumber, ETag, u64)>,
) -> Result<()> {
    let all_but_last = listed.len().saturating_sub(1);
    match listed
        .take(all_but_last)
        .find(|(_, _, size)| *size < minimum)
    {
        Some((number, etag, size)) => Err(Error::EntityTooSmall {
            number,
            etag: Some(etag),
            size,
            minimum,
        }),
        None => Ok(()),
    }
}

/// Returns the length of an upload's metadata, bytes, if it is allowed.
pub(crate) fn metadata_len(limits: &Options, metadata: &[u8]) -> Result<u32> {
    let (length, maximum) = (metadata.len(), limits.max_metadata_len);
    let fits = u32::try_from(length).ok().filter(|_| length <= maximum);
    fits.ok_or(Error::MetadataTooLarge { length, maximum })
}

fn unusable(line: &CompletedPart, reason: &'static str) -> Error {
    Error::InvalidPart {
        number: line.number.to_string(),
        etag: line.etag.to_string(),
        reason,
    }
}

/// Checks R16: COS refuses what S3 clamps, and neither accepts 0. Without a limit, the page has the
/// greatest length.
pub(crate) fn page_len(
    limits: &Options,
    argument: &'static str,
    limit: Option<u32>,
) -> Result<usize> {
    match limit.unwrap_or(MAX_PAGE) {
        asked @ 1..=MAX_PAGE => Ok(asked as usize),
        asked if asked > 0 && limits.page_limit == PageLimit::Clamp => Ok(MAX_PAGE as usize),
        asked => Err(Error::InvalidArgument {
            argument,
            found: asked.to_string(),
            expected: "an integer in 1..=1000",
        }),
    }
}
