//! What a directory holds, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Paths below a directory, in order; a directory itself has no content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image {
    pub entries: BTreeMap<String, Option<Vec<u8>>>,
}

impl Image {
    /// Reads a directory that nobody changes.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        image.read(dir, "")?;
        Ok(image)
    }

    fn read(&mut self, dir: &Path, below: &str) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let path = format!("{below}{}", name.to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.read(&entry.path(), &format!("{path}/"))?;
                self.entries.insert(path, None);
            } else {
                self.entries.insert(path, Some(fs::read(entry.path())?));
            }
        }
        Ok(())
    }

    /// Writes the image to an empty directory.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        // In the order of the map a directory comes before what is in it.
        for (path, content) in &self.entries {
            let path = dir.join(path);
            match content {
                None => fs::create_dir(path)?,
                Some(bytes) => fs::write(path, bytes)?,
            }
        }
        Ok(())
    }

    /// How this image differs from another, in words; `None` when it does not.
    pub fn difference(&self, other: &Self) -> Option<String> {
        for path in self.entries.keys().chain(other.entries.keys()) {
            match (self.entries.get(path), other.entries.get(path)) {
                (Some(here), Some(there)) if here == there => {}
                (Some(Some(here)), Some(Some(there))) => {
                    let place = here.iter().zip(there).position(|(a, b)| a != b);
                    let lens = (here.len(), there.len());
                    return Some(format!(
                        "{path}: lengths {lens:?}, first difference {place:?}"
                    ));
                }
                (here, there) => {
                    let on = |side: Option<&Option<_>>| side.is_some();
                    return Some(format!("{path}: there {}, here {}", on(there), on(here)));
                }
            }
        }
        None
    }
}
