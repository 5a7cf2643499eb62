//! Stores that are only read: they answer as ever, nothing of them is changed, and nobody else may open them meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use partstore::{
    Backups, Error, ExportOptions, IndexRecovery, ListObjects, ListUploads, Options, PartStore,
    Quota, Result, Scope, Transfer,
};

use crate::fixture::{
    Fixture, bytes, copy_tree, files, free_options, indexes, lines, number, read_object, read_part,
    tree,
};

/// A store with what a server leaves: layers, garbage that no sweep has taken, a body that was not acknowledged.
struct Scene {
    fixture: Fixture,
    scratch: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let fixture = Fixture::with(free_options().journal_sizes(16 << 10, 64 << 10));
        for at in 0..50 {
            let upload = fixture.initiate(&format!("open/{at}"));
            fixture.put(&upload, 1, &bytes(at, 3000));
            if at % 3 == 0 {
                fixture.store.abort_upload(&upload).unwrap();
            }
            if at % 10 == 9 {
                fixture.store.maintain().unwrap();
            }
        }
        fixture.complete("object", &[&bytes(100, 300_000), b"end"]);
        fs::write(fixture.root().join("staging/left"), "half a body").unwrap();
        let scratch = fixture.dir().join("scratch");
        fs::create_dir(&scratch).unwrap();
        Self { fixture, scratch }
    }

    fn view(&self, root: &Path) -> Result<PartStore> {
        free_options().read_only(&self.scratch).open(root)
    }

    /// Opens and reads it, and sees that nothing of it has changed and nothing is left.
    fn leaves_as_it_is(&self, root: &Path, read: impl FnOnce(&PartStore)) {
        let before = (tree(root), times(root));
        let store = self.view(root).unwrap();
        read(&store);
        store.close().unwrap();
        assert!((tree(root), times(root)) == before, "the store has changed");
        assert!(files(&self.scratch).is_empty());
    }
}

/// When each file and directory was last changed.
fn times(root: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = vec![(
        root.to_owned(),
        root.metadata().unwrap().modified().unwrap(),
    )];
    for name in files(root) {
        let path = root.join(name);
        if path.is_dir() {
            found.extend(times(&path));
        } else {
            found.push((path.clone(), path.metadata().unwrap().modified().unwrap()));
        }
    }
    found
}

fn has_all(store: &PartStore) {
    let page = store.list_uploads(&ListUploads::new().limit(1000)).unwrap();
    assert_eq!(page.uploads.len(), 33);
    for open in &page.uploads {
        let at = open.upload.key().strip_prefix("open/").unwrap();
        let body = read_part(store, &open.upload, number(1));
        assert_eq!(body, bytes(at.parse().unwrap(), 3000));
    }
    let objects = store.list_objects(&ListObjects::new()).unwrap().objects;
    let whole = [bytes(100, 300_000), b"end".to_vec()].concat();
    assert_eq!(read_object(store, &objects[0].upload), whole);
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
}

#[test]
fn a_store_that_was_killed_is_read_and_left_as_it_is() {
    let scene = Scene::new();
    let root = scene.fixture.killed();
    scene.leaves_as_it_is(&root, has_all);
    assert!(root.join("staging/left").exists());
}

#[test]
fn a_store_that_was_closed_is_read_and_left_as_it_is() {
    let scene = Scene::new();
    scene.fixture.store.close().unwrap();
    scene.leaves_as_it_is(&scene.fixture.root(), has_all);
    // Its index is proven still.
    assert!(scene.fixture.root().join("meta/CLEAN").exists());
}

