//! Hand-over: parts and objects become files, files become parts, and a hash is put in place of bytes.

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow::{Break, Continue};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use partstore::{
    Checksum, ChecksumAlgorithm, ContentHash, Error, ExportOptions, ExportReport, ListUploads,
    Part, PartOptions, Result, Scope, UploadOptions,
};

use crate::dedup::DAMAGES;
use crate::disks::disk::{Disk, Kind};
use crate::fixture::{Fixture, bytes, files, free_options, number, read_part};

const PARTIAL: &str = "partstore-partial";

/// Where files go, beside the store.
fn outside(fixture: &Fixture) -> PathBuf {
    let dir = fixture.dir().join("outside");
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn names_in(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Whether file systems share the bytes of these two.
fn share(one: &Path, other: &Path) -> bool {
    let extents = |path: &Path| {
        let said = std::process::Command::new("filefrag")
            .arg("-v")
            .arg(path)
            .output();
        let said = String::from_utf8(said.unwrap().stdout).unwrap();
        said.lines().any(|line| line.contains("shared"))
    };
    extents(one) && extents(other)
}

/// A store whose directory is on this disk.
fn on(disk: &Disk) -> Fixture {
    let dir = tempfile::tempdir_in(disk.mounted()).unwrap();
    Fixture::within(dir, free_options().put_by_hash())
}

fn by_hash() -> Fixture {
    Fixture::with(free_options().put_by_hash())
}

/// Sizes of the parts of an object: none, one and many, whole blocks of a file system and not, and empty ones.
const SHAPES: [&[usize]; 7] = [
    &[0],
    &[1],
    &[600_000],
    &[1 << 20],
    &[1 << 20, 8192, 3 << 20],
    &[5000, 1 << 20, 0, 77, 300_000],
    &[0, 0, 9000],
];

fn assert_exports(fixture: &Fixture, check: &dyn Fn(&Path, &ExportReport, usize)) {
    let dir = outside(fixture);
    for (at, sizes) in SHAPES.iter().enumerate() {
        let bodies: Vec<_> = (0..)
            .zip(*sizes)
            .map(|(seed, len)| bytes(seed, *len))
            .collect();
        let list: Vec<&[u8]> = bodies.iter().map(|body| &body[..]).collect();
        let object = fixture.complete("object", &list);
        for (way, options) in [
            ("plain", ExportOptions::new()),
            ("unverified", ExportOptions::new().unverified()),
            ("link", ExportOptions::new().link()),
        ] {
            let path = dir.join(format!("{at}-{way}"));
            let report = fixture
                .store
                .export_object(&object.upload, &path, options)
                .unwrap();
            assert!(
                fs::read(&path).unwrap() == bodies.concat(),
                "{sizes:?} {way}"
            );
            assert_eq!((report.bytes, report.cut_short), (object.size, false));
            assert!(report.verified || way == "unverified");
            let ways = [report.shared, report.linked, report.copied];
            assert!(ways.iter().sum::<u64>() <= report.bytes);
            if way != "link" {
                assert_eq!(report.linked, 0);
                check(&path, &report, sizes.iter().filter(|len| **len > 0).count());
            }
        }
    }
    assert!(!names_in(&dir).iter().any(|name| name.ends_with(PARTIAL)));
    fixture.assert_tidy();
}

#[test]
fn objects_become_files_of_the_same_bytes() {
    assert_exports(&Fixture::new(), &|_, _, _| {});
    for kind in [Kind::Ext4, Kind::Tmpfs] {
        let Some(disk) = Disk::new(kind, 300) else {
            continue;
        };
        assert_exports(&on(&disk), &|_, report, _| assert_eq!(report.shared, 0));
    }
}

#[test]
fn bytes_are_shared_where_the_file_system_can() {
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let Some(disk) = Disk::new(kind, 300) else {
            continue;
        };
        let fixture = on(&disk);
        assert_exports(&fixture, &|path, report, parts| {
            if report.bytes == 1 << 20 {
                assert_eq!(report.shared, report.bytes, "{path:?}");
            }
            if parts <= 1 {
                assert_eq!(report.shared, report.bytes, "{path:?}");
            }
        });
        // And the other way round.
        let upload = fixture.initiate("key");
        let body = bytes(50, 4 << 20);
        let path = outside(&fixture).join("body");
        fs::write(&path, &body).unwrap();
        let file = File::open(&path).unwrap();
        let store = &fixture.store;
        let part = store
            .put_part_from_file(&upload, number(1), &file, PartOptions::new())
            .unwrap();
        assert!(
            share(&path, &fixture.blob_path(&part.content)),
            "{kind:?}: a copy was made"
        );
        // Who writes to the file later does not change the part.
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(&bytes(51, 100_000)).unwrap();
        file.sync_all().unwrap();
        assert!(read_part(store, &upload, number(1)) == body);
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    }
}

#[test]
fn a_part_becomes_a_file_and_a_link_is_the_stores_own() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 600_000);
    let part = fixture.put(&upload, 3, &body);
    let dir = outside(&fixture);
    let export = |name: &str, options| {
        let path = dir.join(name);
        let report = fixture
            .store
            .export_part(&upload, number(3), &path, options);
        assert!(fs::read(&path).unwrap() == body);
        (path.metadata().unwrap().ino(), report.unwrap())
    };
    let own = fixture.blob_path(&part.content).metadata().unwrap().ino();
    let (inode, report) = export("apart", ExportOptions::new());
    assert!(inode != own && report.verified && report.linked == 0);
    let (inode, report) = export("linked", ExportOptions::new().link());
    assert_eq!(
        (inode, report.linked, report.verified),
        (own, part.size, true)
    );
    let (_, report) = export("unread", ExportOptions::new().link().unverified());
    assert_eq!((report.linked, report.verified), (part.size, false));
    // It stays whatever becomes of the part.
    fixture.store.abort_upload(&upload).unwrap();
    fixture.store.sweep().unwrap();
    assert!(fs::read(dir.join("linked")).unwrap() == body);
    assert_eq!(fixture.blob_files().len(), 0);
}

