//! An image against the simplest thing that does the same: a sorted map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use response_cache::build::write::{Answer, Draft, Prepared, WriteError};
use response_cache::{Coding, Entry, Layout, Limits, Site};

const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

fn plain(draft: &mut Draft, status: u16, body: &[u8]) -> Answer {
    let allow = if status == 405 { "Allow: GET\r\n" } else { "" };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{DATE}Content-Length: {length}\r\n{allow}");
    let (body, _) = draft.body(body.to_vec());
    draft.answer(&[Prepared::without_validators(head.into_bytes(), Some(body))]).unwrap()
}

/// A draft with everything but entries.
fn draft() -> Draft {
    let mut draft = Draft::new();
    for status in http1::Status::ERRORS {
        let answer = plain(&mut draft, status.code(), b"error\n");
        draft.error(status.code(), answer);
    }
    let head = format!("HTTP/1.1 204 No Content\r\n{DATE}Allow: GET\r\n");
    let options = Prepared::without_validators(head.into_bytes(), None);
    let options = draft.answer(&[options]).unwrap();
    draft.options(options);
    draft
}

fn layout(image: &[u8]) -> Layout {
    Layout::validate(image, &Limits::default()).unwrap()
}

const HOSTS: [&str; 4] = ["", "a.example", "b.example", "[::1]"];

fn a_path() -> impl Strategy<Value = String> {
    // Few letters, so that paths are prefixes and neighbours of each other.
    prop_oneof!["/[ab/]{0,12}", "/[a-c]{0,3}(/[a-z0-9 %?é]{1,20}){0,4}", "/a{0,1023}"]
}

