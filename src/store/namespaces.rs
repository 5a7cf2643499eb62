//! Namespaces: created, removed, listed, and limited by quotas.

use super::PartStore;
use crate::values::key;
use crate::{Error, ListNamespaces, Namespace, NamespacePage, Quota, Result, rules};

impl PartStore {
    /// Creates a namespace, such as a bucket. On `Ok` it is durable.
    ///
    /// # Cost
    /// One sync of the journal, and some 200 bytes of memory while the store is open.
    ///
    /// # Errors
    /// - [`Error::NamespaceExists`]: a namespace has this name.
    /// - [`Error::InvalidArgument`], [`Error::KeyTooLong`]: the name is empty, holds a NUL, or is longer than
    ///   [`MAX_NAMESPACE_LEN`](crate::MAX_NAMESPACE_LEN).
    /// - [`Error::StorageFull`], [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the disk is
    ///   full, or the store has stopped, is damaged or closed.
    /// - [`Error::Index`], [`Error::Io`]: the index or a system call failed.
    pub fn create_namespace(&self, name: &str, quota: Quota) -> Result<()> {
        key::check_namespace(name)?;
        self.change(|session| session.catalog.create_namespace(name, quota))
    }

    /// Removes a namespace that holds nothing: no objects and no open uploads. On `Ok` that is durable.
    ///
    /// # Errors
    /// - [`Error::NoSuchNamespace`]: it does not exist.
    /// - [`Error::NamespaceNotEmpty`]: it holds something.
    /// - [`Error::InvalidArgument`]: it is the default one.
    /// - Others as for [`create_namespace`](Self::create_namespace).
    pub fn remove_namespace(&self, name: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::InvalidArgument {
                argument: "namespace",
                found: name.to_owned(),
                expected: "one that was created; the default one always exists",
            });
        }
        self.change(|session| session.catalog.remove_namespace(name))
    }

    /// Sets what a namespace may hold. An empty name means the default one. On `Ok` that is durable.
    ///
    /// # Errors
    /// - [`Error::NoSuchNamespace`]: it does not exist.
    /// - Others as for [`create_namespace`](Self::create_namespace).
    pub fn set_quota(&self, name: &str, quota: Quota) -> Result<()> {
        self.change(|session| session.catalog.set_quota(name, quota))
    }

    /// Returns what a namespace holds, and may hold. An empty name means the default one.
    ///
    /// # Cost
    /// None that grows with what it holds. The first call reads at most 256 rows.
    ///
    /// # Errors
    /// - [`Error::NoSuchNamespace`]: it does not exist.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        self.session()?.catalog.namespace(name)
    }

    /// Lists a page of the namespaces, in the order of their names' bytes, without the default one.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the limit is 0, or above 1,000 with
    ///   [`PageLimit::Refuse`](crate::PageLimit::Refuse).
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn list_namespaces(&self, query: &ListNamespaces) -> Result<NamespacePage> {
        let session = self.session()?;
        let limit = rules::page_len(&session.options, "max-buckets", query.limit)?;
        session.catalog.namespaces(&query.after, limit)
    }
}
