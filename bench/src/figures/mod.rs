//! What single calls cost, and how much memory they take.

mod beside;
mod commit;
mod costs;
mod end;
mod limits;
mod many;
mod memory;
mod merge;
mod reads;
mod speed;

use std::path::Path;

use clap::{Args, ValueEnum};
use partstore::Result;
use partstore_bench::{Column, Place, Table, machine};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// `put_part` of 8 MiB beside a plain loop with the same digests and syncs
    Put,
    /// 1 KiB parts from 1 and from 32 threads
    GroupCommit,
    /// A small batch beside an overwrite of bytes that exist
    Commit,
    /// `list_parts` and `complete_upload` with 10,000 parts
    List,
    /// `open` with 100,000 parts, after a clean close and after a kill
    Open,
    /// What each part costs a call that goes over many, in a store of 100,000
    Costs,
    /// One object read in order, cold and hot; 4 KiB at random places; the first byte of 10,000 parts
    Reads,
    /// `abort_upload` and `remove_object` with 10,000 parts, and puts on the same stripe beside them
    End,
    /// Puts of 1 MiB beside a checkpoint and a merge
    Merge,
    /// Resident memory while 32 bodies of 1 GiB stream at once; writes 32 GiB
    Bodies,
    /// Resident memory with 1,000,000 part rows; takes minutes
    Rows,
    /// Resident memory of opening the store at `--dir`; `rows` runs it in a process of its own
    OpenOnly,
    /// All but `bodies` and `rows`
    Quick,
    /// All of them
    All,
}

impl Figure {
    const EACH: [Self; 11] = [
        Self::Put,
        Self::GroupCommit,
        Self::Commit,
        Self::List,
        Self::Open,
        Self::Costs,
        Self::Reads,
        Self::End,
        Self::Merge,
        Self::Bodies,
        Self::Rows,
    ];

    fn holds(self, one: Self) -> bool {
        match self {
            Self::All => true,
            Self::Quick => !matches!(one, Self::Bodies | Self::Rows),
            _ => self == one,
        }
    }
}

/// The options of `figures`.
#[derive(Debug, Args)]
pub struct Figures {
    figure: Figure,
    #[command(flatten)]
    place: Place,
    /// Size of each of the 32 streamed bodies, MiB
    #[arg(long, default_value_t = 1024)]
    body_mib: u64,
    /// Number of part rows for `rows`
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
}

impl Figures {
    pub fn run(&self) -> Result<()> {
        let dir = self.place.dir();
        if self.figure == Figure::OpenOnly {
            return memory::open_only(&dir, &Report(Table::resume(columns())));
        }
        machine::state(&dir);
        let report = Report(Table::begin(columns()));
        let wanted = Figure::EACH.into_iter();
        wanted
            .filter(|figure| self.figure.holds(*figure))
            .try_for_each(|figure| self.take(figure, &dir, &report))
    }

    fn take(&self, figure: Figure, dir: &Path, report: &Report) -> Result<()> {
        match figure {
            Figure::Put => speed::put(dir, report),
            Figure::GroupCommit => speed::group_commit(dir, report),
            Figure::Commit => commit::commit(dir, report),
            Figure::List => limits::list_and_complete(dir, report),
            Figure::Open => limits::open(dir, report),
            Figure::Costs => costs::costs(dir, report),
            Figure::Reads => reads::reads(dir, report),
            Figure::End => end::end(dir, report),
            Figure::Merge => merge::merge(dir, report),
            Figure::Bodies => memory::bodies(dir, self.body_mib, report),
            Figure::Rows => memory::rows(dir, self.rows, report),
            Figure::OpenOnly | Figure::Quick | Figure::All => Ok(()),
        }
    }
}

/// The table of all figures.
struct Report(Table);

impl Report {
    /// Says what was measured, and what stands beside it.
    fn say(&self, figure: &str, measured: String, beside: String) {
        self.0.row([figure.to_owned(), measured, beside]);
    }
}

fn columns() -> [Column; 3] {
    [
        Column::text("figure", 52),
        Column::text("measured", 34),
        Column::text("beside it", 34),
    ]
}
