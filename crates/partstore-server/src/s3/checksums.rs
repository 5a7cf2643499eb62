//! Checksums: as requests declare them, in headers, trailers and XML, and as answers have them.

use hyper::HeaderMap;
use partstore::{Checksum, ChecksumAlgorithm, Checksums, Object};
use s3s::S3Result;
use s3s::dto::{Checksum as Answer, ChecksumType};

use super::error;

/// The algorithms of the protocol, with their names in headers and XML.
const ALGORITHMS: [(ChecksumAlgorithm, &str); 5] = [
    (ChecksumAlgorithm::Crc32, "crc32"),
    (ChecksumAlgorithm::Crc32c, "crc32c"),
    (ChecksumAlgorithm::Crc64Nvme, "crc64nvme"),
    (ChecksumAlgorithm::Sha1, "sha1"),
    (ChecksumAlgorithm::Sha256, "sha256"),
];
const HEADER: &str = "x-amz-checksum-";

/// The algorithm of this name, such as `CRC32`.
pub fn algorithm(name: &str) -> S3Result<ChecksumAlgorithm> {
    let found = ALGORITHMS
        .iter()
        .find(|(_, known)| name.eq_ignore_ascii_case(known));
    let unknown = || {
        error::new(
            "InvalidRequest",
            format!("unknown checksum algorithm {name}"),
        )
    };
    found.map(|(algorithm, _)| *algorithm).ok_or_else(unknown)
}

/// The checksums in `x-amz-checksum-*` headers, or trailers.
pub fn declared(headers: &HeaderMap) -> S3Result<Checksums> {
    let mut checksums = Checksums::new();
    for (algorithm, name) in ALGORITHMS {
        let Some(value) = headers.get(format!("{HEADER}{name}")) else {
            continue;
        };
        let text = value.to_str().unwrap_or_default();
        checksums = checksums.with(parse(algorithm, text)?);
    }
    Ok(checksums)
}

/// One checksum as base64, without the number of parts that a composite one may have.
pub fn parse(algorithm: ChecksumAlgorithm, text: &str) -> S3Result<Checksum> {
    let value = text.split_once('-').map_or(text, |(value, _)| value);
    let parsed = Checksum::from_base64(algorithm, value);
    parsed.map_err(|_| {
        let message = format!("the checksum {algorithm} is not one in base64: {text:?}");
        error::new("InvalidRequest", message)
    })
}

/// The algorithms that a request names: whose checksums come in its trailer, or are to be computed.
pub fn announced(headers: &HeaderMap) -> S3Result<Vec<ChecksumAlgorithm>> {
    let mut found = Vec::new();
    for trailers in headers.get_all("x-amz-trailer") {
        let names = trailers.to_str().unwrap_or_default().split(',');
        for name in names.filter_map(|name| name.trim().strip_prefix(HEADER)) {
            found.push(algorithm(name)?);
        }
    }
    for header in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"] {
        if let Some(name) = headers.get(header) {
            found.push(algorithm(name.to_str().unwrap_or_default())?);
        }
    }
    Ok(found)
}

/// Makes an answer with these checksums, and with the fields that are given.
macro_rules! with_checksums {
    ($named:expr, $answer:ident { $($fields:tt)* }) => {{
        let named = $named;
        $answer {
            checksum_crc32: named.crc32,
            checksum_crc32c: named.crc32c,
            checksum_crc64nvme: named.crc64nvme,
            checksum_sha1: named.sha1,
            checksum_sha256: named.sha256,
            $($fields)*
        }
    }};
}
pub(super) use with_checksums;

/// Checksums by name, as XML and headers have them.
#[derive(Default)]
pub struct Named {
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
}

impl Named {
    /// Those of a part.
    pub fn of(checksums: &Checksums) -> Self {
        Self::by(|algorithm| Some(checksums.get(algorithm)?.to_base64()))
    }

    /// Those of an object: composite ones if its upload asked for them.
    pub fn of_object(object: &Object) -> Self {
        if is_composite(object) {
            Self::by(|algorithm| object.composite_base64(algorithm))
        } else {
            Self::of(&object.checksums)
        }
    }

    fn by(text: impl Fn(ChecksumAlgorithm) -> Option<String>) -> Self {
        Self {
            crc32: text(ChecksumAlgorithm::Crc32),
            crc32c: text(ChecksumAlgorithm::Crc32c),
            crc64nvme: text(ChecksumAlgorithm::Crc64Nvme),
            sha1: text(ChecksumAlgorithm::Sha1),
            sha256: text(ChecksumAlgorithm::Sha256),
        }
    }

    pub fn any(&self) -> bool {
        let all = [
            &self.crc32,
            &self.crc32c,
            &self.crc64nvme,
            &self.sha1,
            &self.sha256,
        ];
        all.iter().any(|text| text.is_some())
    }

    /// The checksums that these texts say.
    pub fn parsed(&self) -> S3Result<Checksums> {
        let texts = [
            &self.crc32,
            &self.crc32c,
            &self.crc64nvme,
            &self.sha1,
            &self.sha256,
        ];
        let mut checksums = Checksums::new();
        for ((algorithm, _), text) in ALGORITHMS.iter().zip(texts) {
            if let Some(text) = text {
                checksums = checksums.with(parse(*algorithm, text)?);
            }
        }
        Ok(checksums)
    }

    pub fn answer(self, kind: ChecksumType) -> Answer {
        with_checksums!(
            self,
            Answer {
                checksum_type: Some(kind),
            }
        )
    }
}

pub fn is_composite(object: &Object) -> bool {
    object.composite != Checksums::new()
}

pub fn type_of(object: &Object) -> ChecksumType {
    let kind = if is_composite(object) {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    };
    ChecksumType::from_static(kind)
}
