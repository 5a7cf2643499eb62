//! `kill -9`, of processes that are at work in a store: what they were answered `Ok` to is there,
//! and what they had begun is there whole or not at all.

mod contended;
mod expected;
mod keys;
mod log;
mod writers;

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use partstore::{Numbering, Options, Scope};

use crate::fixture::{
    Doing, Fixture, Random, bytes, fast_dir, free_options, number, own_process, race, read_part,
    role, setting,
};
use expected::{Model, observe};

const THREADS: usize = 2;
const KILLS_OF_A_STORE: u64 = 10;
const THIS_TEST: &str = "killed::what_was_acknowledged_survives_many_kills";

/// Small segments and many snapshots; nothing large to lay at each opening.
fn options() -> Options {
    free_options()
        .numbering(Numbering::Ascending)
        .journal_sizes(64 * 1024, 0)
        .headroom(1024 * 1024)
}

/// I1 to I8. `PARTSTORE_KILLS` sets their number, `PARTSTORE_SEED` other calls and moments.
#[test]
fn what_was_acknowledged_survives_many_kills() {
    if let Some(role) = role() {
        return writers::work(&role);
    }
    let (kills, seed) = (setting("PARTSTORE_KILLS", 50), setting("PARTSTORE_SEED", 1));
    let stores = kills.div_ceil(KILLS_OF_A_STORE);
    let threads = race(THREADS, |thread| {
        let mut counts = [0; 4];
        for store in (0..stores).skip(thread).step_by(THREADS) {
            let _doing = Doing(format!(
                "PARTSTORE_SEED={seed} PARTSTORE_KILLS={kills}, store {store}"
            ));
            let left = KILLS_OF_A_STORE.min(kills - store * KILLS_OF_A_STORE);
            let more = Killed::new(store, seed).kill_often(left);
            counts
                .iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        }
        counts
    });
    let [working, opening, acknowledged, cut_off] = threads
        .into_iter()
        .reduce(|some, more| std::array::from_fn(|at| some[at] + more[at]))
        .unwrap();
    println!(
        "seed {seed}: {working} killed at work, {opening} in opening, of {acknowledged} \
         acknowledged calls none was lost, {cut_off} were cut off"
    );
    assert!(working > 0 && acknowledged > 0);
}

/// A store whose processes are killed, and what is known to be in it.
struct Killed {
    fixture: Fixture,
    random: Random,
    model: Model,
}

impl Killed {
    /// Every other store is in memory, where calls are quicker and more of them are cut off.
    fn new(store: u64, seed: u64) -> Self {
        let dir = if store.is_multiple_of(2) {
            fast_dir()
        } else {
            tempfile::tempdir().unwrap()
        };
        let fixture = Fixture::within(dir, options());
        fixture.store.close().unwrap();
        Self {
            fixture,
            random: Random::new(seed.wrapping_mul(1000) + store),
            model: Model::new(),
        }
    }

    /// Gives how many were killed at work and in opening, and how many calls were acknowledged
    /// and cut off.
    fn kill_often(&mut self, kills: u64) -> [usize; 4] {
        let mut counts = [0; 4];
        while ((counts[0] + counts[1]) as u64) < kills {
            let _doing = Doing(format!("after {} kills", counts[0] + counts[1]));
            let log = self.fixture.dir().join("log");
            File::create(&log).unwrap();
            self.kill_at_work(&log);
            counts[0] += 1;
            // What was killed is opened by others that are killed, too.
            while ((counts[0] + counts[1]) as u64) < kills && self.random.below(3) == 0 {
                self.kill_in_opening(&log);
                counts[1] += 1;
            }
            let calls = log::read(&log);
            counts[2] += calls.iter().filter(|call| call.is_acknowledged()).count();
            counts[3] += calls.iter().filter(|call| call.is_cut_off()).count();
            self.open_and_compare(&calls);
        }
        counts
    }

    fn kill_at_work(&mut self, log: &Path) {
        let moment = Duration::from_micros(5000 + self.random.next() % 145_000);
        self.kill(log, " ok .", moment);
    }

    fn kill_in_opening(&mut self, log: &Path) {
        let moment = Duration::from_micros(self.random.next() % 15_000);
        self.kill(log, "opening .", moment);
    }

    /// Starts a process and kills it some time after it has said something.
    fn kill(&mut self, log: &Path, word: &str, moment: Duration) {
        let before = std::fs::read(log).unwrap().len();
        let role = format!("{} {}", self.random.next(), self.fixture.dir().display());
        let mut child = start(THIS_TEST, &role);
        wait_until(|| {
            let said = std::fs::read(log).unwrap();
            String::from_utf8_lossy(&said[before..]).contains(word)
                || child.try_wait().unwrap().is_some()
        });
        std::thread::sleep(moment);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
    }

    fn open_and_compare(&mut self, calls: &[log::Call]) {
        let fixture = &mut self.fixture;
        fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
        let now = observe(&fixture.store);
        expected::compare(&self.model, calls, &now);
        let report = fixture.store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        // Nothing is left behind, and nothing that is needed goes with it.
        fixture.assert_tidy();
        assert_eq!(observe(&fixture.store), now);

        let upload = fixture.initiate("further");
        fixture.put(&upload, 1, &bytes(1, 5000));
        assert!(read_part(&fixture.store, &upload, number(1)) == bytes(1, 5000));
        fixture.store.abort_upload(&upload).unwrap();
        if self.random.below(2) == 0 {
            fixture.reopen();
            assert_eq!(observe(&fixture.store), now);
        } else {
            let copy = fixture.killed();
            let again = fixture.options.clone().open(&copy).unwrap();
            assert_eq!(observe(&again), now);
            again.close().unwrap();
            std::fs::remove_dir_all(copy).unwrap();
        }
        fixture.store.close().unwrap();
        self.model = now;
    }
}

/// Starts a test as a process of its own, with nothing to say but errors.
fn start(test: &str, role: &str) -> Child {
    own_process(test, role)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number and the directory that a role names.
fn parse(role: &str) -> (u64, PathBuf) {
    let (number, dir) = role.split_once(' ').unwrap();
    (number.parse().unwrap(), PathBuf::from(dir))
}

/// Ends the process when one of its threads panics: the others would go on for ever.
struct ExitOnPanic;

impl Drop for ExitOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::exit(3);
        }
    }
}
