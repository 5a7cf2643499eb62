//! The floor: what anybody must do for a durable part. The same digests, the same bytes, the same
//! three syncs (the file, its directory, a line in a log), in a plain loop.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use md5::{Digest as _, Md5};

const BLOCK_LEN: usize = 256 * 1024;
const LINE_LEN: usize = 400;

/// Bytes that no other seed gives.
pub fn body(len: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes.into()
}

/// Puts `body` into `dir`, durably.
pub fn put(dir: &Path, body: &[u8]) {
    let staged = dir.join("staged");
    let mut file = File::create(&staged).expect("create");
    let (mut md5, mut blake3) = (Md5::new(), blake3::Hasher::new());
    let mut crc64 = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Xz);
    let mut crc32 = crc32fast::Hasher::new();
    for block in body.chunks(BLOCK_LEN) {
        md5.update(block);
        blake3.update(block);
        crc32.update(block);
        crc64.update(block);
        file.write_all(block).expect("write");
    }
    std::hint::black_box((md5.finalize(), crc32.finalize(), crc64.finalize()));
    file.sync_data().expect("fdatasync");
    fs::rename(&staged, dir.join(blake3.finalize().to_hex().as_str())).expect("rename");
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .expect("fsync of the directory");
    let mut log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .expect("log");
    log.write_all(&[b'x'; LINE_LEN]).expect("write the log");
    log.sync_data().expect("fdatasync of the log");
}
