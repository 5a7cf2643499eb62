//! What was asked of a store, and what it answered.

use md5::{Digest, Md5};
use partstore::{CompletedPart, ETag, Error, PartNumber};
use serde::{Deserialize, Serialize};

use super::keys::{Only, Way};

/// Bytes that follow from a number and a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Body {
    pub id: u16,
    pub len: u32,
}

impl Body {
    pub fn bytes(self) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(u64::from(self.id) << 32 | u64::from(self.len));
        std::iter::repeat_with(|| random.u8(..))
            .take(self.len as usize)
            .collect()
    }

    pub fn etag(self) -> ETag {
        ETag::from_md5(Md5::digest(self.bytes()).into())
    }

    pub fn completed(self, number: u16) -> CompletedPart {
        CompletedPart::new(number_of(number), self.etag())
    }
}

pub fn number_of(number: u16) -> PartNumber {
    PartNumber::new(number.into()).expect("workloads use valid numbers")
}

/// One call. Uploads are told apart by names that only the history knows, each used once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Two uploads may have the same key; then their metadata differ.
    Initiate {
        upload: String,
        key: String,
        metadata: Body,
    },
    Put {
        upload: String,
        number: u16,
        body: Body,
    },
    /// A body whose Content-MD5 is another's.
    PutRefused {
        upload: String,
        number: u16,
        body: Body,
    },
    Abort {
        upload: String,
    },
    Complete {
        upload: String,
        parts: Vec<(u16, Body)>,
        /// The object that it takes the place of. All completions of an upload name the same one: a
        /// repeated one removes nothing.
        #[serde(default)]
        replaced: Option<String>,
    },
    Remove {
        upload: String,
    },
    /// The file of a body is damaged, or removed, by somebody else, while the store is closed.
    /// A byte of a file of the truth is flipped while the store is closed: the index proves what it held.
    DamageTruth {
        file: String,
        offset: u64,
    },
    Damage {
        body: Body,
        /// The name of the file.
        content: String,
    },
    /// It may hold so many bytes.
    CreateNamespace {
        name: String,
        bytes: u64,
    },
    RemoveNamespace {
        name: String,
    },
    SetQuota {
        name: String,
        bytes: u64,
    },
    /// A key is given an object with this body, or loses the one that it has.
    SetKey {
        key: String,
        way: Way,
        body: Body,
        only: Only,
    },
    /// The object of a key gets other metadata.
    Describe {
        key: String,
        long: bool,
    },
    Sweep,
    Maintain,
    Close,
    Open,
}

impl Action {
    /// The upload that the call is about.
    pub fn upload(&self) -> Option<&str> {
        match self {
            Self::Initiate { upload, .. }
            | Self::Put { upload, .. }
            | Self::PutRefused { upload, .. }
            | Self::Abort { upload }
            | Self::Complete { upload, .. }
            | Self::Remove { upload } => Some(upload),
            Self::Damage { .. }
            | Self::DamageTruth { .. }
            | Self::CreateNamespace { .. }
            | Self::RemoveNamespace { .. }
            | Self::SetQuota { .. }
            | Self::SetKey { .. }
            | Self::Describe { .. }
            | Self::Sweep
            | Self::Maintain
            | Self::Close
            | Self::Open => None,
        }
    }

    /// The upload that the call completes in place of this object.
    pub fn successor_of(&self, object: &str) -> Option<&str> {
        match self {
            Self::Complete {
                upload,
                replaced: Some(replaced),
                ..
            } if replaced == object => Some(upload),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Ok,
    /// An error that promises that nothing was changed.
    Refused(String),
    /// The call did not return, or with an error after which only opening the store again tells.
    Unknown(String),
}

impl Outcome {
    pub fn of<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            // After the last a store accepts nothing until it is opened again.
            Err(error @ (Error::Poisoned { .. } | Error::Index { .. } | Error::Damaged { .. })) => {
                Self::Unknown(error.to_string())
            }
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub action: Action,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub calls: Vec<Call>,
    /// The store lies below a directory that it had to make.
    pub deep: bool,
}
