//! Exports: how an object or a part becomes a file, and what was done.

/// How an object or a part becomes a file.
///
/// ```
/// use partstore::ExportOptions;
/// let options = ExportOptions::new().replace();
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ExportOptions {
    pub(crate) replaces: bool,
    pub(crate) links: bool,
    pub(crate) unverified: bool,
}

impl ExportOptions {
    /// Makes options of a file that nobody has, whose bytes are its own, and are verified.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the file take the place of one that has its name.
    pub fn replace(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Lets the file be the store's own file, under a second name (a hard link). It is for a part, and for an object of
    /// one part. Where the file system cannot link, the bytes are exported as ever.
    ///
    /// **You promise that nobody writes to the file**: who writes to it changes the store. Readers of the store find
    /// that, and the bytes are lost. The file has the permissions of the store's files.
    pub fn link(mut self) -> Self {
        self.links = true;
        self
    }

    /// Leaves bytes that the file system shares, or that the kernel copies, unread. So they are not compared with what
    /// was stored, and [`ExportReport::verified`] says so.
    pub fn unverified(mut self) -> Self {
        self.unverified = true;
        self
    }
}

/// What an export did. [`PartStore::export_object`](crate::PartStore::export_object) makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// Of these, what the file system shares (a reflink).
    pub shared: u64,
    /// Of these, what lies in the store's own file (a hard link).
    pub linked: u64,
    /// Of these, what the kernel copied (`copy_file_range`). Some file systems share what they can of it. The others
    /// were written.
    pub copied: u64,
    /// Whether all bytes of the file were compared with the checksums and the BLAKE3 hash of each part.
    pub verified: bool,
    /// Whether the callback ended the export early. Then there is no file.
    pub cut_short: bool,
}
