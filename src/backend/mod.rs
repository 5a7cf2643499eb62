//! The seam below [`PartStore`](crate::PartStore): what an engine must do to be one.
//!
//! An engine is a [`Catalog`], which keeps what is known of uploads, parts, objects and namespaces, and a
//! [`BlobStore`], which keeps bytes. [`Options::open`](crate::Options::open) makes the embedded engine, in
//! one directory. [`Options::open_on`](crate::Options::open_on) makes a store of any other two.
//!
//! # Who does what
//!
//! [`PartStore`](crate::PartStore) does what is the same on every engine. It hashes bodies, applies the
//! [rules](crate::rules) to what a client says, and puts the steps of a call in order. It keeps nothing.
//!
//! The verbs of a [`Catalog`] are those of an upload's life, not reads and writes of rows. So an engine may
//! do each in the way that it does best: under a lock, in one transaction, in one statement.
//!
//! # What every engine promises
//!
//! 1. **A verb is one atomic step.** Whoever reads sees all that it changes, or nothing. Verbs that change
//!    the same upload, or the current object of the same key, happen in one order.
//! 2. **`Ok` is durable.** What a verb has changed survives any crash from then on.
//! 3. **`Err` has changed nothing.** An engine that cannot know whether its change has happened, says
//!    [`Error::Poisoned`](crate::Error::Poisoned), [`Error::Index`](crate::Error::Index) or
//!    [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
//! 4. **A verb checks again, in its step, what it depends on:** that the upload is open under this key, the
//!    condition on the key, and the quota. `PartStore` has checked all of them before the body came; that
//!    was only to refuse early.
//! 5. **Rows never outlive their bytes.** A [`NewBlob`] that comes with a verb is durable, and it may be
//!    referred to as soon as the verb is done. An engine removes bytes only when no part refers to them, no
//!    [`Hold`] keeps them, and no crash can bring a row back that does.
//! 6. **Nothing is kept that nothing refers to.** [`Catalog::sweep`] removes it, also what a crash left.
//!
//! The crate `partstore-contract` of this project's sources tests all this through the calls of `PartStore`.
//! It takes a function that opens a store, so it runs on any engine.

mod blobs;
mod catalog;
mod completing;
mod hold;
mod quota;
mod rows;
mod verified;

pub use blobs::{BlobReader, BlobStore, BlobWriter, DurableBlob, Handed, Room, Unlimited};
pub use catalog::{Catalog, Checkpoint, Watch};
pub use completing::{Completing, Verdict};
pub use hold::{HeldObject, HeldPart, Hold, PartsFrom};
pub use quota::check_quota;
pub use rows::{
    Location, Names, NewBlob, NewObject, NewUpload, ObjectRow, PartRow, Renaming, StoredBlob, Times,
};
pub use verified::{Source, Verified};

pub use crate::going::Going;
pub use crate::rules::check_condition;
pub use crate::values::blocks::{BlockCrcs, LONG_BLOCK, MOST_IN_SHORT_BLOCKS, SHORT_BLOCK};
pub use crate::values::checksum::Algorithms;
pub use crate::values::id::IdSource;
pub use crate::values::observer::{Began, Witness};
