//! What hashing a body costs, each kind alone: `cargo bench -p md5-lanes`.
//!
//! Bodies of 1 MiB are in memory and warm. `md5 lanes` is the lane thread with so many bodies at a time,
//! beside the two crates that hash one after the other.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use md5::{Digest, Md5};
use md5_lanes::{BodyMd5, Lanes};

const LEN: usize = 1 << 20;

/// Bytes that no other seed gives.
fn body(seed: u64) -> Bytes {
    let mut bytes = vec![0; LEN];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes.into()
}

/// The digests of bodies that come in at the same time.
fn digests(lanes: &Arc<Lanes>, bodies: &[Bytes]) -> Vec<[u8; 16]> {
    let begin = |body: &Bytes| {
        let mut md5 = BodyMd5::new(Arc::clone(lanes));
        md5.begin(body.clone());
        md5
    };
    let mut running: Vec<_> = bodies.iter().map(begin).collect();
    running.iter_mut().map(BodyMd5::digest).collect()
}

fn md5_side_by_side(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("md5 lanes");
    let lanes = Arc::new(Lanes::new("md5"));
    for count in [1, 2, 4, 8, 16, 32] {
        let bodies: Vec<_> = (0..count).map(body).collect();
        group.throughput(Throughput::Bytes(count * LEN as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| digests(&lanes, black_box(&bodies)));
        });
    }
}

fn one_body(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one body");
    group.throughput(Throughput::Bytes(LEN as u64));
    let body = body(0);
    group.bench_function("md-5", |bencher| {
        bencher.iter(|| Md5::digest(black_box(&body)));
    });
    group.bench_function("fast-md5", |bencher| {
        bencher.iter(|| fast_md5::digest(black_box(&body)));
    });
    group.bench_function("blake3", |bencher| {
        bencher.iter(|| blake3::hash(black_box(&body)));
    });
    group.bench_function("crc32fast", |bencher| {
        bencher.iter(|| crc32fast::hash(black_box(&body)));
    });
    group.bench_function("crc-64", |bencher| {
        bencher.iter(|| crc_fast::checksum(CrcAlgorithm::Crc64Xz, black_box(&body)));
    });
}

criterion_group!(benches, md5_side_by_side, one_body);
criterion_main!(benches);
