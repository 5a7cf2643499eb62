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
}

impl Rules {
    pub fn load(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            keys: Keys::load(args.keys.as_deref())?,
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
