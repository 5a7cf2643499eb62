//! [`Found`]: what a verify has found, over several runs. [`Resume`]: the file that keeps it, and how far they came.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use partstore::{Compared, ContentHash, Scope, VerifyReport};
use partstore_reports::Verified;
use serde_json::{Value, json};

use crate::failure::{Done, Failure};
use crate::list::parse_hash;

/// What the first field of the file is, and its value.
const KIND: (&str, u64) = ("partstore_verify", 1);

/// What was found so far.
#[derive(Clone, Default)]
pub struct Found {
    /// All blobs through this one were compared.
    pub through: Option<ContentHash>,
    pub verified: Verified,
}

impl Found {
    /// Adds what a run has found, and compared behind what was compared before. It may have begun with more blobs: those
    /// are for the next run, which counts them.
    pub fn add(&mut self, mut report: VerifyReport, compared: Option<Compared>) {
        (report.blobs, report.bytes) = (0, 0);
        self.verified.add(&report);
        self.reach(compared);
    }

    fn reach(&mut self, compared: Option<Compared>) {
        let Some(compared) = compared else { return };
        self.through = Some(compared.through);
        self.verified.blobs += compared.blobs;
        self.verified.bytes += compared.bytes;
    }
}

/// A file that says how far a verify has come. It exists while one is not done.
pub struct Resume {
    path: PathBuf,
    store: String,
    scope: &'static str,
    found: Found,
}

impl Resume {
    /// Reads the file, if there is one.
    pub fn open(path: &Path, store: &str, scope: Scope) -> Done<Self> {
        let mut resume = Self {
            path: path.to_owned(),
            store: store.to_owned(),
            scope: match scope {
                Scope::Everything => "everything",
                _ => "metadata",
            },
            found: Found::default(),
        };
        match fs::read(path) {
            Ok(bytes) => resume.found = resume.read(&bytes)?,
            // Whether it can be written is found out now, and not after an hour.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                resume.note(&Found::default(), None)?;
            }
            Err(error) => return Err(Failure::file("read", path)(error)),
        }
        Ok(resume)
    }

    pub fn found(&self) -> Found {
        self.found.clone()
    }

    fn read(&self, bytes: &[u8]) -> Done<Found> {
        let said: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let refuse = |why: &str| {
            Failure::Usage(format!(
                "{} {why}; name another file, or remove it to verify from the beginning",
                self.path.display()
            ))
        };
        if said[KIND.0] != KIND.1 {
            return Err(refuse("does not say how far a verify has come"));
        }
        if said["store"] != *self.store {
            return Err(refuse(&format!("is of another store, {}", said["store"])));
        }
        if said["scope"] != self.scope {
            return Err(refuse(&format!("is of a verify of {}", said["scope"])));
        }
        let damaged = || refuse("is damaged");
        let through = match &said["through"] {
            Value::Null => None,
            Value::String(hash) => Some(parse_hash(hash).map_err(|_| damaged())?),
            _ => return Err(damaged()),
        };
        Ok(Found {
            through,
            verified: Verified::of_json(&said).ok_or_else(damaged)?,
        })
    }

    /// Writes what was found, and that more was compared behind it, in which nothing was found.
    pub fn note(&mut self, found: &Found, more: Option<Compared>) -> Done {
        let mut found = found.clone();
        found.reach(more);
        let through = found.through.map(|hash| hash.to_string());
        let mut verified = found.verified;
        if through.is_none() {
            // Files and rows are compared again, unless blobs were reached.
            verified = Verified::default();
        }
        // What was found beyond that is found again.
        verified
            .damaged
            .retain(|hash, _| through.as_ref() >= Some(hash));
        let mut said =
            json!({ KIND.0: KIND.1, "store": self.store, "scope": self.scope, "through": through });
        let report = verified.as_json(true);
        for (field, value) in report.as_object().into_iter().flatten() {
            said[field] = value.clone();
        }
        self.replace(&format!("{said:#}\n"))
    }

    /// Replaces the file as a whole: it is the old one or the new one, whatever happens.
    fn replace(&self, text: &str) -> Done {
        let mut staged = self.path.clone().into_os_string();
        staged.push(".tmp");
        let staged = PathBuf::from(staged);
        let written = File::create(&staged).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        let renamed = written.and_then(|()| fs::rename(&staged, &self.path));
        renamed.map_err(|error| {
            let _ = fs::remove_file(&staged);
            Failure::file("write", &self.path)(error)
        })
    }

    /// Removes the file: the verify is done.
    pub fn remove(self) -> Done {
        fs::remove_file(&self.path).map_err(Failure::file("remove", &self.path))
    }
}
