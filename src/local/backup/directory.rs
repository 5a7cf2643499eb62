//! [`Backups`]: a directory of backups, and the states in it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::local::directory;
use crate::local::file::{self, Dir, Kind, Lock};
use crate::local::meta::State;
use crate::values::backup::BackupState;
use crate::{Error, Options, Result};

/// The format of the directory.
const FORMAT: u32 = 1;
/// The first line of the `BACKUPS` file. The second line is the number.
const MAGIC: &str = "partstore backups";
const NAME: &str = "BACKUPS";
/// The first line of a `STATE` file.
const STATE_MAGIC: &str = "partstore state";
const STATE: &str = "STATE";
/// What the name of a state ends with that is not whole.
const PARTIAL: &str = ".partial";

/// A directory of backups. [`PartStore::back_up`](crate::PartStore::back_up) makes it. It is locked until this is
/// dropped.
#[derive(Debug)]
pub struct Backups {
    lock: Lock,
    pub(super) blobs: Dir,
    pub(super) states: Dir,
}

impl Backups {
    /// Opens a directory of backups.
    ///
    /// # Errors
    /// - [`Error::NotAStore`]: it is no directory of backups.
    /// - [`Error::StoreLocked`]: another process uses it.
    /// - [`Error::NewerFormat`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = file::absolute(path.as_ref())?;
        let root = match Dir::open(&path, Options::default().mode) {
            Err(error) if error.is_not_found() => return Err(Error::NoSuchStore { path }),
            opened => opened?,
        };
        if !is_backups(&root)? {
            return Err(not_backups(&root, "it has no file BACKUPS"));
        }
        Self::take(&root)
    }

    /// The same. An empty or missing directory becomes one of backups.
    pub(super) fn open_or_create(path: &Path, mode: u32) -> Result<Self> {
        let path = file::absolute(path)?;
        file::create_dirs(&path, mode)?;
        let root = Dir::open(&path, mode)?;
        if is_backups(&root)? {
            return Self::take(&root);
        }
        let unfinished = ["LOCK", "BACKUPS.tmp", "blobs", "states", "lost+found"];
        let entries = root.list()?;
        if let Some(other) = entries
            .iter()
            .find(|entry| unfinished.iter().all(|name| entry.name != **name))
        {
            let found = format!("it holds {:?}", other.name.to_string_lossy());
            return Err(not_backups(&root, &found));
        }
        let begun = Self::lock(&root)?;
        file::sync_parents(root.path())?;
        let text = format!("{MAGIC}\n{FORMAT}\n");
        file::write_durably(&root.at(NAME), text.as_bytes())?;
        Self::with(begun)
    }

    fn take(root: &Dir) -> Result<Self> {
        Self::with(Self::lock(root)?)
    }

    fn lock(root: &Dir) -> Result<Lock> {
        Lock::take(root, "LOCK")?.ok_or_else(|| Error::StoreLocked {
            path: root.path().to_owned(),
        })
    }

    fn with(lock: Lock) -> Result<Self> {
        for name in ["blobs", "states"] {
            lock.dir().create_dir(name)?;
        }
        // Who made BACKUPS may have been killed before that name was durable.
        lock.dir().sync()?;
        let backups = Self {
            blobs: lock.dir().dir("blobs")?,
            states: lock.dir().dir("states")?,
            lock,
        };
        Ok(backups)
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Dir {
        self.lock.dir()
    }

    /// Returns the states, the oldest first.
    ///
    /// # Errors
    /// [`Error::Damaged`]: what says what a state is cannot be read. [`Error::Io`].
    pub fn states(&self) -> Result<Vec<BackupState>> {
        let numbers = self.numbers()?;
        numbers
            .into_iter()
            .map(|number| self.state(number))
            .collect()
    }

    /// The numbers of the states, ascending.
    pub(super) fn numbers(&self) -> Result<Vec<u64>> {
        let entries = self.states.list()?;
        let directories = entries.iter().filter(|entry| entry.kind == Kind::Directory);
        let numbers = directories.filter_map(|entry| {
            let name = entry.name.to_str()?;
            let number = name.parse().ok()?;
            (name == name_of(number)).then_some(number)
        });
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn state(&self, number: u64) -> Result<BackupState> {
        Ok(self.read(number)?.0)
    }

    /// What a state is, and the format of the store that it was taken from.
    pub(super) fn read(&self, number: u64) -> Result<(BackupState, u32)> {
        let place = self.dir_of(number)?.at(STATE);
        let text = file::read(&place)?;
        parse(number, &String::from_utf8_lossy(&text)).ok_or_else(|| Error::Damaged {
            path: place.path(),
            offset: 0,
            reason: "it does not say what the state is".to_owned(),
        })
    }

    pub(super) fn dir_of(&self, number: u64) -> Result<Dir> {
        self.states.dir(name_of(number))
    }

    /// Removes what earlier calls have not ended, and returns the number of the next state.
    pub(super) fn clean(&self) -> Result<u64> {
        for entry in self.states.list()? {
            let name = entry.name.to_string_lossy();
            if let Some(number) = name.strip_suffix(PARTIAL)
                && number.parse::<u64>().is_ok()
            {
                file::remove_tree_if_present(&self.states.at(&entry.name))?;
            }
        }
        self.states.sync()?;
        Ok(self.numbers()?.last().copied().unwrap_or(0) + 1)
    }

    /// Begins a state.
    pub(super) fn begin(&self, number: u64) -> Result<Dir> {
        let name = name_of(number) + PARTIAL;
        self.states.create_dir(&name)?;
        self.states.dir(&name)
    }

    /// Gives a state its name, durably. Its layers and blobs are durable.
    pub(super) fn finish(&self, number: u64, state: &State) -> Result<()> {
        let dir = self.begin(number)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let taken = since.unwrap_or_default().as_millis();
        let (tally, parts) = (state.tally(), state.parts());
        let text = format!(
            "{STATE_MAGIC}\nformat {}\nbatch {}\ntaken {taken}\nblobs {}\nbytes {}\nparts {parts}\n",
            directory::FORMAT,
            state.batch(),
            tally.blobs,
            tally.blob_bytes,
        );
        file::write_durably(&dir.at(STATE), text.as_bytes())?;
        let named = self.states.at(name_of(number));
        file::rename(&self.states.at(name_of(number) + PARTIAL), &named)?;
        self.states.sync()
    }

    /// Takes the name from a state, durably, and removes its files.
    pub(super) fn remove(&self, number: u64) -> Result<()> {
        let partial = self.states.at(name_of(number) + PARTIAL);
        file::remove_tree_if_present(&partial)?;
        file::rename(&self.states.at(name_of(number)), &partial)?;
        self.states.sync()?;
        file::remove_tree_if_present(&partial)
    }
}

fn name_of(number: u64) -> String {
    format!("{number:08}")
}

fn is_backups(root: &Dir) -> Result<bool> {
    let Some(bytes) = file::read_if_present(&root.at(NAME))? else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(&bytes);
    let format = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix('\n'))
        .and_then(|rest| rest.trim().parse::<u32>().ok());
    match format {
        Some(FORMAT) => Ok(true),
        Some(found) if found > FORMAT => Err(Error::NewerFormat {
            path: root.path().to_owned(),
            found,
            supported: FORMAT,
        }),
        _ => Err(not_backups(root, "its file BACKUPS is damaged")),
    }
}

fn not_backups(root: &Dir, reason: &str) -> Error {
    Error::NotAStore {
        path: root.path().to_owned(),
        reason: format!("{reason}, so it is no directory of backups"),
    }
}

fn parse(number: u64, text: &str) -> Option<(BackupState, u32)> {
    let mut lines = text.strip_prefix(STATE_MAGIC)?.strip_prefix('\n')?.lines();
    let mut field = |name: &str| -> Option<u64> {
        let value = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
        value.parse().ok()
    };
    let format = u32::try_from(field("format")?).ok()?;
    let batch = field("batch")?;
    let taken = UNIX_EPOCH + Duration::from_millis(field("taken")?);
    let state = BackupState {
        number,
        taken,
        batch,
        blobs: field("blobs")?,
        bytes: field("bytes")?,
        parts: field("parts")?,
    };
    Some((state, format))
}