#[test]
fn no_call_changes_it() {
    let scene = Scene::new();
    scene.fixture.store.close().unwrap();
    scene.leaves_as_it_is(&scene.fixture.root(), |store| {
        let open = store.list_uploads(&ListUploads::new()).unwrap().uploads;
        let upload = &open[0].upload;
        let object = store.list_objects(&ListObjects::new()).unwrap().objects;
        let object = &object[0].upload;
        let part = store.parts(upload).next().unwrap().unwrap();
        let list = lines(&[part]);
        let refused: [(&str, Result<()>); 12] = [
            ("initiate", store.initiate_upload("new").map(drop)),
            (
                "small",
                store
                    .put_part(upload, number(2), b"body".to_vec())
                    .map(drop),
            ),
            (
                "large",
                store
                    .put_part(upload, number(2), bytes(7, 1 << 20))
                    .map(drop),
            ),
            // Its bytes are stored already.
            (
                "known",
                store
                    .put_part(upload, number(2), bytes(100, 300_000))
                    .map(drop),
            ),
            ("complete", store.complete_upload(upload, &list).map(drop)),
            ("abort", store.abort_upload(upload)),
            ("remove", store.remove_object(object).map(drop)),
            ("put", store.put_object("key", b"body".to_vec()).map(drop)),
            (
                "namespace",
                store.create_namespace("space", Quota::default()).map(drop),
            ),
            ("sweep", store.sweep().map(drop)),
            ("maintain", store.maintain().map(drop)),
            (
                "expire",
                store.expire_uploads(std::time::Duration::ZERO).map(drop),
            ),
        ];
        for (call, answer) in refused {
            assert!(matches!(answer, Err(Error::ReadOnly)), "{call}: {answer:?}");
        }
        has_all(store);
    });
}

#[test]
fn stores_of_all_formats_are_read_and_keep_their_format() {
    let scene = Scene::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in files(&fixtures) {
        let root = scene.fixture.dir().join(&name);
        copy_tree(&fixtures.join(&name), &root);
        scene.leaves_as_it_is(&root, |store| {
            assert!(
                store.verify(Scope::Everything).unwrap().is_clean(),
                "{name}"
            );
            let objects = store.list_objects(&ListObjects::new()).unwrap().objects;
            assert!(!objects.is_empty(), "{name}");
            for object in objects {
                let read = read_object(store, &object.upload);
                assert_eq!(read.len() as u64, object.size, "{name}");
            }
        });
    }
}

#[test]
fn several_may_read_it_and_nobody_may_open_it_meanwhile() {
    let scene = Scene::new();
    let root = scene.fixture.root();
    let locked = |opened: Result<PartStore>| matches!(opened, Err(Error::StoreLocked { .. }));
    assert!(locked(scene.view(&root)), "it is open");
    scene.fixture.store.close().unwrap();
    let (one, other) = (scene.view(&root).unwrap(), scene.view(&root).unwrap());
    assert!(locked(free_options().open(&root)));
    one.close().unwrap();
    assert!(locked(free_options().open(&root)));
    has_all(&other);
    drop(other);
    assert!(files(&scene.scratch).is_empty());
    has_all(&free_options().open(&root).unwrap());
}

#[test]
fn damage_is_told_and_nothing_is_repaired_or_left() {
    let scene = Scene::new();
    let root = scene.fixture.killed();
    // The whole frames of a segment, and no index that proves them.
    for index in indexes(&root) {
        fs::remove_dir_all(root.join(index)).unwrap();
    }
    let journal = root.join("meta/journal");
    let first = journal.join(files(&journal).first().unwrap());
    let mut flipped = fs::read(&first).unwrap();
    flipped[100] ^= 1;
    fs::write(&first, flipped).unwrap();
    let before = tree(&root);
    for options in [free_options(), free_options().salvage()] {
        let opened = options.read_only(&scene.scratch).open(&root);
        if let Err(error) = opened {
            let expected = matches!(error, Error::Damaged { .. } | Error::ReadOnly);
            assert!(expected, "{error}");
        }
        assert!(tree(&root) == before);
        assert!(files(&scene.scratch).is_empty());
    }
}

#[test]
fn where_no_store_is_none_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (scratch, root) = (dir.path().join("scratch"), dir.path().join("store"));
    let refusal = || Options::s3().read_only(&scratch).open(&root).unwrap_err();
    assert!(matches!(refusal(), Error::NoSuchStore { .. }));
    fs::create_dir(&root).unwrap();
    assert!(matches!(refusal(), Error::NoSuchStore { .. }));
    fs::write(root.join("letter"), "dear").unwrap();
    assert!(matches!(refusal(), Error::NotAStore { .. }));
    fs::write(root.join("FORMAT"), "partstore format\n99\n").unwrap();
    assert!(matches!(refusal(), Error::NewerFormat { found: 99, .. }));
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(files(&root).len(), 2);
}

