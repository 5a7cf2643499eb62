//! What the cases share: a store of the engine that is under test, part numbers, bytes, races.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::{Barrier, Once};

use partstore::{
    Background, CompletedPart, ListParts, Object, Options, Part, PartNumber, PartStore, Result,
    Scope, Upload,
};

use crate::{Engine, Opened};

type New = fn() -> Box<dyn Engine>;

thread_local! {
    /// The engine of the case that runs on this thread.
    static NEW: RefCell<Option<New>> = const { RefCell::new(None) };
}

/// Runs one case on an engine.
pub fn run(new: New, case: fn()) {
    NEW.set(Some(new));
    if let Err(panic) = catch_unwind(case)
        && !panic.is::<Skipped>()
    {
        resume_unwind(panic);
    }
}

/// Why a case ended early.
struct Skipped;

/// Ends the case that runs on this thread, as one that passed: for engines that need what this machine lacks.
/// It says why, once for all cases.
pub fn skip(why: &str) -> ! {
    static SAID: Once = Once::new();
    // The lines of a test that passes are not shown, so this one goes past them.
    SAID.call_once(|| drop(writeln!(std::io::stderr().lock(), "skipped: {why}")));
    resume_unwind(Box::new(Skipped));
}

/// A store without a housekeeping thread and without size limits.
pub struct Fixture {
    pub store: PartStore,
    pub options: Options,
    pub engine: Box<dyn Engine>,
}

impl Fixture {
    /// On the engine of the case that runs on this thread.
    pub fn new() -> Self {
        Self::with(free_options())
    }

    pub fn with(options: Options) -> Self {
        let new = NEW.with_borrow(|new| *new);
        let new = new.expect("a case makes its stores on its own thread");
        Self::on(new(), options)
    }

    pub fn on(engine: Box<dyn Engine>, options: Options) -> Self {
        let store = engine.open(options.clone()).unwrap();
        Self {
            store,
            options,
            engine,
        }
    }

    /// Initiates an upload.
    pub fn initiate(&self, key: &str) -> Upload {
        self.store.initiate_upload(key).unwrap()
    }

    /// Puts a part.
    pub fn put(&self, upload: &Upload, part: u32, body: &[u8]) -> Part {
        let body = body.to_vec();
        self.store.put_part(upload, number(part), body).unwrap()
    }

    /// Initiates an upload, puts the bodies as its parts 1, 2, ... and completes it.
    pub fn complete(&self, key: &str, bodies: &[&[u8]]) -> Object {
        let upload = self.initiate(key);
        let parts: Vec<Part> = (1..)
            .zip(bodies)
            .map(|(at, body)| self.put(&upload, at, body))
            .collect();
        self.store.complete_upload(&upload, &lines(&parts)).unwrap()
    }

    /// The upload's parts, up to 1,000.
    pub fn parts(&self, upload: &Upload) -> Vec<Part> {
        self.store
            .list_parts(upload, &ListParts::new())
            .unwrap()
            .parts
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        self.store.close().unwrap();
        self.store = self.engine.open(self.options.clone()).unwrap();
    }

    /// Opens what a crash at this moment would leave.
    pub fn open_killed(&self) -> PartStore {
        let crashed = self.engine.crashed();
        let store = crashed.open(self.options.clone()).unwrap();
        crashed.check_recovery(&store, Opened::Crashed);
        store
    }

    /// The hashes of all blobs whose bytes the engine keeps.
    pub fn blob_files(&self) -> BTreeSet<String> {
        let contents = self.engine.contents();
        contents.iter().map(ToString::to_string).collect()
    }

    /// What must hold at any quiet moment: nothing is staged, and after a sweep each blob that is kept is
    /// referenced, and everything verifies.
    pub fn assert_tidy(&self) {
        self.store.sweep().unwrap();
        let report = self.store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let stats = self.store.stats().unwrap();
        assert_eq!(
            stats.blobs,
            self.blob_files().len() as u64,
            "bytes and records differ"
        );
        assert_eq!(
            (stats.garbage, stats.staged_bodies, stats.reserved_bytes),
            (0, 0, 0)
        );
    }
}

/// Options that allow parts of any size and leave the housekeeping to the test.
pub fn free_options() -> Options {
    Options::cos().min_part_size(0).background(Background::Host)
}

pub fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

/// `len` bytes that differ by seed and by place.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&step());
    }
    bytes.truncate(len);
    bytes
}

pub fn lines(parts: &[Part]) -> Vec<CompletedPart> {
    parts.iter().map(CompletedPart::from).collect()
}

pub fn read_part(store: &PartStore, upload: &Upload, number: PartNumber) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = store.open_part(upload, number).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn read_object(store: &PartStore, object: &Upload) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = store.open_object(object).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Numbers that look random and are the same each time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len())])
    }
}

/// What a server would answer to a call that was refused.
pub fn refusal<T: Debug>(result: Result<T>) -> (&'static str, u16) {
    let error = result.unwrap_err();
    (error.code(), error.http_status())
}

/// Runs `work` on this many threads at the same moment, each with its number from 0 on.
pub fn race<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    let new = NEW.with_borrow(|new| *new);
    std::thread::scope(|scope| {
        let run = |at| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                NEW.set(new);
                start.wait();
                work(at)
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
