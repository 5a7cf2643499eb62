//! What servers write down: each call before it is made, and its answer behind it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// A part: its number, and which content it has.
pub type Piece = (u16, u8);

/// What a put asks of its key. An object is named by its tag, which is in its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    Anything,
    Absent,
    Current(u64),
}

/// A call. Uploads and keys are numbered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    Put {
        upload: u64,
        number: u16,
        content: u8,
    },
    Get {
        upload: u64,
        number: u16,
    },
    List {
        upload: u64,
    },
    Complete {
        upload: u64,
        parts: Vec<Piece>,
    },
    Abort {
        upload: u64,
    },
    PutObject {
        key: u64,
        tag: u64,
        content: u8,
        wanted: Wanted,
    },
    RemoveKey {
        key: u64,
    },
    ReadKey {
        key: u64,
    },
    Sweep,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Refused(String),
    /// Bytes that nobody has put.
    Wrong(String),
    Parts(Vec<Piece>),
    Content(u8),
    Had(bool),
    Object {
        tag: u64,
        contents: Vec<u8>,
    },
}

/// A call and what is known of it. Moments are nanoseconds of a clock that all processes share.
#[derive(Clone, Debug)]
pub struct Call {
    pub verb: Verb,
    pub begun: u64,
    pub ended: Option<(u64, Answer)>,
}

#[derive(Serialize, Deserialize)]
enum Line {
    Begun(u64, u64, Verb),
    Ended(u64, u64, Answer),
}

/// The log of one process.
pub struct Log {
    file: Mutex<File>,
    next: AtomicU64,
}

/// Nanoseconds since the machine started.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

impl Log {
    pub fn create(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        Self {
            file: Mutex::new(file.unwrap()),
            next: AtomicU64::new(0),
        }
    }

    /// Makes a call between its two lines. A line is one write, so a kill leaves it whole or not at all.
    pub fn call(&self, verb: Verb, make: impl FnOnce() -> Answer) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.write(&Line::Begun(id, now(), verb));
        let answer = make();
        self.write(&Line::Ended(id, now(), answer.clone()));
        answer
    }

    fn write(&self, line: &Line) {
        let text = serde_json::to_string(line).unwrap() + "\n";
        self.file
            .lock()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
}

/// All calls of all logs in a directory.
pub fn read(directory: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let first = calls.len();
        let mut places = std::collections::HashMap::new();
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            match serde_json::from_str(line).unwrap() {
                Line::Begun(id, begun, verb) => {
                    places.insert(id, calls.len());
                    calls.push(Call {
                        verb,
                        begun,
                        ended: None,
                    });
                }
                Line::Ended(id, at, answer) => calls[places[&id]].ended = Some((at, answer)),
            }
        }
        debug_assert!(calls.len() >= first);
    }
    calls.sort_by_key(|call| call.begun);
    calls
}
