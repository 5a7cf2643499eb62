//! What the nodes of a recording are called.

use std::collections::{HashMap, HashSet};

use crashing_disk::log::{Entry, Node, Op, ROOT, Recording};

/// What each node of a recording is called, or was when it last had a name.
#[derive(Default)]
pub(super) struct Paths {
    pub(super) names: HashMap<Node, Entry>,
    pub(super) directories: HashSet<Node>,
}

impl Paths {
    pub(super) fn of(recording: &Recording) -> Self {
        let mut paths = Self::default();
        recording.ops.iter().for_each(|op| paths.learn(op));
        paths
    }

    pub(super) fn learn(&mut self, op: &Op) {
        match op {
            Op::Create {
                at,
                node,
                directory,
            } => self.name(*node, at, *directory),
            Op::Link { at, node } | Op::Rename { to: at, node, .. } => {
                self.names.insert(*node, at.clone());
            }
            _ => {}
        }
    }

    pub(super) fn name(&mut self, node: Node, at: &Entry, directory: bool) {
        self.names.insert(node, at.clone());
        if directory {
            self.directories.insert(node);
        }
    }

    pub(super) fn path(&self, node: Node) -> String {
        match self.names.get(&node) {
            Some(at) if at.dir == ROOT => at.name.clone(),
            Some(at) => format!("{}/{}", self.path(at.dir), at.name),
            None => String::new(),
        }
    }

    /// The newest node of this path.
    pub(super) fn node(&self, path: &str) -> Option<Node> {
        self.names
            .keys()
            .filter(|node| self.path(**node) == path)
            .max()
            .copied()
    }

    pub(super) fn highest(&self) -> Node {
        self.names.keys().max().copied().unwrap_or(ROOT)
    }
}

pub(super) fn is_a(extension: &str, name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}