fn a_site() -> impl Strategy<Value = BTreeMap<(usize, String), Vec<u8>>> {
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    let hosts = prop_oneof![Just(1_usize), Just(HOSTS.len())];
    hosts.prop_flat_map(move |hosts| {
        proptest::collection::btree_map((0..hosts, a_path()), body.clone(), 0..60)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn lookup_is_that_of_a_map(
        model in a_site(),
        others in proptest::collection::vec(a_path(), 9),
    ) {
        let mut draft = draft();
        for ((host, path), body) in &model {
            let answer = plain(&mut draft, 200, body);
            draft.entry(HOSTS[*host], path, "", answer).unwrap();
        }
        let image = draft.finish(&Limits::default()).unwrap();
        let layout = layout(&image);
        let site = Site::new(&image, &layout);
        prop_assert_eq!(site.entries().count(), model.len());
        let body = |entry: Entry| site.body(site.response(entry, 0).unwrap());
        let paths = model.keys().map(|(_, path)| path).chain(&others);
        for path in paths {
            for (index, host) in HOSTS.into_iter().enumerate() {
                let expected = model
                    .get(&(index, path.clone()))
                    .or_else(|| model.get(&(0, path.clone())));
                let found = site.lookup(host.as_bytes(), path.as_bytes());
                prop_assert_eq!(found.map(body), expected.map(Vec::as_slice));
                let response = site.lookup_response(host.as_bytes(), path.as_bytes());
                prop_assert_eq!(response, found.and_then(|entry| site.response(entry, 0)));
                let upper = host.to_ascii_uppercase();
                prop_assert_eq!(site.lookup(upper.as_bytes(), path.as_bytes()), found);
            }
            let any = model.get(&(0, path.clone()));
            let found = site.lookup(b"c.example", path.as_bytes());
            prop_assert_eq!(found.map(body), any.map(Vec::as_slice));
        }
    }
}

#[test]
fn a_hundred_thousand_entries_are_all_found_and_nothing_else_is() {
    let mut draft = draft();
    let answers: Vec<Answer> =
        (0..100_u8).map(|n| plain(&mut draft, 200, &vec![n; usize::from(n)])).collect();
    let path = |n: usize| format!("/{:x}/{n}.html", n * 7919 % 4099);
    for n in 0..100_000 {
        draft.entry("", &path(n), "", answers[n % 100]).unwrap();
    }
    let image = draft.finish(&Limits::default()).unwrap();
    let layout = layout(&image);
    let site = Site::new(&image, &layout);
    for n in 0..100_000 {
        let entry = site.lookup(b"any", path(n).as_bytes()).unwrap();
        assert_eq!(site.path(entry), path(n).as_bytes());
        assert_eq!(site.body(site.response(entry, 0).unwrap()).len(), n % 100);
        assert_eq!(site.lookup(b"any", path(n + 100_000).as_bytes()), None);
    }
}

const CODINGS: [(Coding, &str); 3] = [
    (Coding::Identity, ""),
    (Coding::Gzip, "Content-Encoding: gzip\r\n"),
    (Coding::Br, "Content-Encoding: br\r\n"),
];

/// A variant whose body is its entity tag, and what else its heads say.
fn variant(draft: &mut Draft, coding: (Coding, &str), tag: &str, fields: &str) -> Prepared {
    let (coding, encoding) = coding;
    let fields = format!("{DATE}{encoding}ETag: {tag}\r\n{fields}");
    let ranges = "Accept-Ranges: bytes\r\n";
    let length = tag.len();
    Prepared {
        coding,
        head: format!("HTTP/1.1 200 X\r\n{fields}{ranges}Content-Length: {length}\r\n").into(),
        body: Some(draft.body(tag.as_bytes().to_vec()).0),
        last_modified: None,
        not_modified: Some(format!("HTTP/1.1 304 X\r\n{fields}").into()),
        partial: Some(format!("HTTP/1.1 206 X\r\n{fields}{ranges}").into()),
        closes: false,
    }
}

const VARY: &str = "Vary: Origin, accept-encoding\r\n";

#[test]
fn variants_keep_their_order_and_their_own_304_and_206() {
    let mut draft = draft();
    let variants = CODINGS.into_iter().zip(["\"i\"", "\"g\"", "\"b\""]);
    let variants: Vec<Prepared> =
        variants.map(|(coding, tag)| variant(&mut draft, coding, tag, VARY)).collect();
    let answer = draft.answer(&variants).unwrap();
    draft.entry("", "/a", "", answer).unwrap();
    let image = draft.finish(&Limits::default()).unwrap();
    let layout = layout(&image);
    let site = Site::new(&image, &layout);
    let entry = site.lookup(b"", b"/a").unwrap();
    assert_eq!(site.variants(entry), 3);
    assert_eq!(site.response(entry, 3), None);
    for (index, prepared) in variants.iter().enumerate() {
        let response = site.response(entry, index).unwrap();
        assert_eq!(site.coding(response), prepared.coding);
        assert_eq!(site.head(response), prepared.head);
        assert_eq!(site.entity_tag(response), site.body(response));
        let not_modified = site.not_modified(response).unwrap();
        assert_eq!(Some(site.head(not_modified)), prepared.not_modified.as_deref());
        let partial = site.partial(response).unwrap();
        assert_eq!(Some(site.head(partial)), prepared.partial.as_deref());
        assert_eq!((site.status(partial), site.body(partial)), (206, &b""[..]));
        assert_eq!((site.partial(partial), site.partial(not_modified)), (None, None));
    }
}

#[test]
fn variants_that_a_cache_could_confuse_are_refused() {
    type Row = (&'static [(usize, &'static str)], &'static str, &'static str);
    let rows: [Row; 6] = [
        (&[(0, "\"i\""), (1, "\"g\"")], "", "several variants without Vary"),
        (&[(0, "\"i\""), (1, "\"g\"")], "Vary: Origin\r\n", "several variants without Vary"),
        (&[(0, "\"i\""), (1, "\"i\"")], VARY, "variants with one entity tag"),
        (&[(0, "\"i\""), (1, "\"g\""), (2, "\"i\"")], VARY, "variants with one entity tag"),
        (&[(0, "\"i\""), (2, "\"b\""), (1, "\"g\"")], VARY, "codings out of order"),
        (&[(1, "\"g\"")], VARY, "codings out of order"),
    ];
    for (variants, fields, rule) in rows {
        let mut draft = draft();
        let variants: Vec<Prepared> = variants
            .iter()
            .map(|(coding, tag)| variant(&mut draft, CODINGS[*coding], tag, fields))
            .collect();
        let answer = draft.answer(&variants).unwrap();
        draft.entry("", "/a", "", answer).unwrap();
        let error = draft.finish(&Limits::default()).unwrap_err().to_string();
        assert!(error.contains(rule), "{rule}: {error}");
    }
    let mut draft = draft();
    let variants = ["\"i\"", "\"g\""].into_iter().zip(CODINGS);
    let variants: Vec<Prepared> =
        variants.map(|(tag, coding)| variant(&mut draft, coding, tag, "Vary: *\r\n")).collect();
    let answer = draft.answer(&variants).unwrap();
    draft.entry("", "/a", "", answer).unwrap();
    assert!(draft.finish(&Limits::default()).is_ok());
}

#[test]
fn a_draft_refuses_what_would_not_validate() {
    let finish = |draft: Draft| draft.finish(&Limits::default()).unwrap_err();
    let mut twice = draft();
    let answer = plain(&mut twice, 200, b"");
    twice.entry("", "/a", "", answer).unwrap();
    twice.entry("", "/a", "", answer).unwrap();
    let error = finish(twice);
    assert_eq!(error, WriteError::EqualKeys);
    assert_eq!(error.to_string(), "two entries have the same host and path");

    let mut relative = draft();
    let answer = plain(&mut relative, 200, b"");
    relative.entry("", "a", "", answer).unwrap();
    assert!(finish(relative).to_string().contains("path not canonical"));

    let mut none = draft();
    let answer = none.answer(&[]).unwrap();
    none.entry("", "/a", "", answer).unwrap();
    assert!(finish(none).to_string().contains("no response"));

    assert!(finish(Draft::new()).to_string().contains("no response for status 400"));

    let mut long = draft();
    let answer = plain(&mut long, 200, b"");
    let path = format!("/{}", "a".repeat(1024));
    assert_eq!(long.entry("", &path, "", answer), Err(WriteError::Full("octets of path")));
    assert_eq!(
        long.entry(&"h".repeat(256), "/", "", answer),
        Err(WriteError::Full("octets of name"))
    );
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let broken = Prepared::without_validators(head, None);
    assert_eq!(long.answer(&[broken]), Err(WriteError::Head { at: 17 }));
}
