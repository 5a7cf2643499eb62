//! [`Walk`]: the files below a directory, one at a time.

use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};

use crate::aside;
use crate::failure::{Done, Failure};

/// The files below a directory. Links are not followed: they, and what else is no file, are failures.
pub struct Walk {
    open: Vec<(PathBuf, ReadDir)>,
}

impl Walk {
    pub fn begin(root: &Path) -> Done<Self> {
        let entries = fs::read_dir(root).map_err(Failure::file("read", root))?;
        Ok(Self {
            open: vec![(root.to_owned(), entries)],
        })
    }

    fn step(&mut self, path: PathBuf) -> Done<Option<PathBuf>> {
        let found = fs::symlink_metadata(&path).map_err(Failure::file("read", &path))?;
        if found.is_dir() {
            let entries = fs::read_dir(&path).map_err(Failure::file("read", &path))?;
            self.open.push((path, entries));
            return Ok(None);
        }
        if found.is_file() {
            return Ok(Some(path));
        }
        Err(Failure::Incomplete(format!(
            "{} is no regular file, and was left out",
            path.display()
        )))
    }
}

impl Iterator for Walk {
    type Item = Done<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (dir, entries) = self.open.last_mut()?;
            let entry = match entries.next() {
                None => {
                    self.open.pop();
                    continue;
                }
                Some(Err(error)) => {
                    let failure = Failure::file("read", dir)(error);
                    self.open.pop();
                    return Some(Err(failure));
                }
                Some(Ok(entry)) => entry,
            };
            if aside::is_half_made(entry.file_name().as_encoded_bytes()) {
                return Some(Err(Failure::Incomplete(format!(
                    "{} is what an export left half-made, and was left out",
                    entry.path().display()
                ))));
            }
            match self.step(entry.path()) {
                Ok(None) => {}
                Ok(Some(path)) => return Some(Ok(path)),
                Err(failure) => return Some(Err(failure)),
            }
        }
    }
}
