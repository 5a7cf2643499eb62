//! The work of one child process: some recordings of the store, explored.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crashing_disk::loss::Policy;
use serde::{Deserialize, Serialize};

use crate::explore::{Budget, Explorer, Failure};
use crate::fleet;
use crate::store::{Store, Workload};

/// Where the cases of failures lie.
pub const CASES: &str = "target/crash";

/// For what a second process must not take for durable.
const MOSTLY_KILLS: [Policy; 6] = [
    Policy::Kill,
    Policy::Kill,
    Policy::Kill,
    Policy::Strict,
    Policy::TornStrict,
    Policy::TornJournalled,
];

/// For what stands behind a torn tail.
const MOSTLY_TORN: [Policy; 6] = [
    Policy::TornJournalled,
    Policy::TornJournalled,
    Policy::TornStrict,
    Policy::Kill,
    Policy::Strict,
    Policy::Journalled,
];

#[derive(clap::Args, Clone, Debug, Default)]
pub struct Work {
    #[arg(long, value_enum)]
    pub workload: Vec<Workload>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// Crashes that are tried for each recording.
    #[arg(long, default_value_t = 100)]
    pub states: u64,
    /// Tries every crash, with so many seeds for the random policies.
    #[arg(long)]
    pub every: Option<u64>,
    /// Tries only crashes of this policy first.
    #[arg(long, value_enum)]
    pub policy: Option<Policy>,
    /// Follows one crash of so many by crashes during its check.
    #[arg(long)]
    pub second_every: Option<u64>,
    /// Follows each kill by crashes at every line of its check, or at one of so many.
    #[arg(long)]
    pub second_step: Option<usize>,
    /// Leaves out the syncs of a class.
    #[arg(long)]
    pub without: Option<String>,
    /// Stops at the first failure: something is known to be wrong.
    #[arg(long)]
    pub first_only: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    pub recordings: u64,
    pub states: u64,
    pub in_recovery: u64,
    pub failures: Vec<(String, Failure)>,
    pub syncs: BTreeSet<String>,
}

impl Done {
    pub fn add(&mut self, other: &Self) {
        self.recordings += other.recordings;
        self.states += other.states;
        self.in_recovery += other.in_recovery;
        self.failures.extend(other.failures.iter().cloned());
        self.syncs.extend(other.syncs.iter().cloned());
    }
}

impl Work {
    /// The arguments by which a child does this.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["work".to_owned()];
        let mut add = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        for workload in &self.workload {
            add("workload", name_of(workload));
        }
        add("from", self.from.to_string());
        add("seeds", self.seeds.to_string());
        add("states", self.states.to_string());
        if let Some(every) = self.every {
            add("every", every.to_string());
        }
        if let Some(every) = self.second_every {
            add("second-every", every.to_string());
        }
        if let Some(policy) = self.policy {
            add("policy", name_of(&policy));
        }
        if let Some(class) = &self.without {
            add("without", class.clone());
        }
        if self.first_only {
            arguments.push("--first-only".to_owned());
        }
        arguments
    }

    /// # Errors
    /// When directories cannot be made.
    pub fn run(&self) -> io::Result<Done> {
        silence();
        let mut done = Done::default();
        for seed in self.from..self.from + self.seeds {
            for workload in &self.workload {
                // Creations are all alike; in company one of so many is enough.
                let company = self.workload.len() > 1;
                if company && *workload == Workload::Creation && (seed - self.from) % 4 != 1 {
                    continue;
                }
                self.explore(*workload, seed, &mut done)?;
                if self.first_only && !done.failures.is_empty() {
                    return Ok(done);
                }
            }
        }
        Ok(done)
    }

    fn explore(&self, workload: Workload, seed: u64, done: &mut Done) -> io::Result<()> {
        let name = format!("{} {seed}", name_of(&workload));
        let case = format!("store-{}", name_of(&workload));
        let sabotaged = self.without.is_some() || self.first_only;
        // What a killed process left unsynced matters only then.
        let after_kill = self
            .without
            .as_ref()
            .is_some_and(|class| class.ends_with("(found)"));
        let only: Vec<_> = self.policy.into_iter().collect();
        let mut explorer = Explorer {
            subject: &Store { workload },
            budget: match self.every {
                _ if workload == Workload::Creation => Budget::Every {
                    seeds: self.every.unwrap_or(if sabotaged { 1 } else { 8 }),
                    creation: true,
                },
                Some(seeds) => Budget::Every {
                    seeds,
                    creation: false,
                },
                None => Budget::Sample(self.states),
            },
            policies: match workload {
                _ if !only.is_empty() => &only,
                _ if after_kill => &[Policy::Kill],
                Workload::Repaired | Workload::Rewritten => &MOSTLY_KILLS,
                Workload::Groups => &MOSTLY_TORN,
                _ => &Policy::ALL,
            },
            second_every: self.second_every.unwrap_or(match workload {
                Workload::Creation
                | Workload::Groups
                | Workload::Repaired
                | Workload::Rewritten => 1,
                _ if after_kill => 1,
                _ if sabotaged => 3,
                _ => 5,
            }),
            second_step: self
                .second_step
                .or((sabotaged && workload == Workload::Creation).then_some(4)),
            without: self.without.clone(),
            first_only: self.first_only,
            alive: &mut fleet::alive,
            keep: (!sabotaged).then(|| PathBuf::from(CASES).join(case)),
        };
        let mut plan = workload.plan(seed);
        plan.without.clone_from(&self.without);
        let found = explorer.explore(seed, plan)?;
        done.recordings += 1;
        done.states += found.states;
        done.in_recovery += found.in_recovery;
        done.syncs.extend(found.syncs);
        done.failures.extend(
            found
                .failures
                .into_iter()
                .map(|failure| (name.clone(), failure)),
        );
        Ok(())
    }
}

pub fn name_of(value: &impl clap::ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Panics are caught and told as failures.
fn silence() {
    std::panic::set_hook(Box::new(|_| {}));
}
