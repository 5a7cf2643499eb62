//! Output: a line for each step and, on a terminal, the progress of the current one.

use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The line on the terminal is drawn again no sooner than after this.
const FRAME: Duration = Duration::from_millis(100);
/// Clears the line that the cursor is in.
const CLEAR: &str = "\r\x1b[K";

/// The progress of a step. It is drawn on a terminal only.
pub struct Progress {
    is_drawn: bool,
    step: Mutex<Step>,
}

struct Step {
    name: &'static str,
    done: u64,
    total: u64,
    drawn: Instant,
}

impl Progress {
    pub fn new() -> Self {
        let step = Step {
            name: "",
            done: 0,
            total: 0,
            drawn: Instant::now(),
        };
        Self {
            is_drawn: io::stderr().is_terminal(),
            step: Mutex::new(step),
        }
    }

    /// Begins a step that handles so many bytes.
    pub fn begin(&self, name: &'static str, bytes: u64) {
        let mut step = self.step();
        (step.name, step.done, step.total) = (name, 0, bytes);
    }

    /// Prints a line above the progress.
    pub fn say(&self, line: impl Display) {
        let _step = self.step();
        self.clear();
        println!("{line}");
    }

    /// Removes the progress from the terminal.
    pub fn clear(&self) {
        if self.is_drawn {
            eprint!("{CLEAR}");
        }
    }

    /// Wraps a reader: what is read through it counts as progress.
    pub fn reads<R: Read>(&self, reader: R) -> impl Read {
        Counted {
            inner: reader,
            progress: self,
        }
    }

    fn add(&self, bytes: usize) {
        let mut step = self.step();
        step.done += bytes as u64;
        if self.is_drawn && step.drawn.elapsed() >= FRAME {
            step.drawn = Instant::now();
            let percent = step.done * 100 / step.total.max(1);
            let (name, done, total) = (step.name, size(step.done), size(step.total));
            eprint!("{CLEAR}{name:<12} {percent:>3} %, {done} of {total}");
            let _ = io::stderr().flush();
        }
    }

    fn step(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Counted<'a, R> {
    inner: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.progress.add(read);
        Ok(read)
    }
}

/// One line with the error and its causes.
pub fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}

/// A size for people: `8 MiB`.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scale = 0;
    while scale + 1 < units.len() && bytes >> (10 * (scale + 1)) > 0 {
        scale += 1;
    }
    let unit = units[scale];
    let hundredths = (u128::from(bytes) * 100) >> (10 * scale);
    match hundredths % 100 {
        0 => format!("{} {unit}", hundredths / 100),
        rest => format!("{}.{rest:02} {unit}", hundredths / 100),
    }
}
