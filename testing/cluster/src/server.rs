//! A server: it makes random calls of its own store, until it is killed or its time is over.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use partstore::{
    Background, CompleteOptions, CompletedPart, Condition, ETag, Error, ListParts, ObjectOptions,
    Options, PartNumber, PartStore, Result, Upload,
};
use partstore_cluster::Cluster;

use crate::history::{FIRST_TAG, key_of, wanted_of};
use crate::log::{Answer, Log, Piece, Verb, Wanted, now};

/// Where a store is.
#[derive(Clone, Debug)]
pub struct Place {
    pub database: String,
    pub schema: String,
    pub files: PathBuf,
}

impl Place {
    pub fn open(&self) -> Result<PartStore> {
        self.open_with(Duration::from_secs(2))
    }

    /// The files of its blobs.
    pub fn blob_files(&self) -> Vec<PathBuf> {
        files_below(&self.files)
    }

    /// With this lease.
    pub fn open_with(&self, lease: Duration) -> Result<PartStore> {
        let blobs = format!("file://{}", self.files.display());
        Cluster::new(&self.database, &blobs)
            .schema(&self.schema)
            .lease(lease)
            .patience(Duration::from_secs(8))
            .connections(6)
            .open(Options::cos().min_part_size(0).background(Background::Host))
    }
}

/// The files in the directories of a directory: those of blobs. Beside these stands the mark.
pub fn files_below(root: &Path) -> Vec<PathBuf> {
    let paths = |directory: &Path| {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path())
    };
    let directories = paths(root).filter(|path| path.is_dir());
    directories
        .flat_map(|directory| paths(&directory))
        .collect()
}

/// What a server is to do.
#[derive(Debug)]
pub struct Job {
    pub place: Place,
    pub log: PathBuf,
    /// A number that no other server has.
    pub id: u64,
    /// When the run began, and when it ends.
    pub begun: u64,
    pub until: u64,
    pub pace: Pace,
    pub uploads: Vec<Upload>,
}

/// How a server works.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many calls it makes at the same time.
    threads: u64,
    /// How often an upload comes into use, and how many are in use at the same time.
    each: u64,
    in_use: u64,
    /// Of a thousand calls so many complete or abort.
    endings: u16,
}

impl Pace {
    /// Calls that nap are few at a time: then more run beside each other, on fewer uploads.
    pub fn new(naps: bool) -> Self {
        if naps {
            Self {
                threads: 4,
                each: 1_000_000_000,
                in_use: 2,
                endings: 80,
            }
        } else {
            Self {
                threads: 2,
                each: 500_000_000,
                in_use: 4,
                endings: 10,
            }
        }
    }

    /// How many uploads a run of this length uses.
    pub fn uploads(&self, length: Duration) -> u64 {
        u64::try_from(length.as_nanos()).unwrap() / self.each + self.in_use + 2
    }
}

/// How many contents there are, and how many are in use at the same time: they come and go.
const CONTENTS: u8 = 200;
const CONTENTS_IN_USE: u64 = 12;
/// How many numbers of parts.
const NUMBERS: u16 = 3;
/// The bytes of a content. One is as large as several blocks.
pub fn body(content: u8) -> Vec<u8> {
    let len = if content.is_multiple_of(8) {
        300_000
    } else {
        200 + usize::from(content)
    };
    (0..len)
        .map(|at| content ^ u8::try_from(at % 251).unwrap())
        .collect()
}

pub fn serve(job: &Job) -> Result<()> {
    let (store, log) = (job.place.open()?, Arc::new(Log::create(&job.log)));
    std::thread::scope(|scope| {
        for thread in 0..job.pace.threads {
            let client = Client::new(job, &store, &log, thread);
            scope.spawn(move || client.work());
        }
    });
    store.close()
}

/// What makes calls and writes them down.
pub struct Client<'a> {
    job: &'a Job,
    store: &'a PartStore,
    log: &'a Log,
    contents: HashMap<ETag, u8>,
    tags: u64,
}

impl<'a> Client<'a> {
    pub fn new(job: &'a Job, store: &'a PartStore, log: &'a Log, thread: u64) -> Self {
        Self {
            job,
            store,
            log,
            contents: (0..CONTENTS)
                .map(|content| (etag(content), content))
                .collect(),
            tags: FIRST_TAG + ((job.id * job.pace.threads + thread) << 24),
        }
    }

