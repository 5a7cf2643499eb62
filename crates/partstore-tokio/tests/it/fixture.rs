//! A store in a temporary directory, and bodies.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use partstore::{Background, Options, Result, Stats};
use partstore_tokio::{AsyncOptions, AsyncPartStore, ByteStream, Reader};
use tempfile::TempDir;

pub const LONG: Duration = Duration::from_secs(60);

pub struct Fixture {
    pub store: AsyncPartStore,
    pub dir: TempDir,
}

impl Fixture {
    pub fn new(options: AsyncOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Options::cos()
            .background(Background::Host)
            .min_part_size(1)
            .body_memory(3 << 20)
            .open(dir.path())
            .unwrap();
        let store = AsyncPartStore::new_with(store, options).unwrap();
        Self { store, dir }
    }

    /// Waits until no body is staged and nothing is pinned, and says what the store holds then.
    pub async fn quiet(&self) -> Stats {
        let began = Instant::now();
        loop {
            let stats = self.store.stats().await.unwrap();
            if stats.staged_bodies == 0 && stats.pinned_blobs == 0 {
                return stats;
            }
            assert!(began.elapsed() < LONG, "something stays: {stats:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn staged_files(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("staging"))
            .unwrap()
            .count()
    }
}

/// Bytes that differ from place to place.
pub fn body(len: usize) -> Bytes {
    (0_u32..).flat_map(u32::to_le_bytes).take(len).collect()
}

/// A body in items of some length.
pub fn items(body: &Bytes, len: usize) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let pieces: Vec<Bytes> = body.chunks(len).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces.into_iter().map(Ok))
}

/// What a body begins with, and then silence.
pub fn silent_after(begin: Bytes) -> impl Stream<Item = io::Result<Bytes>> {
    stream::iter([Ok(begin)]).chain(stream::pending())
}

pub async fn read<R: Reader>(bytes: ByteStream<R>) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = bytes.try_collect().await?;
    Ok(pieces.concat())
}
