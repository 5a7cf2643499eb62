//! Calls at the same time: whatever their order, one of its outcomes, and nothing left behind.

use crate::support::{Fixture, bytes, lines, number, race, read_object, read_part};
use md5::{Digest, Md5};
use partstore::{
    Background, CompletedPart, Error, ListParts, ListUploads, Options, Part, PartOptions,
    PartStore, Result, Scope, Upload,
};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

pub const THREADS: usize = 16;

pub fn seed(thread: usize) -> u64 {
    thread as u64 + 1
}

/// Nothing leaked, and every part of every open upload reads as its ETag says.
pub fn assert_sound(fixture: &Fixture) {
    fixture.assert_tidy();
    let page = fixture.store.list_uploads(&ListUploads::new()).unwrap();
    for info in page.uploads {
        for part in fixture.parts(&info.upload) {
            let read = read_part(&fixture.store, &info.upload, part.number);
            assert_eq!(part.etag.to_string(), hex::encode(Md5::digest(read)));
        }
    }
    assert_eq!(fixture.store.stats().unwrap().pinned_blobs, 0);
}

fn is_no_upload(error: &Error) -> bool {
    matches!(error, Error::NoSuchUpload { .. })
}

/// R11
pub fn puts_to_one_number_leave_one_of_them() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let last = race(THREADS, |thread| {
        let put = |round: u64| fixture.put(&upload, 1, &bytes(seed(thread) + 100 * round, 5000));
        (0..20).map(put).collect::<Vec<Part>>().pop().unwrap()
    });
    let parts = fixture.parts(&upload);
    assert_eq!(parts.len(), 1);
    assert!(last.contains(&parts[0]), "the last put of some thread");
    assert_sound(&fixture);
    assert_eq!(fixture.blob_files().len(), 1);
}

/// R12
pub fn puts_of_the_same_bytes_share_one_file() {
    let fixture = Fixture::new();
    let body = bytes(1, 300_000);
    for _ in 0..5 {
        let uploads = race(THREADS, |thread| {
            let upload = fixture.initiate("key");
            if thread % 2 == 0 {
                fixture.put(&upload, 1, &body);
            } else {
                let options = PartOptions::new();
                let store = &fixture.store;
                store
                    .put_part_from(&upload, number(1), &body[..], options)
                    .unwrap();
            }
            upload
        });
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), 1);
        race(THREADS, |thread| {
            fixture.store.abort_upload(&uploads[thread]).unwrap();
        });
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), 0);
    }
}

/// R10, R28, R31
pub fn an_abort_among_puts_leaves_nothing() {
    for round in 0..10 {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        race(THREADS, |thread| {
            if thread == round {
                return fixture.store.abort_upload(&upload).unwrap();
            }
            for at in 1..=10 {
                let body = bytes(seed(thread), 5000);
                if let Err(error) = fixture.store.put_part(&upload, number(at), body) {
                    assert!(is_no_upload(&error), "{error}");
                }
            }
        });
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), 0);
        assert_eq!(fixture.store.stats().unwrap().index_rows, 0);
    }
}

/// R28: a put either comes before the completion, whose list then no longer fits, or too late.
pub fn a_completion_among_puts_makes_an_object_of_what_it_listed() {
    for _ in 0..10 {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        let listed = bytes(99, 5000);
        let list = lines(&[fixture.put(&upload, 1, &listed)]);
        let completed = race(THREADS, |thread| {
            if thread == 0 {
                let answer = fixture.store.complete_upload(&upload, &list);
                return Some(answer.map_err(|error| error.code()));
            }
            for round in 0..3 {
                let body = bytes(seed(thread) + 100 * round, 5000);
                if let Err(error) = fixture.store.put_part(&upload, number(1), body) {
                    assert!(is_no_upload(&error), "{error}");
                }
            }
            None
        });
        match completed.into_iter().flatten().next().unwrap() {
            Ok(_) => assert_eq!(read_object(&fixture.store, &upload), listed),
            Err(code) => assert_eq!((code, fixture.parts(&upload).len()), ("InvalidPart", 1)),
        }
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), 1);
    }
}

