//! A system that lets the process have few threads: opening is refused, and nothing hangs.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use partstore::{Error, PartStore};

use crate::fixture::role;
use crate::skipped::skipped;

/// A user of its own, because the limit of threads counts those of a user, and root has none.
const USER: u32 = 54_322;
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens, puts and closes, or says why it does not.
fn child(root: &Path) {
    match PartStore::open(root) {
        Ok(store) => {
            store.put_object("key", "body").unwrap();
            store.close().unwrap();
            println!("it opened");
        }
        Err(Error::Io { op, .. }) => println!("refused: {op}"),
        Err(error) => panic!("{error:?}"),
    }
}

/// Runs this test as another user, with this limit of threads.
fn limited(threads: u32, binary: &Path, root: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--clear-groups", &format!("--reuid={USER}"), "prlimit"]);
    command.arg(format!("--nproc={threads}")).arg(binary);
    // The test runs on the first thread then.
    command.args([THIS_TEST, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("PARTSTORE_TEST_ROLE", root);
    command
}

const THIS_TEST: &str = "few_threads::with_few_threads_a_store_is_refused_and_none_hangs";

#[test]
fn with_few_threads_a_store_is_refused_and_none_hangs() {
    if let Some(root) = role() {
        return child(Path::new(&root));
    }
    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = shared.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let root = shared.path().join("data");
    fs::create_dir(&root).unwrap();
    let owned = chown(&root, Some(USER), None).is_ok();
    let tried = limited(64, &binary, &root).output();
    if !owned || !tried.is_ok_and(|output| output.status.success()) {
        skipped("the limit of threads needs root, setpriv and prlimit");
        return;
    }
    let mut refused = 0;
    for threads in 1..=14 {
        let output = shared.path().join("output");
        let mut command = limited(threads, &binary, &root);
        command.stdout(fs::File::create(&output).unwrap());
        let mut process = command.spawn().unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                process.kill().unwrap();
                process.wait().unwrap();
                panic!("with {threads} threads it hangs");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let said = fs::read_to_string(&output).unwrap();
        assert!(status.success(), "{threads}: {said}");
        assert!(said.contains("it opened") || said.contains("refused: "));
        refused += u32::from(said.contains("refused: start ten threads"));
    }
    assert!((9..14).contains(&refused), "{refused}");
}
