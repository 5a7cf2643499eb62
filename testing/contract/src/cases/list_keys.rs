//! Listings of keys: order, prefixes, delimiters, markers and pages, compared with a model.

use crate::support::{Fixture, Random, refusal};
use partstore::{Condition, KeyPage, ListKeys, Options, PageLimit, PartStore, Quota};
use std::collections::BTreeSet;

fn keys(page: &KeyPage) -> Vec<&str> {
    page.keys.iter().map(|entry| entry.key.as_str()).collect()
}

/// What S3 lists: the keys after the marker that begin with the prefix, each as itself or as its common
/// prefix. A common prefix that is the marker itself is left out.
fn expected(
    all: &BTreeSet<String>,
    (prefix, delimiter, after): (&str, &str, Option<&str>),
) -> Vec<(String, bool)> {
    let mut entries: Vec<(String, bool)> = Vec::new();
    for key in all.iter().filter(|key| key.starts_with(prefix)) {
        if after.is_some_and(|after| key.as_str() <= after) {
            continue;
        }
        let behind = &key[prefix.len()..];
        let entry = match behind.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => (key[..prefix.len() + at + delimiter.len()].to_owned(), true),
            None => (key.clone(), false),
        };
        let is_marker = entry.1 && after == Some(entry.0.as_str());
        if !is_marker && entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

/// All pages of a query, as one listing. No page is longer than it may be.
fn listed(store: &PartStore, query: &ListKeys, limit: u32) -> Vec<(String, bool)> {
    let mut query = query.clone().limit(limit);
    let mut entries = Vec::new();
    loop {
        let page = store.list_keys(&query).unwrap();
        assert!(page.keys.len() + page.common_prefixes.len() <= limit as usize);
        let mut of_page: Vec<_> = keys(&page)
            .into_iter()
            .map(|key| (key.to_owned(), false))
            .chain(
                page.common_prefixes
                    .iter()
                    .map(|common| (common.clone(), true)),
            )
            .collect();
        of_page.sort();
        if let Some(next) = &page.next {
            assert_eq!(Some(next), of_page.last().map(|(last, _)| last));
        }
        entries.extend(of_page);
        match page.next {
            Some(next) => query = query.after(next),
            None => return entries,
        }
    }
}

pub fn listings_are_those_of_the_model_whatever_prefix_delimiter_marker_and_page() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.create_namespace("n", Quota::new()).unwrap();
    store.create_namespace("m", Quota::new()).unwrap();
    let mut random = Random::new(14);
    let pieces = [
        "a",
        "b",
        "/",
        "//",
        "é",
        "é/",
        "\u{10ffff}",
        "\u{1}",
        "ab",
        "-",
        "--",
    ];
    let filled = ["", "n", "m"].map(|namespace| {
        let mut all = BTreeSet::new();
        for _ in 0..120 {
            let len = 1 + random.below(5);
            let key: String = (0..len).map(|_| *random.pick(&pieces).unwrap()).collect();
            store.put_object((namespace, key.as_str()), "").unwrap();
            all.insert(key);
        }
        (namespace, all)
    });
    for (namespace, all) in filled {
        let prefixes = ["", "a", "a/", "é", "/", "//", "ab-", "\u{10ffff}", "zzz"];
        let delimiters = ["", "/", "//", "é", "--", "\u{10ffff}", "b/"];
        let markers = [
            None,
            Some(""),
            Some("\0"),
            Some("\0\0\0\0\x02a"),
            Some("a"),
            Some("a/"),
            Some("é/"),
            Some("\u{10ffff}"),
            Some("nokey/x"),
        ];
        for prefix in prefixes {
            for delimiter in delimiters {
                for after in markers {
                    let query = ListKeys::new()
                        .namespace(namespace)
                        .prefix(prefix)
                        .delimiter(delimiter);
                    let query = match after {
                        Some(after) => query.after(after),
                        None => query,
                    };
                    let expected = expected(&all, (prefix, delimiter, after));
                    for limit in [1, 3, 1000] {
                        let found = listed(store, &query, limit);
                        assert_eq!(found, expected, "{query:?} by {limit}");
                    }
                }
            }
        }
        let every: Vec<_> = store
            .keys((namespace, ""))
            .map(|entry| entry.unwrap().key)
            .collect();
        assert_eq!(every, all.into_iter().collect::<Vec<_>>());
    }
}

pub fn an_entry_says_of_the_object_what_the_object_says() {
    let fixture = Fixture::new();
    let object = fixture.store.put_object("key", "bytes").unwrap();
    let page = fixture.store.list_keys(&ListKeys::new()).unwrap();
    let [entry] = page.keys.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!(
        (entry.key.as_str(), entry.id, entry.size, entry.etag),
        ("key", object.upload.id(), 5, object.etag)
    );
    assert_eq!(entry.modified_at, object.modified_at);
    let algorithms: Vec<_> = object.checksums.iter().map(|sum| sum.algorithm()).collect();
    assert_eq!(entry.checksums, algorithms);
    assert!(entry.composite.is_empty());
    // Neither open uploads nor objects that are not current are listed.
    fixture.initiate("open");
    fixture.complete("completed", &[b"bytes"]);
    assert_eq!(fixture.store.keys("").count(), 1);
    fixture.store.remove_key("key", Condition::Always).unwrap();
    assert_eq!(fixture.store.keys("").count(), 0);
}

pub fn a_page_of_none_is_empty_and_a_long_one_is_refused_or_cut() {
    for (options, limit) in [
        (Options::cos(), PageLimit::Refuse),
        (Options::s3(), PageLimit::Clamp),
    ] {
        let fixture = Fixture::with(options.page_limit(limit));
        fixture.store.put_object("key", "").unwrap();
        let list = |limit| fixture.store.list_keys(&ListKeys::new().limit(limit));
        assert_eq!(list(0).unwrap(), KeyPage::default());
        assert_eq!(list(1).unwrap().keys.len(), 1);
        match limit {
            PageLimit::Clamp => assert_eq!(list(1001).unwrap().keys.len(), 1),
            _ => assert_eq!(refusal(list(1001)), ("InvalidArgument", 400)),
        }
    }
    let fixture = Fixture::new();
    let nowhere = fixture
        .store
        .list_keys(&ListKeys::new().namespace("nowhere"));
    assert_eq!(refusal(nowhere), ("NoSuchBucket", 404));
}
