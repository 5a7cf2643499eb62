//! What is tried, and what the tests share.

mod above;
mod copied;
mod keys;
mod lanes;
mod order;
mod replaced;
mod snapshots;
mod store;
mod swept;
