//! The protocol of S3, on the crate `s3s`: it checks signatures, takes chunked bodies apart, and turns XML and headers
//! into values. What a request does is in the modules of this one.
//!
//! A bucket is a namespace, and an object is the current one of its key, as in the protocol of COS. So both protocols
//! see the same objects.

mod acl;
mod answers;
mod attributes;
mod auth;
mod body;
mod buckets;
mod checksums;
mod conditions;
mod copies;
mod cors;
mod deletions;
mod error;
mod front;
mod headers;
mod hoisted;
mod lifecycle;
mod listings;
mod objects;
mod parameters;
mod ranges;
mod reads;
mod refused;
mod uploads;
mod versions;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use partstore::Key;
use partstore_tokio::AsyncPartStore;

pub use front::S3Front;

use crate::rules::Current;

/// What requests work on.
#[derive(Clone)]
struct Objects {
    store: AsyncPartStore,
    rules: Arc<Current>,
    /// How long a client may be silent in the middle of a body.
    patience: Duration,
}

/// The name of an object, in the store's words.
fn key(bucket: &str, key: &str) -> Key {
    Key::new(bucket, key)
}
