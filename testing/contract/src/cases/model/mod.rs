//! The store against a plain map: random sequences of every public call, and after each the same
//! answer from both.
//!
//! `PROPTEST_CASES` sets the number of cases; 256 without it.

mod calls;
mod expected;
mod steps;

use partstore::{Numbering, Options};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use calls::Run;
use steps::{Step, steps};

use crate::support::{Fixture, free_options};

/// Options of a case: small journals make snapshots and changes of segment frequent.
fn options() -> impl Strategy<Value = Options> {
    let journals = prop_oneof![
        4 => Just((4096, 0)),
        2 => Just((4096, 20_000)),
        2 => Just((16 * 1024, 32 * 1024)),
        1 => Just((256 * 1024, 64 * 1024 * 1024)),
    ];
    journals.prop_map(|(segment_len, checkpoint_at)| {
        free_options().journal_sizes(segment_len, checkpoint_at)
    })
}

fn numbering() -> impl Strategy<Value = Numbering> {
    prop_oneof![
        2 => Just(Numbering::Ascending),
        1 => Just(Numbering::Consecutive),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    }
}

pub fn any_sequence_of_calls_answers_as_a_map_would() {
    // An engine that skips its cases does so here. Below, it would be taken for a failure.
    drop(Fixture::new());
    let cases = (options(), numbering(), steps());
    let tried = TestRunner::new(config()).run(&cases, |(options, numbering, steps)| {
        let mut run = Run::new(options, numbering);
        for step in &steps {
            run.apply(step);
        }
        run.compare_all();
        run.apply(&Step::Sweep);
        run.compare_files();
        run.compare_a_killed_copy();
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
}