#[test]
fn a_file_that_is_there_is_replaced_only_if_asked_for() {
    let fixture = Fixture::new();
    let object = fixture.complete("object", &[b"new"]).upload;
    let path = outside(&fixture).join("file");
    fs::write(&path, b"old").unwrap();
    let export = |options| fixture.store.export_object(&object, &path, options);
    let error = export(ExportOptions::new()).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    export(ExportOptions::new().replace()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    for nowhere in ["missing/file", "..", ""] {
        let path = fixture.dir().join("outside").join(nowhere);
        let answer = fixture
            .store
            .export_object(&object, path, ExportOptions::new());
        assert!(
            matches!(answer, Err(Error::Io { .. })),
            "{nowhere}: {answer:?}"
        );
    }
    assert_eq!(names_in(&outside(&fixture)), ["file"]);
}

/// Whatever the way. And the store knows of it, so the same bytes repair it.
#[test]
fn damage_makes_no_file() {
    for (what, damage) in DAMAGES {
        for options in [ExportOptions::new(), ExportOptions::new().link()] {
            let fixture = Fixture::new();
            let object = fixture.complete("object", &[&bytes(1, 600_000)]);
            let part = fixture
                .store
                .open_object(&object.upload)
                .unwrap()
                .parts()
                .next();
            let content = part.unwrap().unwrap().part.content;
            damage(&fixture.blob_path(&content));
            let path = outside(&fixture).join("file");
            let answer = fixture.store.export_object(&object.upload, &path, options);
            let Err(Error::DamagedBlob { hash, .. }) = answer else {
                panic!("{what}: {answer:?}");
            };
            assert_eq!(hash, content);
            assert_eq!(names_in(&outside(&fixture)), [""; 0], "{what}");
            assert_eq!(fixture.store.stats().unwrap().damaged_blobs, 1, "{what}");
            let upload = fixture.initiate("again");
            let body = bytes(1, 600_000);
            fixture.put(&upload, 1, &body);
            assert!(
                read_part(&fixture.store, &upload, number(1)) == body,
                "{what}"
            );
            fixture
                .store
                .export_object(&object.upload, &path, options)
                .unwrap();
        }
    }
}

#[test]
fn an_export_that_is_broken_off_leaves_nothing() {
    let fixture = Fixture::new();
    let body = bytes(1, 9 << 20);
    let object = fixture.complete("object", &[&body, b"end"]).upload;
    let reader = fixture.store.open_object(&object).unwrap();
    let path = outside(&fixture).join("file");
    for calls in 0..5 {
        let (mut left, mut told) = (calls, Vec::new());
        let report = reader.export(&path, ExportOptions::new(), |progress| {
            told.push(progress.done);
            if left == 0 {
                return Break(());
            }
            left -= 1;
            Continue(())
        });
        assert!(report.unwrap().cut_short);
        assert_eq!(names_in(&outside(&fixture)), [""; 0]);
        assert_eq!(told.len(), calls + 1, "asked again");
    }
    let mut last = None;
    let report = reader.export(&path, ExportOptions::new(), |progress| {
        last = Some(progress);
        Continue(())
    });
    assert!(!report.unwrap().cut_short);
    assert!(
        last.is_some_and(|last| last.done == last.total && last.total == body.len() as u64 + 3)
    );
}

#[test]
fn a_file_becomes_a_part_by_all_its_bytes() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let upload = fixture.initiate("key");
    for (at, len) in (1..).zip([0, 1, 4096, 100_000, 5_000_001]) {
        let body = bytes(at.into(), len);
        let path = outside(&fixture).join("body");
        fs::write(&path, &body).unwrap();
        let mut file = File::open(&path).unwrap();
        // Wherever the caller has read to.
        std::io::copy(
            &mut std::io::Read::take(&mut file, 50),
            &mut std::io::sink(),
        )
        .unwrap();
        let declared = PartOptions::new().content_length(len as u64);
        let put = store.put_part_from_file(&upload, number(at), &file, declared);
        let put = put.unwrap();
        assert!(read_part(store, &upload, number(at)) == body);
        let same = fixture.put(&upload, at, &body);
        assert_eq!((put.size, put.content), (same.size, same.content));
        assert_eq!((put.etag, put.checksums), (same.etag, same.checksums));
    }
    let file = File::open(outside(&fixture).join("body")).unwrap();
    let put = |options| store.put_part_from_file(&upload, number(9), &file, options);
    let wrong = PartOptions::new().content_length(7);
    assert!(matches!(put(wrong), Err(Error::IncompleteBody { .. })));
    let wrong = PartOptions::new().checksum(Checksum::Crc32(0));
    assert!(matches!(put(wrong), Err(Error::BadDigest { .. })));
    assert!(store.open_part(&upload, number(9)).is_err());
    assert_eq!(files(&fixture.root().join("staging")).len(), 0);
    fixture.assert_tidy();
}

