//! What the benchmarks of this repository share: bodies, floors, the runner of streams, the statement of the machine,
//! and the table. The program is `main.rs`. `bench/peers` measures other stores with the same pieces.
//!
//! A [`Way`] is a way to take parts in: a call of the store, a floor, a server, another store. [`Bench`] runs several ways
//! on the same bodies, in shuffled order, each in a fresh directory, and gives medians.

pub mod bodies;
pub mod floors;
mod load;
mod log;
pub mod machine;
mod measure;
pub mod store;
mod streams;
mod table;

/// The key pair of servers that need one.
pub const KEY_ID: &str = "bench";
/// Its secret.
pub const SECRET: &str = "secret";

pub use load::{Load, Place};
pub use measure::{Bench, Case, Measured, Taker, Way, median};
pub use streams::at_once;
pub use table::{Column, Table};
