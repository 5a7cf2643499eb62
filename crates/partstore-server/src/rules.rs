//! What SIGHUP reads again: who may do what, and what names mean.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::Failure;
use crate::args::Args;
use crate::keys::Keys;

/// What holds for a request. A request has the same rules from its begin to its end.
pub struct Rules {
    /// `None`: anybody may do anything.
    pub keys: Option<Keys>,
    /// Domains whose labels before them are buckets.
    pub domains: Vec<String>,
    /// Origins whose pages may use every bucket.
    pub cors_origins: Vec<String>,
    /// The region of buckets whose host does not name one.
    pub region: String,
}

impl Rules {
    pub fn load(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            keys: Keys::load(args.keys.as_deref())?,
            domains: args
                .domain
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            cors_origins: args.cors_origin.clone(),
            region: args.region.clone(),
        })
    }
}

/// The rules that hold now.
pub struct Current(RwLock<Arc<Rules>>);

impl Current {
    pub fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    pub fn get(&self) -> Arc<Rules> {
        self.0.read().clone()
    }

    pub fn set(&self, rules: Rules) {
        *self.0.write() = Arc::new(rules);
    }
}
