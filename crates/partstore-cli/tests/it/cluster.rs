//! The program on a cluster: on a schema of a real database, and a directory for the bytes. Without a database each test
//! says in a line that it is skipped.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use partstore::{Condition, Options, PartNumber, PartStore};
use partstore_cluster::Cluster;
use serde_json::Value;

use crate::fixture::{Fixture, PROGRAM, Ran};

/// A cluster that no other test uses, with files beside it.
pub struct OnCluster {
    pub fixture: Fixture,
    pub address: String,
    pub schema: String,
}

impl OnCluster {
    /// With an empty store. `None` if there is no database.
    pub fn new() -> Option<Self> {
        let on = Self::without_store()?;
        on.with(|_| ());
        Some(on)
    }

    pub fn without_store() -> Option<Self> {
        static COUNTED: AtomicU32 = AtomicU32::new(0);
        let Ok(address) = std::env::var("PARTSTORE_PG") else {
            // Past the capture of the test's output.
            let line = "skipped: PARTSTORE_PG does not name a PostgreSQL database\n";
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return None;
        };
        let at = COUNTED.fetch_add(1, Ordering::Relaxed);
        let fixture = Fixture::without_store();
        fs::create_dir(fixture.path("blobs")).unwrap();
        Some(Self {
            fixture,
            address,
            schema: format!("cli_{}_{at}", std::process::id()),
        })
    }

    pub fn blobs(&self) -> PathBuf {
        self.fixture.path("blobs")
    }

    fn cluster(&self) -> Cluster {
        let blobs = format!("file://{}", self.blobs().display());
        Cluster::new(&self.address, &blobs).schema(&self.schema)
    }

    pub fn open(&self) -> PartStore {
        self.cluster().open(Options::s3()).unwrap()
    }

    /// Calls the library on the store, and closes it.
    pub fn with<T>(&self, call: impl FnOnce(&PartStore) -> T) -> T {
        let store = self.open();
        let done = call(&store);
        store.close().unwrap();
        done
    }

    pub fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_remove("PARTSTORE_STORE")
            .env("PARTSTORE_CATALOG", &self.address)
            .env(
                "PARTSTORE_BLOBS",
                format!("file://{}", self.blobs().display()),
            )
            .args(["--schema", &self.schema])
            .args(args)
            .current_dir(self.fixture.dir.path());
        command
    }

    pub fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Ran {
        let mut command = self.command(args);
        Ran::of(command.stdin(Stdio::null()).output().unwrap())
    }

    pub fn json<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Value {
        serde_json::from_str(&self.run(args).ok()).unwrap()
    }
}

