//! [`Hasher`]: computes the checksums of one algorithm.

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::{Checksum, ChecksumAlgorithm};

/// Computes one checksum, piece by piece.
pub(crate) enum Hasher {
    Md5(Md5),
    Crc(ChecksumAlgorithm, crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |of_crate| Self::Crc(algorithm, crc_fast::Digest::new(of_crate));
        match algorithm {
            ChecksumAlgorithm::Md5 => Self::Md5(Md5::new()),
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Xz => crc(CrcAlgorithm::Crc64Xz),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5.update(bytes),
            Self::Crc(_, crc) => crc.update(bytes),
            Self::Sha1(sha) => sha.update(bytes),
            Self::Sha256(sha) => sha.update(bytes),
        }
    }

    pub(crate) fn finalize(self) -> Checksum {
        match self {
            Self::Md5(md5) => Checksum::Md5(md5.finalize().into()),
            Self::Crc(algorithm, crc) => {
                let of_crc = Checksum::of_crc(algorithm, crc.finalize());
                of_crc.unwrap_or(Checksum::Crc32(0))
            }
            Self::Sha1(sha) => Checksum::Sha1(sha.finalize().into()),
            Self::Sha256(sha) => Checksum::Sha256(sha.finalize().into()),
        }
    }
}
