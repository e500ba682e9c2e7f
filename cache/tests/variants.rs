//! Content codings: which variants there are, what they say, and which of them is chosen.

use std::fs;
use std::io::Read as _;
use std::sync::Mutex;

use http1::{Connection, Limits as RequestLimits, Step, Weights};
use response_cache::build::{Built, Options, Progress, build_folder, build_folder_watched};
use response_cache::{Coding, Layout, Limits, Response, Site};

use Coding::{Br, Gzip, Identity};

fn build(files: &[(&str, &[u8])]) -> Built {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let options = Options { modified: Some(1_000_000_000), ..Options::default() };
    build_folder(dir.path(), &options).unwrap()
}

fn site(built: &Built) -> Site<'_> {
    let layout = Layout::validate(&built.image, &Limits::default()).unwrap();
    Site::new(&built.image, Box::leak(Box::new(layout)))
}

fn variants(site: &Site<'_>, path: &str) -> Vec<Response> {
    let entry = site.lookup(b"", path.as_bytes()).unwrap();
    (0..site.variants(entry)).map(|variant| site.response(entry, variant).unwrap()).collect()
}

fn codings(site: &Site<'_>, path: &str) -> Vec<Coding> {
    variants(site, path).into_iter().map(|response| site.coding(response)).collect()
}

fn head(site: &Site<'_>, response: Response) -> String {
    String::from_utf8(site.head(response).to_vec()).unwrap()
}

/// Text that shrinks, but not to nothing.
fn prose() -> Vec<u8> {
    (0..2_000_u32).flat_map(|n| format!("{} sheep jump, ", n * n % 997).into_bytes()).collect()
}

/// Octets that no coding makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn each_variant_is_the_content_in_its_coding_with_its_own_tag_and_vary() {
    let prose = prose();
    let built = build(&[("page.html", &prose)]);
    let site = site(&built);
    assert_eq!(codings(&site, "/page.html"), [Identity, Gzip, Br]);
    let variants = variants(&site, "/page.html");
    let mut tags = Vec::new();
    for (response, name) in variants.iter().zip([None, Some("gzip"), Some("br")]) {
        let body = site.body(*response);
        let mut decoded = Vec::new();
        match site.coding(*response) {
            Identity => decoded.extend_from_slice(body),
            Gzip => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut decoded).unwrap()),
            Br => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut decoded).unwrap()),
        }
        assert!(decoded == prose, "{name:?}");
        let full = head(&site, *response);
        let partial = head(&site, site.partial(*response).unwrap());
        let not_modified = head(&site, site.not_modified(*response).unwrap());
        assert!(full.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{full}");
        let encoding = name.map(|name| format!("\r\nContent-Encoding: {name}\r\n"));
        for head in [&full, &partial] {
            assert_eq!(head.contains("Content-Encoding"), name.is_some(), "{head}");
            assert!(encoding.as_ref().is_none_or(|line| head.contains(line)), "{head}");
            assert!(head.contains("\r\nAccept-Ranges: bytes\r\n"), "{head}");
            assert!(head.contains("\r\nLast-Modified: Sun, 09 Sep 2001"), "{head}");
            assert!(head.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
        }
        for head in [&full, &partial, &not_modified] {
            let tag = String::from_utf8(site.entity_tag(*response).to_vec()).unwrap();
            assert!(head.contains(&format!("\r\nETag: {tag}\r\n")), "{head}");
            assert!(head.contains("\r\nVary: Accept-Encoding\r\n"), "{head}");
            assert!(head.contains("\r\nCache-Control: no-cache\r\n"), "{head}");
        }
        assert!(partial.starts_with("HTTP/1.1 206 Partial Content\r\nDate: "), "{partial}");
        assert!(!partial.contains("Content-Length") && !partial.contains("Content-Range"));
        tags.push(site.entity_tag(*response));
    }
    assert!(tags.iter().all(|tag| tag.starts_with(b"\"")), "strong");
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    let lengths: Vec<usize> = variants.iter().map(|v| site.body(*v).len()).collect();
    assert!(lengths[0] * 19 / 20 >= lengths[1] && lengths[1] > lengths[2], "{lengths:?}");
}

