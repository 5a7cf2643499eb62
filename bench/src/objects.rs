//! How long small objects take through both protocols of `partstore-server`, beside `s3s-fs` behind HTTP.
//!
//! Each server gets the same objects from the same clients, in a fresh directory, and then gives them back. `s3s-fs` syncs
//! nothing, so the store called directly stands beside them.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use parking_lot::Mutex;
use partstore::{PartStore, Quota};
use partstore_bench::bodies::body;
use partstore_bench::{Column, Place, Table, at_once, machine, median, store};

use crate::server::{Clients, Protocol, Server};

const BUCKET: &str = "bench-1250000000";

/// The options of `objects`.
#[derive(Debug, Args)]
pub struct Objects {
    #[command(flatten)]
    place: Place,
    /// Times that each server runs with each number of clients
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Number of objects
    #[arg(long = "objects", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    /// Bytes of an object
    #[arg(long, default_value_t = 4096)]
    len: usize,
    /// How many clients ask at the same time
    #[arg(long, value_delimiter = ',', default_value = "1,8,32", value_parser = clap::value_parser!(u32).range(1..))]
    clients: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Store,
    S3,
    Cos,
    S3sFs,
}

const WAYS: [Way; 4] = [Way::Store, Way::S3, Way::Cos, Way::S3sFs];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store, called directly",
            Self::S3 => "server, S3",
            Self::Cos => "server, COS",
            Self::S3sFs => "s3s-fs 0.14.1, which syncs nothing",
        }
    }
}

/// One run.
struct Measured {
    way: Way,
    put: Latencies,
    get: Latencies,
}

#[derive(Clone, Copy)]
struct Latencies {
    p50: f64,
    p99: f64,
    rate: f64,
}

impl Objects {
    pub fn run(&self) {
        machine::state(&self.place.dir());
        let binary = crate::programs::server();
        let table = Table::begin([
            Column::text("clients", 0),
            Column::text("way", 34),
            Column::figures("PUT p50 ms"),
            Column::figures("p99 ms"),
            Column::figures("a second"),
            Column::figures("GET p50 ms"),
            Column::figures("p99 ms"),
            Column::figures("a second"),
            Column::figures("PUT p50 × s3s-fs"),
            Column::figures("GET p50 × s3s-fs"),
        ]);
        for clients in &self.clients {
            let (mut runs, mut order) = (Vec::new(), WAYS);
            for _ in 0..self.rounds {
                fastrand::shuffle(&mut order);
                runs.extend(order.map(|way| self.measure(way, *clients, &binary)));
            }
            print(&table, *clients, &runs);
        }
    }

    fn measure(&self, way: Way, clients: u32, binary: &Path) -> Measured {
        let dir = tempfile::tempdir_in(self.place.dir()).expect("a directory");
        let taker = Taker::open(way, dir.path(), binary);
        rustix::fs::sync();
        let bodies: Vec<_> = (0..self.number)
            .map(|number| body(self.len, number.into()))
            .collect();
        let put = self.timed(clients, |number| {
            taker.put(number, &bodies[number as usize]);
        });
        let get = self.timed(clients, |number| {
            assert_eq!(taker.get(number), bodies[number as usize]);
        });
        Measured { way, put, get }
    }

    /// How long `call` takes for each object, from so many clients.
    fn timed(&self, clients: u32, call: impl Fn(u32) + Sync) -> Latencies {
        let all = Mutex::new(Vec::new());
        let taken = at_once(clients, |client| {
            let mut own = Vec::new();
            for number in (client..self.number).step_by(clients as usize) {
                let began = Instant::now();
                call(number);
                own.push(began.elapsed());
            }
            all.lock().append(&mut own);
            Ok::<(), Infallible>(())
        });
        let Ok(elapsed) = taken;
        Latencies::of(all.into_inner(), elapsed)
    }
}

impl Latencies {
    fn of(mut all: Vec<Duration>, elapsed: Duration) -> Self {
        all.sort_unstable();
        let percentile = |percent: usize| {
            let at = (all.len() * percent / 100).min(all.len() - 1);
            all[at].as_secs_f64() * 1e3
        };
        let objects = u32::try_from(all.len()).map_or(0.0, f64::from);
        Self {
            p50: percentile(50),
            p99: percentile(99),
            rate: objects / elapsed.as_secs_f64(),
        }
    }
}

fn print(table: &Table, clients: u32, runs: &[Measured]) {
    let of = |way: Way, value: fn(&Measured) -> f64| {
        median(runs.iter().filter(|run| run.way == way).map(value))
    };
    let peer = (
        of(Way::S3sFs, |run| run.put.p50),
        of(Way::S3sFs, |run| run.get.p50),
    );
    for way in WAYS {
        let (put, get) = (of(way, |run| run.put.p50), of(way, |run| run.get.p50));
        table.row([
            clients.to_string(),
            way.name().to_owned(),
            format!("{put:.2}"),
            format!("{:.2}", of(way, |run| run.put.p99)),
            format!("{:.0}", of(way, |run| run.put.rate)),
            format!("{get:.2}"),
            format!("{:.2}", of(way, |run| run.get.p99)),
            format!("{:.0}", of(way, |run| run.get.rate)),
            format!("{:.2}", put / peer.0),
            format!("{:.2}", get / peer.1),
        ]);
    }
}

/// What objects are put to.
enum Taker {
    Store(PartStore),
    Server(
        Clients,
        #[expect(dead_code, reason = "it runs until it is dropped")] Server,
    ),
}

impl Taker {
    fn open(way: Way, dir: &Path, binary: &Path) -> Self {
        let data = dir.join("data");
        let server = match way {
            Way::S3sFs => s3s_fs(dir),
            Way::Store => {
                let store = store::settled(&data);
                store
                    .create_namespace(BUCKET, Quota::new())
                    .expect("a bucket");
                return Self::Store(store);
            }
            Way::S3 | Way::Cos => {
                store::settled(&data).close().expect("a clean close");
                let s3 = way == Way::S3;
                let protocol = if s3 { Protocol::S3 } else { Protocol::Cos };
                Server::start(binary, &data, protocol)
            }
        };
        let clients = server.clients();
        clients.send(&format!("PUT /{BUCKET}/"), b"");
        Self::Server(clients, server)
    }

    fn put(&self, number: u32, body: &Bytes) {
        match self {
            Self::Store(store) => {
                let put = store.put_object((BUCKET, name(number)), body.clone());
                put.map(drop).expect("an object");
            }
            Self::Server(clients, _) => {
                clients.send(&format!("PUT /{BUCKET}/{}", name(number)), body);
            }
        }
    }

    fn get(&self, number: u32) -> Vec<u8> {
        match self {
            Self::Store(store) => {
                let mut reader = store.open_key((BUCKET, name(number))).expect("an object");
                let mut bytes = Vec::new();
                std::io::copy(&mut reader, &mut bytes).expect("its bytes");
                bytes
            }
            Self::Server(clients, _) => {
                let answer = clients.send(&format!("GET /{BUCKET}/{}", name(number)), b"");
                answer.body().to_vec()
            }
        }
    }
}

fn name(number: u32) -> String {
    format!("objects/{number:05}")
}

/// It is in the workspace of the other stores.
fn s3s_fs(dir: &Path) -> Server {
    let root: PathBuf = dir.join("files");
    std::fs::create_dir(&root).expect("a directory");
    let mut command = crate::programs::cargo("run", "peers");
    command.args(["--no-default-features", "--bin", "s3s-fs-server", "--"]);
    command.arg(root);
    Server::spawn(command, Protocol::S3)
}
