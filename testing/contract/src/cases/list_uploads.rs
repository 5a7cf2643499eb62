//! Listing open uploads: R32.

use crate::support::{Fixture, bytes, free_options, race, refusal};
use partstore::{ListUploads, PageLimit, Upload, UploadMarker, UploadPage};
use std::time::{Duration, SystemTime};

/// Keys whose order and grouping are easy to get wrong: one the beginning of another, the bytes
/// next to a separator, beyond ASCII, delimiters at either end.
const KEYS: [&str; 20] = [
    "a",
    "a\u{1}",
    "a/",
    "a/b",
    "a/b",
    "a/b/c",
    "a/c",
    "a0",
    "ab",
    "ab",
    "ab",
    "b//x",
    "b/x",
    "/",
    "/a",
    "é/ü",
    "é/ö",
    "z\u{10ffff}a",
    "z\u{10ffff}b",
    "\u{10ffff}",
];

/// An entry of a list, in the order of the list: an upload, or a common prefix.
#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Upload(Upload),
    Prefix(String),
}

impl Entry {
    fn key(&self) -> &str {
        match self {
            Self::Upload(upload) => upload.key(),
            Self::Prefix(prefix) => prefix,
        }
    }
}

fn uploads_of_all_keys(fixture: &Fixture) -> Vec<Upload> {
    let mut uploads: Vec<Upload> = KEYS.iter().rev().map(|key| fixture.initiate(key)).collect();
    // Keys by their bytes; the sort is stable, so that within a key the order is of initiation.
    uploads.sort_by(|one, other| one.key().as_bytes().cmp(other.key().as_bytes()));
    uploads
}

