//! Signals: SIGHUP reads the options again, SIGTERM and SIGINT stop the server.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::args::Args;
use crate::log::Log;
use crate::rules::{Current, Rules};

/// Catches SIGHUP, which would otherwise end the process.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// At each SIGHUP reads the options again, and what they name. What can change takes effect for the next request. If
/// something is wrong, all stays as it was.
pub async fn reload(mut hangups: Signal, log: &Log, rules: &Current) -> Infallible {
    loop {
        if hangups.recv().await.is_none() {
            pending::<()>().await;
        }
        match read_again(log, rules) {
            Ok(()) => tracing::info!("reloaded"),
            Err(error) => tracing::error!(%error, "not reloaded"),
        }
    }
}

fn read_again(log: &Log, rules: &Current) -> Result<(), Failure> {
    let args = Args::parse_again()?;
    let new = Rules::load(&args)?;
    log.reload(&args)?;
    if rules.get().keys.is_some() && new.keys.is_none() {
        return Err("there are no key pairs any more; a restart would let in everybody".into());
    }
    rules.set(new);
    Ok(())
}

/// The first signal stops the server once its requests have ended. The second one breaks them off.
pub fn stop(
    stop: CancellationToken,
    break_off: CancellationToken,
) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for token in [stop, break_off] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    })
}