#[test]
fn what_a_directory_can_a_cluster_can() {
    let Some(on) = OnCluster::new() else { return };
    let fixture = &on.fixture;
    // Beside a server that has the store open.
    let server = on.open();
    server
        .create_namespace("films", partstore::Quota::new())
        .unwrap();
    fs::write(fixture.path("one"), b"the first film").unwrap();
    on.run(["put", "dir/one", "one", "-n", "films"]).ok();
    assert_eq!(
        on.run(["get", "dir/one", "-n", "films"]).ok(),
        "the first film"
    );
    on.run(["get", "dir/one", "two", "-n", "films"]).ok();
    assert_eq!(fs::read(fixture.path("two")).unwrap(), b"the first film");
    assert_eq!(
        on.run(["ls", "keys", "-n", "films"]).ok().lines().count(),
        1
    );

    let upload = server.initiate_upload(("films", "open")).unwrap();
    server
        .put_part(&upload, PartNumber::new(1).unwrap(), "a part")
        .unwrap();
    assert!(
        on.run(["ls", "uploads", "-n", "films"])
            .ok()
            .contains(&upload.id().to_string())
    );

    let info = on.json(["info", "--json"]);
    assert_eq!(
        (&info["objects"], &info["open_uploads"]),
        (&1.into(), &1.into())
    );
    assert_eq!(info["format"], Value::Null);
    let store = info["store"].as_str().unwrap();
    assert!(
        store.starts_with("a database, schema cli_") && store.contains("file://"),
        "{store}"
    );

    on.run(["quota", "films", "--keys", "1"]).ok();
    on.run(["put", "another", "one", "-n", "films"]).fails(9);
    on.run(["quota", "films", "--none"]).ok();

    on.run(["export", "--all", "out", "-n", "films"]).ok();
    assert_eq!(
        fs::read(fixture.path("out/dir/one")).unwrap(),
        b"the first film"
    );
    fs::write(fixture.path("out/three"), b"the third film").unwrap();
    on.run(["import", "out", "-n", "films"]).ok();
    assert_eq!(
        on.run(["get", "three", "-n", "films"]).ok(),
        "the third film"
    );

    on.run(["abort", "open", &upload.id().to_string(), "-n", "films"])
        .ok();
    on.run(["abort", "open", &upload.id().to_string(), "-n", "films"])
        .fails(3);
    on.run(["rm", "three", "-n", "films"]).ok();
    assert!(server.object_by_key(("films", "three")).is_err());
    server.initiate_upload(("films", "old")).unwrap();
    assert_eq!(on.json(["expire", "0s", "--json"])["aborted_uploads"], 1);

    // Only the servers know how long they leave what was removed.
    assert!(on.run(["sweep"]).fails(2).contains("--keep-removed"));
    let files = || walk(&on.blobs());
    let before = files();
    on.run(["sweep", "--keep-removed", "1h"]).ok();
    assert_eq!(files(), before);
    // What a sweep has promised to leave for an hour is left; what is removed now goes.
    fs::write(fixture.path("new"), b"another film").unwrap();
    on.run(["put", "new", "new", "-n", "films"]).ok();
    on.run(["rm", "new", "-n", "films"]).ok();
    assert_eq!(files(), before + 1);
    assert_eq!(on.json(["verify", "--json"])["clean"], true);
    server.close().unwrap();
    for _ in 0..3 {
        on.run(["sweep", "--keep-removed", "0s"]).ok();
    }
    assert_eq!(files(), before);
    assert_eq!(
        on.run(["get", "dir/one", "-n", "films"]).ok(),
        "the first film"
    );
}

/// How many blobs a directory has.
fn walk(dir: &std::path::Path) -> usize {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                usize::from(path.extension().is_none())
            }
        })
        .sum()
}

