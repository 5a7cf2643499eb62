//! Blob files that cannot be opened for a reason of their own: reading names them, and putting the same
//! bytes puts a good one in their place.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use partstore::{Error, PartOptions, Scope};

use crate::fixture::{Fixture, bytes, number, own_process, read_part, role};
use crate::skipped::skipped;

type Spoil = fn(&Path);

/// Each takes the blob's file away and puts something else in its place.
const SPOILT: [(&str, Spoil); 4] = [
    ("a link to itself", |path| {
        fs::remove_file(path).unwrap();
        symlink(path, path).unwrap();
    }),
    ("a link to the same bytes", |path| {
        let elsewhere = path.with_extension("elsewhere");
        fs::rename(path, &elsewhere).unwrap();
        symlink(elsewhere, path).unwrap();
    }),
    ("a socket", |path| {
        // A socket's address has room for a short path only.
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        drop(UnixListener::bind(&socket).unwrap());
        fs::rename(&socket, path).unwrap();
    }),
    ("a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
];

fn assert_put_again_repairs(what: &str, spoil: Spoil) {
    let mut fixture = Fixture::new();
    let body = bytes(1, 300_000);
    let upload = fixture.initiate("key");
    let content = fixture.put(&upload, 1, &body).content;
    let path = fixture.blob_path(&content);
    // By a process that has read the blob, and by one that has not.
    for way in [
        partstore_contract::cases::put::WAYS[0],
        partstore_contract::cases::put::WAYS[1],
    ] {
        spoil(&path);
        let store = &fixture.store;
        let read = store.open_part(&upload, number(1));
        let read = read.map(|_| ()).unwrap_err();
        assert!(
            matches!(&read, Error::DamagedBlob { hash, .. } if *hash == content),
            "{what}: {read}"
        );
        let verified = store.verify(Scope::Everything).unwrap();
        assert_eq!(verified.damaged.len(), 1, "{what}: {verified:?}");
        assert_eq!(store.stats().unwrap().damaged_blobs, 1, "{what}");

        let part = way.1(&fixture, &upload, &body, PartOptions::new()).expect(what);
        assert_eq!(part.content, content);
        assert_eq!(fixture.store.stats().unwrap().damaged_blobs, 0, "{what}");
        assert!(
            read_part(&fixture.store, &upload, number(1)) == body,
            "{what}"
        );
        assert!(fs::read(&path).unwrap() == body, "{what}");
        let _ = fs::remove_file(path.with_extension("elsewhere"));
        fixture.assert_tidy();
        fixture.reopen();
    }
}

#[test]
fn putting_the_bytes_of_a_file_that_is_none_again_repairs_it() {
    for (what, spoil) in SPOILT {
        assert_put_again_repairs(what, spoil);
    }
}

/// Root may read everything, so this needs another user.
#[test]
fn putting_the_bytes_of_a_file_that_may_not_be_read_again_repairs_it() {
    const NAME: &str =
        "unopenable::putting_the_bytes_of_a_file_that_may_not_be_read_again_repairs_it";
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if is_root && role().is_none() {
        let child = own_process(NAME, "nobody");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(child.get_program()).args(child.get_args());
        command.envs(
            child
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        match command.output() {
            Ok(output) if String::from_utf8_lossy(&output.stdout).contains("1 passed") => {}
            Ok(output) if output.status.code() == Some(101) => {
                panic!("{}", String::from_utf8_lossy(&output.stdout));
            }
            _ => skipped("the tests cannot be run as another user (setpriv) here"),
        }
        return;
    }
    assert_put_again_repairs("a file of mode 0", |path| {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    });
}
