//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use crate::cos::signature::KeyPair;

/// A server that speaks the protocol of Tencent COS and keeps objects in a part store.
#[derive(Parser, Debug)]
#[command(name = "partstore-server", version)]
pub struct Args {
    /// The directory of the store; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Fails when there is no store yet, instead of making one: for when its file system is not mounted
    #[arg(long)]
    pub must_exist: bool,

    /// Where to listen; with port 0 the system chooses one, which the first line of its output says
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,

    /// The id of the one key pair; without it every request is allowed
    #[arg(long, value_name = "ID", requires = "secret_key", value_parser = NonEmptyStringValueParser::new())]
    pub secret_id: Option<String>,

    /// The key of the one key pair
    #[arg(long, value_name = "KEY", requires = "secret_id", value_parser = NonEmptyStringValueParser::new())]
    pub secret_key: Option<String>,

    /// The most connections at a time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// How long a client may be silent in the middle of a body, or take nothing of an answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub patience: Duration,

    /// How long requests may take to end when the server is told to stop
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub grace: Duration,

    /// Bytes of the disk that bodies leave free; what would take more is refused with 503
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub headroom: u64,

    /// Uploads that were initiated longer ago than this, and not completed, are aborted
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub expire: Option<Duration>,
}

impl Args {
    pub fn keys(&self) -> Option<KeyPair> {
        let (id, secret) = self.secret_id.clone().zip(self.secret_key.clone())?;
        Some(KeyPair { id, secret })
    }
}
