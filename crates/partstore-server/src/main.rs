//! An HTTP server that speaks the protocol of Tencent COS, with a part store behind it.
//!
//! ```sh
//! cargo run --release -p partstore-server -- --data DIR --listen 127.0.0.1:9000
//! ```
//!
//! [`server`] has the connections. A request goes to the [`Front`](server::Front) of its protocol: [`cos`]. `README.md`,
//! beside this directory, has the requests as lines for a shell.

mod args;
mod cos;
mod layout;
mod server;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use partstore::{Options, PartStore};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use args::Args;
use cos::service::Service;
use cos::spelling;
use server::Server;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Threads on which calls of the store may block. Each waits for the disk at times, and calls that wait together share
/// a sync.
const STORE_THREADS: usize = 64;
/// Copies at the same time. They read and write, and must leave threads for the clients.
const COPIES: usize = 8;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("partstore-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    raise_file_limit();
    let mut options = Options::cos().headroom(args.headroom);
    if let Some(age) = args.expire {
        options = options.expire_uploads_after(age);
    }
    if args.must_exist {
        options = options.must_exist();
    }
    let store = options.open(&args.data)?;
    let recovery = store.recovery();
    tracing::info!(data = %args.data.display(), created = recovery.created, index = ?recovery.index, "opened");
    if recovery.created {
        tracing::warn!("there was no store here, so a new one was made; --must-exist refuses that");
    }
    for path in &recovery.foreign {
        tracing::warn!(path = %path.display(), "not the store's, left alone");
    }
    layout::upgrade(&store)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(STORE_THREADS)
        .build()?;
    runtime.block_on(serve(args, &store))?;
    // Waits for calls that are under way.
    drop(runtime);
    store.close()?;
    tracing::info!("closed");
    Ok(())
}

async fn serve(args: &Args, store: &PartStore) -> Result<(), Failure> {
    let (stop, break_off) = (CancellationToken::new(), CancellationToken::new());
    let service = Service {
        store: store.clone(),
        keys: args.keys(),
        patience: args.patience,
        copies: Semaphore::new(COPIES),
        spelling: spelling::learn().await?,
    };
    if service.keys.is_none() {
        tracing::warn!("without --secret-id and --secret-key everybody may do everything");
    }
    // Signals are caught from here on: whoever reads that the server listens may stop it at once.
    let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
    let signals = [signal(terminate)?, signal(interrupt)?];
    tokio::spawn(stop_on_signals(stop.clone(), break_off.clone(), signals));
    tokio::spawn(close_on(break_off.clone(), store.clone()));
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let server = Server {
        room: Arc::new(Semaphore::new(args.max_connections as usize)),
        patience: args.patience,
        grace: args.grace,
        stop,
        break_off,
    };
    server.run(listener, Arc::new(service)).await;
    Ok(())
}

/// The first signal stops the server once its requests have ended. The second one breaks them off.
async fn stop_on_signals(
    stop: CancellationToken,
    break_off: CancellationToken,
    [mut terminate, mut interrupt]: [Signal; 2],
) {
    for token in [stop, break_off] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    }
}

/// Closes the store when the grace is over. Calls that take long, such as copies, then end soon.
async fn close_on(break_off: CancellationToken, store: PartStore) {
    break_off.cancelled().await;
    // The result is that of the call at the end.
    let _ = spawn_blocking(move || store.close()).await;
}

/// A connection takes a file descriptor, and a body takes another one.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays");
    }
}
