//! The ways for a part to come in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use bytes::Bytes;
use parking_lot::Mutex;
use partstore::{Background, Options, PartNumber, PartOptions, PartStore, Upload};

use crate::process;
use crate::settled::settle_in;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `put_part` of bytes in memory.
    Put,
    /// `part_writer`, fed as a server gets a body from a socket.
    Stream,
    Gateway,
    Sink,
}

/// What a stream receives at a time.
const RECEIVED: usize = 256 * 1024;
const BUCKET: &str = "bench-1250000000";

impl Way {
    pub const ALL: [Self; 4] = [Self::Put, Self::Stream, Self::Gateway, Self::Sink];

    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "store, `put_part`",
            Self::Stream => "store, as streams",
            Self::Gateway => "gateway",
            Self::Sink => "floor: `sink`",
        }
    }

    /// Makes everything ready that is not measured.
    pub fn begin(self, dir: &Path, binary: &Path) -> Taker {
        let data = dir.join("data");
        match self {
            Self::Put | Self::Stream => {
                let store = settled(&data);
                let upload = store.initiate_upload("bench").expect("an upload");
                Taker::Store {
                    store,
                    upload,
                    streams: self == Self::Stream,
                }
            }
            Self::Gateway => {
                settled(&data).close().expect("a clean close");
                let (process, address) = process::start(
                    process::command(binary, &data, "127.0.0.1:0").stderr(Stdio::null()),
                );
                let clients = Clients::new(address);
                clients.send(&format!("PUT /{BUCKET}/ HTTP/1.1"), &[]);
                let answer = clients.send(&format!("POST /{BUCKET}/key?uploads HTTP/1.1"), &[]);
                let id = answer
                    .split("<UploadId>")
                    .nth(1)
                    .and_then(|rest| rest.split('<').next());
                let id = id.expect("an upload id").to_owned();
                Taker::Http {
                    clients,
                    process: Some(process),
                    id,
                }
            }
            Self::Sink => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address");
                std::thread::spawn(move || sink(&listener));
                Taker::Http {
                    clients: Clients::new(address),
                    process: None,
                    id: String::new(),
                }
            }
        }
    }
}

fn settled(data: &Path) -> PartStore {
    let store = Options::cos()
        .background(Background::Host)
        .open(data)
        .expect("a store");
    settle_in(&store);
    store
}

/// Ready to take parts.
pub enum Taker {
    Store {
        store: PartStore,
        upload: Upload,
        streams: bool,
    },
    Http {
        clients: Clients,
        process: Option<Child>,
        id: String,
    },
}

impl Taker {
    pub fn take(&self, number: u32, part: &Bytes) {
        match self {
            Self::Store {
                store,
                upload,
                streams,
            } => {
                let number = PartNumber::new(number).expect("a number");
                if !streams {
                    store
                        .put_part(upload, number, part.clone())
                        .expect("a part");
                    return;
                }
                let length = PartOptions::new().content_length(part.len() as u64);
                let mut writer = store.part_writer(upload, number, length).expect("a writer");
                for received in part.chunks(RECEIVED) {
                    writer.append(received).expect("received");
                }
                writer.finish().expect("a part");
            }
            Self::Http { clients, id, .. } => {
                clients.send(
                    &format!("PUT /{BUCKET}/key?partNumber={number}&uploadId={id} HTTP/1.1"),
                    part,
                );
            }
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        if let Self::Http {
            process: Some(process),
            ..
        } = self
        {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Clients with connections that they keep.
pub struct Clients {
    address: SocketAddr,
    idle: Mutex<Vec<TcpStream>>,
}

impl Clients {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
        }
    }

    /// Sends a request and gives the answer, which must be a 200.
    fn send(&self, line: &str, body: &[u8]) -> String {
        let idle = self.idle.lock().pop();
        let mut socket =
            idle.unwrap_or_else(|| TcpStream::connect(self.address).expect("a connection"));
        let head = format!(
            "{line}\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        socket.write_all(head.as_bytes()).expect("a head sent");
        socket.write_all(body).expect("a body sent");
        let answer = read_message(&mut socket).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        self.idle.lock().push(socket);
        answer
    }
}

/// Reads a short message whole.
fn read_message(socket: &mut TcpStream) -> Option<String> {
    let (mut message, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = socket.read(&mut buffer).ok().filter(|len| *len > 0)?;
        message.extend_from_slice(&buffer[..len]);
        let text = String::from_utf8_lossy(&message);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if body.len() >= content_length(head) {
            return Some(text.into_owned());
        }
    }
}

fn content_length(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length
        .and_then(|(_, length)| length.parse().ok())
        .unwrap_or(0)
}

/// Reads bodies, and does nothing with them.
fn sink(listener: &TcpListener) {
    while let Ok((mut socket, _)) = listener.accept() {
        std::thread::spawn(move || {
            let mut buffer = vec![0; RECEIVED];
            loop {
                let mut head = Vec::new();
                let end = loop {
                    let Ok(len @ 1..) = socket.read(&mut buffer) else {
                        return;
                    };
                    head.extend_from_slice(&buffer[..len]);
                    if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                        break end + 4;
                    }
                };
                let length = content_length(&String::from_utf8_lossy(&head[..end]));
                let mut left = (length + end).saturating_sub(head.len());
                while left > 0 {
                    let Ok(len @ 1..) = socket.read(&mut buffer) else {
                        return;
                    };
                    left = left.saturating_sub(len);
                }
                if socket
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .is_err()
                {
                    return;
                }
            }
        });
    }
}
