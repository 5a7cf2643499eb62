//! As much HTTP as the clients and the floor need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use parking_lot::Mutex;

/// Clients with connections that they keep.
pub struct Clients {
    address: SocketAddr,
    idle: Mutex<Vec<TcpStream>>,
}

impl Clients {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
        }
    }

    /// Sends a request and gives the answer, which must be a 200.
    pub fn send(&self, line: &str, body: &[u8]) -> String {
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
        let answer = read_answer(&mut socket).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        self.idle.lock().push(socket);
        answer
    }
}

/// Reads a short answer whole.
fn read_answer(socket: &mut TcpStream) -> Option<String> {
    let mut buffer = [0; 4096];
    let head = Head::read(socket, &mut buffer)?;
    let mut answer = head.bytes;
    while answer.len() < head.end + head.content_length {
        let len = some(socket, &mut buffer)?;
        answer.extend_from_slice(&buffer[..len]);
    }
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// The head of a message, and what came with it.
pub struct Head {
    pub bytes: Vec<u8>,
    /// Where the body begins.
    pub end: usize,
    pub content_length: usize,
}

impl Head {
    /// Reads until the head is whole. `None` when the other side sends no more.
    pub fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            let len = some(socket, buffer)?;
            bytes.extend_from_slice(&buffer[..len]);
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let end = at + 4;
                let content_length = content_length(&String::from_utf8_lossy(&bytes[..end]));
                return Some(Self {
                    bytes,
                    end,
                    content_length,
                });
            }
        }
    }
}

/// Reads some bytes; `None` when no more come.
pub fn some(socket: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    socket.read(buffer).ok().filter(|len| *len > 0)
}

fn content_length(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, length)| length.parse().ok());
    length.unwrap_or(0)
}
