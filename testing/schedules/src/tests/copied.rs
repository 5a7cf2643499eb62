//! Copies: what they refer to stays (I4), and what they rest on is durable when they say so (I2).

use std::path::Path;
use std::sync::Arc;

use parking_lot::schedule;

use super::store::{STEPS, after, assert_whole, number, open, put};
use super::swept::{abort_task, assert_there, sweep_task};
use super::{Acknowledged, below, check, join, power_cut, task};
use crate::blob::BlobStore;
use crate::buffers::Buffers;
use crate::digest::BlockSums;
use crate::disk;
use crate::file::{self, Dir, Handle};
use crate::going::{Closing, Going};
use crate::{ContentHash, Error, Part, PartReader, PartStore, Scope, Upload};

const X: &[u8] = b"some bytes";
const Y: &[u8] = b"other bytes";
/// As long as X.
const DAMAGED: &[u8] = b"some bits.";

fn copy_task(
    store: &PartStore,
    source: PartReader,
    (upload, at): (&Upload, u32),
    acknowledged: &Acknowledged<(Upload, Part)>,
) -> shuttle::thread::JoinHandle<bool> {
    let (store, upload, acknowledged) = (store.clone(), upload.clone(), acknowledged.clone());
    task(
        move || match store.copy_part(&source, &upload, number(at)) {
            Ok(part) => {
                acknowledged.push((upload, part));
                true
            }
            Err(Error::NoSuchUpload { .. }) => false,
            Err(error) => panic!("{error}"),
        },
    )
}

/// A part is copied while its own upload goes, and one of the copies' uploads, too.
#[test]
fn a_blob_that_a_copy_refers_to_is_not_swept() {
    check(1500, || {
        let store = open();
        let [kept, gone, ended] = ["kept", "gone", "ended"];
        let [kept, gone, ended] =
            [kept, gone, ended].map(|key| store.initiate_upload(key).unwrap());
        put(&store, &gone, 1, X).unwrap();
        put(&store, &kept, 1, Y).unwrap();
        let source = || store.open_part(&gone, number(1)).unwrap();
        let sources = [source(), source()];
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let [first, second] = sources;
        let done = join([
            copy_task(&store, first, (&kept, 1), &acknowledged),
            abort_task(&store, &gone),
            sweep_task(&store),
            abort_task(&store, &ended),
            copy_task(&store, second, (&ended, 1), &acknowledged),
        ]);
        assert_eq!(done[..4], [true; 4]);
        let mut there = acknowledged.so_far();
        there.retain(|(upload, _)| *upload == kept);
        assert_there(&store, &there);
        assert_whole(&store, &[X]);

        let (remains, mut before_the_cut) = cut.join().unwrap();
        let at_last = disk::cut_power();
        let again = after(remains);
        before_the_cut.retain(|(upload, _)| *upload == kept);
        assert_there(&again, &before_the_cut);
        let found = again.verify(Scope::Everything).unwrap();
        assert!(found.is_clean(), "not whole: {found:?}");
        let again = after(at_last);
        assert_there(&again, &there);
        assert_whole(&again, &[X]);
    });
}

fn root() -> Dir {
    Dir::open(Path::new("/data"), 0o600).unwrap()
}

/// The blobs alone, as a process finds them.
fn blobs() -> Arc<BlobStore> {
    Arc::new(BlobStore::open(&root(), &Arc::default()).unwrap())
}

/// Gives a file with these bytes the name of X.
fn publish(blobs: &Arc<BlobStore>, bytes: &[u8], name: &ContentHash) {
    let mut buffer = Arc::<Buffers>::default().take(Some(bytes.len() as u64));
    buffer.take_from(bytes);
    let mut staged = blobs.stage().unwrap();
    staged.write(buffer.as_ref()).unwrap();
    staged.sync().unwrap().publish(name).unwrap();
}

/// X is put again, in place of its own file or of a damaged one, while somebody asks whether a copy can rest
/// on it. A sound file is never called damaged; and what is called sound is there after a power cut.
#[test]
fn a_blob_that_is_put_again_is_sound_when_it_is_said_to_be() {
    check(3000, || {
        let name = ContentHash::from_bytes(*blake3::hash(X).as_bytes());
        let (size, crcs) = (X.len() as u64, vec![crc32fast::hash(X)]);
        let sums = BlockSums { size, crcs };
        let before = if below(2) == 0 { X } else { DAMAGED };
        schedule::pause(|| {
            file::create_dirs(Path::new("/data"), 0o600).unwrap();
            BlobStore::create(&root()).unwrap();
            root().sync().unwrap();
            file::sync_parents(Path::new("/data")).unwrap();
            publish(&blobs(), before, &name);
        });
        let blobs_now = schedule::pause(blobs);
        let putting = {
            let blobs = Arc::clone(&blobs_now);
            task(move || publish(&blobs, X, &name))
        };
        let mut cuts = Vec::new();
        for _ in 0..4 {
            match blobs_now.require_sound(&name, &sums) {
                Ok(()) => cuts.push(disk::cut_power()),
                Err(Error::DamagedBlob { .. }) if before == DAMAGED => {}
                Err(error) => panic!("{error}"),
            }
        }
        join([putting]);
        for remains in cuts {
            disk::restore(remains);
            schedule::pause(|| blobs().check(&name, &sums, &Going::until(&Closing::default())))
                .expect("sound, and lost");
        }
    });
}

/// Somebody has put a file in place and synced nothing.
#[test]
fn a_stored_file_that_others_left_unsynced_is_durable_when_an_answer_rests_on_it() {
    check(200, || {
        let name = ContentHash::from_bytes(*blake3::hash(X).as_bytes());
        let (size, crcs) = (X.len() as u64, vec![crc32fast::hash(X)]);
        let sums = BlockSums { size, crcs };
        schedule::pause(|| {
            file::create_dirs(Path::new("/data"), 0o600).unwrap();
            BlobStore::create(&root()).unwrap();
            root().sync().unwrap();
            file::sync_parents(Path::new("/data")).unwrap();
            publish(&blobs(), DAMAGED, &name);
            let dir = root()
                .dir("blobs")
                .and_then(|dir| dir.dir(&name.to_string()[..2]));
            let restored = Handle::open_write(&dir.unwrap().at(name.to_string())).unwrap();
            restored.write_at(X, 0).unwrap();
        });
        let blobs_now = schedule::pause(blobs);
        let ask = || {
            let (blobs, sums) = (Arc::clone(&blobs_now), sums.clone());
            task(move || {
                match below(2) {
                    0 => assert!(blobs.is_sound(&name, &sums).unwrap()),
                    _ => blobs.require_sound(&name, &sums).unwrap(),
                }
                disk::cut_power()
            })
        };
        for remains in join([ask(), ask()]) {
            disk::restore(remains);
            schedule::pause(|| blobs().check(&name, &sums, &Going::until(&Closing::default())))
                .expect("sound, and lost");
        }
    });
}
