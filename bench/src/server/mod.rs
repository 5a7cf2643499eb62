//! How fast parts come in through `partstore-server`, beside the store called directly in the same run.
//!
//! Clients and server share the machine. What is measured is loopback, both of its ends, and the store. The floor `sink`
//! has the same clients and a server that reads bodies and does nothing with them.

mod http;
mod process;
mod sink;

use std::path::Path;

use bytes::Bytes;
use partstore_bench::{Bench, Case, Column, Load, Measured, Table, Taker, Way, machine, store};

pub use http::Clients;
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
    ]);
    for case in load.cases() {
        print(&table, case, bench.medians(&ways, case));
    }
}

/// The store called directly, as a call and as streams; the server; the floor. All bodies lie in huge pages.
fn ways() -> [Way; 4] {
    let binary = crate::programs::server();
    let server = Way::new(move |dir, _| Uploads::to_server(&binary, dir));
    let sink = Way::new(|_, _| Uploads::to_sink());
    [store::put(), store::stream(RECEIVED), server, sink].map(Way::in_huge_pages)
}

fn print(table: &Table, case: Case, measured: [Measured; 4]) {
    let [put, stream, server, sink] = measured.map(|measured| measured.rate);
    // Where both are bound by the processors, a server cannot be faster than one after the other.
    let both = 1.0 / (1.0 / stream + 1.0 / sink);
    let rates = [
        ("store, `put_part`", put),
        ("store, as streams", stream),
        ("server", server),
        ("floor: `sink`", sink),
        ("floor: `sink`, then the store", both),
    ];
    for (way, rate) in rates {
        table.row([
            case.to_string(),
            way.to_owned(),
            format!("{rate:.2}"),
            format!("{:.2}", rate / stream),
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
    fn to_server(binary: &Path, dir: &Path) -> Self {
        let data = dir.join("data");
        store::settled(&data).close().expect("a clean close");
        let server = Server::start(binary, &data);
        let clients = Clients::new(server.address());
        clients.send(&format!("PUT /{BUCKET}/ HTTP/1.1"), &[]);
        let answer = clients.send(&format!("POST /{BUCKET}/key?uploads HTTP/1.1"), &[]);
        let id = answer.split("<UploadId>").nth(1);
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
            clients: Clients::new(sink.address()),
            id: "none".to_owned(),
            _server: Box::new(sink),
        }
    }
}

impl Taker for Uploads {
    fn take(&self, number: u32, part: &Bytes) {
        let id = &self.id;
        let line = format!("PUT /{BUCKET}/key?partNumber={number}&uploadId={id} HTTP/1.1");
        self.clients.send(&line, part);
    }
}