/// What a listing should give, from the rule.
fn expected(uploads: &[Upload], prefix: &str, delimiter: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for upload in uploads {
        let Some(rest) = upload.key().strip_prefix(prefix) else {
            continue;
        };
        let found = rest.find(delimiter).filter(|_| !delimiter.is_empty());
        let entry = match found {
            Some(at) => Entry::Prefix(format!("{prefix}{}{delimiter}", &rest[..at])),
            None => Entry::Upload(upload.clone()),
        };
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

/// A page's entries in one order: no key is also a common prefix of the same page.
fn entries(page: &UploadPage) -> Vec<Entry> {
    let uploads = page.uploads.iter();
    let uploads = uploads.map(|info| Entry::Upload(info.upload.clone()));
    let prefixes = page.common_prefixes.iter().cloned().map(Entry::Prefix);
    let mut entries: Vec<Entry> = uploads.chain(prefixes).collect();
    entries.sort_by(|one, other| one.key().as_bytes().cmp(other.key().as_bytes()));
    entries
}

/// Which keys to list, and how to group them.
#[derive(Clone, Copy, Debug)]
struct View(&'static str, &'static str);

impl View {
    fn query(self) -> ListUploads {
        ListUploads::new().prefix(self.0).delimiter(self.1)
    }

    fn from(self, marker: Option<UploadMarker>) -> ListUploads {
        let Some(UploadMarker { key, id, .. }) = marker else {
            return self.query();
        };
        let query = self.query().key_marker(key);
        match id {
            Some(id) => query.upload_id_marker(id),
            None => query,
        }
    }
}

/// All entries, read in pages of `limit`.
fn paged(fixture: &Fixture, view: View, limit: u32) -> Vec<Entry> {
    let (mut all, mut marker) = (Vec::new(), None);
    loop {
        let query = view.from(marker).limit(limit);
        let page = fixture.store.list_uploads(&query).unwrap();
        let entries = entries(&page);
        all.extend(entries.iter().cloned());
        assert!(entries.len() <= limit as usize);
        let Some(next) = page.next else {
            return all;
        };
        assert_eq!(entries.len(), limit as usize, "only the last page is short");
        let last = match entries.last().unwrap() {
            Entry::Upload(upload) => (upload.key(), Some(upload.id())),
            Entry::Prefix(prefix) => (&prefix[..], None),
        };
        assert_eq!((&next.key[..], next.id), last, "the marker is the last");
        marker = Some(next);
    }
}

/// R32: for every prefix, delimiter and page size, the pages together are the list, in order, each
/// entry once; common prefixes count.
pub fn pages_of_every_size_give_every_upload_and_prefix_once() {
    let mut fixture = Fixture::new();
    let uploads = uploads_of_all_keys(&fixture);
    let prefixes = [
        "",
        "a",
        "a/",
        "a/b",
        "ab",
        "b/",
        "é/",
        "z",
        "zz",
        "/",
        "\u{10ffff}",
    ];
    for prefix in prefixes {
        for delimiter in ["", "/", "//", "/b", "a", "\u{10ffff}"] {
            let view = View(prefix, delimiter);
            let expected = expected(&uploads, prefix, delimiter);
            for limit in 1..=u32::try_from(KEYS.len()).unwrap() + 1 {
                assert_eq!(
                    paged(&fixture, view, limit),
                    expected,
                    "{view:?} by {limit}"
                );
            }
        }
    }
    fixture.reopen();
    let all = expected(&uploads, "", "");
    assert_eq!(paged(&fixture, View("", ""), 1000), all);
}

/// R32: initiations of one key in their order, also within a second and across a reopen.
pub fn uploads_of_one_key_are_listed_in_the_order_of_their_initiation() {
    let mut fixture = Fixture::new();
    let mut initiated = Vec::new();
    for _ in 0..5 {
        initiated.extend((0..100).map(|_| fixture.initiate("key")));
        fixture.reopen();
    }
    let texts: Vec<String> = initiated
        .iter()
        .map(|upload| upload.id().to_string())
        .collect();
    assert!(texts.is_sorted(), "a client may compare ids as texts");
    let expected: Vec<Entry> = initiated.iter().cloned().map(Entry::Upload).collect();
    for limit in [7, 1000] {
        assert_eq!(paged(&fixture, View("", ""), limit), expected);
    }
}

fn listed(fixture: &Fixture, query: &ListUploads) -> Vec<Upload> {
    let page = fixture.store.list_uploads(query).unwrap();
    page.uploads.into_iter().map(|info| info.upload).collect()
}

/// R32: a key marker alone leaves out all of its key, with an id marker what came before that id;
/// an id marker alone is ignored.
pub fn markers_say_where_a_list_begins() {
    let fixture = Fixture::new();
    let [a, b1, b2, b3, c] = ["a", "b", "b", "b", "c"].map(|key| fixture.initiate(key));
    let all = [&a, &b1, &b2, &b3, &c].map(Clone::clone);
    let query = ListUploads::new;
    let cases = [
        (query().key_marker("b"), &all[4..]),
        (query().key_marker("b").upload_id_marker(b2.id()), &all[3..]),
        (query().key_marker("b").upload_id_marker(b3.id()), &all[4..]),
        // Ids of other keys, before and after all of this one's.
        (query().key_marker("b").upload_id_marker(a.id()), &all[1..]),
        (query().key_marker("b").upload_id_marker(c.id()), &all[4..]),
        (query().upload_id_marker(b2.id()), &all[..]),
        // Keys that have no upload.
        (query().key_marker(""), &all[..]),
        (query().key_marker("aa"), &all[1..]),
        (query().key_marker("zz"), &[]),
        (query().key_marker("a").prefix("b"), &all[1..4]),
        (query().key_marker("c").prefix("b"), &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(listed(&fixture, &query), expected, "{query:?}");
    }
}

/// R32: a marker's upload may have ended between two pages.
pub fn a_list_goes_on_behind_an_upload_that_ended() {
    let fixture = Fixture::new();
    let uploads: Vec<Upload> = (0..6).map(|_| fixture.initiate("key")).collect();
    let first = fixture.store.list_uploads(&ListUploads::new().limit(3));
    let marker = first.unwrap().next;
    for upload in &uploads[..3] {
        fixture.store.abort_upload(upload).unwrap();
    }
    let rest = listed(&fixture, &View("", "").from(marker));
    assert_eq!(rest, uploads[3..]);
}

pub fn only_open_uploads_are_listed() {
    let fixture = Fixture::new();
    let open = fixture.initiate("key");
    fixture.complete("key", &[b"object"]);
    let aborted = fixture.initiate("key");
    fixture.store.abort_upload(&aborted).unwrap();
    assert_eq!(listed(&fixture, &ListUploads::new()), [open]);
}

pub fn an_upload_is_listed_with_what_it_was_initiated_with() {
    let mut fixture = Fixture::new();
    let before = SystemTime::now() - Duration::from_millis(1);
    let metadata = bytes(1, 8192);
    let upload = fixture
        .store
        .initiate_upload_with("key", &metadata)
        .unwrap();
    let after = SystemTime::now();
    fixture.reopen();
    let info = fixture.store.upload(&upload).unwrap();
    assert_eq!((&info.upload, &info.metadata), (&upload, &metadata));
    assert!((before..=after).contains(&info.initiated_at));
    let page = fixture.store.list_uploads(&ListUploads::new()).unwrap();
    assert_eq!(page.uploads, [info]);
}

/// R32, with R16's limits: COS refuses a longer page, S3 gives one of 1,000; neither takes 0.
pub fn a_page_has_at_most_a_thousand_uploads() {
    for page_limit in [PageLimit::Refuse, PageLimit::Clamp] {
        let fixture = Fixture::with(free_options().page_limit(page_limit));
        race(8, |thread| {
            for _ in (thread..1001).step_by(8) {
                fixture.initiate("key");
            }
        });
        let page = |limit| {
            fixture
                .store
                .list_uploads(&ListUploads::new().limit(limit))
                .map(|page| page.uploads.len())
        };
        assert_eq!(refusal(page(0)), ("InvalidArgument", 400));
        assert_eq!(page(1000).unwrap(), 1000);
        for limit in [1001, u32::MAX] {
            if page_limit == PageLimit::Refuse {
                assert_eq!(refusal(page(limit)), ("InvalidArgument", 400));
            } else {
                assert_eq!(page(limit).unwrap(), 1000);
            }
        }
        assert_eq!(listed(&fixture, &ListUploads::new()).len(), 1000);
        assert_eq!(paged(&fixture, View("", ""), 1000).len(), 1001);
    }
}