    fn work(mut self) {
        let pace = self.job.pace;
        while now() < self.job.until {
            let slot = (now() - self.job.begun) / pace.each;
            let upload = slot + fastrand::u64(0..pace.in_use);
            let key = key_of(upload);
            let number = fastrand::u16(1..=NUMBERS);
            let content = slot * 4 + fastrand::u64(0..CONTENTS_IN_USE);
            let content = (content % u64::from(CONTENTS)) as u8;
            if fastrand::u16(0..1000) < pace.endings {
                if fastrand::u8(0..4) == 0 {
                    self.abort(upload);
                } else {
                    self.complete(upload);
                }
                continue;
            }
            match fastrand::u16(0..1000) {
                0..250 => self.put(upload, number, content),
                250..330 => self.copy(upload, number, key),
                330..460 => drop(self.get(upload, number)),
                460..520 => drop(self.list(upload)),
                520..690 => self.put_object(key, content),
                690..780 => self.remove_key(key),
                780..900 => drop(self.read_key(key)),
                900..930 => self.forget(slot),
                _ => self.sweep(),
            }
        }
    }

    /// Ends what is no longer in use, so that its contents go.
    fn forget(&self, slot: u64) {
        if let Some(old) = slot.checked_sub(fastrand::u64(1..4)) {
            self.abort(old);
            self.remove_key(key_of(old));
        }
    }

    fn upload(&self, upload: u64) -> &Upload {
        &self.job.uploads[usize::try_from(upload).unwrap()]
    }

    fn put(&self, upload: u64, number: u16, content: u8) {
        self.log.call(
            Verb::Put {
                upload,
                number,
                content,
            },
            || {
                answer(
                    self.store
                        .put_part(self.upload(upload), part(number), body(content)),
                    |_| Answer::Done,
                )
            },
        );
    }

    /// Copies a part of a key's object. What it has is known before.
    fn copy(&self, upload: u64, number: u16, key: u64) {
        let Ok(source) = self.store.open_key(name(key).as_str()) else {
            return;
        };
        let Ok(source) = source.part(part(fastrand::u16(1..=source.object().parts))) else {
            return;
        };
        let Some(content) = self.contents.get(&source.part().etag).copied() else {
            return;
        };
        self.log.call(
            Verb::Put {
                upload,
                number,
                content,
            },
            || {
                answer(
                    self.store
                        .copy_part(&source, self.upload(upload), part(number)),
                    |_| Answer::Done,
                )
            },
        );
    }

    fn get(&self, upload: u64, number: u16) -> Answer {
        self.log.call(Verb::Get { upload, number }, || {
            match self.store.open_part(self.upload(upload), part(number)) {
                Ok(mut reader) => contents(&mut reader, 1),
                Err(error) => refused(&error),
            }
        })
    }

    pub fn list(&self, upload: u64) -> Option<Vec<Piece>> {
        let listed = self.log.call(Verb::List { upload }, || {
            answer(
                self.store
                    .list_parts(self.upload(upload), &ListParts::new()),
                |page| {
                    let parts = page.parts.iter();
                    Answer::Parts(
                        parts
                            .map(|part| (part.number.get(), self.contents[&part.etag]))
                            .collect(),
                    )
                },
            )
        });
        match listed {
            Answer::Parts(parts) => Some(parts),
            _ => None,
        }
    }

    /// Each part of an upload, as a reader has it.
    pub fn read_parts(&self, upload: u64) {
        for number in 1..=NUMBERS {
            self.get(upload, number);
        }
    }

    fn complete(&self, upload: u64) {
        let mut parts = self.list(upload).unwrap_or_else(|| vec![(1, 1)]);
        // All, or the first ones: numbers have no gaps.
        let gap = (1..)
            .zip(&parts)
            .take_while(|(at, (number, _))| at == number)
            .count();
        parts.truncate(gap - gap.min(fastrand::usize(0..2)));
        if parts.is_empty() {
            return;
        }
        let lines: Vec<_> = parts
            .iter()
            .map(|(number, content)| CompletedPart::new(part(*number), etag(*content)))
            .collect();
        let options = CompleteOptions::new().make_current(match wanted_of(upload) {
            Wanted::Absent => Condition::IfAbsent,
            _ => Condition::Always,
        });
        self.log.call(Verb::Complete { upload, parts }, || {
            answer(
                self.store
                    .complete_upload_with(self.upload(upload), &lines, &options),
                |_| Answer::Done,
            )
        });
    }

    pub fn abort(&self, upload: u64) {
        self.log.call(Verb::Abort { upload }, || {
            answer(self.store.abort_upload(self.upload(upload)), |()| {
                Answer::Done
            })
        });
    }