fn put_by_hash(
    fixture: &Fixture,
    content: &ContentHash,
    options: PartOptions,
) -> Result<Option<Part>> {
    let upload = fixture.store.initiate_upload_with(
        "by-hash",
        UploadOptions::new().checksum(ChecksumAlgorithm::Sha256),
    )?;
    fixture
        .store
        .put_part_by_hash(&upload, number(2), content, options)
}

#[test]
fn a_hash_stands_for_bytes_that_are_stored() {
    let fixture = by_hash();
    let body = bytes(1, 3_000_000);
    let upload = fixture.initiate("key");
    let stored = fixture.put(&upload, 1, &body);
    let part = put_by_hash(&fixture, &stored.content, PartOptions::new())
        .unwrap()
        .unwrap();
    assert_eq!(
        (part.size, &part.etag, part.content),
        (stored.size, &stored.etag, stored.content)
    );
    for checksum in stored.checksums.iter() {
        assert_eq!(part.checksums.get(checksum.algorithm()), Some(checksum));
    }
    assert!(
        part.checksums.get(ChecksumAlgorithm::Sha256).is_some(),
        "as the upload wants"
    );
    assert_eq!(fixture.blob_files().len(), 1);
    // It is a part like others: the bytes stay for it.
    fixture.store.abort_upload(&upload).unwrap();
    fixture.store.sweep().unwrap();
    let open = fixture.store.list_uploads(&ListUploads::new()).unwrap();
    assert!(read_part(&fixture.store, &open.uploads[0].upload, number(2)) == body);
    // What is declared is checked.
    let declared = PartOptions::new().content_length(5);
    let answer = put_by_hash(&fixture, &stored.content, declared);
    assert!(
        matches!(answer, Err(Error::IncompleteBody { .. })),
        "{answer:?}"
    );
    let declared = PartOptions::new().checksum(Checksum::Crc32(0));
    let answer = put_by_hash(&fixture, &stored.content, declared);
    assert!(matches!(answer, Err(Error::BadDigest { .. })), "{answer:?}");
    fixture.assert_tidy();
}

