//! The ways in which a file is damaged.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fixture::{bytes, copy_tree};

/// What is done to a file. Other files are named relative to the store's directory, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    Flip {
        at: usize,
        mask: u8,
    },
    Truncate(usize),
    ZeroFrom(usize),
    Zero {
        at: usize,
        len: usize,
    },
    /// A range once more at another place, over what was there.
    Repeat {
        from: usize,
        to: usize,
        len: usize,
    },
    /// A range once more behind itself: what follows moves on.
    Insert {
        at: usize,
        len: usize,
    },
    Garbage,
    Extend,
    Remove,
    /// A second file with the same bytes.
    Duplicate,
    CopyOver(PathBuf),
    Swap(PathBuf),
}

impl Damage {
    pub fn apply(&self, root: &Path, file: &Path) {
        let path = root.join(file);
        match self {
            Self::Remove if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            Self::Remove => fs::remove_file(path).unwrap(),
            Self::Duplicate => drop(fs::copy(&path, second_name(&path)).unwrap()),
            Self::CopyOver(other) => drop(fs::copy(path, root.join(other)).unwrap()),
            Self::Swap(other) => {
                let (mine, theirs) = (
                    fs::read(&path).unwrap(),
                    fs::read(root.join(other)).unwrap(),
                );
                fs::write(path, theirs).unwrap();
                fs::write(root.join(other), mine).unwrap();
            }
            _ => fs::write(&path, self.changed(fs::read(&path).unwrap())).unwrap(),
        }
    }

    fn changed(&self, mut file: Vec<u8>) -> Vec<u8> {
        match *self {
            Self::Flip { at, mask } => file[at] ^= mask,
            Self::Truncate(at) => file.truncate(at),
            Self::ZeroFrom(at) => file[at..].fill(0),
            Self::Zero { at, len } => file[at..].iter_mut().take(len).for_each(|byte| *byte = 0),
            Self::Repeat { from, to, len } => {
                let len = len.min(file.len() - from.max(to));
                file.copy_within(from..from + len, to);
            }
            Self::Insert { at, len } => {
                let again: Vec<u8> = file[at..].iter().take(len).copied().collect();
                file.splice(at..at, again);
            }
            Self::Garbage => file = bytes(5, file.len()),
            Self::Extend => file.extend([0xab; 40]),
            _ => unreachable!("{self:?} changes no bytes"),
        }
        file
    }

    /// The files that are no longer what they were.
    pub fn touches(&self, file: &Path) -> Vec<PathBuf> {
        match self {
            Self::Duplicate => vec![second_name(file)],
            Self::CopyOver(other) => vec![other.clone()],
            Self::Swap(other) => vec![file.to_owned(), other.clone()],
            _ => vec![file.to_owned()],
        }
    }

    /// Puts the files back.
    pub fn undo(&self, original: &Path, root: &Path, file: &Path) {
        for file in self.touches(file) {
            let (from, to) = (original.join(&file), root.join(&file));
            if from.is_dir() {
                copy_tree(&from, &to);
            } else if from.exists() {
                fs::copy(from, to).unwrap();
            } else {
                fs::remove_file(to).unwrap();
            }
        }
    }

    /// All kinds that need no other file, at places spread over the first `used` of `len` bytes.
    pub fn all(used: usize, len: usize) -> Vec<Self> {
        let mut all = vec![Self::Garbage, Self::Extend, Self::Remove, Self::Duplicate];
        let places = |count: usize| {
            let count = if used == 0 { 0 } else { count };
            (0..count).map(move |at| at * used / count)
        };
        all.extend(places(20).map(Self::Truncate));
        all.extend(places(8).map(Self::ZeroFrom));
        all.extend(places(8).map(|at| Self::Zero { at, len: 64 }));
        for sector in [512, 4096] {
            let sectors = used.div_ceil(sector);
            let some = (0..sectors).step_by(sectors.div_ceil(8).max(1));
            for at in some.map(|number| number * sector) {
                all.push(Self::Zero { at, len: sector });
                let from = if at == 0 { sector } else { at - sector };
                if from < len {
                    all.push(Self::Repeat {
                        from,
                        to: at,
                        len: sector,
                    });
                }
                all.push(Self::Insert { at, len: sector });
            }
        }
        all
    }
}

/// Where a copy is most likely to be taken for something: the next number.
fn second_name(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let number = stem
        .parse::<u64>()
        .map(|number| format!("{:020}", number + 1));
    match (number, path.extension()) {
        (Ok(next), Some(extension)) => path.with_file_name(next).with_extension(extension),
        _ => path.with_file_name(format!("{stem} (copy)")),
    }
}
