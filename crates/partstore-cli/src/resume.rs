//! [`Found`]: what a verify has found, over several runs. [`Resume`]: the file that keeps it, and how far they came.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use partstore::{Compared, ContentHash, Key, Scope, VerifyReport};
use serde_json::{Value, json};

use crate::failure::{Done, Failure};
use crate::list::parse_hash;
use crate::output::{damaged_as_json, name, size};

/// What the first field of the file is, and its value.
const KIND: (&str, u64) = ("partstore_verify", 1);

/// What was found so far. A blob that is found damaged again counts once.
#[derive(Clone, Default)]
pub struct Found {
    parts: u64,
    compared: Option<Compared>,
    /// By the text of their hash.
    pub damaged: BTreeMap<String, Value>,
    pub files: Vec<Value>,
    pub inconsistent: Vec<String>,
}

impl Found {
    /// All blobs through this one were compared.
    pub fn through(&self) -> Option<ContentHash> {
        self.compared.map(|compared| compared.through)
    }

    /// Adds what a run has found, and compared behind what was compared before.
    pub fn add(&mut self, report: &VerifyReport, compared: Option<Compared>) {
        self.parts += report.parts;
        self.compared = sum(self.compared, compared);
        for blob in &report.damaged {
            let parts = blob.parts.iter().map(|(upload, number)| {
                json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(),
                    "part": number.get() })
            });
            let parts = parts.collect::<Vec<_>>();
            let hash = blob.hash.to_string();
            let value = json!({ "hash": hash, "reason": blob.reason, "parts": parts });
            self.damaged.insert(hash, value);
        }
        self.files.extend(report.files.iter().map(damaged_as_json));
        self.inconsistent.extend_from_slice(&report.inconsistent);
    }

    /// What a server has found, by [`as_json`](Self::as_json) of its report. `None` if it is something else.
    pub fn of_report(report: &Value) -> Option<Self> {
        let number = |field: &str| report[field].as_u64();
        let blobs = report["damaged_blobs"].as_array()?.iter();
        let blobs = blobs.map(|blob| Some((blob["hash"].as_str()?.to_owned(), blob.clone())));
        let texts = report["inconsistent"].as_array()?.iter();
        Some(Self {
            parts: number("parts")?,
            compared: Some(Compared {
                // The last of all.
                through: ContentHash::from_bytes([0xff; 32]),
                blobs: number("blobs")?,
                bytes: number("bytes")?,
                found: 0,
            }),
            damaged: blobs.collect::<Option<_>>()?,
            files: report["damaged_files"].as_array()?.clone(),
            inconsistent: texts
                .map(|text| text.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        })
    }

    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.files.is_empty() && self.inconsistent.is_empty()
    }

    pub fn as_json(&self, cut_short: bool) -> Value {
        let (blobs, bytes) = counts(self.compared);
        json!({
            "clean": self.is_clean() && !cut_short,
            "cut_short": cut_short,
            "parts": self.parts,
            "blobs": blobs,
            "bytes": bytes,
            "damaged_blobs": self.damaged.values().collect::<Vec<_>>(),
            "damaged_files": self.files,
            "inconsistent": self.inconsistent,
        })
    }

    pub fn as_text(&self, cut_short: bool) -> String {
        let text =
            |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let mut lines = Vec::new();
        for file in &self.files {
            let (path, reason) = (text(file, "path"), text(file, "reason"));
            lines.push(format!(
                "damaged file {path} at byte {}: {reason}",
                file["offset"]
            ));
        }
        for blob in self.damaged.values() {
            lines.push(format!(
                "damaged blob {}: {}",
                text(blob, "hash"),
                text(blob, "reason")
            ));
            for part in blob["parts"].as_array().into_iter().flatten() {
                let key = Key::new(text(part, "namespace"), text(part, "key"));
                let (number, name, id) = (&part["part"], name(&key), text(part, "id"));
                lines.push(format!("  is part {number} of {name}, upload {id}"));
            }
        }
        for line in &self.inconsistent {
            lines.push(format!("inconsistent: {line}"));
        }
        let verdict = match (self.is_clean(), cut_short) {
            (false, _) => "DAMAGED",
            (true, true) => "clean so far",
            (true, false) => "clean",
        };
        let (blobs, bytes) = counts(self.compared);
        let read = size(bytes);
        lines.push(format!(
            "{verdict}: {} parts, {blobs} blobs, {read} of blobs read",
            self.parts
        ));
        lines.join("\n")
    }
}

fn counts(compared: Option<Compared>) -> (u64, u64) {
    compared.map_or((0, 0), |compared| (compared.blobs, compared.bytes))
}

fn sum(before: Option<Compared>, more: Option<Compared>) -> Option<Compared> {
    match (before, more) {
        (Some(before), Some(more)) => Some(Compared {
            through: more.through,
            blobs: before.blobs + more.blobs,
            bytes: before.bytes + more.bytes,
            found: before.found + more.found,
        }),
        (before, more) => more.or(before),
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
        let number = |field: &str| said[field].as_u64().ok_or_else(damaged);
        let list = |field: &str| said[field].as_array().cloned().ok_or_else(damaged);
        let compared = match &said["through"] {
            Value::Null => None,
            Value::String(hash) => Some(Compared {
                through: parse_hash(hash).map_err(|_| damaged())?,
                blobs: number("blobs")?,
                bytes: number("bytes")?,
                found: 0,
            }),
            _ => return Err(damaged()),
        };
        let blobs = list("damaged_blobs")?.into_iter();
        let blobs = blobs.map(|blob| Some((blob["hash"].as_str()?.to_owned(), blob)));
        let texts = list("inconsistent")?.into_iter();
        let texts = texts.map(|text| text.as_str().map(str::to_owned));
        Ok(Found {
            parts: number("parts")?,
            compared,
            damaged: blobs.collect::<Option<_>>().ok_or_else(damaged)?,
            files: list("damaged_files")?,
            inconsistent: texts.collect::<Option<_>>().ok_or_else(damaged)?,
        })
    }

    /// Writes what was found, and that more was compared behind it, in which nothing was found.
    pub fn note(&mut self, found: &Found, more: Option<Compared>) -> Done {
        let compared = sum(found.compared, more);
        let through = compared.map(|compared| compared.through.to_string());
        // Files and rows are compared again, unless blobs were reached.
        let nothing = Found::default();
        let found = through.as_ref().map_or(&nothing, |_| found);
        // What was found beyond that is found again.
        let damaged = found.damaged.iter();
        let damaged = damaged.filter(|(hash, _)| through.as_ref() >= Some(*hash));
        let (blobs, bytes) = counts(compared);
        let said = json!({
            KIND.0: KIND.1,
            "store": self.store,
            "scope": self.scope,
            "through": through,
            "parts": found.parts,
            "blobs": blobs,
            "bytes": bytes,
            "damaged_blobs": damaged.map(|(_, blob)| blob).collect::<Vec<_>>(),
            "damaged_files": found.files,
            "inconsistent": found.inconsistent,
        });
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
