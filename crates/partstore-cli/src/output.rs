//! [`Output`]: what a command prints on stdout, for people or for programs.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use partstore::{DamagedFile, Key};
use serde_json::Value;

use crate::failure::{Done, Failure};

/// Stdout, as text or as JSON.
pub struct Output {
    json: bool,
    to: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self {
            json,
            to: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        }
    }

    /// Prints one row of a listing, or one report.
    pub fn row(&mut self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Done {
        let line = if self.json {
            json().to_string()
        } else {
            text()
        };
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Done {
        self.to.write_all(bytes).map_err(closed_or_failed)
    }

    pub fn flush(&mut self) -> Done {
        self.to.flush().map_err(closed_or_failed)
    }
}

fn closed_or_failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::file("write", Path::new("stdout"))(error),
    }
}

/// A bar of bytes on stderr, if that is a terminal.
pub fn bar(total: u64) -> ProgressBar {
    let style = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let bar = ProgressBar::new(total);
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A text in one line: what would break it, or a terminal, is escaped as in Rust.
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() || c == '\\' => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// A key for people: behind its namespace, if it has one.
pub fn name(key: &Key) -> String {
    match key.namespace() {
        "" => format!("{:?}", key.as_str()),
        namespace => format!("{:?} in {namespace:?}", key.as_str()),
    }
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A line on stderr about one of many.
pub fn eprint_line(line: &str) {
    let _ = writeln!(io::stderr(), "partstore: {line}");
}

/// A damaged file of the store, for people.
pub fn damaged_as_text(file: &DamagedFile) -> String {
    format!(
        "{} at byte {}: {}",
        file.path.display(),
        file.offset,
        file.reason
    )
}
