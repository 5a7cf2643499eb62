//! partstore beyond one machine: what is known of uploads, parts and objects is in PostgreSQL, their bytes are in
//! an object store or in a directory that all servers share. Any number of servers work on one store, and none
//! of them knows the others.
//!
//! ```no_run
//! use partstore_cluster::Cluster;
//! let store = Cluster::new("postgres://partstore@db/partstore", "s3://bucket/prefix").open(partstore::Options::cos())?;
//! let upload = store.initiate_upload("video.mp4")?;
//! # Ok::<(), partstore::Error>(())
//! ```
//!
//! What [`Cluster::open`] gives back is the same [`PartStore`](partstore::PartStore) as the embedded engine's.
//! Calls of it wait for the database and the bucket, from any thread.
//!
//! `docs/cluster.md` of the project has the schema, the protocol, and what to set at the database.

mod blobs;
mod catalog;
mod cluster;
mod database;
mod rows;
mod runtime;
mod session;

pub use blobs::ObjectStorage;
pub use cluster::{Cluster, ReconcileReport};
