//! The blob store alone, under chosen schedules. What an answer relies on is durable when the answer is
//! given (I2).

use std::path::Path;
use std::sync::Arc;

use harness::{below, check, disk, join, task};
use parking_lot::schedule;

use crate::buffers::Buffers;
use crate::local::blob::BlobFiles;
use crate::local::file::{self, Dir, Handle};
use crate::values::blocks::BlockCrcs;
use crate::{ContentHash, Error};

const X: &[u8] = b"some bytes";
/// As long as X.
const DAMAGED: &[u8] = b"some bits.";

fn root() -> Dir {
    Dir::open(Path::new("/data"), 0o600).unwrap()
}

/// The blobs alone, as a process finds them.
fn blobs() -> Arc<BlobFiles> {
    Arc::new(BlobFiles::open(&root(), &Arc::new(Buffers::with(192 << 20))).unwrap())
}

/// Gives a file with these bytes the name of X.
fn publish(blobs: &Arc<BlobFiles>, bytes: &[u8], name: &ContentHash) {
    let mut buffer = Arc::new(Buffers::with(192 << 20)).buffer_for(Some(bytes.len() as u64));
    buffer.fill_from(bytes);
    let mut staged = blobs.stage().unwrap();
    staged.write(buffer.as_ref()).unwrap();
    staged.sync().unwrap().publish(name).unwrap();
}

/// X is put again, in place of its own file or of a damaged one, while somebody asks whether a copy can
/// rely on it. A sound file is never called damaged. A file that is called sound still exists after a power
/// cut.
#[test]
fn a_blob_that_is_put_again_is_sound_when_it_is_said_to_be() {
    check(3000, || {
        let name = ContentHash::from_bytes(*blake3::hash(X).as_bytes());
        let (size, crcs) = (X.len() as u64, vec![crc32fast::hash(X)]);
        let sums = BlockCrcs { size, crcs };
        let before = if below(2) == 0 { X } else { DAMAGED };
        schedule::pause(|| {
            file::create_dirs(Path::new("/data"), 0o600).unwrap();
            BlobFiles::create(&root()).unwrap();
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
            schedule::pause(|| blobs().check(&name, &sums, &mut |_| Ok(())))
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
        let sums = BlockCrcs { size, crcs };
        schedule::pause(|| {
            file::create_dirs(Path::new("/data"), 0o600).unwrap();
            BlobFiles::create(&root()).unwrap();
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
            schedule::pause(|| blobs().check(&name, &sums, &mut |_| Ok(())))
                .expect("sound, and lost");
        }
    });
}
