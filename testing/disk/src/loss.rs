//! What a crash may leave: the disk after the first `at` lines of a log, under a loss policy.
//!
//! A line is *durable* when a sync that began behind it has returned. What is not durable may or may
//! not be there; the policies differ in what they take away. A sector of a file always is as it was
//! at one moment: the page cache writes whole pages, the disk whole sectors.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::log::{Entry, Node, Op, ROOT, Recording};

const SECTOR: u64 = 512;
const PAGE: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Policy {
    /// `kill -9`: nothing is lost.
    Kill,
    /// All that was not synced is lost, names included, as POSIX allows.
    Strict,
    /// A journalling file system: a sync commits all names and sizes before it; the rest is lost.
    Journalled,
    /// Names and sizes are there, unsynced data is zeros.
    Zeroed,
    /// Any part of what was not synced is lost: names one by one or from a moment on, pages, torn
    /// sectors.
    TornStrict,
    /// Names and sizes as of some moment; any part of the unsynced data is lost.
    TornJournalled,
    /// A rename between directories is half done.
    SplitRename,
    /// As [`TornJournalled`](Self::TornJournalled), and places that were never written hold garbage.
    Garbage,
}

impl Policy {
    pub const ALL: [Self; 8] = [
        Self::Kill,
        Self::Strict,
        Self::Journalled,
        Self::Zeroed,
        Self::TornStrict,
        Self::TornJournalled,
        Self::SplitRename,
        Self::Garbage,
    ];

    /// Whether the seed of the loss makes a difference.
    pub fn is_random(self) -> bool {
        !matches!(
            self,
            Self::Kill | Self::Strict | Self::Journalled | Self::Zeroed
        )
    }
}

/// The disk after a crash behind the first `at` lines.
pub fn crash(recording: &Recording, at: usize, policy: Policy, seed: u64) -> Image {
    let ops = &recording.ops[..at];
    let loss = Loss::new(ops, policy, seed);
    let mut disk = Disk::before(recording, loss.garbage);
    for (index, op) in ops.iter().enumerate() {
        disk.apply(&loss, index, op);
    }
    disk.image()
}

/// The disk as the live system sees it after the whole log.
pub fn live(recording: &Recording) -> Image {
    crash(recording, recording.ops.len(), Policy::Kill, 0)
}

/// Which lines survive.
struct Loss {
    policy: Policy,
    seed: u64,
    /// Lines before this one are covered by a sync of the node.
    synced: HashMap<Node, usize>,
    /// Data lines of the node before this one that a failed sync has lost for good: from and to.
    failed: HashMap<Node, Vec<(usize, usize)>>,
    /// Names and sizes before this line survive, where a journal keeps their order.
    committed: usize,
    /// The number of lines.
    end: usize,
    garbage: bool,
}

impl Loss {
    fn new(ops: &[Op], policy: Policy, seed: u64) -> Self {
        let (mut synced, mut failed) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        let mut committed = 0;
        for op in ops {
            match op {
                Op::Sync { node, begun } => {
                    let through = synced.entry(*node).or_insert(0);
                    *through = (*through).max(*begun);
                    committed = committed.max(*begun);
                }
                Op::SyncFailed { node, begun } => {
                    let from = synced.get(node).copied().unwrap_or(0);
                    failed.entry(*node).or_default().push((from, *begun));
                }
                _ => {}
            }
        }
        let end = ops.len();
        let later = |from: usize| from + pick(&[seed, 1], (end - from + 1) as u64) as usize;
        let committed = match policy {
            Policy::Kill | Policy::Zeroed | Policy::SplitRename => end,
            Policy::TornJournalled | Policy::Garbage => later(committed),
            Policy::Strict | Policy::Journalled | Policy::TornStrict => committed,
        };
        Self {
            policy,
            seed,
            synced,
            failed,
            committed,
            end,
            garbage: policy == Policy::Garbage,
        }
    }

