//! Blobs are compared with their records, on several threads: while one waits for the disk, another one hashes.

use std::collections::{BTreeMap, VecDeque};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, available_parallelism, scope};

use super::Verify;
use crate::local::blob::BlobFiles;
use crate::local::meta::MetaStore;
use crate::local::namespaces::Namespaces;
use crate::local::pins::Pins;
use crate::sync::Mutex;
use crate::values::id::Upload;
use crate::{Compared, ContentHash, DamagedBlob, Error, PartNumber, Result, Scope, VerifyReport};

/// Blobs looked up at a time.
const GROUP: usize = 256;
/// References of a damaged blob that a report names.
const NAMED: usize = 10_000;
/// Threads at most. Each has a buffer of 2 MiB.
const THREADS: usize = 8;
/// Their name, which debuggers and process listings show.
const NAME: &str = "partstore-check";
/// So many bytes of blobs are worth a thread.
const WORTH: u64 = 16 << 20;

/// Each blob is referenced or known as garbage, and with [`Scope::Everything`] holds its bytes (I5, I7).
///
/// # Errors
/// [`Error::Closed`] if `going` says no. The first one of any thread.
pub(super) fn verify(
    of: &Verify<'_, '_>,
    scope: Scope,
    behind: Option<&ContentHash>,
    report: &mut VerifyReport,
) -> Result<()> {
    let blobs = Blobs {
        meta: of.meta,
        files: of.blobs,
        pins: of.pins,
        namespaces: of.namespaces,
        scope,
        rest: Mutex::new(Rest {
            after: behind.copied(),
            ..Rest::default()
        }),
        is_stopped: AtomicBool::new(false),
    };
    let before = report.inconsistent.len();
    let mut order = Order::default();
    let mut take = |found| take(of, found, &mut order, report);
    let verified = match threads(of.meta.tally().blob_bytes, scope) {
        0 | 1 => blobs.verify_all(&mut take),
        threads => blobs.verify_together(threads, &mut take),
    };
    // In whatever order the threads found it.
    report.damaged.sort_by_key(|blob| blob.hash);
    let found = report.inconsistent.get_mut(before..);
    found.unwrap_or_default().sort_unstable();
    verified
}

/// So many threads for so many bytes.
fn threads(bytes: u64, scope: Scope) -> usize {
    // A schedule has no threads but its own.
    if scope == Scope::Metadata || cfg!(shuttle) {
        return 1;
    }
    let processors = available_parallelism().map_or(1, usize::from);
    let worth = usize::try_from(bytes / WORTH).unwrap_or(THREADS);
    worth.min(2 * processors).min(THREADS)
}

/// What is found, in the order in which a thread finds it.
enum Found {
    Row,
    /// So many bytes were read.
    Read(u64),
    Damaged(DamagedBlob),
    Inconsistent(String),
    /// Nothing more is to be found of this blob.
    Done(Taken, Verified),
}

/// How a blob was verified, and how often it contradicts other records.
#[derive(Clone, Copy)]
struct Verified {
    outcome: Outcome,
    inconsistent: u64,
}

#[derive(Clone, Copy)]
enum Outcome {
    /// It agrees with its record. So many of its bytes were compared.
    Sound(u64),
    Damaged,
    /// It was removed meanwhile.
    Gone,
}

/// # Errors
/// [`Error::Closed`].
fn take(
    of: &Verify<'_, '_>,
    found: Found,
    order: &mut Order,
    report: &mut VerifyReport,
) -> Result<()> {
    match found {
        Found::Row => return of.row(),
        Found::Read(bytes) => return of.going.advance(bytes),
        Found::Damaged(blob) => report.damaged.push(blob),
        Found::Inconsistent(what) => report.inconsistent.push(what),
        Found::Done(blob, verified) => order.add(blob, verified, &mut |content, verified| {
            let Verified {
                outcome,
                inconsistent,
            } = verified;
            let (blobs, bytes, damaged) = match outcome {
                Outcome::Sound(bytes) => (1, bytes, 0),
                Outcome::Damaged => (1, 0, 1),
                Outcome::Gone => (0, 0, 0),
            };
            report.blobs += blobs;
            report.bytes += bytes;
            of.going.reach(Compared {
                through: content,
                blobs,
                bytes,
                found: damaged + inconsistent,
            });
        }),
    }
    Ok(())
}

/// A blob, and its place in the order in which blobs are taken.
#[derive(Clone, Copy)]
struct Taken {
    content: ContentHash,
    at: u64,
}

/// Brings what threads have done into the order in which it was taken.
#[derive(Default)]
struct Order {
    next: u64,
    /// What is done too early.
    early: BTreeMap<u64, (ContentHash, Verified)>,
}

impl Order {
    /// Passes on all that comes next by now.
    fn add(
        &mut self,
        blob: Taken,
        verified: Verified,
        pass: &mut dyn FnMut(ContentHash, Verified),
    ) {
        self.early.insert(blob.at, (blob.content, verified));
        while let Some((content, verified)) = self.early.remove(&self.next) {
            self.next += 1;
            pass(content, verified);
        }
    }
}

type Take<'a> = dyn FnMut(Found) -> Result<()> + 'a;

