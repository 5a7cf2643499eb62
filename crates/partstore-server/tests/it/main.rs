//! The example `cos_gateway`, as a process, spoken to over its socket.

mod calls;
mod client;
mod fixture;
#[path = "../../examples/bench_gateway/process.rs"]
mod process;
mod readme;
#[path = "../it/skipped.rs"]
mod skipped;
mod watch;

mod clients;
mod completions;
mod copies;
mod crowds;
mod cut;
mod damage;
mod deletions;
mod endings;
mod expect;
mod heads;
mod kills;
mod large_lists;
mod names;
mod parameters;
mod reads;
mod refusals;
mod sdk;
mod upload_part;
mod writes;
