//! A proxy between a store and its database. It knows where messages begin, and ends a connection at a chosen one.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Where a connection ends. Messages are counted from 0 on, over all connections, from [`Proxy::arm`] on.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Before this message to the database, or in its middle.
    Asked { at: usize, half: bool },
    /// Before this message to the store, or in its middle.
    Answered { at: usize, half: bool },
    /// The database gets and does everything. Of this reply nothing comes back.
    Lost { reply: usize },
    /// The store's connection ends. The request with this message reaches the database at [`Proxy::release`].
    Late { at: usize },
}

/// What comes behind the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The database can be reached again at once.
    Back,
    /// No connection is let through until [`Proxy::heal`].
    Away,
}

pub struct Proxy {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

#[derive(Default)]
struct State {
    armed: Option<(Cut, Then)>,
    asked: usize,
    answered: usize,
    replies: usize,
    is_away: bool,
    open: Vec<TcpStream>,
    late: Vec<(TcpStream, Vec<u8>)>,
    /// The ports from which the proxy speaks to the database.
    ports: Vec<u16>,
}

enum Fate {
    Passes,
    Half,
    Swallowed,
    Late,
    Ends,
}

impl Proxy {
    /// Makes one in front of the database of the tests.
    pub fn new() -> Self {
        let database = super::database();
        let (_, host) = database.split_once('@').unwrap();
        let target = host.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = connect(&shared, &client, &target);
            }
        });
        Self { state, address }
    }

    /// The address of the database by way of this proxy.
    pub fn database(&self) -> String {
        let database = super::database();
        let (user, host) = database.split_once('@').unwrap();
        let (_, name) = host.split_once('/').unwrap();
        format!("{user}@{}/{name}?sslmode=disable", self.address)
    }

    /// Ends the connection that comes to this point.
    pub fn arm(&self, cut: Cut, then: Then) {
        let mut state = self.state.lock().unwrap();
        (state.asked, state.answered, state.replies) = (0, 0, 0);
        state.armed = Some((cut, then));
    }

    /// Lets everything through again. Says whether something was cut.
    pub fn heal(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.is_away = false;
        state.armed.take().is_none()
    }
}

impl Proxy {
    /// The ports from which the database is spoken to.
    pub fn ports(&self) -> Vec<u16> {
        self.state.lock().unwrap().ports.clone()
    }

    /// Whether it has cut.
    pub fn has_cut(&self) -> bool {
        self.state.lock().unwrap().armed.is_none()
    }

    /// Sends the late requests, and waits until the database has answered them.
    pub fn release(&self) {
        let late = std::mem::take(&mut self.state.lock().unwrap().late);
        for (mut server, request) in late {
            let before = self.state.lock().unwrap().replies;
            server.write_all(&request).unwrap();
            for _ in 0..500 {
                if self.state.lock().unwrap().replies > before {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn fate(&mut self, asks: bool, is_end_of_reply: bool) -> Fate {
        let count = if asks {
            &mut self.asked
        } else {
            &mut self.answered
        };
        let number = *count;
        *count += 1;
        let reply = self.replies;
        self.replies += usize::from(is_end_of_reply);
        let Some((cut, then)) = self.armed else {
            return Fate::Passes;
        };
        let fate = match cut {
            Cut::Asked { at, half } if asks && at == number => half,
            Cut::Answered { at, half } if !asks && at == number => half,
            Cut::Lost { reply: lost } if !asks && lost == reply => {
                if !is_end_of_reply {
                    return Fate::Swallowed;
                }
                false
            }
            Cut::Late { at } if asks && at == number => {
                self.armed = None;
                return Fate::Late;
            }
            _ => return Fate::Passes,
        };
        self.armed = None;
        if then == Then::Away {
            self.is_away = true;
            for stream in self.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        if fate { Fate::Half } else { Fate::Ends }
    }
}

fn connect(shared: &Arc<Mutex<State>>, client: &TcpStream, target: &str) -> Result<()> {
    let server = {
        let mut state = shared.lock().unwrap();
        if state.is_away {
            return Ok(());
        }
        let server = TcpStream::connect(target)?;
        state.ports.push(server.local_addr()?.port());
        state.open.push(client.try_clone()?);
        state.open.push(server.try_clone()?);
        server
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for asks in [true, false] {
        let (shared, client, server) =
            (Arc::clone(shared), client.try_clone()?, server.try_clone()?);
        thread::spawn(move || {
            let (mut from, mut to) = if asks {
                (&client, &server)
            } else {
                (&server, &client)
            };
            if let Ok(Some(late)) = pump(&shared, asks, &mut from, &mut to) {
                let _ = client.shutdown(Shutdown::Both);
                shared.lock().unwrap().late.push((server, late));
                return;
            }
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

/// Passes messages on until a connection ends. Returns a request that is to come late.
fn pump(
    shared: &Mutex<State>,
    asks: bool,
    from: &mut impl Read,
    to: &mut impl Write,
) -> Result<Option<Vec<u8>>> {
    let mut is_first = asks;
    loop {
        let mut message = message(from, is_first)?;
        is_first = false;
        let is_end_of_reply = !asks && message[0] == b'Z';
        let fate = shared.lock().unwrap().fate(asks, is_end_of_reply);
        match fate {
            Fate::Passes => match to.write_all(&message) {
                // The answer to a late request is for nobody.
                Err(error) if asks => return Err(error),
                _ => {}
            },
            Fate::Swallowed => {}
            Fate::Half => {
                to.write_all(&message[..message.len() / 2])?;
                return Ok(None);
            }
            Fate::Late => {
                let mut last = message[0];
                // A request ends with Sync, or is one Query.
                while last != b'S' && last != b'Q' {
                    let next = self::message(from, false)?;
                    last = next[0];
                    message.extend(next);
                }
                return Ok(Some(message));
            }
            Fate::Ends => return Ok(None),
        }
    }
}

/// One message. The first of a client has no type.
fn message(from: &mut impl Read, is_first: bool) -> Result<Vec<u8>> {
    let mut message = vec![0; if is_first { 4 } else { 5 }];
    from.read_exact(&mut message)?;
    let len = message
        .last_chunk::<4>()
        .map(|len| u32::from_be_bytes(*len));
    let len = usize::try_from(len.unwrap_or_default()).unwrap_or_default();
    let rest = len
        .checked_sub(4)
        .ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
    let begun = message.len();
    message.resize(begun + rest, 0);
    from.read_exact(&mut message[begun..])?;
    Ok(message)
}
