//! Which file a call means: names and inodes to nodes of the log.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crashing_disk::log::{Entry, Found, Node, Op, ROOT, Recording};

use super::raw;

pub(super) struct Tracker {
    root: PathBuf,
    device: u64,
    /// The node that each inode is now. An inode's number is used again once its file is gone; then
    /// it is created anew here, too.
    inodes: HashMap<u64, Node>,
    names: HashMap<Node, HashMap<String, Node>>,
    /// The path of each node when it was last named, below the root.
    paths: Vec<String>,
    recording: Recording,
    /// What each node has gone through since it was last synced: what the next sync covers.
    unsynced: HashMap<Node, BTreeSet<&'static str>>,
}

/// What a path below the root names.
pub(super) struct Place {
    pub entry: Entry,
    pub node: Option<Node>,
}

impl Tracker {
    pub fn new(root: &Path) -> Self {
        let root = root.canonicalize().expect("the recorded directory exists");
        let name = CString::new(root.as_os_str().as_bytes()).expect("a path has no NUL");
        let stat = raw::stat_at(libc::AT_FDCWD, &name, 0).expect("it can be looked at");
        let mut tracker = Self {
            device: stat.device,
            inodes: HashMap::from([(stat.inode, ROOT)]),
            names: HashMap::from([(ROOT, HashMap::new())]),
            paths: vec![String::new()],
            recording: Recording::default(),
            unsynced: HashMap::new(),
            root: root.clone(),
        };
        tracker.unsynced.insert(ROOT, BTreeSet::from(["found"]));
        tracker.find(&root, ROOT);
        tracker
    }

    /// Notes what lies there already.
    fn find(&mut self, dir: &Path, node: Node) {
        for entry in std::fs::read_dir(dir).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            let name = path
                .file_name()
                .expect("entries have names")
                .to_string_lossy();
            let at = Entry {
                dir: node,
                name: name.into_owned(),
            };
            let c_path = CString::new(path.as_os_str().as_bytes()).expect("a path has no NUL");
            let stat = raw::stat_at(libc::AT_FDCWD, &c_path, 0).expect("it can be looked at");
            let found = self.add(&at, path.is_dir(), stat.inode);
            // A process that was killed may not have synced it.
            self.unsynced.insert(found, BTreeSet::from(["found"]));
            let content = (!path.is_dir()).then(|| std::fs::read(&path).expect("it can be read"));
            self.recording.before.push(Found {
                at,
                node: found,
                content,
            });
            if path.is_dir() {
                self.find(&path, found);
            }
        }
    }

    pub fn log(&mut self, op: Op) {
        let changes: &[(Node, &'static str)] = match &op {
            Op::Create { at, .. } | Op::Link { at, .. } => &[(at.dir, "create")],
            Op::Rename { from, to, .. } => &[(from.dir, "rename"), (to.dir, "rename")],
            Op::Remove { at } => &[(at.dir, "remove")],
            Op::Write { node, .. } | Op::Truncate { node, .. } => &[(*node, "write")],
            Op::Allocate { node, .. } => &[(*node, "allocate")],
            _ => &[],
        };
        for (node, change) in changes {
            let unsynced = self.unsynced.entry(*node).or_default();
            unsynced.remove("found");
            unsynced.insert(change);
        }
        self.recording.ops.push(op);
    }

    /// What a sync of the node would cover now, in words; `None` when it has nothing to do.
    pub fn unsynced(&self, node: Node) -> Option<String> {
        let covered = self.unsynced.get(&node)?;
        let words: Vec<_> = covered.iter().copied().collect();
        Some(words.join(", "))
    }

    /// A sync of the node begins.
    pub fn syncing(&mut self, node: Node) {
        self.unsynced.remove(&node);
    }

    /// A sync of all nodes begins. Returns those that have something to sync.
    pub fn syncing_all(&mut self) -> Vec<Node> {
        let nodes = std::mem::take(&mut self.unsynced).into_keys();
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort_unstable();
        nodes
    }

    pub fn len(&self) -> usize {
        self.recording.ops.len()
    }

    pub fn finish(self) -> Recording {
        self.recording
    }

    pub fn path(&self, node: Node) -> &str {
        &self.paths[node.0 as usize]
    }

    /// The node that a descriptor is open on, if it is recorded.
    pub fn node_of(&self, fd: c_int) -> Option<Node> {
        let stat = raw::stat(fd).filter(|stat| stat.device == self.device)?;
        self.inodes.get(&stat.inode).copied()
    }

    /// What a path means, if it lies below the root.
    pub fn place_of(&self, dir: c_int, path: &CStr) -> Option<Place> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
        let absolute = if let Some((fd, below)) = through_descriptor(path) {
            self.root.join(self.path(self.node_of(fd)?)).join(below)
        } else if path.is_absolute() {
            path.to_owned()
        } else if dir == libc::AT_FDCWD {
            std::env::current_dir().ok()?.join(path)
        } else {
            self.root.join(self.path(self.node_of(dir)?)).join(path)
        };
        let below = absolute.strip_prefix(&self.root).ok()?;
        let parts: Vec<String> = below
            .components()
            .map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let (name, parents) = parts.split_last()?;
        let dir = parents
            .iter()
            .try_fold(ROOT, |dir, name| self.child(dir, name))?;
        let entry = Entry {
            dir,
            name: name.clone(),
        };
        let node = self.child(dir, name);
        Some(Place { entry, node })
    }

    fn child(&self, dir: Node, name: &str) -> Option<Node> {
        self.names.get(&dir)?.get(name).copied()
    }

    /// A new file or directory has this name and inode.
    pub fn create(&mut self, at: Entry, directory: bool, inode: u64) {
        let node = self.add(&at, directory, inode);
        self.log(Op::Create {
            at,
            node,
            directory,
        });
    }

    fn add(&mut self, at: &Entry, directory: bool, inode: u64) -> Node {
        let node = Node(u32::try_from(self.paths.len()).expect("fewer than 2^32 files"));
        self.paths.push(String::new());
        self.inodes.insert(inode, node);
        if directory {
            self.names.insert(node, HashMap::new());
        }
        self.name(at, node);
        node
    }

    fn name(&mut self, at: &Entry, node: Node) {
        let path = match self.path(at.dir) {
            "" => at.name.clone(),
            dir => format!("{dir}/{}", at.name),
        };
        self.paths[node.0 as usize] = path;
        self.names
            .entry(at.dir)
            .or_default()
            .insert(at.name.clone(), node);
    }

    pub fn link(&mut self, at: Entry, node: Node) {
        self.name(&at, node);
        self.log(Op::Link { at, node });
    }

    pub fn remove(&mut self, at: Entry) {
        self.forget(&at);
        self.log(Op::Remove { at });
    }

    pub fn rename(&mut self, from: Entry, to: Entry, node: Node) {
        self.forget(&from);
        self.name(&to, node);
        self.log(Op::Rename { from, to, node });
    }

    fn forget(&mut self, at: &Entry) {
        if let Some(names) = self.names.get_mut(&at.dir) {
            names.remove(&at.name);
        }
    }
}

/// The descriptor in a path of the form `/proc/self/fd/N/...`, and what comes after it.
fn through_descriptor(path: &Path) -> Option<(c_int, &Path)> {
    let rest = path.strip_prefix("/proc/self/fd").ok()?;
    let fd = rest.iter().next()?;
    let below = rest.strip_prefix(fd).ok()?;
    Some((fd.to_str()?.parse().ok()?, below))
}
