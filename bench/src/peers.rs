//! Other stores. They bring many dependencies, so they are measured by a program of another workspace, `bench/peers`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use crate::programs::cargo;

/// What follows is for that program; `peers --help` prints its help.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Peers {
    /// Its options
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    options: Vec<OsString>,
}

impl Peers {
    pub fn run(&self) -> ExitCode {
        let mut cargo = cargo("run", "peers");
        cargo.arg("--").args(&self.options);
        let ended = cargo.status().expect("cargo");
        if ended.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
