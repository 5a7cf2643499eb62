//! Parameters. A request that writes may have those that its operation knows: others may ask for something else, and
//! `PUT /key?acl` must not replace the object. A request that reads may have any but those that ask for another document.

use crate::cos::honoured;
use crate::cos::refusal::Refusal;
use crate::cos::service::Call;

/// Parameters that ask for another document than the object or the listing, in lower case.
const DOCUMENTS: [&str; 40] = [
    "accelerate",
    "acl",
    "append",
    "asyncfetch",
    "attributes",
    "cors",
    "delete",
    "domain",
    "domaincertificate",
    "encryption",
    "exif",
    "intelligent-tiering",
    "intelligenttiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "list-type",
    "live",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "origin",
    "ownershipcontrols",
    "policy",
    "policystatus",
    "publicaccessblock",
    "referer",
    "replication",
    "requestpayment",
    "retention",
    "symlink",
    "tagging",
    "torrent",
    "uploads",
    "versioning",
    "versions",
    "vod",
    "website",
];
/// The same, whatever follows: they process an image or another medium.
const PROCESSES: [&str; 6] = [
    "ci-",
    "image",
    "qrcode",
    "style",
    "watermark",
    "x-cos-process",
];

/// Parameters of signatures, and of COS where a header of that name may stand.
fn is_of_every_request(name: &str) -> bool {
    name.starts_with("q-") || name == "sign" || name == "versionid"
}

impl Call {
    /// For a request that writes: refuses parameters that its operation does not know.
    pub fn writing(self, known: &[&str]) -> Result<Self, Refusal> {
        let is_known = |name: &str| {
            is_of_every_request(name)
                || (name.starts_with("x-cos-") && honoured::is_known(name))
                || known.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        self.refuse(|name| !is_known(name))
    }

    /// For a request that reads: refuses parameters that ask for another document, but the one that it is for.
    pub fn reading(self, document: Option<&str>) -> Result<Self, Refusal> {
        let is_another = |name: &str| {
            let is_document = DOCUMENTS.contains(&name)
                || PROCESSES.iter().any(|process| name.starts_with(process));
            is_document && document != Some(name)
        };
        self.refuse(is_another)
    }

    fn refuse(self, is_refused: impl Fn(&str) -> bool) -> Result<Self, Refusal> {
        if let Some((name, _)) = self.query.pairs().find(|(name, _)| is_refused(name)) {
            return Err(Refusal::not_supported(format!(
                "this server does not know ?{name} here"
            )));
        }
        Ok(self)
    }

    /// Refuses a version other than that of a bucket without versions.
    pub fn without_version(self) -> Result<Self, Refusal> {
        check_version(self.query.get("versionId").unwrap_or_default())?;
        Ok(self)
    }
}

/// A bucket without versions has one of each object: `null`. Clients also give an empty name, and mean none.
pub fn check_version(version: &str) -> Result<(), Refusal> {
    match version {
        "" | "null" => Ok(()),
        _ => Err(Refusal::invalid_argument(
            "this bucket has no versions, so there is none of this versionId",
        )),
    }
}
