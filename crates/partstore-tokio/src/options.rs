//! [`AsyncOptions`]: how many threads, and how many bytes at a time.

/// How an [`AsyncPartStore`](crate::AsyncPartStore) uses threads and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct AsyncOptions {
    pub(crate) threads: usize,
    pub(crate) batch_len: usize,
    pub(crate) gather_len: usize,
    pub(crate) read_len: usize,
}

impl Default for AsyncOptions {
    fn default() -> Self {
        Self {
            threads: 32,
            batch_len: 512 * 1024,
            gather_len: 32 * 1024 * 1024,
            read_len: 256 * 1024,
        }
    }
}

impl AsyncOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many threads the pool has at most, `1..`. 0 is taken as 1. The default is 32.
    ///
    /// That many calls run at a time, and further ones wait for them. Commits that run at the same time share a sync.
    pub fn threads(mut self, number: usize) -> Self {
        self.threads = number.max(1);
        self
    }

    /// Sets how many bytes of a body are gathered before they are written, `1..`. 0 is taken as 1. The default is
    /// 512 KiB.
    ///
    /// At most two such batches of a body exist at a time: one that is written and one that is gathered. Each may be
    /// longer by one item of the stream.
    pub fn batch_len(mut self, bytes: usize) -> Self {
        self.batch_len = bytes.max(1);
        self
    }

    /// Sets how many bytes all bodies together gather. When they have more, each item of a stream is a batch of its own,
    /// and the next one waits until it is written. The default is 32 MiB. Silent bodies take that much memory together,
    /// however many they are.
    pub fn gather_len(mut self, bytes: usize) -> Self {
        self.gather_len = bytes;
        self
    }

    /// Sets how many bytes of a part or an object are read at a time at most, `1..`. 0 is taken as 1. The default is 256 KiB,
    /// which is the block that the store verifies.
    pub fn read_len(mut self, bytes: usize) -> Self {
        self.read_len = bytes.max(1);
        self
    }
}
