//! Copies: what they refer to stays (I4), and what they rest on is durable when they say so (I2).

use super::store::{STEPS, after, assert_whole, number, open, put};
use super::swept::{abort_task, assert_there, sweep_task};
use harness::disk;
use harness::{Acknowledged, check, join, power_cut, task};
use partstore::{Error, Part, PartReader, PartStore, Scope, Upload};

const X: &[u8] = b"some bytes";
const Y: &[u8] = b"other bytes";

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
