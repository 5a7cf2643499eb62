//! Clients of COS beside the Python SDK, against the server: the tests in `tests/cos`.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::BINARY;
use crate::skipped::skipped;

/// What the variable names, or what CI installs in `target`.
fn installed(variable: &str, beneath_target: &str) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let path = target.join(beneath_target);
    let found = path.exists().then_some(path);
    found.ok_or_else(|| format!("{variable} names none"))
}

/// The packages of Node, if they have one of this name.
fn node_modules(package: &str) -> Result<PathBuf, String> {
    let modules = installed("PARTSTORE_COS_NODE", "cos-node/node_modules")?;
    let has_node = Command::new("node").arg("--version").output().is_ok();
    match modules.join(package).exists() {
        true if has_node => Ok(modules),
        true => Err("Node is not installed".to_owned()),
        false => Err(format!("PARTSTORE_COS_NODE has no {package}")),
    }
}

/// Debian's, or the one that `PARTSTORE_CHROMIUM` names.
fn chromium() -> Result<PathBuf, String> {
    let named = std::env::var_os("PARTSTORE_CHROMIUM").map(PathBuf::from);
    let path = named.unwrap_or_else(|| "/usr/bin/chromium".into());
    let found = path.exists().then_some(path);
    found.ok_or_else(|| "Chromium is not installed, and PARTSTORE_CHROMIUM names none".to_owned())
}

fn run(tests: &mut Command) -> String {
    tests
        .env("PARTSTORE_SERVER", BINARY)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tests.output().unwrap_or_else(|error| panic!("{error}"));
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}{failed}");
    report
}

fn run_node(modules: &Path, test: &str) {
    let mut tests = Command::new("node");
    tests
        .args(["--test", test])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cos/node"))
        .env("NODE_PATH", modules);
    let report = run(&mut tests);
    // Finding no tests would be no success.
    assert!(!report.contains("\n# pass 0"), "{report}");
}

fn skip(client: &str, list: &str, why: impl Display) {
    skipped(format_args!(
        "there is no {client} (tests/cos/{list}): {why}"
    ));
}

#[test]
fn the_sdk_of_cos_for_node_works_with_the_server() {
    match node_modules("cos-nodejs-sdk-v5") {
        Ok(modules) => run_node(&modules, "client.test.cjs"),
        Err(why) => skip("SDK of COS for Node", "node/package.json", why),
    }
}

#[test]
fn the_sdk_of_cos_for_browsers_works_with_the_server() {
    let modules = node_modules("cos-js-sdk-v5");
    match modules.and_then(|modules| chromium().map(|chromium| (modules, chromium))) {
        Ok((modules, _)) => run_node(&modules, "browser.test.cjs"),
        Err(why) => skip("SDK of COS for browsers", "node/package.json", why),
    }
}

#[test]
fn the_page_of_the_admin_shows_in_a_browser_what_was_put() {
    let modules = node_modules("playwright-core");
    match modules.and_then(|modules| chromium().map(|_| modules)) {
        Ok(modules) => run_node(&modules, "page.test.cjs"),
        Err(why) => skip("browser for the admin's page", "node/package.json", why),
    }
}

#[test]
fn the_sdk_of_cos_for_mini_programs_works_with_the_server() {
    match node_modules("cos-wx-sdk-v5") {
        Ok(modules) => run_node(&modules, "program.test.cjs"),
        Err(why) => skip("SDK of COS for mini programs", "node/package.json", why),
    }
}

#[test]
fn the_tools_of_cos_work_with_the_server() {
    match installed("PARTSTORE_COS_PYTHON", "cos/bin/python") {
        Ok(python) => {
            let mut tests = Command::new(&python);
            tests
                .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
                .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cos"));
            let report = run(&mut tests);
            for line in report.lines().filter(|line| line.starts_with("SKIPPED")) {
                skipped(line);
            }
        }
        Err(why) => skip("coscmd", "requirements.txt", why),
    }
}
