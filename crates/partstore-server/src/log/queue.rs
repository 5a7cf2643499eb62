//! Lines between the threads that log and stderr.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use super::Format;

/// Lines that wait for the reader of stderr.
const LINES: usize = 4096;
/// How long the end of the process waits for them.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// How often the number of dropped lines is logged.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A bounded queue to the one thread that writes to stderr. When the reader of stderr is slow, or has left, lines are
/// dropped and counted, and nobody waits.
#[derive(Clone)]
pub struct Queue {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Lines that are in the queue, or being written.
    waiting: AtomicU64,
    dropped: AtomicU64,
}

impl Queue {
    pub fn begin(format: Format) -> io::Result<Self> {
        let (lines, received) = sync_channel(LINES);
        let counts = Arc::<Counts>::default();
        let writer = Writer {
            lines: received,
            counts: counts.clone(),
            format,
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.run())?;
        Ok(Self { lines, counts })
    }

    fn push(&self, line: Vec<u8>) {
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        if self.lines.try_send(line).is_err() {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are written, for [`LAST_PATIENCE`] at most.
    pub fn end(&self) {
        let deadline = Instant::now() + LAST_PATIENCE;
        while self.counts.waiting.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// `tracing_subscriber` writes each line at once.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What the thread has.
struct Writer {
    lines: Receiver<Vec<u8>>,
    counts: Arc<Counts>,
    format: Format,
}

impl Writer {
    fn run(self) {
        let mut reported = Instant::now();
        loop {
            match self.lines.recv_timeout(REPORT_EVERY) {
                Ok(line) => {
                    self.write(&line, 1);
                    self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.report();
            }
        }
    }

    /// Writes `line`, which stands for so many lines.
    fn write(&self, line: &[u8], lines: u64) {
        if io::stderr().write_all(line).is_err() {
            self.counts.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }

    fn report(&self) {
        let dropped = self.counts.dropped.swap(0, Ordering::Relaxed);
        if dropped == 0 {
            return;
        }
        let said = "lines of the log were dropped";
        let line = match self.format {
            Format::Text => format!("WARN {said} lines={dropped}\n"),
            Format::Json => {
                format!("{{\"level\":\"WARN\",\"message\":\"{said}\",\"lines\":{dropped}}}\n")
            }
        };
        self.write(line.as_bytes(), dropped);
    }
}
