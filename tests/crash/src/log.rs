//! The log of a recording: what was asked of the file system, in the order in which it happened.

use serde::{Deserialize, Serialize};

/// A file or a directory, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node(pub u32);

/// The directory that is recorded.
pub const ROOT: Node = Node(0);

/// A place for a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    pub dir: Node,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// A new file or directory gets its name.
    Create {
        at: Entry,
        node: Node,
        directory: bool,
    },
    /// A file gets one more name.
    Link { at: Entry, node: Node },
    Rename { from: Entry, to: Entry, node: Node },
    /// A name goes, of a file or of an empty directory.
    Remove { at: Entry },
    Write {
        node: Node,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate { node: Node, len: u64 },
    /// Room for bytes that are not written yet, which may make the file longer.
    Allocate { node: Node, end: u64 },
    /// A sync returned. It covers what stands before `begun` in the log.
    Sync { node: Node, begun: usize },
    /// A sync failed: what was written before `begun` and not synced yet is lost for good, whatever
    /// a later sync answers. So do ext4 and xfs.
    SyncFailed { node: Node, begun: usize },
    /// A call of the subject begins.
    Begin(usize),
    /// A call of the subject has returned.
    Ack(usize),
}

/// A recording: what lay there before, and what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    pub before: Vec<Found>,
    pub ops: Vec<Op>,
}

/// What lay there when the recording began. All of it counts as durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub at: Entry,
    pub node: Node,
    /// `None` for a directory.
    pub content: Option<Vec<u8>>,
}
