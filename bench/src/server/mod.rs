//! How fast parts come in through both protocols of `partstore-server`, beside the store called directly in the same run.
//!
//! Clients and server share the machine. What is measured is loopback, both of its ends, and the store. The floor `sink`
//! has the same clients and a server that reads bodies and does nothing with them.

mod http;
mod process;
mod sign;
mod sink;

use std::path::Path;

use bytes::Bytes;
use partstore_bench::{Bench, Case, Column, Load, Measured, Table, Taker, Way, machine, store};

pub use http::{Clients, Protocol};
pub use process::Server;
use sink::Sink;

/// Bytes that a server receives at a time.
const RECEIVED: usize = 256 << 10;
const BUCKET: &str = "bench-1250000000";

pub fn run(load: &Load) {
    let ways = ways();
    machine::state(&load.place.dir());
    let bench = Bench::new(load);
    bench.warm_up(&ways);
    let table = Table::begin([
        Column::text("parts × at a time", 0),
        Column::text("way", 30),
        Column::figures("GB/s"),
        Column::figures("× store, as streams"),
        Column::figures("× floor"),
    ]);
    for case in load.cases() {
        print(&table, case, bench.medians(&ways, case));
    }
}

/// The store called directly, as a call and as streams; the server; the floor. All bodies lie in huge pages.
fn ways() -> [Way; 5] {
    let binary = crate::programs::server();
    let server = |protocol| {
        let binary = binary.clone();
        Way::new(move |dir, _| Uploads::to_server(&binary, dir, protocol))
    };
    let (s3, cos) = (server(Protocol::S3), server(Protocol::Cos));
    let sink = Way::new(|_, _| Uploads::to_sink());
    [store::put(), store::stream(RECEIVED), s3, cos, sink].map(Way::in_huge_pages)
}

fn print(table: &Table, case: Case, measured: [Measured; 5]) {
    let [put, stream, s3, cos, sink] = measured.map(|measured| measured.rate);
    // Where both are bound by the processors, a server cannot be faster than one after the other.
    let both = 1.0 / (1.0 / stream + 1.0 / sink);
    let rates = [
        ("store, `put_part`", put),
        ("store, as streams", stream),
        ("server, S3", s3),
        ("server, COS", cos),
        ("`sink`", sink),
        ("floor: `sink`, then the store", both),
    ];
    for (way, rate) in rates {
        table.row([
            case.to_string(),
            way.to_owned(),
            format!("{rate:.2}"),
            format!("{:.2}", rate / stream),
            format!("{:.2}", rate / both),
        ]);
    }
}

/// Clients that upload parts, and the server that they upload to.
struct Uploads {
    clients: Clients,
    id: String,
    _server: Box<dyn Send + Sync>,
}

impl Uploads {
    fn to_server(binary: &Path, dir: &Path, protocol: Protocol) -> Self {
        let data = dir.join("data");
        store::settled(&data).close().expect("a clean close");
        let server = Server::start(binary, &data, protocol);
        let clients = server.clients();
        clients.send(&format!("PUT /{BUCKET}/"), &[]);
        let answer = clients.send(&format!("POST /{BUCKET}/key?uploads"), &[]);
        let text = answer.text();
        let id = text.split("<UploadId>").nth(1);
        let id = id.and_then(|rest| rest.split('<').next());
        Self {
            clients,
            id: id.expect("an upload id").to_owned(),
            _server: Box::new(server),
        }
    }

    fn to_sink() -> Self {
        let sink = Sink::start();
        Self {
            clients: Clients::new(sink.address(), Protocol::Cos),
            id: "none".to_owned(),
            _server: Box::new(sink),
        }
    }
}

impl Taker for Uploads {
    fn take(&self, number: u32, part: &Bytes) {
        let id = &self.id;
        let line = format!("PUT /{BUCKET}/key?partNumber={number}&uploadId={id}");
        self.clients.send(&line, part);
    }
}