    fn synced(&self, node: Node) -> usize {
        self.synced.get(&node).copied().unwrap_or(0)
    }

    /// Whether a data line has become durable.
    fn is_durable(&self, node: Node, index: usize) -> bool {
        let lost = |ranges: &Vec<(usize, usize)>| {
            ranges
                .iter()
                .any(|(from, to)| (*from..*to).contains(&index))
        };
        index < self.synced(node) && !self.failed.get(&node).is_some_and(lost)
    }

    /// Whether a change of a size survives.
    fn keeps_size(&self, node: Node, index: usize) -> bool {
        match self.policy {
            _ if self.is_durable(node, index) => true,
            Policy::Strict => false,
            Policy::TornStrict => pick(&[self.seed, 2, index as u64], 2) == 0,
            _ => index < self.committed,
        }
    }

    /// Whether a change of names in `dir` survives.
    fn keeps_name(&self, dir: Node, index: usize, side: u64) -> bool {
        match self.policy {
            _ if index < self.synced(dir) => true,
            Policy::Strict => false,
            Policy::TornStrict if pick(&[self.seed, 3], 2) == 0 => {
                pick(&[self.seed, 4, index as u64, side], 2) == 0
            }
            // The directory is as it was at one moment.
            Policy::TornStrict => {
                let from = self.synced(dir);
                let moments = (self.end - from + 1) as u64;
                index < from + pick(&[self.seed, 5, u64::from(dir.0)], moments) as usize
            }
            Policy::SplitRename => side == 0 || pick(&[self.seed, 6, index as u64, side], 2) == 0,
            _ => index < self.committed,
        }
    }

    /// Whether the bytes of an unsynced write at `place` survive.
    fn keeps_bytes(&self, node: Node, index: usize, place: u64) -> bool {
        match self.policy {
            Policy::Kill | Policy::SplitRename => true,
            Policy::Strict | Policy::Journalled | Policy::Zeroed => false,
            Policy::TornStrict | Policy::TornJournalled | Policy::Garbage => {
                let (file, page) = (u64::from(node.0), place / PAGE);
                let from = self.synced(node);
                // A page in four is torn: then each of its sectors has a fate of its own.
                let torn = pick(&[self.seed, 7, file, page], 4) == 0;
                let part = if torn { place / SECTOR } else { page };
                // Nothing, everything, or what was there at some moment.
                let moment = match pick(&[self.seed, 8, file, part], 4) {
                    0 => from,
                    1 | 2 => self.end,
                    _ => {
                        from + pick(&[self.seed, 9, file, part], (self.end - from + 1) as u64)
                            as usize
                    }
                };
                index < moment
            }
        }
    }
}

/// A number below `below` that depends on nothing but the parts.
fn pick(parts: &[u64], below: u64) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for part in parts {
        // The finalizer of SplitMix64.
        hash = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
    }
    hash % below
}

/// What is on the platter.
struct Disk {
    files: HashMap<Node, Vec<u8>>,
    names: HashMap<Node, HashMap<String, Node>>,
    garbage: bool,
}

impl Disk {
    fn before(recording: &Recording, garbage: bool) -> Self {
        let mut disk = Self {
            files: HashMap::new(),
            names: HashMap::from([(ROOT, HashMap::new())]),
            garbage,
        };
        for found in &recording.before {
            disk.add(found.node, found.content.is_none());
            disk.name(&found.at, Some(found.node));
            if let Some(content) = &found.content {
                disk.files.insert(found.node, content.clone());
            }
        }
        disk
    }

    fn add(&mut self, node: Node, directory: bool) {
        if directory {
            self.names.insert(node, HashMap::new());
        } else {
            self.files.insert(node, Vec::new());
        }
    }

    fn name(&mut self, at: &Entry, node: Option<Node>) {
        let names = self.names.entry(at.dir).or_default();
        match node {
            Some(node) => names.insert(at.name.clone(), node),
            None => names.remove(&at.name),
        };
    }