#[test]
fn a_hash_is_refused_where_it_is_not_allowed_and_unknown_where_bytes_are_not() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let stored = fixture.put(&upload, 1, b"bytes");
    let answer = put_by_hash(&fixture, &stored.content, PartOptions::new());
    assert!(
        matches!(answer, Err(Error::InvalidArgument { .. })),
        "{answer:?}"
    );

    for (what, damage) in DAMAGES {
        let mut fixture = by_hash();
        let body = bytes(1, 600_000);
        let unknown = ContentHash::from_bytes([7; 32]);
        assert_eq!(
            put_by_hash(&fixture, &unknown, PartOptions::new()).unwrap(),
            None
        );
        let upload = fixture.initiate("key");
        let stored = fixture.put(&upload, 1, &body);
        damage(&fixture.blob_path(&stored.content));
        fixture.reopen();
        let answer = put_by_hash(&fixture, &stored.content, PartOptions::new());
        assert_eq!(answer.unwrap(), None, "{what}");
        fixture.put(&upload, 1, &body);
        let answer = put_by_hash(&fixture, &stored.content, PartOptions::new());
        assert!(answer.unwrap().is_some(), "{what}");
    }
}

/// A file that is only longer has all bytes of the part. What is exported has no more.
#[test]
fn bytes_behind_a_blobs_end_are_not_exported() {
    for options in [ExportOptions::new(), ExportOptions::new().link()] {
        let fixture = Fixture::new();
        let body = bytes(1, 600_000);
        let upload = fixture.initiate("key");
        let part = fixture.put(&upload, 1, &body);
        let blob = fixture.blob_path(&part.content);
        let mut file = File::options().append(true).open(&blob).unwrap();
        file.write_all(b"more").unwrap();
        let path = outside(&fixture).join("file");
        let report = fixture
            .store
            .export_part(&upload, number(1), &path, options)
            .unwrap();
        assert!(fs::read(&path).unwrap() == body);
        assert_eq!((report.linked, report.shared, report.copied), (0, 0, 0));
    }
}

/// Whoever exports twice to one path has one file, also where both are the store's own.
#[test]
fn an_export_that_replaces_leaves_nothing_beside_it() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 600_000);
    fixture.put(&upload, 1, &body);
    let path = outside(&fixture).join("file");
    for _ in 0..3 {
        let options = ExportOptions::new().link().replace();
        let report = fixture
            .store
            .export_part(&upload, number(1), &path, options)
            .unwrap();
        assert_eq!(report.linked, 600_000);
        assert_eq!(names_in(&outside(&fixture)), ["file"]);
        assert!(fs::read(&path).unwrap() == body);
    }
}

#[test]
fn nothing_is_exported_into_the_store() {
    let fixture = Fixture::new();
    let object = fixture.complete("object", &[b"bytes"]).upload;
    let format = fs::read(fixture.root().join("FORMAT")).unwrap();
    for place in ["FORMAT", "meta/other", "blobs/00/file", "staging/file"] {
        let path = fixture.root().join(place);
        let options = ExportOptions::new().replace();
        let answer = fixture.store.export_object(&object, path, options);
        assert!(
            matches!(answer, Err(Error::InvalidArgument { .. })),
            "{place}: {answer:?}"
        );
    }
    assert_eq!(fs::read(fixture.root().join("FORMAT")).unwrap(), format);
    fixture.assert_tidy();
}

/// Two calls that have one descriptor do not take each other's bytes.
#[test]
fn a_file_is_put_twice_at_the_same_time() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 9_000_000);
    let path = outside(&fixture).join("body");
    fs::write(&path, &body).unwrap();
    let file = File::open(&path).unwrap();
    std::thread::scope(|scope| {
        for at in 1..=3 {
            let (store, upload, file) = (&fixture.store, &upload, &file);
            scope.spawn(move || {
                let put = store.put_part_from_file(upload, number(at), file, PartOptions::new());
                put.unwrap();
            });
        }
    });
    for at in 1..=3 {
        assert!(read_part(&fixture.store, &upload, number(at)) == body);
    }
    // It is no file that has places.
    let (from, _to) = std::io::pipe().unwrap();
    let answer = fixture
        .store
        .put_part_from_file(&upload, number(4), from, PartOptions::new());
    assert!(
        matches!(answer, Err(Error::BodyUnreadable { .. })),
        "{answer:?}"
    );
}
