//! `import`: the files of a directory become objects. What is there with the same bytes is left out, so an import that was
//! interrupted is run again.

mod walk;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use indicatif::ProgressBar;
use partstore::{Error, Key, PartStore};
use serde_json::json;

use crate::args::Import;
use crate::failure::{Done, Failure, conclude};
use crate::interrupt;
use crate::output::{Output, bar, eprint_line, size};
use crate::put;
use crate::{same, spelling};

use walk::Walk;

/// What was done with the files.
#[derive(Default)]
struct Tally {
    imported: u64,
    bytes: u64,
    present: u64,
    failed: u64,
    /// What ends the whole import.
    fatal: Option<Failure>,
}

/// What the threads share.
struct Work<'a> {
    store: &'a PartStore,
    import: &'a Import,
    files: Mutex<Walk>,
    tally: Mutex<Tally>,
    bar: ProgressBar,
}

pub fn run(store: &PartStore, import: &Import, out: &mut Output) -> Done {
    let files = Walk::begin(&import.dir)?;
    if import.create {
        put::create_namespace(store, &import.namespace)?;
    }
    store.namespace(&import.namespace)?;
    let work = Work {
        store,
        import,
        files: Mutex::new(files),
        tally: Mutex::default(),
        bar: bar(0),
    };
    thread::scope(|scope| {
        for _ in 0..import.jobs {
            scope.spawn(|| work.all());
        }
    });
    work.bar.finish_and_clear();
    let tally = work
        .tally
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    out.row(
        || json!({ "imported": tally.imported, "bytes": tally.bytes, "present": tally.present, "failed": tally.failed }),
        || {
            let bytes = size(tally.bytes);
            format!("imported {} files, {bytes}; {} were there; {} failed", tally.imported, tally.present, tally.failed)
        },
    )?;
    match tally.fatal {
        Some(failure) => Err(failure),
        None => conclude(tally.failed, false, "files were not imported"),
    }
}

impl Work<'_> {
    /// Puts files until none is left.
    fn all(&self) {
        while let Some(next) = self.next() {
            let done = next.and_then(|path| self.one(&path));
            if let Err(failure) = done {
                self.note(failure);
            }
        }
    }

    fn next(&self) -> Option<Done<PathBuf>> {
        if interrupt::is_set() {
            return Some(Err(Failure::Interrupted))
                .filter(|_| self.tally(|tally| tally.fatal.is_none()));
        }
        if self.tally(|tally| tally.fatal.is_some()) {
            return None;
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.next()
    }

    fn one(&self, path: &Path) -> Done {
        let below = path.strip_prefix(&self.import.dir).unwrap_or(path);
        let text = below.to_str().ok_or_else(|| {
            Failure::Usage(format!(
                "{} is not UTF-8, and no key can be; rename it",
                path.display()
            ))
        })?;
        let text = if self.import.escaped {
            spelling::decode(text)
        } else {
            text.to_owned()
        };
        let key = Key::new(
            &self.import.namespace,
            format!("{}{text}", self.import.prefix),
        );
        let len = path.metadata().map_or(0, |found| found.len());
        self.bar.inc_length(len);
        let is_there = match self.store.open_key(&key) {
            Ok(object) => same::is_same(path, &object)?,
            Err(Error::NoSuchKey { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if !is_there {
            put::file(self.store, &key, path)?;
        }
        self.bar.inc(len);
        self.tally(|tally| {
            if is_there {
                tally.present += 1;
            } else {
                (tally.imported, tally.bytes) = (tally.imported + 1, tally.bytes + len);
            }
        });
        Ok(())
    }

    fn note(&self, failure: Failure) {
        // A full disk, an interruption and a store that has stopped meet all other files, too.
        let is_fatal = match &failure {
            Failure::Interrupted
            | Failure::Store(
                Error::Poisoned { .. }
                | Error::Displaced { .. }
                | Error::Index { .. }
                | Error::Closed,
            ) => true,
            failure => failure.exit_code() == 9,
        };
        if !is_fatal {
            self.bar.suspend(|| eprint_line(&failure.line()));
        }
        self.tally(|tally| {
            if is_fatal {
                tally.fatal = Some(failure);
            } else {
                tally.failed += 1;
            }
        });
    }

    fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
