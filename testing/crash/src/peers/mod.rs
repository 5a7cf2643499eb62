//! The recorder, put to the test: key-value stores of which it is known whether they keep what they
//! acknowledge, and others, measured in the same way.

#[cfg(feature = "peers")]
mod fjall;
mod kv;
#[cfg(feature = "peers")]
mod redb;
mod sled;
#[cfg(feature = "peers")]
mod sqlite;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Instant;

use crashing_disk::loss::Policy;
use serde::{Deserialize, Serialize};

use crate::explore::{Budget, Explorer, Failure};
use crate::fleet;
use crate::shim::Plan;
use kv::Kv;

/// A key-value store, and what is known of it.
pub struct Peer {
    name: &'static str,
    open: fn(&Path) -> kv::Result<Box<dyn Kv>>,
    /// Whether it keeps what it acknowledges, if that is known.
    sound: Option<bool>,
}

/// It is here in any case: the part store stands on it.
static SLED: [Peer; 1] = [
    // A flush is a `sync_file_range`, which promises nothing.
    Peer {
        name: "sled",
        open: sled::open,
        sound: Some(false),
    },
];

#[cfg(not(feature = "peers"))]
static OTHERS: [Peer; 0] = [];

#[cfg(feature = "peers")]
static OTHERS: [Peer; 7] = [
    // The removal of the journal, which is the commit, is not synced.
    Peer {
        name: "sqlite-delete-full",
        open: |dir| sqlite::open(dir, "DELETE", "FULL"),
        sound: Some(false),
    },
    Peer {
        name: "sqlite-delete-extra",
        open: |dir| sqlite::open(dir, "DELETE", "EXTRA"),
        sound: Some(true),
    },
    Peer {
        name: "sqlite-wal-full",
        open: |dir| sqlite::open(dir, "WAL", "FULL"),
        sound: Some(true),
    },
    // Only a checkpoint syncs the log.
    Peer {
        name: "sqlite-wal-normal",
        open: |dir| sqlite::open(dir, "WAL", "NORMAL"),
        sound: Some(false),
    },
    Peer {
        name: "redb",
        open: redb::open,
        sound: None,
    },
    Peer {
        name: "redb-synced-dir",
        open: redb::open_synced,
        sound: None,
    },
    Peer {
        name: "fjall",
        open: fjall::open,
        sound: None,
    },
];

fn all() -> impl Iterator<Item = &'static Peer> {
    SLED.iter().chain(&OTHERS)
}

#[derive(clap::Args, Clone, Debug)]
pub struct Peers {
    /// How many crashes of each store are tried.
    #[arg(long, default_value_t = 420)]
    states: u64,
    /// Only the store of this name.
    #[arg(long)]
    only: Option<String>,
}

/// Runs every store. `true` when each is as it is known to be.
pub fn peers(arguments: &Peers) -> bool {
    const SEEDS: u64 = 6;
    let begun = Instant::now();
    let only = arguments.only.as_ref();
    let peers: Vec<_> = all()
        .filter(|peer| only.is_none_or(|only| only == peer.name))
        .collect();
    let states = arguments.states.div_ceil(SEEDS);
    let jobs: Vec<_> = (1..=SEEDS)
        .flat_map(|seed| {
            peers.iter().map(move |peer| Job {
                peer: peer.name.to_owned(),
                seed,
                states,
            })
        })
        .collect();
    let commands: Vec<_> = jobs.iter().map(Job::arguments).collect();
    let answers = fleet::run::<Tally>(&commands, &|| true, &|_, _| {});
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for (job, answer) in jobs.iter().zip(answers) {
        let tally = tallies.entry(&job.peer).or_default();
        match answer {
            Some(Ok(found)) => tally.add(found),
            // The child died or hung in one of its states; what came before is not known.
            lost => tally.add(Tally {
                states: 1,
                failures: vec![Failure {
                    crash: None,
                    second: None,
                    reason: lost.and_then(Result::err).unwrap_or_default(),
                }],
            }),
        }
    }
    println!(
        "{:<20} {:>6}  {:>16}  by policy",
        "store", "states", "lost or unusable"
    );
    for peer in &peers {
        let tally = &tallies[peer.name];
        let (failures, by) = (tally.failures.len(), tally.by_policy());
        println!(
            "{:<20} {:>6}  {failures:>16}  {by}",
            peer.name, tally.states
        );
    }
    println!("{:.0} s", begun.elapsed().as_secs_f64());
    let mut as_known = !peers.is_empty();
    for peer in peers {
        let failures = &tallies[peer.name].failures;
        // Without a crash: the run itself failed, or the recorder did.
        let (broken, lost): (Vec<_>, Vec<_>) =
            failures.iter().partition(|failure| failure.crash.is_none());
        if let Some(failure) = broken.first().or(lost.first()) {
            println!(
                "{}: {:?}, then {:?}\n  {}",
                peer.name, failure.crash, failure.second, failure.reason
            );
        }
        let expected = match peer.sound {
            Some(true) => failures.is_empty(),
            Some(false) => !lost.is_empty(),
            None => broken.is_empty(),
        };
        if !expected {
            println!("{}: THIS WAS NOT EXPECTED", peer.name);
            as_known = false;
        }
    }
    as_known
}

/// What one child process does: one recording of one store, explored.
#[derive(clap::Args, Clone, Debug)]
pub struct Job {
    peer: String,
    seed: u64,
    states: u64,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    states: u64,
    failures: Vec<Failure>,
}

impl Job {
    fn arguments(&self) -> Vec<String> {
        let numbers = [self.seed, self.states].map(|number| number.to_string());
        ["peer".to_owned(), self.peer.clone()]
            .into_iter()
            .chain(numbers)
            .collect()
    }

    /// # Errors
    /// When there is no such store, or directories cannot be made.
    pub fn run(&self) -> io::Result<Tally> {
        keep_memory();
        // A panic is caught, and told as a failure.
        std::panic::set_hook(Box::new(|_| {}));
        let peer = all().find(|peer| peer.name == self.peer);
        let mut explorer = Explorer {
            subject: peer.ok_or_else(|| io::Error::other("there is no such store"))?,
            budget: Budget::Sample(self.states),
            policies: &Policy::ALL,
            second_every: 5,
            second_step: None,
            without: None,
            first_only: false,
            alive: &mut fleet::alive,
            keep: None,
        };
        let found = explorer.explore(self.seed, Plan::default())?;
        Ok(Tally {
            states: found.states,
            failures: found.failures,
        })
    }
}

/// Lets the allocator keep what is freed: fjall makes room for 64 MiB at once, and getting that from
/// the kernel for each image takes most of the time.
fn keep_memory() {
    // SAFETY: this sets two numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.states += other.states;
        self.failures.extend(other.failures);
    }

    /// The failures, counted by the policy of the crash behind which they showed.
    fn by_policy(&self) -> String {
        let mut counts: BTreeMap<Option<Policy>, u64> = BTreeMap::new();
        for failure in &self.failures {
            let crash = failure.second.or(failure.crash);
            *counts.entry(crash.map(|crash| crash.policy)).or_default() += 1;
        }
        let told: Vec<_> = counts
            .into_iter()
            .map(|(policy, count)| match policy {
                Some(policy) => format!("{policy:?} {count}"),
                None => format!("the run itself {count}"),
            })
            .collect();
        told.join(", ")
    }
}
