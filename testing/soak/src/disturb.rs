//! [`Disturber`]: kills, stops, fills the disk, takes backups, has everything compared, and removes it at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::Failure;
use crate::disk::{Disk, files};
use crate::judge::judge;
use crate::sample::Level;
use crate::server::Server;
use crate::shared::{Order, Shared};

const GLANCE: Duration = Duration::from_millis(50);
/// Events between two quiet moments.
const EVENTS: u32 = 4;
/// A disk is full to the last byte, or nearly, or too full for bodies.
const LEFT: [u64; 4] = [0, 0, 1 << 20, 30 << 20];
/// A start that is killed has at most so long.
const LONGEST_START: Duration = Duration::from_millis(250);
/// The exit codes of the command.
const FULL: i32 = 9;

pub struct Disturber<'a> {
    shared: &'a Shared,
    server: &'a Server,
    disk: &'a Disk,
    length: Duration,
    random: Rng,
    /// At the quiet moments of the second half.
    levels: Vec<Level>,
    backups: u32,
    /// Set by a signal: the disk is to be unmounted all the same.
    is_interrupted: Arc<AtomicBool>,
}

impl<'a> Disturber<'a> {
    pub fn new(
        (shared, server, disk): (&'a Shared, &'a Server, &'a Disk),
        length: Duration,
        seed: u64,
    ) -> Result<Self, Failure> {
        let is_interrupted = Arc::default();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // The second one ends the process at once.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                1,
                Arc::clone(&is_interrupted),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&is_interrupted))?;
        }
        Ok(Self {
            shared,
            server,
            disk,
            length,
            random: Rng::with_seed(seed),
            levels: Vec::new(),
            backups: 0,
            is_interrupted,
        })
    }

    pub fn run(mut self) -> Result<(), Failure> {
        let began = Instant::now();
        while began.elapsed() < self.length / 2 {
            for _ in 0..EVENTS {
                self.load()?;
                match self.random.u8(..20) {
                    0..8 => self.restart(Signal::KILL)?,
                    8..11 => self.restart(Signal::TERM)?,
                    11..14 => self.fill(true)?,
                    14..16 => self.fill(false)?,
                    _ => self.back_up()?,
                }
            }
            self.look_closed()?;
        }
        // From here on one server lives.
        while began.elapsed() < self.length {
            for _ in 0..EVENTS {
                self.load()?;
                match self.random.u8(..4) {
                    0 => self.fill(false)?,
                    1 => self.back_up()?,
                    _ => {}
                }
            }
            self.look_open()?;
        }
        self.judge();
        self.remove()
    }

    fn load(&mut self) -> Result<(), Failure> {
        let mean = (self.length / 200).clamp(Duration::from_secs(1), Duration::from_secs(10));
        let until = Instant::now() + mean.mul_f64(self.random.f64() * 2.0);
        while Instant::now() < until {
            std::thread::sleep(GLANCE);
            if self.is_interrupted.load(Ordering::SeqCst) {
                return Err("it was interrupted".into());
            }
        }
        if !self.server.is_alive() {
            self.shared
                .violation("the server has ended by itself".into());
        }
        Ok(())
    }

    /// Ends the server, does something while no server runs, and starts the next one.
    fn restart_with(
        &mut self,
        signal: Signal,
        between: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let name = if signal == Signal::KILL {
            "kill"
        } else {
            "stop"
        };
        self.shared.event(name);
        self.shared.goes_down();
        if !self.server.end(signal)? && signal != Signal::KILL {
            self.shared
                .violation("a server that was stopped failed".into());
        }
        between(self)?;
        // Starts are killed, too: most before they answer.
        if signal == Signal::KILL && self.random.u8(..2) == 0 {
            self.server.spawn()?;
            std::thread::sleep(LONGEST_START.mul_f64(self.random.f64()));
            if !self.server.is_alive() {
                self.shared.violation("a start has failed".into());
            }
            self.server.end(Signal::KILL)?;
        }
        self.server.start()?;
        self.shared.is_up();
        Ok(())
    }

    fn restart(&mut self, signal: Signal) -> Result<(), Failure> {
        self.restart_with(signal, |_| Ok(()))
    }

    /// Leaves little room for a while. If `kill`, the server is killed in the meantime, and starts on the full disk.
    fn fill(&mut self, kill: bool) -> Result<(), Failure> {
        if !self.disk.is_own() {
            return Ok(());
        }
        self.shared.event("full");
        self.shared.set_full(true);
        self.disk.fill(LEFT[self.random.usize(..LEFT.len())])?;
        self.load()?;
        if kill {
            self.restart(Signal::KILL)?;
            self.load()?;
        }
        self.disk.empty()?;
        self.shared.set_full(false);
        Ok(())
    }

    /// Has the server take a backup, which must be sound. Some are restored, and so is what is restored.
    fn back_up(&mut self) -> Result<(), Failure> {
        self.shared.event("backup");
        let (code, said) = self.server.back_up()?;
        if code == FULL && self.shared.may_be_full() {
            return Ok(());
        }
        self.must_be(0, ("backup", code, &said));
        let backups = self.server.backups();
        let (code, said) = self.server.command(&["backups", &backups, "--verify"])?;
        self.must_be(0, ("backups --verify", code, &said));
        self.backups += 1;
        if self.backups.is_multiple_of(3) {
            self.restore()?;
        }
        Ok(())
    }

    fn restore(&self) -> Result<(), Failure> {
        let dir = tempfile::tempdir_in(self.disk.beside())?;
        let store = dir.path().join("restored").display().to_string();
        let backups = self.server.backups();
        // It verifies what it has restored.
        let args = ["--store", &store, "restore", &backups, "--transfer", "copy"];
        let (code, said) = self.server.command(&args)?;
        self.must_be(0, ("restore", code, &said));
        Ok(())
    }

    fn must_be(&self, wanted: i32, (what, code, said): (&str, i32, &str)) {
        if code != wanted {
            self.shared
                .violation(format!("{what}: exit code {code}: {said}"));
        }
    }

    /// A quiet moment without a server: the store is verified and swept, and all clients compare after the next start.
    fn look_closed(&mut self) -> Result<(), Failure> {
        self.shared.order(Order::Rest);
        let signal = if self.random.bool() {
            Signal::KILL
        } else {
            Signal::TERM
        };
        self.restart_with(signal, |this| {
            for what in ["verify", "sweep", "info"] {
                let (code, said) = this.server.on_store(&[what])?;
                this.must_be(0, (what, code, &said));
            }
            Ok(())
        })?;
        self.shared.order(Order::Check(true));
        self.shared.order(Order::Work);
        Ok(())
    }

    /// A quiet moment of a server that lives on.
    fn look_open(&mut self) -> Result<(), Failure> {
        self.shared.order(Order::Check(false));
        // What the housekeeping does behind the load comes to its end.
        std::thread::sleep(
            (self.length / 600).clamp(Duration::from_secs(1), Duration::from_secs(5)),
        );
        self.shared.event("quiet");
        self.levels.extend(Level::now(self.server, self.disk));
        for what in ["info", "sweep", "verify"] {
            let (code, said) = self.server.ask(what)?;
            self.must_be(0, (what, code, &said));
        }
        self.health()?;
        self.shared.order(Order::Work);
        Ok(())
    }

    /// The server knows of no damage.
    fn health(&self) -> Result<(), Failure> {
        let status = self.server.status()?;
        let store = &status["store"];
        let is_damaged = store["damaged_blobs"] != 0
            || store["damaged_files"]
                .as_array()
                .is_none_or(|files| !files.is_empty());
        if is_damaged || (!status["trouble"].is_null() && !self.shared.may_be_full()) {
            self.shared
                .violation(format!("trouble: {}, store: {store}", status["trouble"]));
        }
        Ok(())
    }

    fn judge(&self) {
        match judge(&self.levels) {
            None => println!(
                "{} quiet moments are too few to judge growth; run it longer",
                self.levels.len()
            ),
            Some(lines) => {
                for (line, has_grown) in lines {
                    println!("{line}");
                    if has_grown {
                        self.shared.violation(line);
                    }
                }
            }
        }
    }

    /// The clients remove all that they have. Then a store that was killed has nothing left.
    fn remove(&mut self) -> Result<(), Failure> {
        self.shared.order(Order::Remove);
        self.shared.goes_down();
        self.server.end(Signal::KILL)?;
        // Uploads whose beginning had no answer.
        std::thread::sleep(Duration::from_secs(2));
        for args in [&["verify"][..], &["expire", "1s"], &["sweep"], &["verify"]] {
            let (code, said) = self.server.on_store(args)?;
            self.must_be(0, (args[0], code, &said));
        }
        let (_, said) = self.server.on_store(&["info"])?;
        let info: Value = serde_json::from_str(&said)?;
        // The server itself keeps one object without bytes, which names its layout.
        for (figure, most) in [
            ("open_uploads", 0),
            ("objects", 1),
            ("keys", 1),
            ("parts", 1),
            ("part_bytes", 0),
            ("blobs", 1),
            ("blob_bytes", 0),
            ("garbage_blobs", 0),
        ] {
            if info[figure].as_u64().is_none_or(|found| found > most) {
                let what = format!("all was removed, and {figure} is {}", info[figure]);
                self.shared.violation(what);
            }
        }
        for (dir, most) in [("blobs", 1), ("staging", 0)] {
            let (found, bytes) = files(&self.server.data().join(dir));
            if found > most || bytes > 0 {
                let what = format!("all was removed, and {dir} has {found} files, {bytes} bytes");
                self.shared.violation(what);
            }
        }
        Ok(())
    }
}
