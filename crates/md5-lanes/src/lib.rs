//! MD5 of many messages side by side in SIMD lanes.
//!
//! A single message cannot be hashed faster than about 4.5 cycles a byte, because each step of MD5 needs the
//! one before. Two different messages together take as long as one, and sixteen at most twice as long. So all
//! messages of a program give their chunks to one thread, the [`Lanes`], and do other work until they ask for the digest.
//!
//! ```
//! use std::sync::Arc;
//! use md5_lanes::{BodyMd5, Lanes};
//!
//! let lanes = Arc::new(Lanes::new("md5"));
//! let mut body = BodyMd5::new(Arc::clone(&lanes));
//! body.begin(vec![b'a'; 1 << 20].into()); // returns at once: the lanes hash it
//! body.begin("the end".into()); // waits for the chunk before
//! assert_eq!(body.digest()[..4], [0x64, 0x30, 0xdc, 0x9c]);
//! ```
//!
//! # Guarantees
//!
//! 1. The digest is MD5 (RFC 1321), whatever the processor and however the message is cut into chunks.
//! 2. No message waits for another one to end, to begin, or to go on.
//! 3. No call fails. If the thread cannot be started, or has died, each message hashes its own chunks.
//!
//! # Costs
//!
//! - The lanes need AVX2. Without it each message is hashed by the `md-5` crate on the caller's thread.
//! - One thread for each [`Lanes`], from the first chunk of at least 32 KiB until the last handle is dropped.
//! - Chunks are shared by reference counts and not copied. Their memory is let go of when they are hashed.

#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod body;
mod kernel;
mod queue;
mod sync;
#[cfg(test)]
mod tests;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use body::BodyMd5;
pub use queue::Lanes;
