//! The options that say where and how much.

use std::path::PathBuf;

use clap::Args;

use crate::measure::Case;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Where the stores lie.
#[derive(Debug, Args)]
pub struct Place {
    /// Where the stores are made, and removed afterwards; the system's temporary directory without it
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Place {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// What comes in, and how often.
#[derive(Debug, Args)]
pub struct Load {
    /// Where that is.
    #[command(flatten)]
    pub place: Place,
    /// Times that each way runs in each case
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Bytes of all parts of a run together, MiB
    #[arg(long, default_value = "512", value_parser = clap::value_parser!(u32).range(1..))]
    mib: u32,
    /// Sizes of the parts, MiB; or KiB where it says so: 64KiB
    #[arg(long, value_delimiter = ',', default_value = "1,8", value_parser = size)]
    sizes: Vec<usize>,
    /// How many parts come in at the same time
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32", value_parser = clap::value_parser!(u32).range(1..))]
    streams: Vec<u32>,
}

impl Load {
    /// Bytes of all parts of a run together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.mib as usize * MIB
    }

    /// Every size with every number of streams.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let cases = self.sizes.iter().flat_map(|part| {
            let streams = self.streams.iter();
            streams.map(move |streams| Case {
                part: *part,
                streams: *streams,
            })
        });
        cases.collect()
    }
}

/// Bytes of a size that an option names.
fn size(said: &str) -> Result<usize, String> {
    let (number, unit) = match said.strip_suffix("KiB") {
        Some(number) => (number, KIB),
        None => (said, MIB),
    };
    let number: u16 = number.parse().map_err(|error| format!("{error}"))?;
    if number == 0 {
        return Err("parts have at least 1 byte".to_owned());
    }
    Ok(usize::from(number) * unit)
}
