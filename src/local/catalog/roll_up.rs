//! Prefix and delimiter of a listing, and where it begins in the order of names.

use std::ops::Bound;

use super::super::format::record::{object_key, prefix_of};
use crate::backend::Names;
use crate::values::namespace::NamespaceId;

/// Which keys a listing has, and which it rolls up to common prefixes.
pub(super) struct RollUp<'a> {
    pub namespace: NamespaceId,
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
}

/// Where reading begins, in the order of names.
pub(super) enum Start {
    At(Vec<u8>),
    After(Vec<u8>),
}

impl Start {
    pub(super) fn bound(&self) -> Bound<&[u8]> {
        match self {
            Self::At(name) => Bound::Included(name),
            Self::After(name) => Bound::Excluded(name),
        }
    }
}

impl<'a> RollUp<'a> {
    pub(super) fn of(namespace: NamespaceId, names: &Names<'a>) -> Self {
        Self {
            namespace,
            prefix: names.prefix,
            delimiter: names.delimiter,
        }
    }

    /// Where a listing begins after a key, whose name is given as well, or at the prefix. A listing after a
    /// common prefix begins behind all keys that were rolled up to it, if that is asked for. `None` if
    /// nothing stands there.
    pub(super) fn start(&self, after: Option<(&str, Vec<u8>, bool)>) -> Option<Start> {
        let Some((key, name, rolls_up)) = after.filter(|(key, ..)| *key >= self.prefix) else {
            return Some(Start::At(self.first()));
        };
        let first = self.first();
        if name < first {
            // The names of other namespaces stand there.
            return Some(Start::At(first));
        }
        match self
            .rolled_up(key)
            .filter(|common| *common == key && rolls_up)
        {
            Some(common) => self.behind(common).map(Start::At),
            None => Some(Start::After(name)),
        }
    }

    /// The first name that a key with the prefix may have.
    fn first(&self) -> Vec<u8> {
        let name = object_key(self.namespace, self.prefix);
        // The names of the default namespace stand behind those of all others.
        if name.is_empty() { vec![1] } else { name }
    }

    /// The common prefix that `key` is rolled up to: up to and including the first delimiter after the
    /// prefix.
    pub(super) fn rolled_up<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let behind = key.strip_prefix(self.prefix)?;
        let end = self.prefix.len() + behind.find(delimiter)? + delimiter.len();
        key.get(..end)
    }

    /// The first name that does not begin with `common`. `None` if the namespace has no such name.
    pub(super) fn behind(&self, common: &str) -> Option<Vec<u8>> {
        let mut bytes = common.as_bytes().to_vec();
        while let Some(last) = bytes.pop() {
            if let Some(next) = last.checked_add(1) {
                bytes.push(next);
                return Some([prefix_of(self.namespace), bytes].concat());
            }
        }
        None
    }
}
