//! Backups: states of a store, each as of one batch, in a directory of their own.
//!
//! ```text
//! backups/
//!   BACKUPS                 what this directory is, and its format; written last when it is made
//!   LOCK                    one backup, restore or removal at a time
//!   blobs/3f/3f9a...e1      the blobs of all states, each once
//!   states/00000007/        a state: its layers, and the file STATE, which is written last
//!   states/00000008.partial one that is not whole
//! ```
//!
//! Blobs and layers never change, so a backup brings only what an earlier one has not. A state has no journal:
//! a checkpoint has put all batches into its layers. Blobs stand in the directory durably before the state
//! that names them has its name (as I1 has it for a store).

mod bring;
mod check;
mod directory;
mod prune;
mod restore;
mod take;

pub(crate) use take::Taking;

pub use directory::Backups;
