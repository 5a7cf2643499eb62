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
        let mut cargo = cargo("run");
        cargo.args(["--quiet", "--manifest-path", "peers/Cargo.toml", "--"]);
        let ended = cargo.args(&self.options).status().expect("cargo");
        if ended.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