/// R26: one object; whoever lists the same is answered the same.
pub fn completions_with_the_same_list_all_answer_the_one_object() {
    for _ in 0..10 {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        let parts = [1, 2, 3].map(|at| fixture.put(&upload, at, &bytes(u64::from(at), 5000)));
        let objects = race(THREADS, |_| {
            let store = &fixture.store;
            let object = store.complete_upload(&upload, &lines(&parts)).unwrap();
            // R30: whoever has the answer can read it.
            assert_eq!(read_object(store, &upload).len(), 15_000);
            object
        });
        assert!(objects.iter().all(|object| *object == objects[0]));
        assert_eq!(fixture.store.stats().unwrap().objects, 1);
        assert_sound(&fixture);
    }
}

/// R25, R26: of different lists one wins, and only its callers are answered.
pub fn of_completions_with_different_lists_one_wins() {
    for _ in 0..10 {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        let parts = [1, 2].map(|at| fixture.put(&upload, at, &bytes(u64::from(at), 5000)));
        let lists = [lines(&parts[..1]), lines(&parts), lines(&parts[1..])];
        let answers = race(THREADS, |thread| {
            fixture.store.complete_upload(&upload, &lists[thread % 3])
        });
        let object = fixture.store.object(&upload).unwrap();
        let winner = answers.iter().position(Result::is_ok).unwrap() % 3;
        for (thread, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(answered) => assert_eq!((thread % 3, &answered), (winner, &object)),
                Err(error) => assert!(thread % 3 != winner && is_no_upload(&error), "{error}"),
            }
        }
        assert_sound(&fixture);
    }
}

/// R28: one of them ends the upload.
pub fn of_a_completion_and_an_abort_one_wins() {
    for _ in 0..20 {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        let list = lines(&[fixture.put(&upload, 1, b"bytes")]);
        let answers = race(2, |thread| match thread {
            0 => fixture.store.abort_upload(&upload),
            _ => fixture.store.complete_upload(&upload, &list).map(drop),
        });
        let completed = fixture.store.object(&upload).is_ok();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert_eq!(completed, answers[1].is_ok());
        for error in answers.into_iter().filter_map(Result::err) {
            assert!(is_no_upload(&error), "{error}");
        }
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), usize::from(completed));
    }
}

