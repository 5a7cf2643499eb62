//! `migrate`: all keys of a directory, with their objects, into a cluster. What is there already is left out, so a
//! migration that was interrupted is run again.
//!
//! An object counts when the cluster's rows say the same of it as the directory's: ETag, size, metadata, checksums, and
//! number, size, ETag and BLAKE3 hash of each part.

mod object;
mod same;
mod staged;
mod target;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use indicatif::ProgressBar;
use partstore::{Condition, Error, Key, KeyEntry, Namespace, PartStore, Quota};
use serde_json::json;

use crate::args::{Migrate, Place};
use crate::failure::{Done, Failure, conclude};
use crate::list::{each_key, each_namespace};
use crate::output::{Output, bar, eprint_line, name, size};
use crate::{interrupt, opening, put};

use object::Became;
use target::Target;

/// What was done with all keys.
#[derive(Default)]
struct Tally {
    migrated: u64,
    bytes: u64,
    present: u64,
    removed: u64,
    failed: u64,
    damaged: bool,
    /// What ends the whole migration.
    fatal: Option<Failure>,
}

/// What the directory has, and what of it is left there, because nothing can name it in the cluster.
#[derive(Default)]
struct Left {
    uploads: u64,
    keyless: u64,
    objects: u64,
    bytes: u64,
}

/// What the threads share.
struct Work<'a> {
    source: &'a PartStore,
    target: &'a Target<'a>,
    migrate: &'a Migrate,
    tally: Mutex<Tally>,
    /// One object at a time is put part by part, by as many threads as there are jobs.
    staging: Mutex<()>,
    bar: ProgressBar,
}

pub fn run(place: &Place, migrate: &Migrate, out: &mut Output) -> Done {
    // First what can be refused without a connection.
    opening::cluster(place)?;
    let source = opening::open_directory(place, &migrate.dir, false)?;
    let done = from(&source, place, migrate, out);
    let closed = source.close().map_err(Failure::from);
    done.and(closed)
}

fn from(source: &PartStore, place: &Place, migrate: &Migrate, out: &mut Output) -> Done {
    let namespaces = namespaces(source)?;
    let left = left(&namespaces);
    refuse(&left, migrate)?;
    let target = Target::open(place, migrate)?;
    let work = Work {
        source,
        target: &target,
        migrate,
        tally: Mutex::default(),
        staging: Mutex::default(),
        bar: bar(left.bytes),
    };
    let done = work.everything(&namespaces);
    work.bar.finish_and_clear();
    let tally = work.tally.into_inner();
    let tally = tally.unwrap_or_else(PoisonError::into_inner);
    let told = report(&tally, &left, out);
    let closed = target.close();
    let counted = conclude(tally.failed, tally.damaged, "objects were not migrated");
    done.and(told).and(closed).and(counted)
}

fn namespaces(source: &PartStore) -> Done<Vec<Namespace>> {
    let mut all = Vec::new();
    each_namespace(source, &mut |namespace| {
        all.push(namespace);
        Ok(())
    })?;
    Ok(all)
}

fn left(namespaces: &[Namespace]) -> Left {
    let mut left = Left::default();
    for usage in namespaces.iter().map(|namespace| &namespace.usage) {
        left.uploads += usage.open_uploads;
        left.keyless += usage.objects.saturating_sub(usage.keys);
        left.objects += usage.objects;
        left.bytes += usage.bytes;
    }
    left
}

/// Whoever knows such a thing knows it by its id, and a cluster gives ids of its own.
fn refuse(left: &Left, migrate: &Migrate) -> Done {
    if migrate.mirror && left.objects == 0 {
        return Err(Failure::Usage(
            "the directory has no object, and --mirror would remove what the cluster has; check the directory".into(),
        ));
    }
    if left.uploads > 0 && !migrate.leaves.uploads {
        return Err(Failure::Usage(format!(
            "{} uploads are open, and a cluster cannot take over their ids, which clients have; let them end, abort them \
             (`partstore expire`), or say --skip-uploads to leave them where they are",
            left.uploads
        )));
    }
    if left.keyless > 0 && !migrate.leaves.keyless {
        return Err(Failure::Usage(format!(
            "{} objects are not the current ones of a key, and a cluster cannot take over their ids; \
             `partstore ls objects` lists them; say --skip-keyless to leave them where they are",
            left.keyless
        )));
    }
    Ok(())
}

fn report(tally: &Tally, left: &Left, out: &mut Output) -> Done {
    out.row(
        || {
            json!({ "migrated": tally.migrated, "bytes": tally.bytes, "present": tally.present, "removed": tally.removed,
                "failed": tally.failed, "skipped_uploads": left.uploads, "skipped_keyless": left.keyless })
        },
        || sentence(tally, left),
    )
}

