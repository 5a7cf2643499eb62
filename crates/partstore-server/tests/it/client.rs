//! An HTTP client that sends exactly the bytes it is given, and hides nothing of the answer.

use std::fmt::{Display, Write as _};
use std::io::{self, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::fixture::Server;

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(50);

/// A request. Everything in it may be wrong.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: impl Display) -> Self {
        self.headers.push((name.to_owned(), format!("{value}")));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Everything before the body. `Host` and `Content-Length` are added unless they are given.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name| self.headers.iter().any(|(known, _)| known == name);
        if !has("Host") {
            head += "Host: 127.0.0.1\r\n";
        }
        let has_length = has("Content-Length") || has("Transfer-Encoding");
        if !has_length && ["PUT", "POST"].contains(&self.method.as_str()) {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }

    /// Sends it on a connection of its own.
    pub fn send(&self, server: &Server) -> Answer {
        let mut client = Client::connect(server);
        client.send(self.bytes());
        client.answer_to(&self.method)
    }
}

/// A connection.
pub struct Client {
    pub socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub fn connect(server: &Server) -> Self {
        Self::try_connect(server).unwrap()
    }

    pub fn try_connect(server: &Server) -> io::Result<Self> {
        Self::try_to(server.address)
    }

    /// To a server that is only an address.
    pub fn to(address: SocketAddr) -> Self {
        Self::try_to(address).unwrap()
    }

    fn try_to(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            received: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends, and ignores it when the server takes no more.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// Ends what it sends, and still reads.
    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Closes with something, such as a `100 Continue`, unread. So the server gets a reset.
    pub fn reset(self) {
        assert_eq!(self.socket.peek(&mut [0]).unwrap(), 1);
    }

    /// Reads the `100 Continue`, and closes with nothing left to read. So the server gets an end.
    pub fn close(mut self) {
        self.continued();
    }

    /// Reads the `100 Continue`.
    pub fn continued(&mut self) {
        assert_eq!(self.head().unwrap().0, 100);
    }

    /// Returns whether the connection ended without one more byte.
    pub fn is_at_end(&mut self) -> bool {
        self.received.is_empty() && matches!(self.socket.read(&mut [0]), Ok(0))
    }

    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The answer to a request of that method: one to HEAD has no body.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer(method).expect("an answer")
    }

    pub fn try_answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let (status, headers) = self.head()?;
            if status < 200 {
                interim.push(status);
                continue;
            }
            let mut answer = Answer {
                interim,
                status,
                headers,
                body: Vec::new(),
                is_whole: true,
            };
            if method != "HEAD" && status != 204 && status != 304 {
                answer.is_whole = self.body(&mut answer).is_ok();
            }
            return Ok(answer);
        }
    }

    fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let status = self.line()?;
        let number = status.split(' ').nth(1).and_then(|text| text.parse().ok());
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, status.clone());
        let number = number.ok_or_else(invalid)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                return Ok((number, headers));
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    fn body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if let Some(length) = answer.header("Content-Length") {
            let length: usize = length.parse().unwrap();
            return self.take(length, &mut answer.body);
        }
        if answer.header("Transfer-Encoding") != Some("chunked") {
            return match self.take(usize::MAX, &mut answer.body) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                other => other,
            };
        }
        loop {
            let length = usize::from_str_radix(&self.line()?, 16).unwrap();
            self.take(length, &mut answer.body)?;
            self.line()?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
                self.received.drain(..end + 2);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let mut left = length;
        loop {
            let taken = left.min(self.received.len());
            into.extend(self.received.drain(..taken));
            left -= taken;
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.socket.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.received.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The 1xx before it.
    pub interim: Vec<u16>,
    pub status: u16,
    /// As they were written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether all of the body came.
    pub is_whole: bool,
}

impl Answer {
    /// The header of exactly this spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// Whether the server asked for the body.
    pub fn was_asked_for(&self) -> bool {
        self.interim.contains(&100)
    }

    /// Asserts that it is 200, and gives it back.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }

    /// The texts of all elements of a name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let behind = self.text().split(&open).skip(1);
        behind
            .map(|text| text.split(&close).next().unwrap().to_owned())
            .collect()
    }
}
