//! What is asked of a store while it is recorded.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fastrand::Rng;
use parking_lot::RwLock;
use partstore::{Error, PartOptions, PartStore, Upload};

use super::history::{Action, Body, Call, History, Outcome, number_of};
use super::keys;
use super::options;
use super::oracle::FURTHER;
use crate::shim::{self, Failure, Fault, Kind, Plan};

/// Calls of a random workload, all threads together.
const CALLS: u64 = 60;

/// All sequences of one, two and three steps of seven.
pub const SEQUENCES: u64 = 7 + 7 * 7 + 7 * 7 * 7;

/// Each ends with a clean close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// A new store, and one part in it; then it is closed and opened, and takes another: for crashes
    /// while a store is made or opened.
    Creation,
    /// The sequence of steps whose number the seed is.
    Sequence,
    /// Random calls from one thread, which closes the store and opens it again now and then. With an odd
    /// seed, here and in the two below, completions replace the newest object.
    Random,
    /// Random calls from 4 to 8 threads.
    Threads,
    /// Keys are given objects in every way and under every condition, and namespaces come and go: from one
    /// thread with an even seed, which closes the store and opens it again now and then, from four with an
    /// odd one.
    Keys,
    /// As `Random`, and one sync fails; the store is opened again after that.
    FailedSync,
    /// Uploads are initiated from 8 threads: with an even seed, frames of equal length in groups; with
    /// an odd one, each longer than a segment.
    Groups,
    /// A blob's file is damaged or removed while the store is closed, and the same bytes are put again.
    Repaired,
    /// A byte of the journal is flipped while the store is closed, twice; the open after it writes the journal
    /// anew.
    Rewritten,
    /// Uploads and objects with more parts than one batch removes are aborted, removed and replaced, while
    /// smaller ones have the same bytes.
    Many,
}

impl Workload {
    /// What the shim is to do in the meantime.
    pub fn plan(self, seed: u64) -> Plan {
        let fault = (self == Self::FailedSync).then(|| Fault {
            kind: Kind::Sync,
            nth: seed % 80 + 1,
            times: 1,
            failure: Failure::Errno(libc::EIO),
        });
        Plan {
            fault,
            without: None,
            for_good: false,
            slow_syncs: matches!(self, Self::Threads | Self::Groups | Self::Keys),
        }
    }
}

/// What is asked about a namespace.
#[derive(Clone, Copy)]
enum SpaceCall {
    Create,
    SetQuota,
    Remove,
}

/// Makes calls and writes down what comes of them.
pub struct Player {
    dir: PathBuf,
    store: RwLock<Option<PartStore>>,
    calls: Mutex<Vec<Call>>,
    uploads: Mutex<Uploads>,
}

#[derive(Default)]
struct Uploads {
    handles: HashMap<String, Upload>,
    /// The names of the files of bodies that were put.
    contents: HashMap<Body, String>,
    /// What those that are open hold, as far as it is acknowledged.
    open: BTreeMap<String, BTreeMap<u16, Body>>,
    completed: Vec<String>,
    /// Whether completions replace the newest object.
    replacing: bool,
    /// Of each upload that was to be completed: the object that it then replaces.
    replaced: HashMap<String, Option<String>>,
    initiated: u32,
}

impl Uploads {
    /// The object that the completion of an upload replaces. Another than the last time only when that one
    /// is gone for good: a call that is still under way may complete the upload in its place.
    fn object_to_replace(&mut self, name: &str) -> Option<String> {
        let newest = self.completed.last().filter(|_| self.replacing);
        let replaced = self.replaced.entry(name.to_owned());
        let replaced = replaced.or_insert_with(|| newest.cloned());
        if replaced
            .as_ref()
            .is_some_and(|object| !self.completed.contains(object))
        {
            *replaced = newest.cloned();
        }
        replaced.clone()
    }

    fn forget(&mut self, object: Option<&str>) {
        self.completed.retain(|other| Some(&other[..]) != object);
    }
}

