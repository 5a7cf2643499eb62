//! Key pairs. They come from a file or the environment: everybody on a machine can read a command line.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::io::{Read, Take};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Failure;

const ID: &str = "PARTSTORE_SECRET_ID";
const SECRET: &str = "PARTSTORE_SECRET_KEY";
/// The longest file of keys, bytes.
const MAX_LEN: u64 = 1 << 20;
/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Secrets by their ids. Each pair may do everything.
#[derive(Default, PartialEq, Eq)]
pub struct Keys(HashMap<String, String>);

impl Keys {
    /// Those of the file and of the environment; `None` if neither is given.
    ///
    /// # Errors
    /// A file without a pair, one that others than its owner may read, and half a pair in the environment.
    pub fn load(file: Option<&Path>) -> Result<Option<Self>, Failure> {
        let mut keys = Self::default();
        if let Some(path) = file {
            let named = |error: Failure| format!("the keys in {}: {error}", path.display());
            keys.add_file(path).map_err(named)?;
        }
        let text = |name| env::var(name).ok();
        match (text(ID), text(SECRET)) {
            (None, None) => {}
            (Some(id), Some(secret)) => keys.add(&id, &secret)?,
            _ => return Err(format!("{ID} and {SECRET} belong together").into()),
        }
        Ok(Some(keys).filter(|keys| !keys.0.is_empty()))
    }

    /// The secret of a pair.
    pub fn secret(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        if mode & OTHERS != 0 {
            let mode = mode & 0o777;
            return Err(format!(
                "others than the owner may use the file (mode {mode:03o}): run chmod 600"
            )
            .into());
        }
        let mut text = String::new();
        let mut limited: Take<File> = file.take(MAX_LEN + 1);
        if limited.read_to_string(&mut text)? as u64 > MAX_LEN {
            return Err(format!("the file is longer than {MAX_LEN} bytes").into());
        }
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<_> = line.split_whitespace().collect();
            // A line that is not understood may hold a secret, so it is not shown.
            let [id, secret] = words[..] else {
                return Err("each line has an id and a secret, with a space between".into());
            };
            self.add(id, secret)?;
        }
        if self.0.is_empty() {
            return Err("the file has no pair".into());
        }
        Ok(())
    }

    /// An empty secret would let in everybody who knows that it is empty.
    fn add(&mut self, id: &str, secret: &str) -> Result<(), Failure> {
        if id.is_empty() || secret.is_empty() {
            return Err("an id or a secret is empty".into());
        }
        match self.0.insert(id.to_owned(), secret.to_owned()) {
            None => Ok(()),
            Some(_) => Err(format!("the id {id} is given twice").into()),
        }
    }
}

#[cfg(test)]
impl Keys {
    pub fn one(id: &str, secret: &str) -> Self {
        Self([(id.to_owned(), secret.to_owned())].into())
    }
}