fn sentence(tally: &Tally, left: &Left) -> String {
    let (migrated, bytes) = (tally.migrated, size(tally.bytes));
    let (present, failed) = (tally.present, tally.failed);
    let removed = match tally.removed {
        0 => String::new(),
        removed => format!("; {removed} keys that the directory does not have were removed"),
    };
    let behind = match (left.uploads, left.keyless) {
        (0, 0) => String::new(),
        (uploads, keyless) => {
            format!("; left behind: {uploads} open uploads, {keyless} objects without a key")
        }
    };
    format!(
        "migrated {migrated} objects, {bytes}; {present} were there; {failed} failed{removed}{behind}"
    )
}

impl Work<'_> {
    fn everything(&self, namespaces: &[Namespace]) -> Done {
        for namespace in namespaces {
            put::create_namespace(self.target.store(), &namespace.name)?;
            self.keys_of(&namespace.name)?;
            if self.migrate.mirror {
                self.remove_extra(&namespace.name)?;
            }
        }
        // Last, because what is staged counts for the default namespace.
        for namespace in namespaces {
            self.set_quota(namespace)?;
        }
        if self.migrate.mirror {
            self.name_extra_namespaces()?;
        }
        // What failed goes on from here the next time.
        if self.tally().failed == 0 {
            staged::clean(self.target.store())?;
        }
        Ok(())
    }

    fn keys_of(&self, namespace: &str) -> Done {
        let keys = Mutex::new(self.source.keys((namespace, "")));
        let next = || lock(&keys).next();
        thread::scope(|scope| {
            for _ in 0..self.migrate.jobs {
                scope.spawn(|| self.all(namespace, &next));
            }
        });
        self.tally().fatal.take().map_or(Ok(()), Err)
    }

    /// Migrates keys until none is left.
    fn all(&self, namespace: &str, next: &dyn Fn() -> Option<partstore::Result<KeyEntry>>) {
        while self.tally().fatal.is_none() {
            if interrupt::is_set() {
                self.tally().fatal = Some(Failure::Interrupted);
                return;
            }
            match next() {
                None => return,
                // A listing that failed has named no key.
                Some(Err(error)) => self.tally().fatal = Some(error.into()),
                Some(Ok(entry)) => {
                    let key = Key::new(namespace, entry.key);
                    match self.one(&key) {
                        Ok(became) => self.count(became, entry.size),
                        Err(failure) => self.note(&key, failure),
                    }
                }
            }
        }
    }

    fn count(&self, became: Became, bytes: u64) {
        let mut tally = self.tally();
        match became {
            Became::Present => {
                self.bar.inc(bytes);
                tally.present += 1;
            }
            Became::Migrated => {
                tally.migrated += 1;
                tally.bytes += bytes;
            }
        }
    }

    fn note(&self, key: &Key, failure: Failure) {
        let is_fatal = is_fatal(&failure);
        if !is_fatal {
            let line = format!("{}: {}", name(key), failure.line());
            self.bar.suspend(|| eprint_line(&line));
        }
        let mut tally = self.tally();
        if is_fatal {
            tally.fatal.get_or_insert(failure);
        } else {
            tally.failed += 1;
            tally.damaged |= failure.exit_code() == 4;
        }
    }

    /// A quota that the cluster has already is left as it is.
    fn set_quota(&self, namespace: &Namespace) -> Done {
        let there = self.target.store().namespace(&namespace.name)?;
        if namespace.quota != Quota::new() && there.quota == Quota::new() {
            self.target
                .store()
                .set_quota(&namespace.name, namespace.quota)?;
        }
        Ok(())
    }

    /// Removes the keys that the directory does not have, if nobody has changed them since they were listed.
    fn remove_extra(&self, namespace: &str) -> Done {
        let target = self.target.store();
        each_key(target, namespace, "", &mut |entry| {
            let key = Key::new(namespace, entry.key);
            if staged::is_staging(&key) {
                return Ok(());
            }
            match self.source.object_by_key(key.clone()) {
                Ok(_) => Ok(()),
                Err(Error::NoSuchKey { .. }) => {
                    target.remove_key(key, Condition::IfCurrent(entry.id))?;
                    self.tally().removed += 1;
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// They may be those of somebody else, so nothing of them is removed.
    fn name_extra_namespaces(&self) -> Done {
        each_namespace(self.target.store(), &mut |there| {
            match self.source.namespace(&there.name) {
                Err(Error::NoSuchNamespace { .. }) => {}
                found => return found.map(drop).map_err(Failure::from),
            }
            let line = format!(
                "the cluster has a namespace {:?} that the directory does not have; it was left alone",
                there.name
            );
            self.bar.suspend(|| eprint_line(&line));
            Ok(())
        })
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

/// What would meet all other objects, too.
fn is_fatal(failure: &Failure) -> bool {
    match failure {
        Failure::Interrupted
        | Failure::Store(
            Error::Poisoned { .. } | Error::Displaced { .. } | Error::Index { .. } | Error::Closed,
        ) => true,
        failure => matches!(failure.exit_code(), 9 | 10),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