impl Player {
    /// Opens a new store; when that fails, [`play`](Self::play) tries again.
    pub fn open(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            store: RwLock::new(options().open(dir).ok()),
            calls: Mutex::default(),
            uploads: Mutex::default(),
        }
    }

    /// Goes on after these calls, with a store that is not open yet.
    pub fn after(dir: &Path, history: History) -> Self {
        let initiated = |call: &&Call| matches!(call.action, Action::Initiate { .. });
        let initiated = history.calls.iter().filter(initiated).count();
        Self {
            dir: dir.to_owned(),
            store: RwLock::default(),
            calls: Mutex::new(history.calls),
            uploads: Mutex::new(Uploads {
                initiated: u32::try_from(initiated).expect("fewer than 2^32 calls"),
                ..Uploads::default()
            }),
        }
    }

    /// The store, while it is open.
    pub fn store(&self) -> Option<PartStore> {
        self.store.read().clone()
    }

    /// The calls so far.
    pub fn history(&self) -> History {
        History {
            calls: self.calls.lock().expect("no thread panicked").clone(),
            deep: false,
        }
    }

    pub fn into_history(self) -> History {
        History {
            calls: self.calls.into_inner().expect("no thread panicked"),
            deep: false,
        }
    }

    pub fn play(&self, workload: Workload, seed: u64) {
        let may_replace = [Workload::Random, Workload::Threads, Workload::FailedSync];
        self.lock().replacing = may_replace.contains(&workload) && !seed.is_multiple_of(2);
        match workload {
            Workload::Creation => {
                self.step(0);
                self.close();
                self.reopen();
                self.step(1);
            }
            Workload::Sequence => self.sequence(seed % SEQUENCES),
            Workload::Random | Workload::FailedSync => {
                self.random(Rng::with_seed(seed), CALLS, true);
            }
            Workload::Threads => std::thread::scope(|scope| {
                let threads = 4 + seed % 5;
                for thread in 0..threads {
                    let random = Rng::with_seed(seed.wrapping_mul(1000) + thread);
                    scope.spawn(move || self.random(random, CALLS / threads, false));
                }
            }),
            Workload::Keys => {
                self.space(keys::NAMESPACE, SpaceCall::Create, 1 << 40);
                if seed.is_multiple_of(2) {
                    self.keys(0, Rng::with_seed(seed), CALLS * 2 / 3, true);
                } else {
                    std::thread::scope(|scope| {
                        for thread in 0..4 {
                            let random = Rng::with_seed(seed.wrapping_mul(1000) + thread);
                            scope.spawn(move || self.keys(thread, random, CALLS / 6, false));
                        }
                    });
                }
            }
            Workload::Groups => std::thread::scope(|scope| {
                let len = if seed.is_multiple_of(2) { 480 } else { 6000 };
                for _ in 0..8 {
                    scope.spawn(move || (0..4).for_each(|_| drop(self.initiate_with(None, len))));
                }
            }),
            Workload::Repaired => self.repaired(&mut Rng::with_seed(seed)),
            Workload::Rewritten => self.rewritten(&Rng::with_seed(seed)),
            Workload::Many => self.many(&mut Rng::with_seed(seed)),
        }
    }

    fn sequence(&self, mut number: u64) {
        let mut len = 1;
        while number >= 7_u64.pow(len) {
            number -= 7_u64.pow(len);
            len += 1;
        }
        for _ in 0..len {
            self.step(number % 7);
            number /= 7;
        }
    }

    /// One of the seven: put, replace, duplicate, abort, complete, remove, sweep.
    fn step(&self, step: u64) {
        let body = |id| Body {
            id,
            len: 700 + u32::from(id),
        };
        match step {
            0 => self.put(&self.current(), 1, body(1)),
            1 => self.put(&self.current(), 1, body(2)),
            2 => self.put(&self.current(), 2, body(1)),
            3 => self.abort(&self.current()),
            4 => self.complete(&self.current()),
            5 => self.remove(&self.newest_object()),
            _ => self.sweep(),
        }
    }

    /// The open upload of a sequence, or a new one.
    fn current(&self) -> String {
        let open = self.lock().open.keys().next().cloned();
        open.unwrap_or_else(|| self.initiate())
    }

    /// The body that is damaged is the one that the check puts, too.
    fn repaired(&self, random: &mut Rng) {
        let upload = self.initiate();
        self.put(&upload, 1, FURTHER);
        self.step(0);
        if random.bool() {
            self.complete(&upload);
        }
        self.close();
        self.damage(FURTHER, random);
        self.reopen();
        if random.bool() {
            self.step(2);
        }
        let again = self.initiate();
        self.put(&again, 2, FURTHER);
        self.step(random.u64(0..7));
        self.sweep();
    }

    fn many(&self, random: &mut Rng) {
        for _ in 0..2 {
            let upload = self.initiate();
            for number in 1..=40 {
                let id = if number < 38 { 1 } else { number };
                let len = 700 + u32::from(id);
                self.put(&upload, number, Body { id, len });
            }
            if random.bool() {
                self.step(0);
            }
            match random.u32(0..3) {
                0 => self.abort(&upload),
                end => {
                    self.complete(&upload);
                    let replaced = (end == 1).then(|| upload.clone());
                    match replaced {
                        Some(object) => {
                            let other = self.initiate();
                            self.put(&other, 1, Body { id: 1, len: 701 });
                            self.complete_in_place(&other, Some(&object));
                        }
                        None => self.remove(&upload),
                    }
                }
            }
            for _ in 0..random.u32(1..4) {
                match random.u32(0..4) {
                    0 => {
                        self.close();
                        self.reopen();
                    }
                    1 => self.maintain(),
                    2 => self.step(2),
                    _ => self.sweep(),
                }
            }
        }
    }

    fn rewritten(&self, random: &Rng) {
        for _ in 0..2 {
            self.random(random.clone(), 12, false);
            self.maintain();
            self.close();
            self.damage_truth(&mut random.clone());
            self.reopen();
            self.step(2);
        }
    }

    /// Flips a byte of a file of the journal, durably. The store is closed.
    fn damage_truth(&self, random: &mut Rng) {
        let entries = std::fs::read_dir(self.dir.join("meta/journal")).expect("the store has it");
        let files = entries.map(|entry| entry.expect("it can be listed").path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        let path = random.choice(files).expect("a journal has a segment");
        let bytes = std::fs::read(&path).expect("it can be read");
        // Mostly where something is written.
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let offset = random.usize(0..=written);
        let name = path.strip_prefix(&self.dir).expect("it is below");
        let call = self.begin(Action::DamageTruth {
            file: name.to_string_lossy().into_owned(),
            offset: offset as u64,
        });
        let done = shim::aside(|| {
            let file = File::options().write(true).open(&path)?;
            file.write_all_at(&[!bytes[offset]], offset as u64)?;
            file.sync_all()
        });
        done.expect("the file can be written");
        self.end(call, Outcome::Ok);
    }

    fn newest_object(&self) -> String {
        let newest = self.lock().completed.last().cloned();
        newest.unwrap_or_else(|| self.current())
    }

    fn random(&self, mut random: Rng, calls: u64, alone: bool) {
        for _ in 0..calls {
            if alone && self.has_stopped() {
                self.close();
                self.reopen();
            }
            match random.u32(0..100) {
                0..5 => drop(self.initiate_any(&mut random)),
                5..60 => {
                    let body = any_body(&mut random);
                    let number = random.u16(1..6);
                    let upload = self.any_open(&mut random);
                    if random.u32(0..12) == 0 {
                        self.put_refused(&upload, number, body);
                    } else {
                        self.put(&upload, number, body);
                    }
                }
                60..67 => self.abort(&self.any_open(&mut random)),
                67..77 => self.complete(&self.any_open(&mut random)),
                77..84 => {
                    let completed = self.lock().completed.clone();
                    if let Some(upload) = random.choice(completed) {
                        self.remove(&upload);
                    }
                }
                84..92 => self.sweep(),
                92..98 => self.maintain(),
                _ if alone => {
                    self.close();
                    self.reopen();
                }
                _ => self.maintain(),
            }
        }
    }

    /// All threads have the same keys.
    fn keys(&self, thread: u64, mut random: Rng, calls: u64, alone: bool) {
        for _ in 0..calls {
            match random.u32(0..100) {
                0..55 => self.set_key(&keys::any_key(&mut random), thread, &mut random),
                55..75 => self.come_and_go(thread, &mut random),
                75..85 => {
                    let (_, of_space) = keys::any_space(&mut random);
                    let key = keys::any_key(&mut random);
                    let key = if random.u32(0..5) == 0 { of_space } else { key };
                    let long = random.bool();
                    let action = Action::Describe {
                        key: key.clone(),
                        long,
                    };
                    self.call(action, |store| keys::describe(store, &key, long));
                }
                85..88 => {
                    // The namespace that stays has room for all bodies.
                    let bytes = 1 << random.u32(35..60);
                    self.space(keys::NAMESPACE, SpaceCall::SetQuota, bytes);
                }
                88..91 => self.sweep(),
                91..97 => self.maintain(),
                _ if alone => {
                    self.close();
                    self.reopen();
                }
                _ => self.maintain(),
            }
        }
    }

    fn set_key(&self, key: &str, thread: u64, random: &mut Rng) {
        let (way, body) = (keys::any_way(random), any_body(random));
        let Some(store) = self.store() else { return };
        let only = keys::any_condition(&store, key, random);
        let action = Action::SetKey {
            key: key.to_owned(),
            way,
            body,
            only: only.clone(),
        };
        let setting = keys::Setting {
            name: key,
            way,
            body,
            only: &only,
            thread,
        };
        self.call(action, |store| keys::set(store, setting));
    }

    /// A namespace is created, gets an object or another quota, or is removed.
    fn come_and_go(&self, thread: u64, random: &mut Rng) {
        let (space, key) = keys::any_space(random);
        let call = match random.u32(0..10) {
            0..3 => SpaceCall::Create,
            3..5 => SpaceCall::Remove,
            5 => SpaceCall::SetQuota,
            _ => return self.set_key(&key, thread, random),
        };
        self.space(&space, call, keys::any_quota(random));
    }

    fn space(&self, name: &str, call: SpaceCall, bytes: u64) {
        let own = name.to_owned();
        match call {
            SpaceCall::Create => {
                let action = Action::CreateNamespace { name: own, bytes };
                self.call(action, |store| keys::create_namespace(store, name, bytes));
            }
            SpaceCall::SetQuota => {
                let action = Action::SetQuota { name: own, bytes };
                self.call(action, |store| keys::set_quota(store, name, bytes));
            }
            SpaceCall::Remove => {
                let action = Action::RemoveNamespace { name: own };
                self.call(action, |store| store.remove_namespace(name));
            }
        }
    }

    /// Whether the store is not open, or has stopped after a failed sync.
    fn has_stopped(&self) -> bool {
        let calls = self.calls.lock().expect("no thread panicked");
        let stopped = |call: &Call| matches!(call.outcome, Outcome::Unknown(_));
        self.store.read().is_none() || calls.last().is_some_and(stopped)
    }

    fn any_open(&self, random: &mut Rng) -> String {
        let open: Vec<String> = self.lock().open.keys().cloned().collect();
        let chosen = random.choice(open);
        chosen.unwrap_or_else(|| self.initiate_any(random))
    }

    pub fn initiate(&self) -> String {
        self.initiate_with(None, 0)
    }

    /// Some metadata; now and then under the key of another upload.
    fn initiate_any(&self, random: &mut Rng) -> String {
        let others: Vec<String> = self.lock().open.keys().cloned().collect();
        let key = random.choice(others).filter(|_| random.u32(0..5) == 0);
        self.initiate_with(key, any_metadata_len(random))
    }

    /// Gives the upload's name, which is its key, too, unless it has the key of another.
    fn initiate_with(&self, key: Option<String>, metadata_len: u32) -> String {
        let (upload, key, metadata) = {
            let mut uploads = self.lock();
            uploads.initiated += 1;
            let upload = format!("upload-{:04}", uploads.initiated);
            let least = if key.is_some() { 16 } else { 0 };
            let metadata = Body {
                id: u16::try_from(uploads.initiated).expect("fewer than 2^16 uploads"),
                len: metadata_len.max(least),
            };
            let key = key.and_then(|other| {
                uploads
                    .handles
                    .get(&other)
                    .map(|other| other.key().to_owned())
            });
            let key = key.unwrap_or_else(|| upload.clone());
            (upload, key, metadata)
        };
        let action = Action::Initiate {
            upload: upload.clone(),
            key: key.clone(),
            metadata,
        };
        let bytes = metadata.bytes();
        let made = self.call(action, |store| store.initiate_upload_with(&key, &bytes));
        if let Some(handle) = made {
            let mut uploads = self.lock();
            uploads.handles.insert(upload.clone(), handle);
            uploads.open.insert(upload.clone(), BTreeMap::new());
        }
        upload
    }

    /// Damages or removes the file of a body, durably. The store is closed.
    fn damage(&self, body: Body, random: &mut Rng) {
        let Some(content) = self.lock().contents.get(&body).cloned() else {
            return;
        };
        let dir = self.dir.join("blobs").join(&content[..2]);
        let file = dir.join(&content);
        let call = self.begin(Action::Damage { body, content });
        let done = shim::aside(|| match random.u32(0..3) {
            0 => std::fs::remove_file(file).and_then(|()| File::open(dir)?.sync_all()),
            1 => File::options().write(true).open(file).and_then(|file| {
                file.set_len(u64::from(body.len / 2))?;
                file.sync_all()
            }),
            _ => File::options().write(true).open(file).and_then(|file| {
                file.write_all_at(&[!body.bytes()[100]], 100)?;
                file.sync_all()
            }),
        });
        done.expect("the file of a part that was acknowledged is there");
        self.end(call, Outcome::Ok);
    }

    pub fn put(&self, name: &str, number: u16, body: Body) {
        let Some(upload) = self.handle(name) else {
            return;
        };
        let bytes = body.bytes();
        let action = Action::Put {
            upload: name.to_owned(),
            number,
            body,
        };
        // A copy of a part that has these bytes, where there is one and it is its turn: nothing is drawn for
        // it, so that seeds keep their meaning.
        let holder = self
            .holder(body)
            .filter(|_| (body.id + number).is_multiple_of(3));
        // All ways in are the same to a user.
        let put = self.call(action, |store| {
            let source = holder
                .and_then(|(upload, at)| store.open_part(&upload, number_of(at)).ok())
                .filter(|source| source.part().etag == body.etag());
            if let Some(source) = source {
                store.copy_part(&source, &upload, number_of(number))
            } else if body.len.is_multiple_of(2) {
                store.put_part(&upload, number_of(number), bytes)
            } else {
                store.put_part_from(&upload, number_of(number), &bytes[..], PartOptions::new())
            }
        });
        if let Some(part) = put {
            let mut uploads = self.lock();
            uploads.contents.insert(body, part.content.to_string());
            if let Some(parts) = uploads.open.get_mut(name) {
                parts.insert(number, body);
            }
        }
    }

    /// An open upload that holds the body, and under which number.
    fn holder(&self, body: Body) -> Option<(Upload, u16)> {
        let uploads = self.lock();
        uploads.open.iter().find_map(|(name, parts)| {
            let (number, _) = parts.iter().find(|(_, held)| **held == body)?;
            Some((uploads.handles.get(name)?.clone(), *number))
        })
    }

    pub fn put_refused(&self, name: &str, number: u16, body: Body) {
        let Some(upload) = self.handle(name) else {
            return;
        };
        let options = PartOptions::new().md5([7; 16]);
        self.call(
            Action::PutRefused {
                upload: name.to_owned(),
                number,
                body,
            },
            |store| store.put_part_from(&upload, number_of(number), &body.bytes()[..], options),
        );
    }

    pub fn abort(&self, name: &str) {
        let Some(upload) = self.handle(name) else {
            return;
        };
        let action = Action::Abort {
            upload: name.to_owned(),
        };
        if self
            .call(action, |store| store.abort_upload(&upload))
            .is_some()
        {
            self.lock().open.remove(name);
        }
    }

    pub fn complete(&self, name: &str) {
        let replaced = self.lock().object_to_replace(name);
        self.complete_in_place(name, replaced.as_deref());
    }

    /// Completes an upload, in place of an object if one is named.
    pub fn complete_in_place(&self, name: &str, replaced: Option<&str>) {
        let Some(upload) = self.handle(name) else {
            return;
        };
        let object = replaced.and_then(|name| self.handle(name));
        let parts: Vec<_> = self
            .lock()
            .open
            .get(name)
            .map(|parts| {
                parts
                    .iter()
                    .map(|(number, body)| (*number, *body))
                    .collect()
            })
            .unwrap_or_default();
        let list: Vec<_> = parts
            .iter()
            .map(|(number, body)| body.completed(*number))
            .collect();
        let action = Action::Complete {
            upload: name.to_owned(),
            parts,
            replaced: replaced.map(str::to_owned),
        };
        let completed = self.call(action, |store| match &object {
            Some(object) => {
                let completed = store.complete_upload_replacing(&upload, &list, object);
                if matches!(completed, Err(Error::NoSuchObject { .. })) {
                    self.lock().forget(replaced);
                }
                completed
            }
            None => store.complete_upload(&upload, &list),
        });
        if completed.is_some() {
            let mut uploads = self.lock();
            uploads.open.remove(name);
            uploads.forget(replaced);
            uploads.completed.push(name.to_owned());
        }
    }

    pub fn remove(&self, name: &str) {
        let Some(upload) = self.handle(name) else {
            return;
        };
        let action = Action::Remove {
            upload: name.to_owned(),
        };
        if self
            .call(action, |store| store.remove_object(&upload))
            .is_some()
        {
            self.lock().completed.retain(|other| other != name);
        }
    }

    pub fn sweep(&self) {
        self.call(Action::Sweep, PartStore::sweep);
    }

    pub fn maintain(&self) {
        self.call(Action::Maintain, PartStore::maintain);
    }

    /// Closes the store.
    pub fn close(&self) {
        let call = self.begin(Action::Close);
        let store = self.store.write().take();
        if let Some(store) = store {
            let outcome = Outcome::of(&store.close());
            drop(store);
            self.end(call, outcome);
        }
    }

    /// Opens the store again.
    pub fn reopen(&self) {
        let call = self.begin(Action::Open);
        let opened = options().open(&self.dir);
        let outcome = Outcome::of(&opened);
        *self.store.write() = opened.ok();
        self.end(call, outcome);
    }

    fn call<T>(
        &self,
        action: Action,
        run: impl FnOnce(&PartStore) -> Result<T, Error>,
    ) -> Option<T> {
        let store = self.store.read().clone()?;
        let call = self.begin(action);
        let result = run(&store);
        self.end(call, Outcome::of(&result));
        result.ok()
    }

    fn begin(&self, action: Action) -> usize {
        let mut calls = self.calls.lock().expect("no thread panicked");
        calls.push(Call {
            action,
            outcome: Outcome::Unknown("it did not return".to_owned()),
        });
        let call = calls.len() - 1;
        shim::begin(call);
        call
    }

    fn end(&self, call: usize, outcome: Outcome) {
        shim::ack(call);
        self.calls.lock().expect("no thread panicked")[call].outcome = outcome;
    }

    fn handle(&self, name: &str) -> Option<Upload> {
        self.lock().handles.get(name).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Uploads> {
        self.uploads.lock().expect("no thread panicked")
    }
}

/// One of few bodies, so that many are put twice: mostly small, a few longer than a block.
fn any_body(random: &mut Rng) -> Body {
    match random.u32(0..40) {
        // Empty bodies are all the same.
        0 => Body { id: 0, len: 0 },
        1 => Body {
            id: random.u16(0..2),
            len: 270_000,
        },
        _ => Body {
            id: random.u16(0..10),
            len: 1 << random.u32(4..15),
        },
    }
}

/// Mostly little; sometimes more than a segment holds.
fn any_metadata_len(random: &mut Rng) -> u32 {
    match random.u32(0..20) {
        0..8 => 0,
        8..15 => random.u32(1..600),
        15..18 => random.u32(600..4000),
        _ => random.u32(6000..8192),
    }
}
