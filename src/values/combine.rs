//! The checksums of an object, from those of its parts.

use super::checksum::Algorithms;
use super::crc::Combined;
use super::hasher::Hasher;
use crate::{Checksum, ChecksumAlgorithm, Checksums};

/// The checksums of all bytes of an object, for every algorithm that combines. `parts` gives the checksums
/// and the size of each part. An algorithm is left out if a part lacks its checksum.
pub(crate) fn whole(parts: &(impl Iterator<Item = (Checksums, u64)> + Clone)) -> Checksums {
    let all = ChecksumAlgorithm::ALL.into_iter();
    let combining = all.filter(|algorithm| algorithm.combines());
    combining
        .filter_map(|algorithm| combined(parts.clone(), algorithm))
        .collect()
}

fn combined(
    mut parts: impl Iterator<Item = (Checksums, u64)>,
    algorithm: ChecksumAlgorithm,
) -> Option<Checksum> {
    let mut combined = Combined::new(algorithm)?;
    parts.try_for_each(|(known, size)| {
        combined.push(known.get(algorithm)?.crc()?, size);
        Some(())
    })?;
    Checksum::of_crc(algorithm, combined.crc())
}

/// The checksums of the parts' checksums, for these algorithms. One is left out if a part lacks its
/// checksum.
pub(crate) fn composite(
    parts: &(impl Iterator<Item = (Checksums, u64)> + Clone),
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
