//! The floor: a server that reads bodies and does nothing with them.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::RECEIVED;
use super::http::{Head, some};

/// A listener whose thread stays until the program ends; each connection's ends with the connection.
pub struct Sink(SocketAddr);

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                thread::spawn(move || serve(socket));
            }
        });
        Self(address)
    }

    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

/// Answers requests until the client closes the connection.
fn serve(mut socket: TcpStream) -> Option<()> {
    let mut buffer = vec![0; RECEIVED];
    loop {
        let head = Head::read(&mut socket, &mut buffer)?;
        let mut left = (head.end + head.content_length).saturating_sub(head.bytes.len());
        while left > 0 {
            left = left.saturating_sub(some(&mut socket, &mut buffer)?);
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        socket.write_all(answer).ok()?;
    }
}
