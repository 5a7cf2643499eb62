//! `completions` and `man`: made from the command line's definition.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::{Done, Failure};
use crate::output::Output;

pub fn completions(shell: Shell, out: &mut Output) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "partstore", &mut script);
    out.bytes(&script)
}

pub fn man(dir: Option<&Path>, out: &mut Output) -> Done {
    if let Some(dir) = dir {
        fs::create_dir_all(dir).map_err(Failure::file("create", dir))?;
        return clap_mangen::generate_to(Args::command(), dir)
            .map_err(Failure::file("write to", dir));
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
    rendered.map_err(Failure::file("render", Path::new("the man page")))?;
    out.bytes(&page)
}
