//! The async front of [`partstore`]: bodies are streams, and every call is a future.
//!
//! The store itself is synchronous, because its work is hashing and syncing. [`AsyncPartStore`] does that work on a bounded
//! pool of threads of its own. It needs no runtime: its futures run on tokio and on any other executor.
//!
//! ```
//! use futures_util::{TryStreamExt, stream};
//! use partstore::{ObjectOptions, PartStore};
//! use partstore_tokio::AsyncPartStore;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), partstore::Error> {
//! # let dir = tempfile::tempdir().unwrap();
//! let store = AsyncPartStore::new(PartStore::open(dir.path().join("data"))?)?;
//! let body = stream::iter(["hello, ", "world"].map(|text| Ok::<_, std::io::Error>(text.into())));
//! store.put_object_stream("bucket/greeting", body, ObjectOptions::new()).await?;
//! let bytes: Vec<_> = store.get_key("bucket/greeting", 7..).await?.try_collect().await?;
//! assert_eq!(bytes.concat(), b"world");
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! 1. **`Ok` means durable**, as for the call of [`PartStore`](partstore::PartStore) that has the same name.
//! 2. **A silent body holds no thread.** A thread is held while a batch is written, while a piece is read, and while any
//!    other call runs. So thousands of slow bodies do not delay a quick call.
//! 3. **A fast body waits.** A stream is asked for bytes only while fewer than a batch are gathered. At most two batches
//!    of a body exist: [`AsyncOptions::batch_len`].
//! 4. **A future that is dropped leaves nothing.** A body that was not finished is removed, on a thread of the pool. A
//!    call that a thread has not taken up is not made. One that a thread has taken up is made to its end: a commit is
//!    either made or not.
//! 5. **Bytes that are read were verified**, a block at a time, before the stream gives them out.
//!
//! # Costs
//!
//! - A call is one change of threads and back, some 10 us. A body has one for each batch, and two at its begin and end.
//! - Threads start when they are needed. One that has been idle for 10 s ends; one always stays.
//! - Memory: for each body at most two batches, and what the store has for it. A silent body has neither.
//!
//! # Quirks
//!
//! - Calls beyond the number of threads wait in order. `verify`, `sweep` and `maintain` may hold a thread for minutes.
//!   When their future is dropped, they end soon.
//! - Dropping the last handle closes the store, on a thread of the pool. A process that ends right away may be faster, and
//!   then the next open rebuilds the index. So [`close`](AsyncPartStore::close) the store.
//! - A panic inside a call goes on in the task that awaits it.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod bodies;
mod hand_over;
mod listings;
mod objects;
mod options;
mod pool;
mod reader;
mod store;
mod upkeep;
mod uploads;
mod writer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use options::AsyncOptions;
pub use reader::{AsyncObjectReader, AsyncPartReader, AsyncReader, ByteStream, Reader};
pub use store::AsyncPartStore;
pub use writer::{AsyncObjectWriter, AsyncPartWriter, AsyncWriter, Writer};
