//! Clients of S3 that are written in Rust, unchanged, against the server.
//!
//! `PARTSTORE_SERVER` names the program. Without it, the tests say that they are skipped.

mod aws_sdk;
mod bytes;
mod object_store;
mod server;
