//! [`Namespace`]: what a bucket is to a server. [`Usage`] and [`Quota`]: how much it holds, and may hold.

use std::time::SystemTime;

/// Which namespace a row belongs to. The default one is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespaceId(pub u32);

impl NamespaceId {
    pub(crate) const DEFAULT: Self = Self(0);
}

/// A namespace: a set of keys with a name of its own, such as a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// Its name. It is empty for the default namespace.
    pub name: String,
    /// When it was created, by the host's clock, to the millisecond. `None` for the default namespace.
    pub created_at: Option<SystemTime>,
    /// What it may hold.
    pub quota: Quota,
    /// What it holds.
    pub usage: Usage,
}

/// What a namespace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Keys that have a current object.
    pub keys: u64,
    /// Objects, also those that are not the current one of their key.
    pub objects: u64,
    /// Sizes of all parts, of objects and of open uploads, bytes. Bytes that several parts have count for
    /// each of them.
    pub bytes: u64,
    /// Open uploads.
    pub open_uploads: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.open_uploads += other.open_uploads;
    }

    /// Whether the namespace holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a namespace may hold. A call that would hold more is refused with
/// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded).
///
/// A quota may be below the usage. Then only calls that add are refused.
///
/// ```
/// let quota = partstore::Quota::new().bytes(10 << 30).keys(1_000_000);
/// # let _ = quota;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub(crate) bytes: Option<u64>,
    pub(crate) keys: Option<u64>,
}

impl Quota {
    /// Makes a quota without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most bytes, inclusive, as [`Usage::bytes`] counts them.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sets the most keys, inclusive, as [`Usage::keys`] counts them.
    #[must_use]
    pub fn keys(mut self, keys: u64) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Returns the most bytes, if they are limited.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Returns the most keys, if they are limited.
    #[must_use]
    pub fn max_keys(&self) -> Option<u64> {
        self.keys
    }
}

/// How a usage changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UsageChange {
    pub keys: i64,
    pub objects: i64,
    pub bytes: i64,
    pub open_uploads: i64,
}

impl UsageChange {
    const NONE: Self = Self {
        keys: 0,
        objects: 0,
        bytes: 0,
        open_uploads: 0,
    };
    /// An open upload becomes an object.
    pub(crate) const OF_COMPLETION: Self = Self {
        objects: 1,
        open_uploads: -1,
        ..Self::NONE
    };
    /// An object becomes the current one of its key.
    pub(crate) const OF_KEY: Self = Self {
        keys: 1,
        ..Self::NONE
    };
    /// An object is no longer the current one of its key.
    pub(crate) const OF_LOST_KEY: Self = Self {
        keys: -1,
        ..Self::NONE
    };

    /// An upload begins, or an object is made at once.
    pub(crate) fn of_upload(is_open: bool) -> Self {
        Self {
            objects: i64::from(!is_open),
            open_uploads: i64::from(is_open),
            ..Self::NONE
        }
    }

    /// An upload or object is removed.
    pub(crate) fn of_lost_upload(is_open: bool) -> Self {
        Self {
            objects: -i64::from(!is_open),
            open_uploads: -i64::from(is_open),
            ..Self::NONE
        }
    }

    /// Bytes of parts come and go.
    pub(crate) fn of_bytes(come: u64, gone: u64) -> Self {
        Self {
            bytes: come.cast_signed() - gone.cast_signed(),
            ..Self::NONE
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.open_uploads += other.open_uploads;
    }

    /// Only what is added, and only what is taken away.
    pub(crate) fn split(self) -> (Self, Self) {
        let only = |choose: fn(i64, i64) -> i64| Self {
            keys: choose(self.keys, 0),
            objects: choose(self.objects, 0),
            bytes: choose(self.bytes, 0),
            open_uploads: choose(self.open_uploads, 0),
        };
        (only(i64::max), only(i64::min))
    }

    pub(crate) fn reversed(self) -> Self {
        Self {
            keys: -self.keys,
            objects: -self.objects,
            bytes: -self.bytes,
            open_uploads: -self.open_uploads,
        }
    }

    /// The usage after the change of one that was `before`.
    pub(crate) fn applied_to(self, before: Usage) -> Usage {
        Usage {
            keys: before.keys.saturating_add_signed(self.keys),
            objects: before.objects.saturating_add_signed(self.objects),
            bytes: before.bytes.saturating_add_signed(self.bytes),
            open_uploads: before.open_uploads.saturating_add_signed(self.open_uploads),
        }
    }
}
