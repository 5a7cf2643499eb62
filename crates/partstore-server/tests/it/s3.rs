//! Clients of S3 against the server: the tests in `tests/s3`.

use std::path::PathBuf;
use std::process::Command;

use crate::process::BINARY;
use crate::skipped::skipped;

/// The interpreter that `PARTSTORE_S3_PYTHON` names, or that of the environment which CI makes.
fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PARTSTORE_S3_PYTHON") {
        return Some(named.into());
    }
    let made = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/s3/bin/python"
    ));
    made.exists().then_some(made)
}

#[test]
fn clients_of_s3_work_with_the_server() {
    let Some(python) = python() else {
        skipped(
            "there is no Python with clients of S3 (tests/s3/requirements.txt): PARTSTORE_S3_PYTHON names none",
        );
        return;
    };
    let mut tests = Command::new(&python);
    tests
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3"))
        .env("PARTSTORE_SERVER", BINARY)
        .env("NODE_PATH", node_modules())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for name in ["PARTSTORE_S3", "PARTSTORE_COS"] {
        tests.env_remove(name);
    }
    let output = tests
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let report = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    for line in report.lines().filter(|line| line.starts_with("SKIPPED")) {
        skipped(line);
    }
    // Finding no tests is no success either, says pytest.
    assert!(output.status.success(), "{report}{failed}");
}

/// The packages of Node that `PARTSTORE_S3_NODE` names, or those which CI installs.
fn node_modules() -> PathBuf {
    let installed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/s3-node/node_modules"
    );
    std::env::var_os("PARTSTORE_S3_NODE").map_or_else(|| installed.into(), PathBuf::from)
}

/// The oldest Node that the SDK runs on.
const NODE: u32 = 20;

fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[test]
fn the_sdk_of_aws_for_javascript_works_with_the_server() {
    let modules = node_modules();
    if !modules.join("@aws-sdk/client-s3").exists() {
        skipped(
            "there is no SDK of AWS for JavaScript (tests/s3/node/package.json): PARTSTORE_S3_NODE names none",
        );
        return;
    }
    if node_version().is_none_or(|version| version < NODE) {
        skipped(format_args!(
            "the SDK of AWS for JavaScript needs Node {NODE}"
        ));
        return;
    }
    let mut tests = Command::new("node");
    tests
        .args(["--test", "client.test.cjs"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/node"))
        .env("NODE_PATH", modules)
        .env("PARTSTORE_SERVER", BINARY);
    let output = tests
        .output()
        .unwrap_or_else(|error| panic!("node: {error}"));
    let report = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}{failed}");
    // Finding no tests would be no success.
    assert!(!report.contains("\n# pass 0"), "{report}");
}
