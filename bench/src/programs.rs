//! Programs of this repository that are built and run by this one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of cargo for the package in this directory below `bench`, in the profile of this program.
pub fn cargo(command: &str, package: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let mut cargo = Command::new(cargo);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
    cargo.args([command, "--quiet", "--manifest-path"]);
    cargo.arg(manifest.join("Cargo.toml"));
    if target().ends_with("release") {
        cargo.arg("--release");
    }
    cargo
}

/// Builds the server if it is not up to date, and gives its path. `PARTSTORE_SERVER` may name another build.
pub fn server() -> PathBuf {
    if let Some(other) = env::var_os("PARTSTORE_SERVER") {
        return other.into();
    }
    let mut cargo = cargo("build", "../crates/partstore-server");
    let built = cargo.status().expect("cargo");
    assert!(built.success(), "the server does not build");
    target().join("partstore-server")
}

/// The directory that this program lies in: `target/PROFILE`.
fn target() -> PathBuf {
    let this = env::current_exe().expect("the path of this program");
    this.parent().map(Path::to_owned).expect("a directory")
}
