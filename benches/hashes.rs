//! What hashing a body costs, each kind alone: `cargo bench --features internals --bench hashes`.
//!
//! Bodies of 1 MiB are in memory and warm. `md5 lanes` is the store's lane thread with so many bodies at a time,
//! beside the two crates that hash one after the other.

#[expect(dead_code, reason = "the bodies only")]
#[path = "../examples/figures/floor.rs"]
mod floor;

use std::hint::black_box;

use crc_fast::CrcAlgorithm;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use md5::{Digest, Md5};
use partstore::internals::Md5Lanes;

const LEN: usize = 1 << 20;

fn md5_side_by_side(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("md5 lanes");
    let lanes = Md5Lanes::new();
    for count in [1, 2, 4, 8, 16, 32] {
        let bodies: Vec<_> = (0..count).map(|seed| floor::body(LEN, seed)).collect();
        group.throughput(Throughput::Bytes(count * LEN as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| lanes.digests(black_box(&bodies)));
        });
    }
}

fn one_body(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one body");
    group.throughput(Throughput::Bytes(LEN as u64));
    let body = floor::body(LEN, 0);
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
