//! An HTTP server that speaks the protocols of S3 and of Tencent COS, with one part store behind both.
//!
//! ```sh
//! cargo run --release -p partstore-server -- --data DIR --listen 127.0.0.1:9000
//! ```
//!
//! [`server`] has the connections. A request goes to the [`Front`](server::Front) of its protocol: [`cos`] or [`s3`].
//! `README.md`, beside this directory, has the requests as lines for a shell.

mod access;
mod admin;
mod args;
mod cors;
mod cos;
mod cross_origin;
mod kept;
mod keys;
mod layout;
mod lifecycle;
mod log;
mod one_by_one;
mod opening;
mod rules;
mod s3;
mod server;
mod signals;
mod socket;
mod traffic;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use partstore_tokio::AsyncPartStore;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{self, Runtime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use admin::{Admin, Told};
use args::Args;
use cos::operations::append;
use cos::service::Service;
use cos::spelling;
use log::Log;
use rules::{Current, Rules};
use s3::S3Front;
use server::{Limits, Server};

/// The system's own keeps what a thread has freed for that thread, so that many threads hold far more than is used.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where the protocol of COS listens if no address is given.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9000";
/// Copies at the same time. They read and write, and must leave threads for the clients.
const COPIES: usize = 8;
/// Connections of those who run the server.
const ADMINS: usize = 32;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Threads that the system must have left for the store.
const THREADS: usize = 10;

fn main() -> ExitCode {
    let ended = Args::parse_all().and_then(|args| {
        let log = Log::begin(&args)?;
        let ended = run(&args, &log);
        log.end();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let of_store = error.downcast_ref::<partstore::Error>();
            let said = of_store.map_or_else(|| error.to_string(), partstore::Error::one_line);
            let _ = writeln!(io::stderr(), "partstore-server: {said}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, log: &Log) -> Result<(), Failure> {
    raise_file_limit();
    let rules = Current::new(Rules::load(args)?);
    if rules.get().keys.is_none() {
        tracing::warn!("there are no key pairs, so everybody may do everything: see --keys");
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    match run_in(&runtime, args, (log, Arc::new(rules))) {
        Ok(store) => {
            // Waits for calls that are under way.
            runtime.block_on(store.close())?;
            tracing::info!("closed");
            Ok(())
        }
        Err(error) => {
            // A thread that could not be started would be waited for.
            runtime.shutdown_background();
            Err(error)
        }
    }
}

fn run_in(
    runtime: &Runtime,
    args: &Args,
    (log, rules): (&Log, Arc<Current>),
) -> Result<AsyncPartStore, Failure> {
    let _entered = runtime.enter();
    let hangups = signals::hangups()?;
    // An address that is taken, or misspelt, leaves no store behind.
    let sockets = Sockets::bind(args)?;
    if sockets.s3.is_some() && rules.get().keys.is_none() {
        return Err("S3 needs key pairs: see --keys".into());
    }
    prove_threads()?;
    let told = args.admin.as_ref().map(|_| Told::new());
    let store = runtime.block_on(opening::open(args, told.clone()))?;
    layout::upgrade(store.store())?;
    append::abandon_left(store.store(), opening::age_of_leftovers(args))?;
    let serving = serve(args, (&store, told), rules.clone(), sockets);
    let reloading = signals::reload(hangups, log, &rules);
    runtime.block_on(async {
        tokio::select! {
            served = serving => served,
            never = reloading => match never {},
        }
    })?;
    Ok(store)
}

/// The sockets of the protocols that are spoken.
struct Sockets {
    cos: Option<TcpSocket>,
    s3: Option<TcpSocket>,
    admin: Option<TcpSocket>,
}

impl Sockets {
    fn bind(args: &Args) -> Result<Self, Failure> {
        let default = args.s3.is_none().then_some(DEFAULT_ADDRESS);
        let cos = args.cos.as_deref().or(default);
        Ok(Self {
            cos: cos.map(bind).transpose()?,
            s3: args.s3.as_deref().map(bind).transpose()?,
            admin: args.admin.as_deref().map(bind).transpose()?,
        })
    }
}

/// A socket at an address such as `localhost:9000`: at the first of its addresses that is free.
fn bind(address: &str) -> Result<TcpSocket, Failure> {
    let named = |error: io::Error| format!("cannot listen on {address}: {error}");
    let mut last = io::Error::other("the name has no address");
    for resolved in address.to_socket_addrs().map_err(named)? {
        match bind_one(resolved) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(named(last).into())
}

fn bind_one(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A server may take the address of the one before it, whose connections have not ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(socket: Option<TcpSocket>) -> Result<Option<(TcpListener, SocketAddr)>, Failure> {
    let Some(socket) = socket else {
        return Ok(None);
    };
    let address = socket.local_addr()?;
    let listener = socket.listen(BACKLOG);
    let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    Ok(Some((listener, address)))
}

/// Starts some threads at the same time, and ends them. The store needs about half as many: its index would wait for ever
/// for one that the system refuses.
fn prove_threads() -> Result<(), Failure> {
    let together = Mutex::new(());
    thread::scope(|scope| {
        let _until_all_run = together.lock();
        for _ in 0..THREADS {
            let started = thread::Builder::new().spawn_scoped(scope, || drop(together.lock()));
            started.map_err(|error| format!("{THREADS} more threads are needed: {error}"))?;
        }
        Ok(())
    })
}

async fn serve(
    args: &Args,
    (store, told): (&AsyncPartStore, Option<Told>),
    rules: Arc<Current>,
    sockets: Sockets,
) -> Result<(), Failure> {
    let (stop, break_off) = (CancellationToken::new(), CancellationToken::new());
    let s3 = S3Front::new(store.clone(), &rules, args.patience);
    let service = Service {
        store: store.clone(),
        rules,
        patience: args.patience,
        copies: Semaphore::new(COPIES),
        spelling: spelling::learn().await?,
    };
    // Signals are caught from here on: whoever reads that the server listens may stop it at once.
    tokio::spawn(signals::stop(stop.clone(), break_off.clone())?);
    tokio::spawn(close_on(break_off.clone(), store.clone()));
    let kept = lifecycle::keep(store.clone(), args.lifecycle_day, stop.clone());
    tokio::spawn(kept);
    let listeners = (listen(sockets.cos)?, listen(sockets.s3)?);
    if let Some((_, address)) = &listeners.0 {
        let _ = writeln!(io::stdout(), "listening on {address}");
    }
    if let Some((_, address)) = &listeners.1 {
        let _ = writeln!(io::stdout(), "listening on {address} for S3");
    }
    let admin = match listen(sockets.admin)?.zip(told) {
        Some(((listener, address), told)) => {
            let _ = writeln!(io::stdout(), "listening on {address} for the admin");
            let admin = Arc::new(Admin::new(store.clone(), args, told)?);
            tokio::spawn(admin.clone().keep(stop.clone()));
            Some((listener, admin))
        }
        None => None,
    };
    let server = Server {
        room: Arc::new(Semaphore::new(args.max_connections as usize)),
        limits: Limits {
            max_head: args.max_head as usize,
            patience: args.patience,
            grace: args.grace,
        },
        stop,
        break_off,
        traffic: admin.as_ref().map(|(_, admin)| admin.traffic()),
    };
    // A crowd of clients leaves room for it.
    let admins = Server {
        room: Arc::new(Semaphore::new(ADMINS)),
        traffic: None,
        ..server.clone()
    };
    let admin = async {
        if let Some((listener, admin)) = admin {
            admins.run(listener, admin).await;
        }
    };
    tokio::join!(
        admin,
        server.clone().run_on(listeners.0, Arc::new(service)),
        server.run_on(listeners.1, Arc::new(s3)),
    );
    Ok(())
}

/// Closes the store when the grace is over. Calls that take long, such as copies, then end soon.
async fn close_on(break_off: CancellationToken, store: AsyncPartStore) {
    break_off.cancelled().await;
    // The result is that of the call at the end.
    let _ = store.close().await;
}

/// A connection takes a file descriptor, and a body takes another one.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays");
    }
}
