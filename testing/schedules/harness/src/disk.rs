//! A disk in memory. Each thread has one.
//!
//! It knows what its files and directories hold, and logs what is asked of it; what a power cut leaves is for
//! [`crashing_disk`] to say, under a loss policy that the schedule chooses. Each call is one step: others may
//! run before it, nobody while it is done. Only a sync has two, its begin and its end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crashing_disk::image::Image;
use crashing_disk::log::{Entry, Found, Node, Op, ROOT, Recording};
use crashing_disk::loss::{self, Policy};
use parking_lot::schedule;
use shuttle::rand::{Rng, thread_rng};

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new());
}

/// What a power cut takes: those policies that lose something, the strictest most often.
const POLICIES: [Policy; 7] = [
    Policy::Strict,
    Policy::Strict,
    Policy::TornStrict,
    Policy::TornStrict,
    Policy::Journalled,
    Policy::TornJournalled,
    Policy::Garbage,
];

struct Disk {
    names: BTreeMap<PathBuf, Name>,
    /// The bytes of files, also of those without a name.
    files: HashMap<Node, Vec<u8>>,
    recording: Recording,
    next: u32,
    faults: Faults,
    syncs: usize,
}

/// What is wrong with the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Which sync fails, counted from 0. What it should have made durable no later sync does.
    pub failing_sync: Option<usize>,
    /// Syncs say `Ok` and do nothing.
    pub syncs_lie: bool,
    /// Room is not given before the disk has other faults.
    pub room_waits: bool,
}

/// What has a name.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// A directory.
    Directory(Node),
    /// A file.
    File(Contents),
}

impl Name {
    fn node(self) -> Node {
        match self {
            Self::Directory(node) | Self::File(Contents(node)) => node,
        }
    }
}

/// The bytes of a file, also of one without a name.
#[derive(Clone, Copy, Debug)]
pub struct Contents(Node);

/// An empty disk.
pub fn renew() {
    change(|disk| *disk = Disk::new());
}

/// From now on the disk has these faults and no others; its syncs are counted from here.
pub fn break_down(faults: Faults) {
    change(|disk| (disk.faults, disk.syncs) = (faults, 0));
}

/// Waits until there is room.
pub fn wait_for_room() {
    while change(|disk| disk.faults.room_waits) {
        // Not a point like others: whoever is to make room must have its turn.
        shuttle::thread::yield_now();
    }
}

/// Whether the sync that was to fail has been tried.
#[must_use]
pub fn has_failed() -> bool {
    change(|disk| disk.faults.failing_sync.is_some_and(|at| at < disk.syncs))
}

/// What a power cut leaves of a disk.
pub struct Remains(Image);

/// What a power cut at this moment would leave: what is durable, and some of what is not. The disk
/// itself goes on.
#[must_use]
pub fn cut_power() -> Remains {
    let policy = POLICIES[thread_rng().gen_range(0..POLICIES.len())];
    let seed = thread_rng().r#gen();
    change(|disk| {
        let recording = &disk.recording;
        Remains(loss::crash(recording, recording.ops.len(), policy, seed))
    })
}

/// Goes on with what a power cut has left.
pub fn restore(remains: Remains) {
    let mut disk = Disk::new();
    // In the order of the image a directory comes before what is in it.
    for (path, content) in remains.0.entries {
        let (path, node) = (Path::new("/").join(path), disk.new_node());
        let at = disk.entry(&path).expect("its directory");
        let found = Found {
            at,
            node,
            content: content.clone(),
        };
        disk.recording.before.push(found);
        let name = match content {
            None => Name::Directory(node),
            Some(bytes) => {
                disk.files.insert(node, bytes);
                Name::File(Contents(node))
            }
        };
        disk.names.insert(path, name);
    }
    change(|now| *now = disk);
}

/// The names of all files below a directory, without their directories.
#[must_use]
pub fn files_below(directory: &str) -> BTreeSet<String> {
    change(|disk| {
        let below = disk.names.iter();
        let files = below
            .filter(|(path, name)| path.starts_with(directory) && matches!(name, Name::File(_)));
        let names = files.filter_map(|(path, _)| path.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    })
}

/// The names in a directory, with what they name.
pub fn list(directory: &Path) -> io::Result<Vec<(PathBuf, Name)>> {
    step(|disk| {
        disk.directory(directory)?;
        let inside = disk.names.iter();
        let inside = inside.filter(|(path, _)| path.parent() == Some(directory));
        Ok(inside.map(|(path, name)| (path.clone(), *name)).collect())
    })
}

/// What has this name.
#[must_use]
pub fn find(path: &Path) -> Option<Name> {
    step(|disk| disk.names.get(path).copied())
}

/// The file that has this name.
pub fn open(path: &Path) -> io::Result<Contents> {
    match find(path) {
        Some(Name::File(contents)) => Ok(contents),
        _ => Err(not_found()),
    }
}

/// Makes a file.
pub fn create(path: &Path) -> io::Result<Contents> {
    let made = step(|disk| disk.create(path, |node| Name::File(Contents(node))));
    made.map(Contents)
}

/// Makes a directory.
pub fn create_dir(path: &Path) -> io::Result<()> {
    step(|disk| disk.create(path, Name::Directory).map(drop))
}

/// Gives what has one name another, in place of what had it.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(|disk| {
        let (before, after) = (disk.entry(from)?, disk.entry(to)?);
        let name = disk.names.remove(from).ok_or_else(not_found)?;
        disk.names.insert(to.to_owned(), name);
        disk.log(Op::Rename {
            from: before,
            to: after,
            node: name.node(),
        });
        Ok(())
    })
}

