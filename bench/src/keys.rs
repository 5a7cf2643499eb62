//! How long listings of keys and the start of the server take, in a store with many keys.
//!
//! Half of the keys begin with `half/`. The others lie in 1,000 folders. All keys share a few bodies, so the figures
//! are about names.

use std::path::Path;
use std::time::Instant;

use clap::Args;
use partstore::{Background, KeyPage, ListKeys, Options, PartStore, Quota, Result};
use partstore_bench::bodies::body;
use partstore_bench::{Column, Place, Table, at_once, machine, median};

use crate::server::{Protocol, Server};

const BUCKET: &str = "bench-1250000000";
const PUTTERS: u32 = 64;
const FOLDERS: u32 = 1000;
const BODIES: u32 = 64;
const BODY_LEN: usize = 64;
const PAGES: u32 = 200;
const STARTS: u32 = 3;

/// The options of `keys`.
#[derive(Debug, Args)]
pub struct Keys {
    #[command(flatten)]
    place: Place,
    /// Number of keys
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(4000..))]
    keys: u32,
}

impl Keys {
    pub fn run(&self) -> Result<()> {
        let base = self.place.dir();
        machine::state(&base);
        let binary = crate::programs::server();
        let dir = tempfile::tempdir_in(base).expect("a directory");
        let root = dir.path().join("data");
        let store = options().open(&root)?;
        let report = Report::begin(self.keys);
        report.fill(&store)?;
        report.pages(&store)?;
        store.close()?;
        report.open(&root)?;
        report.starts(&binary, &root);
        Ok(())
    }
}

fn options() -> Options {
    Options::cos().background(Background::Host)
}

/// The table, and how many keys the store has.
struct Report {
    table: Table,
    keys: u32,
}

impl Report {
    fn begin(keys: u32) -> Self {
        let columns = [Column::text("figure", 52), Column::text("measured", 34)];
        Self {
            table: Table::begin(columns),
            keys,
        }
    }

    fn say(&self, figure: &str, measured: String) {
        self.table.row([figure.to_owned(), measured]);
    }

    fn key(&self, number: u32) -> String {
        if number < self.keys / 2 {
            format!("half/{number:08}")
        } else {
            format!("{:03}/{number:08}", number % FOLDERS)
        }
    }

    fn fill(&self, store: &PartStore) -> Result<()> {
        store.create_namespace(BUCKET, Quota::new())?;
        let bodies: Vec<_> = (0..BODIES)
            .map(|seed| body(BODY_LEN, seed.into()))
            .collect();
        let took = at_once(PUTTERS, |thread| {
            let own = (thread..self.keys).step_by(PUTTERS as usize);
            for (number, body) in own.zip(bodies.iter().cycle()) {
                store.put_object((BUCKET, self.key(number)), body.clone())?;
            }
            Ok(())
        })?;
        let rate = f64::from(self.keys) / took.as_secs_f64();
        self.say(
            &format!("`put_object`, {} keys, {PUTTERS} threads", self.keys),
            format!("{rate:.0} a second"),
        );
        Ok(())
    }

    fn pages(&self, store: &PartStore) -> Result<()> {
        let in_bucket = || ListKeys::new().namespace(BUCKET);
        // Each page begins somewhere else.
        let place = |page: u32| {
            let far = u64::from(self.keys) * u64::from(page) / u64::from(PAGES);
            self.key(u32::try_from(far).unwrap_or(0))
        };
        let plain = timed(store, |page| in_bucket().after(place(page)).limit(1000))?;
        self.say("`list_keys`, a page of 1,000 keys", micros(plain));
        let rolled = timed(store, |_| {
            in_bucket().delimiter("/").after("999/").limit(1000)
        })?;
        self.say(
            "a page of one common prefix, half of all keys",
            micros(rolled),
        );
        let folders = timed(store, |_| in_bucket().delimiter("/").limit(1000))?;
        self.say("a page of 1,000 common prefixes", micros(folders));
        Ok(())
    }

    fn open(&self, root: &Path) -> Result<()> {
        let started = Instant::now();
        let store = options().open(root)?;
        let took = started.elapsed().as_secs_f64();
        store.close()?;
        self.say("`open` after a clean close", format!("{took:.2} s"));
        Ok(())
    }

    /// From the start of the process to the answer of the first request.
    fn starts(&self, binary: &Path, root: &Path) {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let started = Instant::now();
            let server = Server::start(binary, root, Protocol::Cos);
            let key = self.key(0);
            server.clients().send(&format!("GET /{BUCKET}/{key}"), b"");
            times.push(started.elapsed().as_secs_f64());
            server.stop();
        }
        let took = median(times);
        self.say(
            "start of the server to its first answer",
            format!("{took:.2} s"),
        );
    }
}

/// Median time of a page, seconds.
fn timed(store: &PartStore, query: impl Fn(u32) -> ListKeys) -> Result<f64> {
    let mut times = Vec::new();
    for page in 0..PAGES {
        let query = query(page);
        let started = Instant::now();
        let KeyPage {
            keys,
            common_prefixes,
            ..
        } = store.list_keys(&query)?;
        times.push(started.elapsed().as_secs_f64());
        assert!(!keys.is_empty() || !common_prefixes.is_empty());
    }
    Ok(median(times))
}

fn micros(seconds: f64) -> String {
    format!("{:.0} µs", seconds * 1e6)
}
