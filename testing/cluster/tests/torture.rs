//! Runs of some seconds. They need a database: `PARTSTORE_PG` is the address of one in which they may make schemas. Without
//! it each is skipped.

use std::io::Write;
use std::time::Duration;

use cluster_torture::run::Settings;
use cluster_torture::schedules;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cluster-torture");

fn database() -> Option<String> {
    let named = std::env::var("PARTSTORE_PG").ok();
    if named.is_none() {
        let why = "PARTSTORE_PG does not name a PostgreSQL database (postgres://user@host/name)";
        // What a test that passes prints is not shown, so this goes past that.
        let _ = writeln!(std::io::stderr().lock(), "skipped: {why}");
    }
    named
}

fn run(seconds: u64, naps: bool) {
    let Some(database) = database() else { return };
    let length = Duration::from_secs(seconds);
    let report = Settings {
        length,
        naps,
        ..Settings::new(PROGRAM, &database)
    }
    .run();
    println!("{}", report.line());
    assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    assert!(report.kills > 0 && report.acknowledged > 100, "{report:?}");
}

#[test]
fn servers_that_are_killed_lose_nothing_and_answer_as_one() {
    run(15, false);
}

#[test]
fn what_happens_between_statements_makes_no_difference() {
    run(15, true);
}

#[test]
fn calls_that_come_between_the_steps_of_others_change_nothing() {
    let Some(database) = database() else { return };
    // Few at a time: a server that waits for too long loses its lease.
    for some in schedules::ALL.chunks(3) {
        std::thread::scope(|scope| {
            for schedule in some {
                let database = &database;
                scope.spawn(move || {
                    assert_eq!(schedule.play(database, None), None, "{}", schedule.name);
                });
            }
        });
    }
}
