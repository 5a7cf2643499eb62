//! What partstore uses of `parking_lot`, with shuttle deciding who gets a lock and who runs next.
//!
//! Each lock is two: one of shuttle's, without a value, for whose turn it is, and one of the
//! standard library around the value, which is always free for whoever has the turn. So locks also
//! work where shuttle does not: outside of [`schedule::run`], and while a panic unwinds.
//!
//! Not modelled: that a `RwLock` lets no reader pass a waiting writer.

mod condvar;
mod mutex;
mod rwlock;
pub mod schedule;

pub use condvar::Condvar;
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{MappedRwLockReadGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
