//! How long a store with millions of parts takes to open, and what it takes on disk and in memory: `just scale 10`.
//!
//! The rows of the parts are real, and come through the store's own batches and checkpoints. Their files do not
//! exist: ten million files say nothing about opening. Each opening runs in a process of its own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, abort};
use std::time::Instant;

use clap::{Parser, Subcommand};
use partstore::{Background, ListParts, ListUploads, Options, PartStore};

type Outcome = Result<(), Box<dyn Error>>;

const PARTS_OF_AN_UPLOAD: u32 = 1000;

#[derive(Debug, Parser)]
struct Scale {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// All steps, in a directory that is removed afterwards
    Run {
        /// Millions of parts
        millions: u32,
        /// Where the store is made; the system's temporary directory without it
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Adds so many uploads with 1,000 parts each, and closes the store
    Grow { root: PathBuf, uploads: u32 },
    /// Adds uploads, and ends without closing the store
    Kill { root: PathBuf, uploads: u32 },
    /// Opens the store, asks a little and closes it
    Open { root: PathBuf },
}

fn main() -> Outcome {
    match Scale::parse().step {
        Step::Run { millions, dir } => run(millions, &dir.unwrap_or_else(std::env::temp_dir)),
        Step::Grow { root, uploads } => grow(&root, uploads, &mut |_| {}),
        Step::Kill { root, uploads } => grow(&root, uploads, &mut |number| {
            if number + 1 == uploads {
                abort();
            }
        }),
        Step::Open { root } => open(&root),
    }
}

fn run(millions: u32, dir: &Path) -> Outcome {
    let dir = tempfile::tempdir_in(dir)?;
    let root = dir.path().join("data");
    let uploads = millions * 1000;
    let begun = Instant::now();
    let path = root.to_string_lossy().into_owned();
    child(&["grow", &path, &uploads.to_string()]);
    println!(
        "{millions} million parts in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let parts = u64::from(uploads) * u64::from(PARTS_OF_AN_UPLOAD);
    for name in ["snapshot", "index", "journal"] {
        let bytes = size_of(&root.join("meta").join(name))?;
        println!("{name}: {} bytes a part", bytes / parts);
    }
    println!("after a clean close:");
    child(&["open", &path]);
    // The journal behind the last checkpoint is as long as it gets.
    for more in [3, 30, 60] {
        child(&["kill", &path, &more.to_string()]);
        println!("after {more},000 more parts and a kill:");
        child(&["open", &path]);
    }
    Ok(())
}

fn child(arguments: &[&str]) {
    let this = std::env::current_exe().expect("the path of this program");
    let ended = Command::new(this).args(arguments).status();
    let ended = ended.expect("a process");
    assert!(
        ended.success() || arguments.first() == Some(&"kill"),
        "{arguments:?}"
    );
}

fn options() -> Options {
    Options::s3().background(Background::Host).headroom(0)
}

#[cfg(fuzzing)]
fn grow(root: &Path, uploads: u32, told: &mut dyn FnMut(u32)) -> Outcome {
    Ok(partstore::fuzzing::grow(root, &options(), uploads, told)?)
}

#[cfg(not(fuzzing))]
fn grow(_: &Path, _: u32, _: &mut dyn FnMut(u32)) -> Outcome {
    Err("this needs RUSTFLAGS='--cfg fuzzing', as `just scale` sets it".into())
}

fn open(root: &Path) -> Outcome {
    let begun = Instant::now();
    let store = options().open(root)?;
    let opened = begun.elapsed();
    let resident = resident_kib()?;
    let stats = store.stats()?;
    println!(
        "  open: {:.2} s, {} KiB resident, {} parts, journal {} KiB, index {:?}",
        opened.as_secs_f64(),
        resident,
        stats.parts,
        stats.journal_bytes / 1024,
        store.recovery().index,
    );
    ask(&store)?;
    let begun = Instant::now();
    store.close()?;
    println!("  close: {:.2} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// How long single questions take, at places spread over the store.
fn ask(store: &PartStore) -> Outcome {
    let mut uploads = Vec::new();
    let begun = Instant::now();
    for at in (0..1000).step_by(7) {
        let list = ListUploads::new().prefix(format!("grown/{at:08}")).limit(1);
        uploads.extend(store.list_uploads(&list)?.uploads);
    }
    let listed = begun.elapsed() / 143;
    let begun = Instant::now();
    let mut found = 0;
    for (at, info) in (1..).zip(&uploads) {
        let page = ListParts::new().marker(at * 37 % 999).limit(1);
        found += u32::from(store.list_parts(&info.upload, &page).is_ok());
    }
    let each = begun.elapsed() / uploads.len().max(1).try_into()?;
    println!(
        "  a page of uploads: {listed:.0?}, one part's row: {each:.0?} ({found} of {})",
        uploads.len()
    );
    Ok(())
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmRSS")?;
    Ok(kib.parse()?)
}

fn size_of(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            size_of(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
