//! The command line, and the sizes in it.

use std::path::PathBuf;

use clap::Parser;

const MIB: u64 = 1024 * 1024;

/// Uploads a file in parts to a part store, reads it back and compares.
#[derive(Parser, Debug)]
#[command(name = "upload", version)]
pub struct Args {
    /// The file to upload; without one, 256 MiB are made for the occasion
    pub file: Option<PathBuf>,

    /// Where the store is, or is to be made; it stays. Without it the store lies in a directory of
    /// its own in the system's temporary directory, and goes at the end
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Size of a part, at least 1MiB and at most 5GiB: bytes, or a number with K, M, G or KiB, MiB,
    /// GiB
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = part_size)]
    pub part_size: u64,

    /// How many parts are sent at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// Keeps the temporary directory, too
    #[arg(long)]
    pub keep: bool,
}

fn part_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" => Some(1),
        "k" | "kib" => Some(1024),
        "m" | "mib" => Some(MIB),
        "g" | "gib" => Some(1024 * MIB),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(scale);
    match bytes.and_then(|(number, scale)| number.checked_mul(scale)) {
        None => Err("not a size: give bytes, or a number with K, M or G, such as 8MiB".to_owned()),
        // The store takes smaller parts, too, but completes an upload only when all parts but the
        // last have this size.
        Some(bytes) if bytes < MIB => Err("a part needs at least 1MiB".to_owned()),
        Some(bytes) if bytes > 5 * 1024 * MIB => Err("a part has at most 5GiB".to_owned()),
        Some(bytes) => Ok(bytes),
    }
}