#[test]
fn where_names_the_file_of_a_cluster_s_bytes_and_says_whether_they_are_whole() {
    let Some(on) = OnCluster::new() else { return };
    let body = vec![7; 100_000];
    let hash = blake3::hash(&body).to_hex().to_string();
    on.with(|store| {
        store.put_object("a key", body.clone()).unwrap();
        let upload = store.initiate_upload("open").unwrap();
        store
            .put_part(&upload, PartNumber::new(3).unwrap(), body.clone())
            .unwrap();
    });
    let found = on.json(["where", &hash, "--json"]);
    assert_eq!(
        (&found["state"], found["parts"].as_array().unwrap().len()),
        (&"whole".into(), 2)
    );
    let file = found["file"]
        .as_str()
        .unwrap()
        .strip_prefix("file://")
        .unwrap();
    assert_eq!(fs::read(file).unwrap(), body);

    let mut damaged = body.clone();
    damaged[70_000] ^= 1;
    fs::write(file, damaged).unwrap();
    let ran = on.run(["where", &hash]);
    assert!(
        ran.fails(4).contains("damaged") && ran.text().contains(file),
        "{ran:?}"
    );
    let verified = on.run(["verify", "--json"]);
    assert!(verified.fails(4).contains("damage"), "{verified:?}");
    let report: Value = serde_json::from_str(&verified.text()).unwrap();
    assert_eq!(
        report["damaged_blobs"][0]["parts"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    on.run(["where", &"0".repeat(64)]).fails(3);

    on.with(|store| {
        store.remove_key("a key", Condition::Always).unwrap();
        assert_eq!(store.expire_uploads(std::time::Duration::ZERO).unwrap(), 1);
    });
    let found = on.run(["where", &hash, "--json"]);
    if found.code == Some(0) {
        let found: Value = serde_json::from_str(&found.text()).unwrap();
        assert_eq!(found["state"], "not read");
    } else {
        found.fails(3);
    }
}

#[test]
fn reconcile_finds_what_no_row_names_and_sweeps_remove_it() {
    let Some(on) = OnCluster::new() else { return };
    on.with(|store| store.put_object("kept", vec![1; 70_000]).map(drop))
        .unwrap();
    // As if the database had been restored to a moment before it was stored.
    let stray = on.blobs().join("2a/00000000000000f1-000000000000002a");
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, b"from after the backup").unwrap();
    fs::write(on.blobs().join("README"), b"somebody's").unwrap();
    let found = on.json(["reconcile", "--json"]);
    assert_eq!(
        (&found["stored"], &found["doomed"], &found["foreign"]),
        (&2.into(), &1.into(), &1.into())
    );
    for _ in 0..3 {
        on.run(["sweep", "--keep-removed", "0s"]).ok();
    }
    assert!(!stray.exists() && on.blobs().join("README").exists());
    assert_eq!(on.json(["verify", "--json"])["clean"], true);
    assert!(on.fixture.run(["reconcile"]).fails(2).contains("--catalog"));

    // Another database's bytes are not doomed by accident, and a directory that no server has made is not made.
    let other = OnCluster::new().unwrap();
    let dir = |of: &OnCluster| format!("file://{}", of.blobs().display());
    for (database, bytes) in [(&on, &other), (&other, &on)] {
        for command in ["reconcile", "info", "verify"] {
            let ran = database.run(["--blobs", &dir(bytes), command]);
            assert!(ran.fails(6).contains("it is another"), "{ran:?}");
        }
    }
    let asked = other.run(["--blobs", &dir(&on), "reconcile", "--yes"]);
    assert!(asked.fails(6).contains("--adopt-bucket"), "{asked:?}");
    on.run(["verify"]).ok();
    let typo = format!("{}-typo", dir(&on));
    assert!(
        on.run(["--blobs", &typo, "info"])
            .fails(6)
            .contains("-typo")
    );
    assert!(!on.fixture.path("blobs-typo").exists());
}

#[test]
fn a_wrong_address_is_named_and_no_password_is_shown() {
    let Some(on) = OnCluster::without_store() else {
        return;
    };
    // Nothing is made by accident.
    on.run(["info"]).fails(6);
    on.run(["put", "key", "/dev/null"]).fails(6);
    on.run(["reconcile"]).fails(6);
    on.run(["put", "--create", "key", "/dev/null"]).ok();
    assert_eq!(on.json(["info", "--json"])["keys"], 1);

    let both = on.run(["--store", "store", "--catalog", "postgres://u@h/n", "info"]);
    assert!(both.fails(2).contains("name one"));
    let mut command = on.command(["info"]);
    let both = Ran::of(command.env("PARTSTORE_STORE", "store").output().unwrap());
    assert!(both.fails(2).contains("unset"));
    let mut command = on.command(["info"]);
    let no_bucket = Ran::of(command.env_remove("PARTSTORE_BLOBS").output().unwrap());
    assert!(no_bucket.fails(2).contains("--blobs"));
    // What the command line says counts.
    let here = on.run(["--store", "store", "info"]);
    assert!(here.fails(6).contains("store"));

    for (catalog, code) in [
        ("postgres://user:secret@127.0.0.1:1/none", 10),
        ("nonsense:secret", 2),
    ] {
        let mut command = on.command(["--catalog", catalog, "info"]);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(!ran.stderr.contains("secret"), "{ran:?}");
    }
    for command in ["salvage", "rebuild-index"] {
        assert!(on.run([command]).fails(2).contains("directory of a store"));
    }
    assert!(on.run(["backup", "to"]).fails(2).contains("reconcile"));
    assert!(!on.fixture.path("to").exists());
}

#[test]
fn a_rate_holds_back_what_is_read_of_a_cluster() {
    let Some(on) = OnCluster::new() else { return };
    on.with(|store| store.put_object("k", vec![3; 1 << 20]).map(drop))
        .unwrap();
    let began = std::time::Instant::now();
    on.run(["verify", "--rate", "1M", "--resume", "state"]).ok();
    // At least this long.
    assert!(began.elapsed().as_millis() >= 900);
    assert!(!on.fixture.path("state").exists());
}
