//! The command line, and the sizes in it.

use std::path::PathBuf;

use lexopt::prelude::*;

const MIB: u64 = 1024 * 1024;

pub const HELP: &str = "\
Uploads a file in parts to a part store, reads it back and compares.

Usage: upload [OPTIONS] [FILE]

  FILE              The file to upload; without one, 256 MiB are made for the occasion
  --dir DIR         Where the store is, or is to be made; it stays. Without it the store lies in a
                    directory of its own in the system's temporary directory, which is removed
  --part-size SIZE  Size of a part, at least 1MiB and at most 5GiB: bytes, or a number with K, M, G
                    or KiB, MiB, GiB [default: 8MiB]
  --threads N       How many parts are sent at the same time, 1 to 256 [default: 4]
  --keep            Keeps the temporary directory, too
  --help            Prints this";

/// What the command line says.
pub struct Args {
    pub file: Option<PathBuf>,
    pub dir: Option<PathBuf>,
    pub part_size: u64,
    pub threads: u16,
    pub keep: bool,
}

impl Args {
    /// Reads the command line. Gives `None` when it asks for help.
    pub fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut args = Self {
            file: None,
            dir: None,
            part_size: 8 * MIB,
            threads: 4,
            keep: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("help") | Short('h') => return Ok(None),
                Long("dir") => args.dir = Some(parser.value()?.into()),
                Long("part-size") => args.part_size = parser.value()?.parse_with(part_size)?,
                Long("threads") => args.threads = parser.value()?.parse_with(threads)?,
                Long("keep") => args.keep = true,
                Value(file) if args.file.is_none() => args.file = Some(file.into()),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(args))
    }
}

fn threads(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(threads @ 1..=256) => Ok(threads),
        _ => Err("give 1 to 256 threads".to_owned()),
    }
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
