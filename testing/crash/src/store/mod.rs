//! The part store as a subject.

mod history;
mod keys;
mod oracle;
mod orders;
mod workload;

use std::path::{Path, PathBuf};

pub use history::{Action, Body, History, Outcome};
use partstore::{Background, Options};
pub use workload::{Player, SEQUENCES, Workload};

use crate::subject::{Moment, Subject};

/// Where the store lies below the recorded directory, so that its own name is recorded, too.
pub const DIR: &str = "store";

#[derive(Clone, Debug)]
pub struct Store {
    pub workload: Workload,
}

impl Subject for Store {
    type History = History;

    fn run(&self, root: &Path, seed: u64) -> History {
        let deep = self.workload == Workload::Creation;
        let player = Player::open(&place(root, deep));
        player.play(self.workload, seed);
        player.close();
        History {
            deep,
            ..player.into_history()
        }
    }

    fn check(&self, root: &Path, history: &History, moment: &Moment) -> Result<String, String> {
        oracle::check(&place(root, history.deep), history, moment)
    }
}

fn place(root: &Path, deep: bool) -> PathBuf {
    let above = if deep { "deep" } else { "" };
    root.join(above).join(DIR)
}

/// Small segments and early snapshots, so that both happen all the time.
pub fn options() -> Options {
    Options::cos()
        .min_part_size(0)
        .headroom(0)
        .index_cache(1 << 20)
        .background(Background::Host)
        .journal_sizes(4096, 4096)
}
