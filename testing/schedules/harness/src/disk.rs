//! A disk in memory: what files and directories hold, and what of it is durable. Each thread has one.
//!
//! As docs/design.md assumes of a disk: bytes are durable when their file was synced, names when
//! their directory was; of the rest a power cut takes away what it likes, here file by file and
//! directory by directory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parking_lot::schedule;
use shuttle::rand::{Rng, thread_rng};

thread_local! {
    static DISK: RefCell<Disk> = RefCell::default();
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Default)]
struct Disk {
    seen: Names,
    durable: Names,
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
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory.
    Directory,
    /// A file, by its bytes.
    File(Contents),
}

/// The bytes of a file, also of one without a name.
#[derive(Clone, Debug, Default)]
pub struct Contents(Arc<Mutex<Bytes>>);

/// The bytes of a file.
#[derive(Debug, Default)]
pub struct Bytes {
    /// What a read gives.
    pub seen: Vec<u8>,
    durable: Vec<u8>,
    /// A sync has failed: the kernel takes its pages for written.
    lost: bool,
}

/// An empty disk.
pub fn renew() {
    change(|disk| {
        *disk = Disk::default();
        for names in [&mut disk.seen, &mut disk.durable] {
            names.insert("/".into(), Node::Directory);
        }
    });
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
pub struct Remains(Names);

/// What a power cut at this moment would leave: what is durable, and some of what is not. The disk
/// itself goes on.
#[must_use]
pub fn cut_power() -> Remains {
    change(|disk| {
        let mut kept = Names::from([(PathBuf::from("/"), Node::Directory)]);
        let nodes = disk.seen.iter().chain(&disk.durable);
        let directories = nodes.filter(|(_, node)| matches!(node, Node::Directory));
        // Ascending: a directory that was lost has lost what was in it.
        for directory in directories.map(|(path, _)| path).collect::<BTreeSet<_>>() {
            let names = if by_chance() {
                &disk.seen
            } else {
                &disk.durable
            };
            if kept.contains_key(directory) {
                kept.extend(in_directory(names, directory));
            }
        }
        for node in kept.values_mut() {
            if let Node::File(contents) = node {
                *contents = contents.remains();
            }
        }
        Remains(kept)
    })
}

fn by_chance() -> bool {
    thread_rng().gen_bool(0.5)
}

/// Goes on with what a power cut has left.
pub fn restore(remains: Remains) {
    change(|disk| {
        *disk = Disk {
            durable: remains.0.clone(),
            seen: remains.0,
            ..Disk::default()
        }
    });
}

/// The names of all files below a directory, without their directories.
#[must_use]
pub fn files_below(directory: &str) -> BTreeSet<String> {
    change(|disk| {
        let files = disk
            .seen
            .iter()
            .filter(|(path, node)| path.starts_with(directory) && matches!(node, Node::File(_)));
        let names = files.filter_map(|(path, _)| path.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    })
}

fn in_directory(names: &Names, directory: &Path) -> Vec<(PathBuf, Node)> {
    let inside = names
        .iter()
        .filter(|(path, _)| path.parent() == Some(directory));
    inside
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect()
}

/// The names in a directory, with what they name.
pub fn list(directory: &Path) -> io::Result<Vec<(PathBuf, Node)>> {
    step(|disk| match disk.seen.get(directory) {
        Some(Node::Directory) => Ok(in_directory(&disk.seen, directory)),
        _ => Err(not_found()),
    })
}

/// What has this name.
#[must_use]
pub fn find(path: &Path) -> Option<Node> {
    step(|disk| disk.seen.get(path).cloned())
}

/// The file that has this name.
pub fn open(path: &Path) -> io::Result<Contents> {
    match find(path) {
        Some(Node::File(contents)) => Ok(contents),
        _ => Err(not_found()),
    }
}

/// Gives something a new name.
pub fn create(path: &Path, node: Node) -> io::Result<()> {
    step(|disk| {
        let parent = path.parent().and_then(|parent| disk.seen.get(parent));
        if !matches!(parent, Some(Node::Directory)) {
            return Err(not_found());
        }
        if disk.seen.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.seen.insert(path.to_owned(), node);
        Ok(())
    })
}

/// Gives what has one name another, in place of what had it.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(|disk| {
        let node = disk.seen.remove(from).ok_or_else(not_found)?;
        disk.seen.insert(to.to_owned(), node);
        Ok(())
    })
}

/// Takes a name away.
pub fn remove(path: &Path) -> io::Result<()> {
    step(|disk| disk.seen.remove(path).map(drop).ok_or_else(not_found))
}

/// Makes the names in a directory durable.
pub fn sync_names(directory: &Path) -> io::Result<()> {
    let synced = step(|disk| {
        if disk.next_sync()? {
            disk.durable
                .retain(|path, _| path.parent() != Some(directory));
            let names = in_directory(&disk.seen, directory);
            disk.durable.extend(names);
        }
        Ok(())
    });
    schedule::point();
    synced
}

impl Contents {
    /// The bytes, for one system call.
    pub fn step(&self) -> MutexGuard<'_, Bytes> {
        schedule::point();
        self.bytes()
    }

    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remains(&self) -> Self {
        let bytes = self.bytes();
        let kept = if bytes.lost || by_chance() {
            &bytes.durable
        } else {
            &bytes.seen
        };
        Self(Arc::new(Mutex::new(Bytes {
            seen: kept.clone(),
            durable: kept.clone(),
            lost: false,
        })))
    }

    /// Makes the bytes durable.
    pub fn sync(&self) -> io::Result<()> {
        let works = step(Disk::next_sync);
        let mut bytes = self.bytes();
        match works {
            Err(_) => bytes.lost = true,
            Ok(true) if !bytes.lost => {
                let Bytes { seen, durable, .. } = &mut *bytes;
                durable.clone_from(seen);
            }
            Ok(_) => {}
        }
        drop(bytes);
        schedule::point();
        works.map(drop)
    }
}

impl Disk {
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