#[test]
fn a_variant_is_kept_only_where_it_saves() {
    let (prose, noise, zeros) = (prose(), noise(5_000), [b'0'; 100]);
    let rows: [(&str, &[u8], &[Coding]); 9] = [
        ("prose.txt", &prose, &[Identity, Gzip, Br]),
        ("prose.svg", &prose, &[Identity, Gzip, Br]),
        ("prose.wasm", &prose, &[Identity, Gzip, Br]),
        // Types whose content was compressed when it was made, or is not known.
        ("prose.png", &prose, &[Identity]),
        ("prose.gz", &prose, &[Identity]),
        ("prose", &prose, &[Identity]),
        ("noise.txt", &noise, &[Identity]),
        // 100 octets become fewer than 36 in both.
        ("zeros.txt", &zeros, &[Identity, Gzip, Br]),
        ("few.txt", &zeros[..80], &[Identity, Br]),
    ];
    let files: Vec<(&str, &[u8])> =
        rows.iter().map(|(name, content, _)| (*name, *content)).collect();
    let built = build(&files);
    let site = site(&built);
    for (name, content, expected) in rows {
        assert_eq!(codings(&site, &format!("/{name}")), expected, "{name}");
        let identity = variants(&site, &format!("/{name}"))[0];
        assert_eq!(site.body(identity), content, "{name}");
        assert_eq!(head(&site, identity).contains("Vary"), expected.len() > 1, "{name}");
    }
}

#[test]
fn the_configuration_may_vary_by_more_and_may_switch_compression_off() {
    let text = "abc ".repeat(200);
    let declared = |vary: &str| {
        format!("[[response]]\npath='/{vary}'\nbody='{text}'\nheaders={{Vary='{vary}'}}\n")
    };
    let manifest = ["Origin", "*", "origin, ACCEPT-Encoding"].map(declared).concat()
        + &format!("[[response]]\npath='/health'\nhealth='main'\nbody='{text}'\n")
        + &format!("[[response]]\npath='/gone'\nstatus=410\nbody='{text}'\n");
    let built = build(&[("site.toml", manifest.as_bytes())]);
    let site_on = site(&built);
    for (path, vary) in [
        ("/Origin", "Origin, Accept-Encoding"),
        ("/*", "*"),
        ("/origin, ACCEPT-Encoding", "origin, ACCEPT-Encoding"),
    ] {
        for response in variants(&site_on, path) {
            let not_modified = site_on.not_modified(response).unwrap();
            for head in [head(&site_on, response), head(&site_on, not_modified)] {
                assert!(head.contains(&format!("\r\nVary: {vary}\r\n")), "{head}");
                assert_eq!(head.matches("Vary").count(), 1, "{head}");
            }
        }
    }
    assert_eq!(codings(&site_on, "/health"), [], "as short to decide as can be");
    assert_eq!(codings(&site_on, "/gone"), [Identity], "selected by nothing");
    let off = format!("[defaults]\ncompress = false\n{manifest}");
    let built = build(&[("site.toml", off.as_bytes()), ("a.txt", text.as_bytes())]);
    let site_off = site(&built);
    assert_eq!(codings(&site_off, "/Origin"), [Identity]);
    assert_eq!(codings(&site_off, "/a.txt"), [Identity]);
    assert!(head(&site_off, variants(&site_off, "/Origin")[0]).contains("\r\nVary: Origin\r\n"));
}

#[test]
fn many_files_compressed_at_once_make_equal_images() {
    let names: Vec<String> = (0..40).map(|n| format!("{n}.txt")).collect();
    let texts: Vec<Vec<u8>> = (0..40_usize).map(|n| prose()[n..n * 100 + n].to_vec()).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let built = build(&files);
    assert!(built.image == build(&files).image);
    let site = site(&built);
    for (name, text) in files {
        let variants = variants(&site, &format!("/{name}"));
        assert_eq!(site.body(variants[0]), text, "{name}");
        let Some(gzip) = variants.get(1).filter(|v| site.coding(**v) == Gzip) else { continue };
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(site.body(*gzip)).read_to_end(&mut decoded).unwrap();
        assert!(decoded == text, "{name}");
    }
}

