//! Listings: the queries [`ListParts`], [`ListUploads`], [`ListKeys`], [`ListObjects`] and
//! [`ListNamespaces`], and the pages that answer them.

use std::time::SystemTime;

use crate::{
    ChecksumAlgorithm, Namespace, Object, ObjectETag, Part, PartNumber, UploadId, UploadInfo,
};

/// Which parts [`list_parts`](crate::PartStore::list_parts) lists. If nothing is set, these are the first
/// 1,000.
///
/// ```
/// let second_page = partstore::ListParts::new().marker(1000).limit(500);
/// # let _ = second_page;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListParts {
    pub(crate) marker: u32,
    pub(crate) limit: Option<u32>,
}

impl ListParts {
    /// Makes a query that lists parts from the first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists numbers above this one (`part-number-marker`). Any number is allowed; 0 lists all.
    #[must_use]
    pub fn marker(mut self, number: u32) -> Self {
        self.marker = number;
        self
    }

    /// Lists at most this many parts: `1..=1000`. Default 1,000.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Which open uploads [`list_uploads`](crate::PartStore::list_uploads) lists ([R32](crate::rules#r32)).
///
/// If nothing is set, these are the first 1,000 uploads of the default namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListUploads {
    pub(crate) namespace: String,
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) key_marker: Option<String>,
    pub(crate) id_marker: Option<UploadId>,
    pub(crate) limit: Option<u32>,
}

impl ListUploads {
    /// Makes a query that lists uploads from the first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists the uploads of this namespace. Default: those of the default one.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        self
    }

    /// Lists keys that begin with this.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Rolls up all keys that hold this text after the prefix. Each different beginning, up to and
    /// including the text, becomes one common prefix. An empty text rolls up nothing.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = Some(delimiter.into()).filter(|text| !text.is_empty());
        self
    }

    /// Lists keys after this one.
    #[must_use]
    pub fn key_marker(mut self, key: impl Into<String>) -> Self {
        self.key_marker = Some(key.into());
        self
    }

    /// With a [`key_marker`](Self::key_marker), also lists the uploads of that key after this id. Without a
    /// key marker it is ignored, as the protocol says.
    #[must_use]
    pub fn upload_id_marker(mut self, id: UploadId) -> Self {
        self.id_marker = Some(id);
        self
    }

    /// Lists at most this many uploads and common prefixes together: `1..=1000`. Default 1,000.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Which keys [`list_keys`](crate::PartStore::list_keys) lists.
///
/// If nothing is set, these are the first 1,000 keys of the default namespace.
///
/// ```
/// let folders = partstore::ListKeys::new().namespace("photos").prefix("2026/").delimiter("/");
/// # let _ = folders;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListKeys {
    pub(crate) namespace: String,
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) limit: Option<u32>,
}

impl ListKeys {
    /// Makes a query that lists keys from the first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists the keys of this namespace. Default: those of the default one.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        self
    }

    /// Lists keys that begin with this.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Rolls up all keys that hold this text after the prefix. Each different beginning, up to and
    /// including the text, becomes one common prefix. An empty text rolls up nothing.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = Some(delimiter.into()).filter(|text| !text.is_empty());
        self
    }

    /// Lists keys after this one (`marker`, `start-after`). It need not be a key. If it is a common
    /// prefix of this query, the keys that it stands for are left out.
    #[must_use]
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// Lists at most this many keys and common prefixes together: `0..=1000`. Default 1,000. A page of 0
    /// is empty, and counts as the last one.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Which namespaces [`list_namespaces`](crate::PartStore::list_namespaces) lists. If nothing is set, these
/// are the first 1,000.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListNamespaces {
    pub(crate) after: String,
    pub(crate) limit: Option<u32>,
}

impl ListNamespaces {
    /// Makes a query that lists namespaces from the first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists names after this one.
    #[must_use]
    pub fn after(mut self, name: impl Into<String>) -> Self {
        self.after = name.into();
        self
    }

    /// Lists at most this many namespaces: `1..=1000`. Default 1,000.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Which objects [`list_objects`](crate::PartStore::list_objects) lists. If nothing is set, these are the
/// first 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListObjects {
    pub(crate) marker: Option<UploadId>,
    pub(crate) limit: Option<u32>,
}

impl ListObjects {
    /// Makes a query that lists objects from the first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists the objects whose uploads were initiated after this one. `None` lists all.
    #[must_use]
    pub fn marker(mut self, id: impl Into<Option<UploadId>>) -> Self {
        self.marker = id.into();
        self
    }

    /// Lists at most this many objects: `1..=1000`. Default 1,000.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// One page of [`list_parts`](crate::PartStore::list_parts).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartPage {
    /// Parts by ascending number.
    pub parts: Vec<Part>,
    /// The marker of the next page (`NextPartNumberMarker`). `None` on the last page (`IsTruncated` is
    /// false).
    pub next: Option<PartNumber>,
}

/// One page of [`list_uploads`](crate::PartStore::list_uploads).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadPage {
    /// Uploads by key, then by initiation.
    pub uploads: Vec<UploadInfo>,
    /// The common prefixes, ascending. Each ends with the delimiter.
    pub common_prefixes: Vec<String>,
    /// The markers of the next page. `None` on the last page (`IsTruncated` is false).
    pub next: Option<UploadMarker>,
}

/// Where a page of uploads ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadMarker {
    /// `NextKeyMarker`: a key or a common prefix.
    pub key: String,
    /// `NextUploadIdMarker`. `None` after a common prefix.
    pub id: Option<UploadId>,
}

/// One page of [`list_keys`](crate::PartStore::list_keys).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPage {
    /// Keys in the order of their bytes.
    pub keys: Vec<KeyEntry>,
    /// The common prefixes, ascending. Each ends with the delimiter.
    pub common_prefixes: Vec<String>,
    /// The [marker](ListKeys::after) of the next page. `None` on the last page (`IsTruncated` is false).
    pub next: Option<String>,
}

/// A key and what a listing says of its current object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEntry {
    /// The key, without its namespace.
    pub key: String,
    /// The id of the object's upload.
    pub id: UploadId,
    /// Size of the object, bytes.
    pub size: u64,
    /// The ETag of the object.
    pub etag: ObjectETag,
    /// When the object was completed, or its metadata replaced.
    pub modified_at: SystemTime,
    /// The algorithms of the checksums of all its bytes.
    pub checksums: Vec<ChecksumAlgorithm>,
    /// The algorithms of the checksums of its parts' checksums.
    pub composite: Vec<ChecksumAlgorithm>,
}

/// One page of [`list_namespaces`](crate::PartStore::list_namespaces).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespacePage {
    /// Namespaces in the order of their names' bytes, without the default one.
    pub namespaces: Vec<Namespace>,
    /// The [marker](ListNamespaces::after) of the next page. `None` on the last page.
    pub next: Option<String>,
}

/// One page of [`list_objects`](crate::PartStore::list_objects).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectPage {
    /// Objects, in the order in which their uploads were initiated.
    pub objects: Vec<Object>,
    /// The marker of the next page. `None` on the last page.
    pub next: Option<UploadId>,
}
