//! Room on the disk that bodies hold while they come in. (On a full disk: `full_disk`.)

use partstore::{PartOptions, PartWriter};

use crate::fixture::{Fixture, free_options, number, refusal};

const STEP: u64 = 16 << 20;

/// So many bodies of so many bytes that not all of them fit, none of which has sent anything.
fn silent(fixture: &Fixture) -> Vec<PartWriter> {
    let upload = fixture.initiate("silent");
    let free = fixture.store.stats().unwrap().free_bytes;
    let length = (5 << 30).min(free / 10 * 9);
    let options = PartOptions::new().content_length(length);
    let open = |at| {
        let at = number(u32::try_from(at).unwrap());
        fixture.store.part_writer(&upload, at, options).unwrap()
    };
    (1..=26.max(free / length + 1)).map(open).collect()
}

#[test]
fn bodies_that_send_nothing_refuse_nobody() {
    let fixture = Fixture::new();
    let silent = silent(&fixture);
    assert_eq!(fixture.store.stats().unwrap().reserved_bytes, 0);
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"here");
    drop(silent);
    fixture.assert_tidy();
}

#[test]
fn a_body_holds_what_it_has_sent_and_a_step_ahead_at_most() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let reserved = || fixture.store.stats().unwrap().reserved_bytes;
    for options in [
        PartOptions::new(),
        PartOptions::new().content_length(STEP * 2),
    ] {
        let mut writer = fixture
            .store
            .part_writer(&upload, number(1), options)
            .unwrap();
        let mut sent = 0;
        let piece = vec![7; 1 << 20];
        for _ in 0..32 {
            writer.append(&piece).unwrap();
            sent += piece.len() as u64;
            assert!(
                (1..=STEP).contains(&reserved()),
                "{} after {sent}",
                reserved()
            );
        }
        assert!(options == PartOptions::new() || reserved() <= 2 << 20);
        writer.finish().unwrap();
        assert_eq!(reserved(), 0);
    }
    let options = PartOptions::new().content_length(10);
    let mut writer = fixture
        .store
        .part_writer(&upload, number(1), options)
        .unwrap();
    writer.append(b"1").unwrap();
    assert_eq!(reserved(), 10, "no more than will come");
}

#[test]
fn a_copy_needs_what_the_headroom_leaves() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"here");
    fixture.options = free_options().headroom(1 << 60);
    fixture.reopen();
    let reader = fixture.store.open_part(&upload, number(1)).unwrap();
    let copied = fixture.store.copy_part(&reader, &upload, number(2));
    assert_eq!(refusal(copied), ("ServiceUnavailable", 503));
}
