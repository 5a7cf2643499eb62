//! How fast parts come in, beside the floors of the same run.

use partstore_bench::floors::{Disk, Md5, Obvious, Writes};
use partstore_bench::{Bench, Case, Column, Load, Measured, Table, Way, machine, store};

use crate::crowd::Crowd;

/// Bytes that a stream receives at a time.
const RECEIVED: usize = 64 << 10;

pub fn run(load: &Load) {
    machine::state(&load.place.dir());
    let ways = ways();
    let bench = Bench::new(load);
    bench.warm_up(&ways);
    let table = Table::begin(columns());
    for case in load.cases() {
        let measured = bench.medians(&ways, case);
        table.row(row(case, &measured));
    }
    let crowd = Crowd {
        streams: 64,
        parts: 4,
        mib: 8,
        received: RECEIVED,
    };
    let memory = crowd.memory(&load.place.dir()).expect("parts");
    println!(
        "\n64 streams of parts of 8 MiB: {} MiB resident at the peak, beside what was there before",
        memory.peak.saturating_sub(memory.before)
    );
}

fn ways() -> [Way; 10] {
    [
        store::put(),
        store::put_stored(),
        store::stream(RECEIVED),
        Disk::way(Writes::Direct),
        Disk::way(Writes::Direct).in_huge_pages(),
        Disk::way(Writes::Buffered),
        Obvious::way(),
        Md5::way(),
        store::put_opaque(),
        store::stream_opaque(RECEIVED),
    ]
}

fn columns() -> Vec<Column> {
    let heads = [
        "`put_part` GB/s",
        "× disk",
        "× huge",
        "× obvious",
        "× MD5",
        "CPU ns/B",
        "of it hashing",
        "p50 ms",
        "p99 ms",
        "MiB",
        "as streams GB/s",
        "× disk",
        "× huge",
        "stored already GB/s",
        "disk GB/s: direct",
        "buffered",
        "huge",
        "obvious GB/s",
        "ns/B",
        "MD5 alone GB/s",
        "opaque ETags GB/s",
        "× disk",
        "as streams GB/s",
        "× disk",
    ];
    let mut columns = vec![Column::text("parts × at a time", 0)];
    columns.extend(heads.map(Column::figures));
    columns
}

fn row(case: Case, measured: &[Measured; 10]) -> Vec<String> {
    let [
        put,
        stored,
        stream,
        direct,
        huge,
        buffered,
        obvious,
        md5,
        opaque,
        opaque_stream,
    ] = measured;
    let disk = direct.rate.max(buffered.rate);
    let best = disk.max(huge.rate);
    let two = |figure: f64| format!("{figure:.2}");
    vec![
        case.to_string(),
        two(put.rate),
        two(put.rate / disk),
        two(put.rate / best),
        two(put.rate / obvious.rate),
        two(put.rate / md5.rate),
        two(put.cpu),
        // The floor has the same files and syncs, so what is left of the processors' time is the hashes'.
        two(put.cpu - direct.cpu),
        format!("{:.1}", put.p50),
        format!("{:.1}", put.p99),
        format!("{:.0}", put.memory),
        two(stream.rate),
        two(stream.rate / disk),
        two(stream.rate / best),
        two(stored.rate),
        two(direct.rate),
        two(buffered.rate),
        two(huge.rate),
        two(obvious.rate),
        two(obvious.cpu),
        two(md5.rate),
        two(opaque.rate),
        two(opaque.rate / disk),
        two(opaque_stream.rate),
        two(opaque_stream.rate / disk),
    ]
}
