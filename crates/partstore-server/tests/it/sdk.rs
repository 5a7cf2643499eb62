//! The official Python SDK of COS against the server: the tests in `tests/sdk`.

use std::ffi::OsString;
use std::process::Command;

use crate::process::BINARY;
use crate::skipped::skipped;

/// The interpreter that `PARTSTORE_SDK_PYTHON` names, or one that happens to have the SDK.
fn python() -> Option<OsString> {
    if let Some(named) = std::env::var_os("PARTSTORE_SDK_PYTHON") {
        return Some(named);
    }
    let mut import = Command::new("python3");
    let imported = import.args(["-c", "import qcloud_cos"]).output();
    imported
        .is_ok_and(|output| output.status.success())
        .then(|| "python3".into())
}

#[test]
fn the_python_sdk_of_cos_works_with_the_server() {
    let Some(python) = python() else {
        let why = "python3 has no qcloud_cos (tests/sdk/requirements.txt), and PARTSTORE_SDK_PYTHON names no other";
        skipped(why);
        return;
    };
    let mut tests = Command::new(&python);
    tests
        .args(["-m", "unittest", "discover", "-s", "tests/sdk", "-v"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PARTSTORE_SERVER", BINARY)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tests
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    // unittest reports to stderr.
    let report = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{report}");
    // Finding no tests would be no success.
    assert!(!report.contains("\nRan 0 tests"), "{report}");
}
