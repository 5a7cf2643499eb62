//! What a call costs, beside the floor where there is one.
//!
//! Durability class of every put here: data, name and metadata durable before the answer. The
//! floor has the same digests and the same three syncs, in a plain loop.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use partstore::{
    Background, CompletedPart, Event, ListParts, Options, PartNumber, PartStore, Upload,
};
use partstore_bench::Taker as _;
use partstore_bench::bodies::body;
use partstore_bench::floors::Obvious;

const SIZES: [usize; 2] = [1 << 20, 8 << 20];
const LISTED: u32 = 10_000;
const SECONDS: u64 = 8;

struct Bench {
    store: PartStore,
    upload: Upload,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(Options::cos())
    }

    fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = options.min_part_size(0).background(Background::Host);
        let store = options.open(dir.path().join("data")).expect("a store");
        let upload = store.initiate_upload("bench").expect("an upload");
        Self { store, upload, dir }
    }

    fn put(&self, number: u32, body: Bytes) {
        let number = PartNumber::new(number).expect("a number");
        self.store
            .put_part(&self.upload, number, body)
            .expect("a part");
    }
}

fn put_part(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("put_part");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(SECONDS));
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let bench = Bench::new();
        let mut seed = 0;
        group.bench_function(BenchmarkId::new("new bytes", size), |bencher| {
            bencher.iter_custom(|times| {
                fresh_bodies(times, size, &mut seed, |body| bench.put(1, body))
            });
            bench.store.sweep().expect("a sweep");
        });
        let stored = body(size, 0);
        bench.put(2, stored.clone());
        group.bench_function(BenchmarkId::new("bytes stored already", size), |bencher| {
            bencher.iter(|| bench.put(3, stored.clone()));
        });
        let floor = Obvious::new(&bench.dir.path().join("floor"));
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter_custom(|times| {
                fresh_bodies(times, size, &mut seed, |body| floor.take(1, &body))
            });
        });
    }
}

/// Puts in memory (`TMPDIR=/dev/shm`), which have no other costs than the processor's.
fn observer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("observer");
    let size = 1 << 10;
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    let observed = Options::cos().observer(move |event: &Event| {
        if let Event::Put { bytes, .. } = event {
            count.fetch_add(*bytes, Ordering::Relaxed);
        }
    });
    for (name, options) in [("none", Options::cos()), ("counts bytes", observed)] {
        let (bench, mut seed) = (Bench::with(options), 0);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                fresh_bodies(times, size, &mut seed, |body| bench.put(1, body))
            });
            bench.store.sweep().expect("a sweep");
        });
    }
}

/// Times `put` for so many bodies that were never put before.
fn fresh_bodies(times: u64, size: usize, seed: &mut u64, put: impl Fn(Bytes)) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        *seed += 1;
        let body = body(size, *seed);
        let started = Instant::now();
        put(body);
        total += started.elapsed();
    }
    total
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    let size = SIZES[1];
    group.throughput(Throughput::Bytes(size as u64));
    let bench = Bench::new();
    bench.put(1, body(size, 0));
    let mut into = vec![0; 1 << 20];
    group.bench_function("part of 8 MiB, verified, from the page cache", |bencher| {
        bencher.iter(|| {
            let mut part = bench
                .store
                .open_part(&bench.upload, PartNumber::MIN)
                .expect("the part");
            while part.read(&mut into).expect("bytes") > 0 {}
        });
    });
}

fn many_parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10,000 parts");
    group.sample_size(10);
    let bench = Bench::new();
    // Equal bodies: one blob, so that filling takes no time to speak of.
    let body = body(1024, 0);
    let fill = || {
        for number in 1..=LISTED {
            bench.put(number, body.clone());
        }
    };
    fill();
    group.bench_function("list 1,000", |bencher| {
        bencher.iter(|| {
            bench
                .store
                .list_parts(&bench.upload, &ListParts::new().marker(5_000))
                .expect("a page")
        });
    });
    let list: Vec<_> = (0..LISTED / 1000)
        .flat_map(|page| {
            bench
                .store
                .list_parts(&bench.upload, &ListParts::new().marker(page * 1000))
                .expect("a page")
                .parts
        })
        .map(|part| CompletedPart::from(&part))
        .collect();
    bench
        .store
        .complete_upload(&bench.upload, &list)
        .expect("an object");
    group.bench_function("complete again", |bencher| {
        bencher.iter(|| {
            bench
                .store
                .complete_upload(&bench.upload, &list)
                .expect("the object")
        });
    });
    group.bench_function("open the object", |bencher| {
        bencher.iter(|| bench.store.open_object(&bench.upload).expect("a reader"));
    });
}

criterion_group!(benches, put_part, observer, read, many_parts);
criterion_main!(benches);
