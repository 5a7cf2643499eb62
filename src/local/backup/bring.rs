//! Brings files from a store to a backup, and back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, Scope};
use std::time::Duration;

use crate::going::Going;
use crate::local::file::{self, Dir, Handle, Place};
use crate::local::meta::State;
use crate::sync::Mutex;
use crate::values::backup::{Brought, Transfer};
use crate::{ContentHash, DamagedBlob, Error, Result};

/// Files brought at a time. Each waits for its sync.
const THREADS: usize = 4;
/// Files that are looked for together.
const GROUP: usize = 64;
/// Bytes copied at a time.
const PIECE: u64 = 1 << 20;
/// What is behind the name of a blob that was found damaged in a backup.
pub(super) const ASIDE: &str = ".damaged";
/// How long the caller is not asked while files are brought.
const A_MOMENT: Duration = Duration::from_millis(50);

/// How a file was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Shared,
    Linked,
    Copied,
}

/// What bringing all blobs of a state did.
#[derive(Default)]
pub(super) struct Outcome {
    pub blobs: u64,
    pub bytes: u64,
    pub present: u64,
    pub brought: Brought,
    pub damaged: Vec<DamagedBlob>,
}

/// Two directories of blobs.
pub(super) struct Blobs<'a> {
    pub from: &'a Dir,
    pub to: &'a Dir,
    pub transfer: Transfer,
}

type Blob = (ContentHash, u64);

/// Whether to go on. It is asked before each file, and between the pieces of a copy.
type Ask<'a> = dyn Fn() -> Result<()> + 'a;

impl Blobs<'_> {
    /// Brings the blobs of a state that are not there yet, durably. One that is damaged is left out, and
    /// reported. `outcome` has what was done also after an error.
    ///
    /// # Errors
    /// [`Error::Closed`] if `going` says no; [`Error::Damaged`], [`Error::StorageFull`], [`Error::Io`].
    pub(super) fn bring(
        &self,
        state: &State,
        going: &Going<'_>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        going.expect(state.tally().blob_bytes)?;
        for prefix in 0..=u8::MAX {
            self.bring_prefix(prefix, state, going, outcome)?;
        }
        self.to.sync()
    }

    fn bring_prefix(
        &self,
        prefix: u8,
        state: &State,
        going: &Going<'_>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let mut blobs = Vec::new();
        state.blobs(prefix, &mut |content, size| {
            blobs.push((content, size));
            Ok(())
        })?;
        if blobs.is_empty() {
            return Ok(());
        }
        let name = hex::encode([prefix]);
        self.to.create_dir(&name)?;
        let to = self.to.dir(&name)?;
        let from = match self.from.dir(&name) {
            Err(error) if error.is_not_found() => None,
            opened => Some(opened?),
        };
        for group in blobs.chunks(GROUP) {
            let mut missing = Vec::new();
            for &(content, size) in group {
                outcome.blobs += 1;
                outcome.bytes += size;
                if is_there(&to.at(content.to_string()), size, self.transfer)? {
                    outcome.present += 1;
                } else {
                    missing.push((content, size));
                }
            }
            if let Some(from) = &from {
                self.bring_group((from, &to), &missing, going, outcome)?;
            } else {
                let lost = missing
                    .iter()
                    .map(|(content, _)| missing_file().of(content));
                outcome.damaged.extend(lost);
            }
            going.advance(group.iter().map(|(_, size)| size).sum())?;
        }
        // Names that an earlier backup made may not be durable yet, if it was interrupted.
        to.sync()
    }

    fn bring_group(
        &self,
        (from, to): (&Dir, &Dir),
        group: &[Blob],
        going: &Going<'_>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = |ask: &Ask<'_>| {
            while let Some((content, size)) = group.get(next.fetch_add(1, Ordering::Relaxed)) {
                let name = content.to_string();
                let (from, to) = (from.at(&name), to.at(&name));
                let brought = bring(&from, &to, self.transfer, (*size, Some(content)), ask);
                let failed = brought.is_err();
                done.lock().push((*content, brought));
                if failed {
                    // Nobody begins another one.
                    next.store(group.len(), Ordering::Relaxed);
                }
            }
        };
        // This thread asks the caller whether to go on, and the others ask this one.
        let stopped = AtomicBool::new(false);
        thread::scope(|scope: &Scope<'_, '_>| {
            let (ended, all_ended) = mpsc::channel();
            for _ in 0..THREADS.min(group.len()) {
                let (ended, work, stopped) = (ended.clone(), &work, &stopped);
                let goes_on = move || !stopped.load(Ordering::Relaxed);
                let ask = move || goes_on().then_some(()).ok_or(Error::Closed);
                let run = move || {
                    work(&ask);
                    drop::<mpsc::Sender<()>>(ended);
                };
                // Without it the others do its work.
                let _ = thread::Builder::new().spawn_scoped(scope, run);
            }
            drop(ended);
            while let Err(RecvTimeoutError::Timeout) = all_ended.recv_timeout(A_MOMENT) {
                stopped.fetch_or(!going.goes_on(), Ordering::Relaxed);
            }
            // If no thread could be started.
            work(&|| going.check());
        });
        for (content, brought) in done.into_inner() {
            match brought? {
                Ok(Way::Shared) => outcome.brought.shared += 1,
                Ok(Way::Linked) => outcome.brought.linked += 1,
                Ok(Way::Copied) => outcome.brought.copied += 1,
                Err(damage) => outcome.damaged.push(damage.of(&content)),
            }
        }
        Ok(())
    }
}

