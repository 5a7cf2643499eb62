//! How much memory `partstore-server` takes while many clients are connected.
//!
//! Each state has a server of its own, and the peak of its resident memory. Clients that do nothing cost a connection.
//! Those in the middle of a body cost what the store keeps of it, too.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use clap::Args;
use partstore_bench::bodies::body;
use partstore_bench::{Column, Place, Table, machine, store};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::server::{Clients, Protocol, Server};

const BUCKET: &str = "bench-1250000000";
/// What a body has, and what its client has sent of it when it falls silent.
const BODY_LEN: usize = 8 << 20;
const SENT: usize = 64 << 10;
/// Just less than the server gathers of a body while few come in.
const MORE: usize = 480 << 10;

/// The options of `connections`.
#[derive(Debug, Args)]
pub struct Connections {
    #[command(flatten)]
    place: Place,
    /// Number of connections
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
}

/// What a client does with its connection.
type State = (&'static str, fn(&Clients, u32) -> TcpStream);

const STATES: [State; 4] = [
    ("idle, after a small GET", idle),
    ("silent, 64 KiB into a PUT of 8 MiB", |clients, number| {
        in_a_body(clients, number, SENT)
    }),
    ("silent, 480 KiB into a PUT of 8 MiB", |clients, number| {
        in_a_body(clients, number, MORE)
    }),
    ("taking nothing, 64 KiB into a GET of 8 MiB", in_an_answer),
];

impl Connections {
    pub fn run(&self) {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).expect("a limit of open files");
        machine::state(&self.place.dir());
        let binary = crate::programs::server();
        let table = Table::begin([
            Column::text("connections", 0),
            Column::text("each of them is", 42),
            Column::text("protocol", 0),
            Column::figures("MiB at the start"),
            Column::figures("MiB at the peak"),
        ]);
        for (name, state) in STATES {
            for protocol in [Protocol::S3, Protocol::Cos] {
                let (before, peak) = self.measure(state, protocol, &binary);
                let protocol = format!("{protocol:?}").to_uppercase();
                table.row([
                    self.connections.to_string(),
                    name.to_owned(),
                    protocol,
                    before.to_string(),
                    peak.to_string(),
                ]);
            }
        }
    }

    fn measure(
        &self,
        state: fn(&Clients, u32) -> TcpStream,
        protocol: Protocol,
        binary: &Path,
    ) -> (u64, u64) {
        let dir = tempfile::tempdir_in(self.place.dir()).expect("a directory");
        let data = dir.path().join("data");
        store::settled(&data).close().expect("a clean close");
        let server = Server::start(binary, &data, protocol);
        let clients = server.clients();
        clients.send(&format!("PUT /{BUCKET}/"), b"");
        clients.send(&format!("PUT /{BUCKET}/small"), b"small");
        clients.send(&format!("PUT /{BUCKET}/large"), &body(BODY_LEN, 1));
        let before = server.peak_mib();
        let held: Vec<_> = (0..self.connections)
            .map(|number| state(&clients, number))
            .collect();
        // An answer after all of them have been accepted.
        clients.send(&format!("GET /{BUCKET}/small"), b"");
        std::thread::sleep(std::time::Duration::from_secs(2));
        let peak = server.peak_mib();
        drop(held);
        (before, peak)
    }
}

fn idle(clients: &Clients, _: u32) -> TcpStream {
    let mut socket = clients.connect();
    clients.send_on(&mut socket, &format!("GET /{BUCKET}/small"), b"");
    socket
}

fn in_a_body(clients: &Clients, number: u32, sent: usize) -> TcpStream {
    let mut socket = clients.connect();
    let head = clients.head(&format!("PUT /{BUCKET}/body{number}"), BODY_LEN);
    socket.write_all(head.as_bytes()).expect("a head sent");
    socket
        .write_all(&body(sent, number.into()))
        .expect("bytes sent");
    socket
}

fn in_an_answer(clients: &Clients, _: u32) -> TcpStream {
    let mut socket = clients.connect();
    let head = clients.head(&format!("GET /{BUCKET}/large"), 0);
    socket.write_all(head.as_bytes()).expect("a head sent");
    let mut taken = vec![0; SENT];
    socket.read_exact(&mut taken).expect("bytes taken");
    socket
}