    fn apply(&mut self, loss: &Loss, index: usize, op: &Op) {
        match op {
            Op::Create {
                at,
                node,
                directory,
            } => {
                self.add(*node, *directory);
                if loss.keeps_name(at.dir, index, 0) {
                    self.name(at, Some(*node));
                }
            }
            Op::Link { at, node } => {
                if loss.keeps_name(at.dir, index, 0) {
                    self.name(at, Some(*node));
                }
            }
            Op::Remove { at } => {
                if loss.keeps_name(at.dir, index, 0) {
                    self.name(at, None);
                }
            }
            Op::Rename { from, to, node } => {
                // Within a directory it is one step; between two each side is that directory's.
                let across = u64::from(from.dir != to.dir);
                if loss.keeps_name(from.dir, index, across) {
                    self.name(from, None);
                }
                if loss.keeps_name(to.dir, index, 2 * across) {
                    self.name(to, Some(*node));
                }
            }
            Op::Write {
                node,
                offset,
                bytes,
            } => self.write(loss, index, *node, *offset, bytes),
            Op::Truncate { node, len } => {
                if loss.keeps_size(*node, index) {
                    self.resize(*node, *len);
                }
            }
            Op::Allocate { node, end } => {
                if loss.keeps_size(*node, index) && self.len(*node) < *end {
                    self.resize(*node, *end);
                }
            }
            Op::Sync { .. } | Op::SyncFailed { .. } | Op::Begin(_) | Op::Ack(_) => {}
        }
    }

    fn write(&mut self, loss: &Loss, index: usize, node: Node, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        if loss.is_durable(node, index) {
            self.put(node, offset, bytes);
            return;
        }
        if loss.policy == Policy::Zeroed {
            // What was there before stays; what is new is zeros.
            if self.len(node) < end {
                self.resize(node, end);
            }
            return;
        }
        // The size goes with the names where a journal keeps it.
        let sized = matches!(loss.policy, Policy::TornJournalled | Policy::Garbage)
            && index < loss.committed;
        if sized && self.len(node) < end {
            self.resize(node, end);
        }
        let mut at = offset;
        while at < end {
            let next = (at / SECTOR + 1).saturating_mul(SECTOR).min(end);
            if loss.keeps_bytes(node, index, at) {
                let piece = &bytes[(at - offset) as usize..(next - offset) as usize];
                self.put(node, at, piece);
            }
            at = next;
        }
    }

    fn len(&self, node: Node) -> u64 {
        self.files
            .get(&node)
            .map_or(0, |content| content.len() as u64)
    }

    fn put(&mut self, node: Node, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        if self.len(node) < end {
            self.resize(node, end);
        }
        let content = self.files.entry(node).or_default();
        content[offset as usize..end as usize].copy_from_slice(bytes);
    }

    /// What a file grows by reads as zeros, or as garbage.
    fn resize(&mut self, node: Node, len: u64) {
        let garbage = self.garbage;
        let content = self.files.entry(node).or_default();
        let old = content.len() as u64;
        content.resize(len as usize, 0);
        if garbage {
            for at in old..len {
                content[at as usize] =
                    pick(&[u64::from(node.0), at / 8], u64::MAX).to_le_bytes()[at as usize % 8];
            }
        }
    }

    fn image(&self) -> Image {
        let mut image = Image::default();
        self.collect(ROOT, "", &mut image);
        image
    }

    fn collect(&self, dir: Node, below: &str, image: &mut Image) {
        for (name, node) in self.names.get(&dir).into_iter().flatten() {
            let path = format!("{below}{name}");
            if self.names.contains_key(node) {
                self.collect(*node, &format!("{path}/"), image);
                image.entries.insert(path, None);
            } else {
                image.entries.insert(path, self.files.get(node).cloned());
            }
        }
    }
}
