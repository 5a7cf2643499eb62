//! What a process says that it does: each line a single write to a file outside of the store, so
//! that it is there when the process is killed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use partstore::{Error, Result};

/// Ends a line: one without it was cut off.
const END: &str = " .";

pub struct Log {
    file: File,
    next: AtomicU64,
}

impl Log {
    pub fn append(path: &Path) -> Self {
        Self {
            file: File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap(),
            next: AtomicU64::new(0),
        }
    }

    pub fn say(&self, text: &str) {
        let line = format!("\n{text}{END}\n");
        (&self.file).write_all(line.as_bytes()).unwrap();
    }

    /// Makes a call that changes the store. `None` when it is refused.
    pub fn call<T>(&self, key: &str, what: &What, run: impl FnOnce() -> Result<T>) -> Option<T> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{number}", std::process::id());
        self.say(&format!("{name} begin {}", what.text(key)));
        match run() {
            Ok(done) => {
                self.say(&format!("{name} ok"));
                Some(done)
            }
            Err(error) => {
                assert!(is_refusal(&error), "{what:?}: {error}");
                self.say(&format!("{name} refused"));
                None
            }
        }
    }
}

/// Whether this is what a call gets that comes too late, or sends other bytes than it declares.
fn is_refusal(error: &Error) -> bool {
    let codes = ["NoSuchUpload", "NoSuchKey", "InvalidPart", "BadDigest"];
    codes.contains(&error.code())
}

/// The lines that were not cut off.
pub fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let whole = text.lines().filter_map(|line| line.strip_suffix(END));
    whole.map(str::to_owned).collect()
}

/// A call that changes the store. Uploads have keys of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Initiate,
    Put {
        number: u16,
        seed: u64,
    },
    /// Each part's number and ETag.
    Complete(Vec<(u16, String)>),
    Abort,
    Remove,
}

impl What {
    fn text(&self, key: &str) -> String {
        match self {
            Self::Initiate => format!("{key} initiate"),
            Self::Put { number, seed } => format!("{key} put {number} {seed}"),
            Self::Complete(parts) => {
                let parts = parts
                    .iter()
                    .map(|(number, etag)| format!("{number}:{etag}"));
                format!("{key} complete {}", parts.collect::<Vec<_>>().join(" "))
            }
            Self::Abort => format!("{key} abort"),
            Self::Remove => format!("{key} remove"),
        }
    }

    fn parse(words: &[&str]) -> Self {
        match words {
            ["initiate"] => Self::Initiate,
            ["put", number, seed] => Self::Put {
                number: number.parse().unwrap(),
                seed: seed.parse().unwrap(),
            },
            ["complete", parts @ ..] => {
                let parts = parts.iter().map(|part| {
                    let (number, etag) = part.split_once(':').unwrap();
                    (number.parse().unwrap(), etag.to_owned())
                });
                Self::Complete(parts.collect())
            }
            ["abort"] => Self::Abort,
            ["remove"] => Self::Remove,
            _ => panic!("{words:?}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Acknowledged,
    Refused,
    /// The process was killed first.
    None,
}

/// A call with its place in the order of lines: what ends before another begins was before it.
#[derive(Clone, Debug)]
pub struct Call {
    pub key: String,
    pub what: What,
    pub begun: usize,
    pub ended: usize,
    pub answer: Answer,
}

impl Call {
    pub fn is_acknowledged(&self) -> bool {
        self.answer == Answer::Acknowledged
    }

    pub fn is_cut_off(&self) -> bool {
        self.answer == Answer::None
    }
}

/// All calls of the processes that came one after the other.
pub fn read(path: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open = BTreeMap::<String, Call>::new();
    let lines = lines(path);
    for (at, line) in (1..).zip(&lines) {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["opening"] => {
                // Whoever was here before is dead.
                let cut_off = std::mem::take(&mut open).into_values();
                calls.extend(cut_off.map(|call| Call { ended: at, ..call }));
                continue;
            }
            [name, "begin", key, rest @ ..] => {
                let call = Call {
                    key: (*key).to_owned(),
                    what: What::parse(rest),
                    begun: at,
                    ended: usize::MAX,
                    answer: Answer::None,
                };
                open.insert((*name).to_owned(), call);
                continue;
            }
            [_, "ok"] => Answer::Acknowledged,
            [_, "refused"] => Answer::Refused,
            _ => panic!("{line}"),
        };
        let call = open.remove(words[0]).unwrap();
        calls.push(Call {
            ended: at,
            answer,
            ..call
        });
    }
    calls.extend(open.into_values());
    calls
}