/// What all threads share.
struct Blobs<'a> {
    meta: &'a MetaStore,
    files: &'a BlobFiles,
    pins: &'a Arc<Pins>,
    namespaces: &'a Namespaces,
    scope: Scope,
    rest: Mutex<Rest>,
    /// Nobody wants to know more.
    is_stopped: AtomicBool,
}

/// The blobs that no thread has taken.
#[derive(Default)]
struct Rest {
    group: VecDeque<ContentHash>,
    /// The last one of the group.
    after: Option<ContentHash>,
    /// How many were taken.
    taken: u64,
}

impl Blobs<'_> {
    /// Threads find, and this one takes. Each waits until this one has taken what it found, so a caller who is
    /// slow to take holds them all up.
    fn verify_together(&self, threads: usize, take: &mut Take<'_>) -> Result<()> {
        let (sender, all_found) = sync_channel(threads);
        scope(|scope| {
            let find = |sender: SyncSender<Found>| {
                let done = self.verify_all(&mut |found| {
                    let is_heard = !self.is_stopped.load(Ordering::Relaxed);
                    let sent = is_heard && sender.send(found).is_ok();
                    sent.then_some(()).ok_or(Error::Closed)
                });
                if done.is_err() {
                    self.is_stopped.store(true, Ordering::Relaxed);
                }
                done
            };
            let start = |_| {
                let (thread, sender) = (Builder::new().name(NAME.to_owned()), sender.clone());
                thread.spawn_scoped(scope, move || find(sender)).ok()
            };
            let started: Vec<_> = (0..threads).filter_map(start).collect();
            drop(sender);
            let mut done = if started.is_empty() {
                self.verify_all(take)
            } else {
                Ok(())
            };
            for found in all_found {
                if done.is_ok() {
                    done = take(found);
                }
                if done.is_err() {
                    self.is_stopped.store(true, Ordering::Relaxed);
                }
            }
            for thread in started {
                let its = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                // A thread that was stopped has nothing to say.
                if done.is_ok() {
                    done = its;
                } else if let (Err(Error::Closed), Err(error)) = (&done, its) {
                    done = Err(error);
                }
            }
            done
        })
    }

    /// Verifies blobs until none is left.
    fn verify_all(&self, take: &mut Take<'_>) -> Result<()> {
        while let Some(blob) = self.next()? {
            let verified = self.verify_blob(blob.content, take)?;
            take(Found::Done(blob, verified))?;
        }
        Ok(())
    }

    fn next(&self) -> Result<Option<Taken>> {
        let mut rest = self.rest.lock();
        if rest.group.is_empty() {
            rest.group = self.meta.blobs(rest.after, GROUP)?.into();
            rest.after = rest.group.back().copied().or(rest.after);
        }
        let Some(content) = rest.group.pop_front() else {
            return Ok(None);
        };
        let at = rest.taken;
        rest.taken += 1;
        Ok(Some(Taken { content, at }))
    }

    fn verify_blob(&self, content: ContentHash, take: &mut Take<'_>) -> Result<Verified> {
        take(Found::Row)?;
        let inconsistent = self.verify_not_forgotten(content, take)?;
        Ok(Verified {
            outcome: self.verify_bytes(content, take)?,
            inconsistent,
        })
    }

    fn verify_bytes(&self, content: ContentHash, take: &mut Take<'_>) -> Result<Outcome> {
        // I4: the file stays while the blob is pinned.
        let _pinned = self.pins.pin(vec![content])?;
        let Some(sums) = self.meta.blob(&content)? else {
            return Ok(Outcome::Gone);
        };
        if self.scope == Scope::Metadata {
            return Ok(Outcome::Sound(0));
        }
        let mut advance = |bytes| take(Found::Read(bytes));
        match self.files.check(&content, &sums, &mut advance) {
            Ok(()) => Ok(Outcome::Sound(sums.size)),
            Err(Error::DamagedBlob { hash, reason }) => {
                let parts = self.parts_of(&content)?;
                take(Found::Damaged(DamagedBlob {
                    hash,
                    reason,
                    parts,
                }))?;
                Ok(Outcome::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// I7: checked under a claim, when nobody can change the references. A blob that is in use is left for
    /// the next time.
    fn verify_not_forgotten(&self, content: ContentHash, take: &mut Take<'_>) -> Result<u64> {
        let claimed = self.pins.claim(vec![content]);
        let known = claimed.contents().is_empty()
            || self.meta.blob_size(&content)?.is_none()
            || self.meta.is_garbage(&content)?
            || self.meta.is_referenced(&content)?;
        drop(claimed);
        if known {
            return Ok(0);
        }
        take(Found::Inconsistent(format!(
            "blob {content}: no part refers to it, and no sweep will check it"
        )))?;
        Ok(1)
    }

    fn parts_of(&self, content: &ContentHash) -> Result<Vec<(Upload, PartNumber)>> {
        let mut parts = Vec::new();
        for (id, number) in self.meta.references(content, NAMED)? {
            if let Some(upload) = self.meta.upload(id)? {
                let name = self.namespaces.upload(upload.namespace, &upload.key, id);
                parts.push((name, number));
            }
        }
        Ok(parts)
    }
}