/// Takes a name away.
pub fn remove(path: &Path) -> io::Result<()> {
    step(|disk| {
        let at = disk.entry(path)?;
        disk.names.remove(path).ok_or_else(not_found)?;
        disk.log(Op::Remove { at });
        Ok(())
    })
}

/// Makes the names in a directory durable.
pub fn sync_names(directory: &Path) -> io::Result<()> {
    sync(change(|disk| disk.directory(directory))?)
}

/// Makes everything durable: all bytes, and all names.
pub fn sync_everything() -> io::Result<()> {
    let (begun, nodes) = step(|disk| {
        let named = disk.names.values().map(|name| name.node());
        let nodes: BTreeSet<Node> = named
            .chain(disk.files.keys().copied())
            .chain([ROOT])
            .collect();
        (disk.recording.ops.len(), nodes)
    });
    let synced = step(|disk| {
        let works = disk.next_sync();
        for node in nodes {
            match works {
                Ok(true) => disk.log(Op::Sync { node, begun }),
                Ok(false) => {}
                Err(_) => disk.log(Op::SyncFailed { node, begun }),
            }
        }
        works.map(drop)
    });
    schedule::point();
    synced
}

impl Contents {
    /// How long the file is.
    #[must_use]
    pub fn len(self) -> usize {
        step(|disk| disk.bytes(self).len())
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// All of its bytes.
    #[must_use]
    pub fn read(self) -> Vec<u8> {
        step(|disk| disk.bytes(self).clone())
    }

    /// Fills `bytes` with those from `offset` on.
    pub fn read_at(self, bytes: &mut [u8], offset: usize) -> io::Result<()> {
        step(|disk| {
            let found = disk.bytes(self).get(offset..offset + bytes.len());
            bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    /// Changes the bytes from `offset` on.
    pub fn write_at(self, bytes: &[u8], offset: usize) {
        step(|disk| {
            let (held, end) = (disk.bytes(self), offset + bytes.len());
            if held.len() < end {
                held.resize(end, 0);
            }
            held[offset..end].copy_from_slice(bytes);
            disk.log(Op::Write {
                node: self.0,
                offset: offset as u64,
                bytes: bytes.to_vec(),
            });
        });
    }

    /// Makes the file at least this long, with zeros.
    pub fn allocate(self, len: usize) {
        step(|disk| {
            let held = disk.bytes(self);
            held.resize(held.len().max(len), 0);
            disk.log(Op::Allocate {
                node: self.0,
                end: len as u64,
            });
        });
    }

    /// Cuts the file off.
    pub fn truncate(self, len: usize) {
        step(|disk| {
            disk.bytes(self).truncate(len);
            disk.log(Op::Truncate {
                node: self.0,
                len: len as u64,
            });
        });
    }

    /// Makes the bytes durable.
    pub fn sync(self) -> io::Result<()> {
        sync(self.0)
    }
}

/// Makes durable what stands in the log when it begins.
fn sync(node: Node) -> io::Result<()> {
    let begun = step(|disk| disk.recording.ops.len());
    let synced = step(|disk| {
        let works = disk.next_sync();
        match works {
            Ok(true) => disk.log(Op::Sync { node, begun }),
            Ok(false) => {}
            Err(_) => disk.log(Op::SyncFailed { node, begun }),
        }
        works.map(drop)
    });
    schedule::point();
    synced
}

impl Disk {
    fn new() -> Self {
        Self {
            names: BTreeMap::from([(PathBuf::from("/"), Name::Directory(ROOT))]),
            files: HashMap::new(),
            recording: Recording::default(),
            next: ROOT.0 + 1,
            faults: Faults::default(),
            syncs: 0,
        }
    }

    fn log(&mut self, op: Op) {
        self.recording.ops.push(op);
    }

    fn new_node(&mut self) -> Node {
        self.next += 1;
        Node(self.next - 1)
    }

    fn directory(&self, path: &Path) -> io::Result<Node> {
        match self.names.get(path) {
            Some(Name::Directory(node)) => Ok(*node),
            _ => Err(not_found()),
        }
    }

    /// The place of a name, whether something has it or not.
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let dir = self.directory(path.parent().ok_or_else(not_found)?)?;
        let name = path.file_name().and_then(OsStr::to_str);
        let name = name.ok_or_else(not_found)?.to_owned();
        Ok(Entry { dir, name })
    }

    fn create(&mut self, path: &Path, name: impl FnOnce(Node) -> Name) -> io::Result<Node> {
        let at = self.entry(path)?;
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.new_node();
        let name = name(node);
        let directory = matches!(name, Name::Directory(_));
        self.names.insert(path.to_owned(), name);
        self.log(Op::Create {
            at,
            node,
            directory,
        });
        Ok(node)
    }

    fn bytes(&mut self, contents: Contents) -> &mut Vec<u8> {
        self.files.entry(contents.0).or_default()
    }

    /// Whether the sync does what it says.
    fn next_sync(&mut self) -> io::Result<bool> {
        let number = self.syncs;
        self.syncs += 1;
        if self.faults.failing_sync == Some(number) {
            return Err(io::Error::other("the sync failed, as it was told to"));
        }
        Ok(!self.faults.syncs_lie)
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// One system call: others may run before it, nobody while it is done.
fn step<T>(call: impl FnOnce(&mut Disk) -> T) -> T {
    schedule::point();
    change(call)
}

fn change<T>(call: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(call)
}
