//! Prints the store's figures, each beside what it is measured against, with the machine and the
//! file system: `cargo run --release --example figures -- all`.

mod floor;
mod limits;
mod machine;
mod memory;
mod speed;
mod threads;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// `put_part` of 8 MiB beside a plain loop with the same digests and syncs.
    Put,
    /// 1 KiB parts from 1 and from 32 threads.
    GroupCommit,
    /// `list_parts` and `complete_upload` with 10,000 parts.
    List,
    /// `open` with 100,000 parts, after a clean close and after a kill.
    Open,
    /// What each part costs a call that goes over many, in a store of 100,000.
    Costs,
    /// Resident memory while 32 bodies of 1 GiB stream at once. Writes 32 GiB.
    Bodies,
    /// Resident memory with 1,000,000 part rows. Takes minutes.
    Rows,
    /// Resident memory of opening the store at `--dir`, which `rows` runs in a process of its own.
    OpenOnly,
    /// All but `bodies` and `rows`.
    Quick,
    /// All of them.
    All,
}

#[derive(Debug, Parser)]
struct Arguments {
    figure: Figure,
    /// Where the stores go; they are removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Size of each of the 32 streamed bodies, MiB.
    #[arg(long, default_value_t = 1024)]
    body_mib: u64,
    /// Number of part rows for `rows`.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let base = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    if arguments.figure != Figure::OpenOnly {
        println!("{}", machine::describe(&base));
    }
    let wanted = |figure| {
        let quick = !matches!(figure, Figure::Bodies | Figure::Rows);
        match arguments.figure {
            Figure::OpenOnly => false,
            Figure::All => true,
            Figure::Quick => quick,
            one => one == figure,
        }
    };
    let run = || -> partstore::Result<()> {
        if arguments.figure == Figure::OpenOnly {
            memory::open_only(&base)?;
        }
        if wanted(Figure::Put) {
            speed::put(&base)?;
        }
        if wanted(Figure::GroupCommit) {
            speed::group_commit(&base)?;
        }
        if wanted(Figure::List) {
            limits::list_and_complete(&base)?;
        }
        if wanted(Figure::Open) {
            limits::open(&base)?;
        }
        if wanted(Figure::Costs) {
            limits::costs(&base)?;
        }
        if wanted(Figure::Bodies) {
            memory::bodies(&base, arguments.body_mib)?;
        }
        if wanted(Figure::Rows) {
            memory::rows(&base, arguments.rows)?;
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}