#[test]
fn the_copy_is_made_where_there_is_a_directory_outside_of_the_store() {
    let scene = Scene::new();
    scene.fixture.store.close().unwrap();
    let root = scene.fixture.root();
    let before = tree(&root);
    let opened = |scratch: PathBuf| free_options().read_only(scratch).open(&root).unwrap_err();
    for inside in [root.clone(), root.join("meta"), root.join("meta/new")] {
        let refused = opened(inside);
        assert!(
            matches!(refused, Error::InvalidArgument { .. }),
            "{refused}"
        );
    }
    let refused = opened(scene.scratch.join("missing"));
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert!(files(&scene.scratch).is_empty());
    assert!(tree(&root) == before);
}

/// What an open would repair is repaired in the copy.
#[test]
fn a_store_whose_index_proves_what_is_damaged_is_read() {
    let scene = Scene::new();
    scene.fixture.store.close().unwrap();
    let root = scene.fixture.root();
    scene.leaves_as_it_is(&root, |store| {
        assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    });
    let journal = root.join("meta/journal");
    let first = journal.join(files(&journal).first().unwrap());
    let mut flipped = fs::read(&first).unwrap();
    flipped[100] ^= 1;
    fs::write(&first, flipped).unwrap();
    scene.leaves_as_it_is(&root, |store| {
        has_all(store);
        assert_eq!(store.recovery().repaired.len(), 1, "{:?}", store.recovery());
    });
}

#[test]
fn a_salvage_that_was_not_finished_is_left_to_who_may_write() {
    let scene = Scene::new();
    let root = scene.fixture.killed();
    fs::write(root.join("meta/SALVAGED"), "").unwrap();
    let before = tree(&root);
    let refused = scene.view(&root).unwrap_err();
    assert!(
        refused.to_string().contains("salvage was not finished"),
        "{refused}"
    );
    assert!(tree(&root) == before);
    assert!(files(&scene.scratch).is_empty());
}

#[test]
fn it_is_backed_up_and_no_backup_goes_into_it() {
    let scene = Scene::new();
    scene.fixture.store.close().unwrap();
    let (root, backups) = (scene.fixture.root(), scene.fixture.dir().join("backups"));
    scene.leaves_as_it_is(&root, |store| {
        let into = root.join("blobs/backup");
        let refused = store.back_up(into, Transfer::Copy);
        assert!(
            matches!(refused, Err(Error::InvalidArgument { .. })),
            "{refused:?}"
        );
        // The view's own files are not durable, and a second name would change the store's.
        let taken = store.back_up(&backups, Transfer::Fastest).unwrap();
        assert_eq!(
            (taken.brought.linked, taken.brought.blobs()),
            (0, taken.blobs)
        );
        let object = store.list_objects(&ListObjects::new()).unwrap().objects;
        let object = store.open_object(&object[0].upload).unwrap();
        let refused = object.export(root.join("blobs/object"), ExportOptions::new(), |_| {
            std::ops::ControlFlow::Continue(())
        });
        assert!(
            matches!(refused, Err(Error::InvalidArgument { .. })),
            "{refused:?}"
        );
    });
    let restored = scene.fixture.dir().join("restored");
    let backups = Backups::open(&backups).unwrap();
    backups.restore(None, &restored, Transfer::Copy).unwrap();
    has_all(&free_options().open(&restored).unwrap());
}

/// Root mounts the store's file system read-only, as that of a snapshot is.
#[test]
fn a_file_system_that_takes_no_writes_is_read() {
    let scene = Scene::new();
    scene.fixture.store.close().unwrap();
    let (root, mounted) = (scene.fixture.root(), scene.fixture.dir().join("mounted"));
    fs::create_dir(&mounted).unwrap();
    let run = |program: &str, args: &[&Path]| {
        let status = Command::new(program).args(args).output();
        status.is_ok_and(|output| output.status.success())
    };
    let bind = [Path::new("--bind"), &root, &mounted];
    let read_only = [Path::new("-o"), Path::new("remount,bind,ro"), &mounted];
    if !run("mount", &bind) || !run("mount", &read_only) {
        println!("skipped: only root can mount a directory read-only");
        return;
    }
    assert!(free_options().open(&mounted).is_err());
    let store = scene.view(&mounted).unwrap();
    has_all(&store);
    store.close().unwrap();
    assert!(run("umount", &[&mounted]));
}