    fn put_object(&mut self, key: u64, content: u8) {
        self.tags += 1;
        let tag = self.tags;
        let (wanted, condition) = match fastrand::u8(0..3) {
            0 => (Wanted::Absent, Condition::IfAbsent),
            1 => match self.store.object_by_key(name(key).as_str()) {
                Ok(object) => (
                    Wanted::Current(tag_of(&object.metadata)),
                    Condition::IfCurrent(object.upload.id()),
                ),
                Err(_) => return,
            },
            _ => (Wanted::Anything, Condition::Always),
        };
        let options = ObjectOptions::new()
            .metadata(tag.to_string())
            .only(condition);
        self.log.call(
            Verb::PutObject {
                key,
                tag,
                content,
                wanted,
            },
            || {
                answer(
                    self.store
                        .put_object_with(name(key).as_str(), body(content), &options),
                    |_| Answer::Done,
                )
            },
        );
    }

    pub fn remove_key(&self, key: u64) {
        self.log.call(Verb::RemoveKey { key }, || {
            answer(
                self.store.remove_key(name(key).as_str(), Condition::Always),
                Answer::Had,
            )
        });
    }

    pub fn read_key(&self, key: u64) -> Answer {
        self.log.call(Verb::ReadKey { key }, || {
            match self.store.open_key(name(key).as_str()) {
                Ok(mut reader) => {
                    let (tag, parts) = (tag_of(&reader.object().metadata), reader.object().parts);
                    // Others have time to remove what it reads.
                    std::thread::sleep(Duration::from_millis(fastrand::u64(0..30)));
                    match read(&mut reader, parts) {
                        Ok(contents) => Answer::Object { tag, contents },
                        Err(answer) => answer,
                    }
                }
                Err(error) => refused(&error),
            }
        })
    }

    fn sweep(&self) {
        self.log
            .call(Verb::Sweep, || answer(self.store.sweep(), |_| Answer::Done));
    }
}

fn part(number: u16) -> PartNumber {
    PartNumber::new(number.into()).unwrap()
}

fn etag(content: u8) -> ETag {
    ETag::from_md5(Md5::digest(body(content)).into())
}

pub fn name(key: u64) -> String {
    format!("key {key}")
}

fn tag_of(metadata: &[u8]) -> u64 {
    String::from_utf8_lossy(metadata).parse().unwrap()
}

fn answer<T>(result: Result<T>, done: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => done(value),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Answer {
    match error {
        Error::OutcomeUnknown { .. } => Answer::Refused("OutcomeUnknown".to_owned()),
        Error::DamagedBlob { .. } | Error::Io { .. } => Answer::Wrong(error.to_string()),
        _ => Answer::Refused(error.code().to_owned()),
    }
}

fn contents(reader: &mut impl Read, parts: u16) -> Answer {
    match read(reader, parts) {
        Ok(found) => Answer::Content(found[0]),
        Err(answer) => answer,
    }
}

/// The contents of so many parts, one behind the other.
fn read(reader: &mut impl Read, parts: u16) -> Result<Vec<u8>, Answer> {
    let mut bytes = Vec::new();
    if let Err(error) = reader.read_to_end(&mut bytes) {
        return Err(Error::from_io(error).map_or_else(
            |error| Answer::Wrong(error.to_string()),
            |ours| refused(&ours),
        ));
    }
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while let Some(first) = rest.first() {
        let whole = (*first < CONTENTS).then(|| body(*first));
        match whole.and_then(|whole| rest.strip_prefix(&whole[..])) {
            Some(behind) => rest = behind,
            None => {
                return Err(Answer::Wrong(format!(
                    "bytes that nobody has put, behind {found:?}"
                )));
            }
        }
        found.push(*first);
    }
    if found.len() == usize::from(parts) {
        Ok(found)
    } else {
        Err(Answer::Wrong(format!("{found:?} of {parts} parts")))
    }
}

/// The uploads of a run, as they are handed to servers.
pub fn write_uploads(path: &Path, uploads: &[Upload]) {
    let lines: Vec<_> = uploads
        .iter()
        .map(|upload| format!("{}\t{}", upload.key(), upload.id()))
        .collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

pub fn read_uploads(path: &Path) -> Vec<Upload> {
    let text = std::fs::read_to_string(path).unwrap();
    let upload = |line: &str| {
        let (key, id) = line.split_once('\t').unwrap();
        Upload::new(key, id.parse().unwrap())
    };
    text.lines().map(upload).collect()
}
