//! As much HTTP as the clients and the floor need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use parking_lot::Mutex;

use super::sign;

/// Clients with connections that they keep.
pub struct Clients {
    address: SocketAddr,
    protocol: Protocol,
    idle: Mutex<Vec<TcpStream>>,
}

/// What a server speaks, as far as requests differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing is signed.
    Cos,
    /// Heads are signed, bodies are not.
    S3,
}

impl Clients {
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            idle: Mutex::default(),
        }
    }

    /// Sends a request, such as `PUT /bucket/key`, and gives the answer, which must be a 200.
    pub fn send(&self, request: &str, body: &[u8]) -> Answer {
        let idle = self.idle.lock().pop();
        let mut socket = idle.unwrap_or_else(|| self.connect());
        let answer = self.send_on(&mut socket, request, body);
        self.idle.lock().push(socket);
        answer
    }

    /// The same, on this connection.
    pub fn send_on(&self, socket: &mut TcpStream, request: &str, body: &[u8]) -> Answer {
        let head = self.head(request, body.len());
        socket.write_all(head.as_bytes()).expect("a head sent");
        socket.write_all(body).expect("a body sent");
        let answer = Answer::read(socket).expect("an answer");
        assert!(answer.is_ok(), "{}", answer.text());
        answer
    }

    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        socket
    }

    /// The head of a request, up to its body.
    pub fn head(&self, request: &str, body_len: usize) -> String {
        let host = self.address.to_string();
        let signed = match self.protocol {
            Protocol::Cos => String::new(),
            Protocol::S3 => sign::headers(request, &host),
        };
        format!("{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {body_len}\r\n{signed}\r\n")
    }
}

/// The answer to a request.
pub struct Answer {
    bytes: Vec<u8>,
    body: usize,
}

impl Answer {
    fn is_ok(&self) -> bool {
        self.bytes.starts_with(b"HTTP/1.1 200")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    fn read(socket: &mut TcpStream) -> Option<Self> {
        let mut buffer = [0; 16_384];
        let head = Head::read(socket, &mut buffer)?;
        let (mut bytes, body) = (head.bytes, head.end);
        if head.is_chunked {
            while !bytes.ends_with(b"0\r\n\r\n") {
                let len = some(socket, &mut buffer)?;
                bytes.extend_from_slice(&buffer[..len]);
            }
        }
        while bytes.len() < body + head.content_length {
            let len = some(socket, &mut buffer)?;
            bytes.extend_from_slice(&buffer[..len]);
        }
        Some(Self { bytes, body })
    }
}

/// The head of a message, and what came with it.
pub struct Head {
    pub bytes: Vec<u8>,
    /// Where the body begins.
    pub end: usize,
    pub content_length: usize,
    /// The body has no length. Only short documents come so.
    is_chunked: bool,
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
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let content_length = content_length(&head);
                let is_chunked = head.contains("transfer-encoding: chunked");
                return Some(Self {
                    bytes,
                    end,
                    content_length,
                    is_chunked,
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
    let length = fields.find(|(name, _)| *name == "content-length");
    let length = length.and_then(|(_, length)| length.parse().ok());
    length.unwrap_or(0)
}