/// Whether a whole file is there. Files get their names when they are whole. One that has another name is linked, and
/// counts only where links are wanted.
fn is_there(place: &Place, size: u64, transfer: Transfer) -> Result<bool> {
    match Handle::open_read(place) {
        Ok(handle) => {
            let may_be_linked = transfer == Transfer::Fastest || !handle.is_shared()?;
            Ok(may_be_linked && handle.len()? == size)
        }
        Err(error) if error.is_not_found() || error.is_of_the_file(place) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is wrong with a file that was to be brought.
#[derive(Debug)]
pub(super) struct Damage {
    pub reason: String,
    /// Whether the file was read, and is not what it should be. Else it may be read another time, or by somebody else.
    pub is_proven: bool,
}

fn missing_file() -> Damage {
    Damage::proven("its file is missing")
}

impl Damage {
    fn proven(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            is_proven: true,
        }
    }

    fn unread(reason: String) -> Self {
        Self {
            reason,
            is_proven: false,
        }
    }

    pub(super) fn of(self, content: &ContentHash) -> DamagedBlob {
        DamagedBlob {
            hash: *content,
            reason: self.reason,
            parts: Vec::new(),
        }
    }
}

/// Brings one file of `size` bytes, whose BLAKE3 hash is known or not. It is whole and durable when it has its
/// name; the name is durable after a sync of the directory. A file that was there is replaced.
///
/// # Errors
/// Those of `ask`; [`Error::StorageFull`], [`Error::Io`].
pub(super) fn bring(
    from: &Place,
    to: &Place,
    transfer: Transfer,
    (size, content): (u64, Option<&ContentHash>),
    ask: &Ask<'_>,
) -> Result<Result<Way, Damage>> {
    ask()?;
    let (source, len) = match open(from, size)? {
        Ok(opened) => opened,
        Err(damage) => return Ok(Err(damage)),
    };
    let transfer = if len > size { Transfer::Copy } else { transfer };
    let staged = to.with_extension("partial");
    file::remove_if_present(&staged)?;
    let made = make((&source, from), &staged, transfer, (size, content), ask);
    if matches!(made, Ok(Ok(_))) {
        file::rename(&staged, to)?;
    } else {
        // If it cannot be removed now, the next backup removes it.
        let _ = file::remove_if_present(&staged);
    }
    made
}

/// Opens a file of at least `size` bytes, and returns how many it has. Or returns what is wrong with it alone. What
/// somebody has added behind the bytes of a blob is not theirs.
fn open(place: &Place, size: u64) -> Result<Result<(Handle, u64), Damage>> {
    let opened = match Handle::open_read(place) {
        Err(error) if error.is_not_found() => return Ok(Err(missing_file())),
        Err(error) if error.is_of_the_file(place) => {
            let reason = format!("its file cannot be opened: {}", error.one_line());
            return Ok(Err(Damage::unread(reason)));
        }
        opened => opened?,
    };
    let len = opened.len()?;
    Ok(if len < size {
        Err(Damage::proven("its file is too short"))
    } else {
        Ok((opened, len))
    })
}

fn make(
    (source, from): (&Handle, &Place),
    staged: &Place,
    transfer: Transfer,
    (size, content): (u64, Option<&ContentHash>),
    ask: &Ask<'_>,
) -> Result<Result<Way, Damage>> {
    if transfer != Transfer::Copy {
        let target = Handle::create_new(staged)?;
        if target.share_bytes_of(source)? {
            target.sync_all()?;
            return Ok(Ok(Way::Shared));
        }
        drop(target);
        file::remove_if_present(staged)?;
    }
    if transfer == Transfer::Fastest && file::link(from, staged)? {
        return Ok(Ok(Way::Linked));
    }
    let target = Handle::create_new(staged)?;
    let copied = copy(source, &target, (size, content), ask)?;
    target.sync_all()?;
    Ok(copied.map(|()| Way::Copied))
}

/// Copies the first `size` bytes, and compares them with the hash.
fn copy(
    source: &Handle,
    target: &Handle,
    blob: (u64, Option<&ContentHash>),
    ask: &Ask<'_>,
) -> Result<Result<(), Damage>> {
    read(source, blob, &mut |offset, bytes| {
        ask()?;
        target.write_at(bytes, offset)
    })
}

/// Reads a file that should be there, and compares it with its hash. Tells `advance` of the bytes of each step.
///
/// # Errors
/// Those of `advance`; [`Error::Io`].
pub(super) fn check(
    place: &Place,
    (size, content): (u64, &ContentHash),
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Result<(), Damage>> {
    advance(0)?;
    let (source, _) = match open(place, size)? {
        Ok(opened) => opened,
        Err(damage) => return Ok(Err(damage)),
    };
    read(&source, (size, Some(content)), &mut |_, bytes| {
        advance(bytes.len() as u64)
    })
}

/// Passes on the first `size` bytes, with their places, and compares them with the hash.
fn read(
    source: &Handle,
    (size, content): (u64, Option<&ContentHash>),
    visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<Result<(), Damage>> {
    let (mut offset, mut bytes) = (0, Vec::new());
    let mut hasher = blake3::Hasher::new();
    while offset < size {
        let piece = PIECE.min(size - offset);
        bytes.resize(usize::try_from(piece).unwrap_or_default(), 0);
        match source.read_at(&mut bytes, offset) {
            Err(error) if error.is_of_the_medium() || error.tells_of_damage() => {
                let reason = format!("it cannot be read: {}", error.one_line());
                return Ok(Err(Damage::unread(reason)));
            }
            read => read?,
        }
        hasher.update(&bytes);
        visit(offset, &bytes)?;
        offset += piece;
    }
    let is_right = content.is_none_or(|content| hasher.finalize().as_bytes() == content.as_bytes());
    Ok(if is_right {
        Ok(())
    } else {
        Err(Damage::proven("its bytes do not have its hash"))
    })
}

/// Brings the layers of a state, durably, names included.
///
/// # Errors
/// [`Error::Damaged`]: without a layer there is no state. [`Error::Closed`] if `going` says no.
pub(super) fn bring_layers(
    files: impl Iterator<Item = (Place, u64)>,
    to: &Dir,
    transfer: Transfer,
    going: &Going<'_>,
) -> Result<()> {
    for (from, len) in files {
        let (place, ask) = (to.at(from.name()), || going.check());
        let brought = bring(&from, &place, transfer, (len, None), &ask)?;
        if let Err(Damage { reason, .. }) = brought {
            return Err(Error::Damaged {
                path: from.path(),
                offset: 0,
                reason,
            });
        }
    }
    to.sync()
}
