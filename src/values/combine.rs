//! The checksums of an object, from those of its parts.

use super::checksum::Algorithms;
use super::crc::Combined;
use super::hasher::Hasher;
use crate::{Checksum, ChecksumAlgorithm, Checksums};

/// The checksums of all bytes of an object, for every algorithm that combines. `parts` gives the checksums
/// and the size of each part. An algorithm is left out if a part lacks its checksum.
pub(crate) fn whole<'a>(parts: impl Iterator<Item = (&'a Checksums, u64)>) -> Checksums {
    let all = ChecksumAlgorithm::ALL.into_iter();
    let mut combining: Vec<_> = all
        .filter_map(|algorithm| Some((algorithm, Combined::new(algorithm)?)))
        .collect();
    for (known, size) in parts {
        combining.retain_mut(|(algorithm, combined)| {
            let crc = known.get(*algorithm).and_then(|checksum| checksum.crc());
            crc.inspect(|crc| combined.push(*crc, size)).is_some()
        });
    }
    combining
        .iter()
        .filter_map(|(algorithm, combined)| Checksum::of_crc(*algorithm, combined.crc()))
        .collect()
}

/// The checksums of the parts' checksums, for these algorithms. One is left out if a part lacks its
/// checksum.
pub(crate) fn composite<'a>(
    parts: &(impl Iterator<Item = (&'a Checksums, u64)> + Clone),
    algorithms: Algorithms,
) -> Checksums {
    let composite = |algorithm: ChecksumAlgorithm| {
        let mut hasher = Hasher::new(algorithm);
        parts.clone().try_for_each(|(known, _)| {
            hasher.update(&known.get(algorithm)?.to_bytes());
            Some(())
        })?;
        Some(hasher.finalize())
    };
    algorithms.iter().filter_map(composite).collect()
}
