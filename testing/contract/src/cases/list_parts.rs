//! Listing parts: R15 to R18.

use crate::support::{Fixture, free_options, lines, race, refusal};
use partstore::{ListParts, PageLimit, PartNumber, Upload};

/// Numbers whose order as texts, and of arrival, is not their order.
const NUMBERS: [u32; 9] = [10, 9, 100, 2, 1, 10_000, 1_000, 11, 256];

fn upload_of(fixture: &Fixture, numbers: &[u32]) -> Upload {
    let upload = fixture.initiate("key");
    for at in numbers {
        fixture.put(&upload, *at, at.to_string().as_bytes());
    }
    upload
}

/// All numbers, read in pages of `limit`.
fn paged(fixture: &Fixture, upload: &Upload, limit: u32) -> Vec<u32> {
    let (mut numbers, mut after) = (Vec::new(), 0);
    loop {
        let page = fixture
            .store
            .list_parts(upload, &ListParts::new().marker(after).limit(limit))
            .unwrap();
        numbers.extend(page.parts.iter().map(|part| u32::from(part.number.get())));
        assert!(page.parts.len() <= limit as usize);
        let Some(next) = page.next else {
            return numbers;
        };
        assert_eq!(page.parts.len(), limit as usize, "only the last is short");
        assert_eq!(
            Some(next),
            page.parts.last().map(|part| part.number),
            "R16: the marker is the last number"
        );
        after = u32::from(next.get());
    }
}

/// R15
pub fn parts_are_listed_by_number_whatever_the_order_of_arrival() {
    let mut fixture = Fixture::new();
    let upload = upload_of(&fixture, &NUMBERS);
    let mut sorted = NUMBERS;
    sorted.sort_unstable();
    assert_eq!(paged(&fixture, &upload, 1000), sorted);
    fixture.reopen();
    assert_eq!(paged(&fixture, &upload, 1000), sorted);
}

/// R16: whatever the page size, the pages together are the list; a page that ends exactly with the
/// last part has no next.
pub fn pages_of_every_size_give_every_part_once() {
    let fixture = Fixture::new();
    let upload = upload_of(&fixture, &NUMBERS);
    // A neighbour on each side, whose parts must not show.
    upload_of(&fixture, &[1, 5]);
    let mut sorted = NUMBERS;
    sorted.sort_unstable();
    for limit in 1..=10 {
        assert_eq!(paged(&fixture, &upload, limit), sorted, "limit {limit}");
    }
}

/// R16: also when there is no part with the marker's number, and for markers beyond all numbers.
pub fn a_page_begins_behind_its_marker() {
    let fixture = Fixture::new();
    let upload = upload_of(&fixture, &[2, 4, 6, 10_000]);
    let all = [2, 4, 6, 10_000];
    for after in [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        9_999,
        10_000,
        10_001,
        65_535,
        65_536,
        u32::MAX,
    ] {
        let page = fixture
            .store
            .list_parts(&upload, &ListParts::new().marker(after))
            .unwrap();
        let listed: Vec<u32> = page
            .parts
            .iter()
            .map(|part| u32::from(part.number.get()))
            .collect();
        let expected: Vec<u32> = all.into_iter().filter(|at| *at > after).collect();
        assert_eq!((listed, page.next), (expected, None), "after {after}");
    }
}

/// R16: COS refuses a longer page, S3 gives one of 1,000; neither takes 0.
pub fn a_page_has_at_most_a_thousand_parts() {
    for (page_limit, over) in [
        (PageLimit::Refuse, Err(("InvalidArgument", 400))),
        (PageLimit::Clamp, Ok(1000)),
    ] {
        let fixture = Fixture::with(free_options().page_limit(page_limit));
        let upload = fixture.initiate("key");
        race(8, |thread| {
            for at in (thread..1001).step_by(8) {
                fixture.put(&upload, u32::try_from(at).unwrap() + 1, b"same");
            }
        });
        let page = |limit| {
            fixture
                .store
                .list_parts(&upload, &ListParts::new().limit(limit))
        };
        assert_eq!(refusal(page(0)), ("InvalidArgument", 400));
        let full = page(1000).unwrap();
        assert_eq!(full.parts.len(), 1000);
        assert_eq!(full.next.map(PartNumber::get), Some(1000));
        for limit in [1001, u32::MAX] {
            match over {
                Ok(len) => assert_eq!(page(limit).unwrap().parts.len(), len),
                Err(refused) => assert_eq!(refusal(page(limit)), refused),
            }
        }
        assert_eq!(paged(&fixture, &upload, 1000).len(), 1001);
    }
}

/// R17
pub fn an_upload_without_parts_has_an_empty_list() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let page = fixture
        .store
        .list_parts(&upload, &ListParts::new())
        .unwrap();
    assert_eq!((page.parts, page.next), (vec![], None));
}

/// R18
pub fn an_upload_that_ended_has_no_list() {
    let fixture = Fixture::new();
    let completed = upload_of(&fixture, &[1]);
    let list = lines(&fixture.parts(&completed));
    fixture.store.complete_upload(&completed, &list).unwrap();
    let aborted = upload_of(&fixture, &[1]);
    fixture.store.abort_upload(&aborted).unwrap();
    let open = upload_of(&fixture, &[1]);
    let other_key = Upload::new("other", open.id());
    for upload in [completed, aborted, other_key] {
        assert_eq!(
            refusal(
                fixture
                    .store
                    .list_parts(&upload, &ListParts::new().limit(1))
            ),
            ("NoSuchUpload", 404)
        );
    }
}

/// A replaced part is listed as it is now.
pub fn a_list_tells_what_was_answered_last() {
    let fixture = Fixture::new();
    let upload = upload_of(&fixture, &[1, 2]);
    let replaced = fixture.put(&upload, 1, b"replaced");
    let parts = fixture.parts(&upload);
    assert_eq!(parts.len(), 2);
    assert_eq!(parts.first(), Some(&replaced));
}