/// R12: a put that finds its bytes stored must not lose them to a sweep.
pub fn sweeps_never_take_what_is_being_put() {
    let fixture = Fixture::new();
    let body = bytes(1, 300_000);
    let done = AtomicBool::new(false);
    race(6, |thread| {
        if thread < 2 {
            while !done.load(Ordering::Relaxed) {
                fixture.store.sweep().unwrap();
            }
            return;
        }
        for round in 0..40 {
            let upload = fixture.initiate("key");
            fixture.put(&upload, 1, &body);
            fixture.put(&upload, 2, &bytes(round, 100));
            assert!(read_part(&fixture.store, &upload, number(1)) == body);
            fixture.store.abort_upload(&upload).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_sound(&fixture);
    assert_eq!(fixture.blob_files().len(), 0);
}

/// What is opened reads to its end, however often it is replaced and swept in the meantime.
pub fn readers_among_replacing_and_sweeping_read_one_body() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = |at: u64| bytes(at % 5, 600_000);
    fixture.put(&upload, 1, &body(0));
    let done = AtomicBool::new(false);
    race(8, |thread| match thread {
        0 => {
            for at in 0..40 {
                fixture.put(&upload, 1, &body(at));
            }
            done.store(true, Ordering::Relaxed);
        }
        1 => {
            while !done.load(Ordering::Relaxed) {
                fixture.store.sweep().unwrap();
            }
        }
        _ => {
            while !done.load(Ordering::Relaxed) {
                let mut reader = fixture.store.open_part(&upload, number(1)).unwrap();
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                let etag = reader.part().etag.to_string();
                assert_eq!(etag, hex::encode(Md5::digest(read)));
            }
        }
    });
    assert_sound(&fixture);
    assert_eq!(fixture.blob_files().len(), 1);
}

/// One round of all that a client does, until an error.
pub fn use_all_calls(store: &PartStore, thread: usize) -> Result<()> {
    let upload = store.initiate_upload("key")?;
    let part = store.put_part(&upload, number(1), bytes(seed(thread), 5000))?;
    let mut writer = store.part_writer(&upload, number(2), PartOptions::new())?;
    writer
        .write_all(b"streamed")
        .map_err(|error| Error::from_io(error).unwrap())?;
    writer.finish()?;
    let source = store.open_part(&upload, number(2))?;
    store.copy_part(&source, &upload, number(3))?;
    store.list_parts(&upload, &ListParts::new().limit(10))?;
    store.list_uploads(&ListUploads::new().limit(10))?;
    let object = store.complete_upload(&upload, &[CompletedPart::from(&part)])?;
    let mut read = Vec::new();
    let reader = store.open_object(&object.upload)?.read_to_end(&mut read);
    reader.map_err(|error| Error::from_io(error).unwrap())?;
    assert_eq!(read.len(), 5000);
    let next = store.initiate_upload("key")?;
    let part = store.put_part(&next, number(1), bytes(seed(thread), 5000))?;
    let list = [CompletedPart::from(&part)];
    store.complete_upload_replacing(&next, &list, &object.upload)?;
    store.remove_object(&next)?;
    store.sweep().map(drop)
}

/// While everything goes on, nothing looks inconsistent.
pub fn verify_finds_nothing_among_everything() {
    let fixture = Fixture::new();
    let done = AtomicBool::new(false);
    race(6, |thread| {
        if thread == 0 {
            for scope in [Scope::Metadata, Scope::Everything].repeat(20) {
                let report = fixture.store.verify(scope).unwrap();
                assert!(report.is_clean(), "{report:?}");
            }
            done.store(true, Ordering::Relaxed);
            return;
        }
        while !done.load(Ordering::Relaxed) {
            use_all_calls(&fixture.store, thread).unwrap();
        }
    });
    assert_sound(&fixture);
}

/// R32: ids ascend in the order of the answers, whichever thread asks.
pub fn uploads_initiated_at_once_are_all_listed() {
    let fixture = Fixture::new();
    let initiated: Vec<Vec<Upload>> = race(THREADS, |_| {
        (0..20).map(|_| fixture.initiate("key")).collect()
    });
    for of_one_thread in &initiated {
        assert!(of_one_thread.is_sorted());
    }
    let mut all = initiated.concat();
    all.sort();
    let page = fixture.store.list_uploads(&ListUploads::new()).unwrap();
    let listed: Vec<Upload> = page.uploads.into_iter().map(|info| info.upload).collect();
    assert_eq!(listed, all);
}

/// R30: an object is seen with its parts, or not yet.
pub fn an_object_that_is_opened_while_it_is_completed_is_whole() {
    let fixture = Fixture::with(Options::s3().min_part_size(0).background(Background::Host));
    for round in 0..10 {
        let upload = fixture.initiate("key");
        let first = fixture.put(&upload, 1, b"first");
        for at in 2..=150 {
            fixture.put(&upload, at, &bytes(round, 10));
        }
        let list = lines(&[first]);
        race(2, |thread| {
            if thread == 0 {
                fixture.store.complete_upload(&upload, &list).unwrap();
                return;
            }
            loop {
                match fixture.store.list_parts(&upload, &ListParts::new()) {
                    Ok(page) => assert_eq!(page.parts.len(), 150, "all, or no open upload"),
                    Err(error) => assert!(is_no_upload(&error), "{error}"),
                }
                if fixture.store.open_object(&upload).is_ok() {
                    break assert_eq!(read_object(&fixture.store, &upload), b"first");
                }
            }
        });
    }
    assert_sound(&fixture);
}

/// What goes while it is listed is left out; a healthy store is never called damaged.
pub fn looking_at_uploads_that_come_and_go_finds_no_damage() {
    let fixture = Fixture::new();
    let (metadata, ends) = (bytes(1, 8000), AtomicBool::new(false));
    race(4, |thread| {
        if thread < 2 {
            for round in 0..150 {
                let key = format!("key-{thread}");
                let upload = fixture.store.initiate_upload_with(&key, &metadata).unwrap();
                fixture.put(&upload, 1, &bytes(round, 50));
                fixture.store.abort_upload(&upload).unwrap();
            }
            ends.store(true, Ordering::Relaxed);
            return;
        }
        while !ends.load(Ordering::Relaxed) {
            fixture.store.sweep().unwrap();
            let page = fixture.store.list_uploads(&ListUploads::new()).unwrap();
            assert!(page.uploads.iter().all(|info| info.metadata == metadata));
            let report = fixture.store.verify(Scope::Everything).unwrap();
            assert!(report.is_clean(), "{report:?}");
        }
    });
    assert_sound(&fixture);
}
