//! The log, on stderr. It never costs an answer: see [`Queue`].

mod queue;

use std::str::FromStr;
use std::{env, panic, process, thread};

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::Failure;
use crate::args::Args;
use queue::Queue;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// The log of the process.
pub struct Log {
    levels: Handle<Targets, Registry>,
    queue: Queue,
}

impl Log {
    /// Begins it. Panics are logged, too. (By default they would wait for the reader of stderr.)
    pub fn begin(args: &Args) -> Result<Self, Failure> {
        let queue = Queue::begin(args.log_format)?;
        let (levels, handle) = reload::Layer::new(levels(args)?);
        let lines = lines(args.log_format, &queue).with_filter(levels);
        tracing_subscriber::registry().with(lines).init();
        let lines = queue.clone();
        panic::set_hook(Box::new(move |panicked| {
            tracing::error!("{panicked}");
            end_with_main(&lines);
        }));
        Ok(Self {
            levels: handle,
            queue,
        })
    }

    /// Takes the levels of options that were read again.
    pub fn reload(&self, args: &Args) -> Result<(), Failure> {
        Ok(self.levels.reload(levels(args)?)?)
    }

    /// Waits until the lines so far are written, for a time.
    pub fn end(&self) {
        self.queue.end();
    }
}

/// A panic of the main thread ends the process. Unwinding would wait for tokio's threads, some of which may never have
/// started: that is what most such panics are about.
fn end_with_main(lines: &Queue) {
    if thread::current().name() == Some("main") {
        lines.end();
        process::exit(1);
    }
}

/// `RUST_LOG`, or else the option. `s3s` logs nothing unless that names it. It calls each refusal of a client an error, and the
/// request's own line says that.
fn levels(args: &Args) -> Result<Targets, Failure> {
    let set = env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = set.or_else(|| args.log.clone());
    let text = text.as_deref().unwrap_or("info");
    let levels = Targets::from_str(text);
    let levels = levels.map_err(|error| format!("the levels {text:?}: {error}"))?;
    if text.contains("s3s") {
        return Ok(levels);
    }
    Ok(levels.with_target("s3s", LevelFilter::OFF))
}

/// What writes lines. It says nothing about errors: it would say so on stderr, and wait there.
fn lines(format: Format, queue: &Queue) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = fmt::layer().with_writer(queue.clone()).with_ansi(false);
    let layer = layer.log_internal_errors(false);
    match format {
        Format::Text => layer.with_target(false).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    }
}
