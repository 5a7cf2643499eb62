//! The log of a recording: what was asked of the file system, in the order in which it happened.

use std::collections::HashMap;

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
    Link {
        at: Entry,
        node: Node,
    },
    Rename {
        from: Entry,
        to: Entry,
        node: Node,
    },
    /// A name goes, of a file or of an empty directory.
    Remove {
        at: Entry,
    },
    Write {
        node: Node,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        node: Node,
        len: u64,
    },
    /// Room for bytes that are not written yet, which may make the file longer.
    Allocate {
        node: Node,
        end: u64,
    },
    /// A sync returned. It covers what stands before `begun` in the log.
    Sync {
        node: Node,
        begun: usize,
    },
    /// A sync failed: what was written before `begun` and not synced yet is lost for good, whatever
    /// a later sync answers. So do ext4 and xfs.
    SyncFailed {
        node: Node,
        begun: usize,
    },
    /// A call of the subject begins.
    Begin(usize),
    /// A call of the subject has returned.
    Ack(usize),
}

impl Op {
    pub fn changes_a_name(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::Link { .. } | Self::Rename { .. } | Self::Remove { .. }
        )
    }
}

/// A recording: what lay there before, and what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    pub before: Vec<Found>,
    pub ops: Vec<Op>,
}

impl Recording {
    /// This recording up to a `kill -9` behind line `at`, and then what the next process did: what
    /// the first had not synced is still in the page cache.
    #[must_use]
    pub fn then(&self, at: usize, next: &Self) -> Self {
        let mut paths: HashMap<Node, HashMap<String, Node>> = HashMap::new();
        let mut highest = ROOT.0;
        let set = |paths: &mut HashMap<_, HashMap<_, _>>, at: &Entry, node: Node| {
            paths
                .entry(at.dir)
                .or_default()
                .insert(at.name.clone(), node);
        };
        let forget = |paths: &mut HashMap<_, HashMap<_, _>>, at: &Entry| {
            paths.entry(at.dir).or_default().remove(&at.name);
        };
        for found in &self.before {
            set(&mut paths, &found.at, found.node);
            highest = highest.max(found.node.0);
        }
        for op in &self.ops[..at] {
            match op {
                Op::Create { at, node, .. } | Op::Link { at, node } => {
                    set(&mut paths, at, *node);
                    highest = highest.max(node.0);
                }
                Op::Rename { from, to, node } => {
                    forget(&mut paths, from);
                    set(&mut paths, to, *node);
                }
                Op::Remove { at } => forget(&mut paths, at),
                _ => {}
            }
        }
        // What the next process found is what the first had made; the rest is new.
        let mut same = HashMap::from([(ROOT, ROOT)]);
        for found in &next.before {
            let node = same
                .get(&found.at.dir)
                .and_then(|dir| paths.get(dir)?.get(&found.at.name));
            same.insert(found.node, *node.expect("a kill leaves everything"));
        }
        let node = |node: Node| {
            same.get(&node)
                .copied()
                .unwrap_or(Node(highest + 1 + node.0))
        };
        let entry = |at: &Entry| Entry {
            dir: node(at.dir),
            name: at.name.clone(),
        };
        let mut ops = self.ops[..at].to_vec();
        ops.extend(next.ops.iter().map(|op| op.moved(&node, &entry, at)));
        Self {
            before: self.before.clone(),
            ops,
        }
    }
}

impl Op {
    /// The same line in another log, `by` lines further on.
    fn moved(
        &self,
        node: &dyn Fn(Node) -> Node,
        entry: &dyn Fn(&Entry) -> Entry,
        by: usize,
    ) -> Self {
        let mut op = self.clone();
        match &mut op {
            Self::Create { at, node: of, .. } | Self::Link { at, node: of } => {
                (*at, *of) = (entry(at), node(*of));
            }
            Self::Rename { from, to, node: of } => {
                (*from, *to, *of) = (entry(from), entry(to), node(*of));
            }
            Self::Remove { at } => *at = entry(at),
            Self::Write { node: of, .. }
            | Self::Truncate { node: of, .. }
            | Self::Allocate { node: of, .. } => {
                *of = node(*of);
            }
            Self::Sync { node: of, begun } | Self::SyncFailed { node: of, begun } => {
                (*of, *begun) = (node(*of), *begun + by);
            }
            Self::Begin(_) | Self::Ack(_) => {}
        }
        op
    }
}

/// What lay there when the recording began. All of it counts as durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub at: Entry,
    pub node: Node,
    /// `None` for a directory.
    pub content: Option<Vec<u8>>,
}