/// What a request with these lines says.
fn weights(lines: &[&str]) -> Weights {
    let lines = lines.iter().map(|value| format!("Accept-Encoding: {value}\r\n"));
    let lines = lines.collect::<Vec<_>>().concat();
    let stream = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    match Connection::new().receive(&RequestLimits::DEFAULT, stream.as_bytes()) {
        Step::Request { request, .. } => request.selectors.weights(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn s9110_12_5_3_the_variant_wanted_most_is_chosen() {
    let built = build(&[("all.txt", &prose()), ("few.txt", &[b'0'; 80]), ("one", b"1")]);
    let site = site(&built);
    // Accept-Encoding; of identity, gzip and br; of identity and br; of identity alone.
    let rows: &[(&[&str], Coding, Coding)] = &[
        (&["gzip, deflate, br, zstd"], Br, Br),
        (&["gzip, deflate"], Gzip, Identity),
        (&["gzip;q=1.0, br;q=0.9"], Gzip, Br),
        (&["br;q=0.5, gzip;q=0.5"], Br, Br),
        (&["identity, gzip;q=0.5, br;q=0.4"], Identity, Identity),
        (&["gzip;q=0.001"], Gzip, Identity),
        (&["*"], Br, Br),
        (&["*;q=0.1, gzip"], Gzip, Br),
        (&["br;q=0, *"], Gzip, Identity),
        (&["*;q=0"], Identity, Identity),
        (&["identity;q=0"], Identity, Identity),
        (&["identity;q=0, gzip"], Gzip, Identity),
        (&["*;q=0, br"], Br, Br),
        (&["deflate, zstd"], Identity, Identity),
        (&[""], Identity, Identity),
        (&["gzip", "br"], Br, Br),
        (&["identity", "gzip;q=0.2", "br;q=0.1"], Identity, Identity),
        (&["x-gzip"], Gzip, Identity),
    ];
    for (lines, all, few) in rows {
        let weights = weights(lines);
        for (path, expected) in [("/all.txt", *all), ("/few.txt", *few), ("/one", Identity)] {
            let entry = site.lookup(b"", path.as_bytes()).unwrap();
            let chosen = site.negotiate(entry, &weights).unwrap();
            assert_eq!(site.coding(chosen), expected, "{lines:?} {path}");
        }
    }
}

#[test]
fn how_long_a_body_may_be_is_configurable() {
    let rows = [(None, true), (Some(299), false), (Some(300), true)];
    for (bytes_max, fits) in rows {
        let line = bytes_max.map_or(String::new(), |n| format!("response-bytes-max = {n}\n"));
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("site.toml"), format!("[defaults]\n{line}")).unwrap();
        fs::write(dir.path().join("file"), noise(300)).unwrap();
        let built = build_folder(dir.path(), &Options::default());
        assert_eq!(built.is_ok(), fits, "{bytes_max:?}");
    }
    // More than by default, if whoever validates agrees.
    let limits = Limits { response_bytes_max: 100, ..Limits::default() };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), "[defaults]\nresponse-bytes-max = 300\n").unwrap();
    fs::write(dir.path().join("file"), noise(300)).unwrap();
    let built = build_folder(dir.path(), &Options { limits, ..Options::default() }).unwrap();
    assert!(Layout::validate(&built.image, &limits).is_err());
    assert!(Layout::validate(&built.image, &Limits::default()).is_ok());
}

#[test]
fn who_waits_is_told_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.txt", "b.txt", "c.txt", "d.bin"] {
        fs::write(dir.path().join(name), prose()).unwrap();
    }
    let told: Mutex<Vec<Progress>> = Mutex::default();
    let watch = |progress| told.lock().unwrap().push(progress);
    build_folder_watched(dir.path(), &Options::default(), &watch).unwrap();
    let told = told.into_inner().unwrap();
    let done: Vec<usize> = told.iter().map(|progress| progress.files_done).collect();
    assert_eq!(done, [0, 1, 2, 3, 4]);
    assert!(told.is_sorted_by_key(|progress| progress.bytes_done));
    // The fourth file is no text, so there is nothing to compress in it.
    let bytes = 3 * prose().len();
    let all = Progress { files: 4, files_done: 4, bytes, bytes_done: bytes };
    assert_eq!(told.last(), Some(&all));
}
