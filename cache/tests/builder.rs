//! What a folder becomes, and what it cannot become.

use std::error::Error as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use response_cache::build::{BuildError, Built, Options, build_folder};
use response_cache::{Coding, Layout, Limits, Response, Site};

/// 2026-01-02T03:04:05Z.
const MODIFIED: u64 = 1_767_323_045;

fn options() -> Options {
    Options { modified: Some(MODIFIED), ..Options::default() }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    dir
}

fn build(dir: &Path) -> Built {
    build_folder(dir, &options()).unwrap()
}

fn error(dir: &Path) -> BuildError {
    build_folder(dir, &options()).unwrap_err()
}

fn site(built: &Built) -> Site<'_> {
    let layout = Layout::validate(&built.image, &Limits::default()).unwrap();
    Site::new(&built.image, Box::leak(Box::new(layout)))
}

fn response(site: &Site<'_>, path: &str) -> Response {
    let entry = site.lookup(b"any.example", path.as_bytes());
    site.response(entry.unwrap_or_else(|| panic!("no {path}")), 0).unwrap()
}

fn head(site: &Site<'_>, response: Response) -> String {
    String::from_utf8(site.head(response).to_vec()).unwrap()
}

#[test]
fn a_file_becomes_a_200_with_its_fields_in_order() {
    let dir = folder(&[("hello.txt", "Hello, world!")]);
    let built = build(dir.path());
    let site = site(&built);
    let hello = response(&site, "/hello.txt");
    assert_eq!(
        head(&site, hello),
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\
         ETag: \"315f5bdb76d078c43b8a\"\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n\
         Accept-Ranges: bytes\r\nCache-Control: no-cache\r\n"
    );
    assert_eq!(site.body(hello), b"Hello, world!");
    assert_eq!(site.status(hello), 200);
    assert_eq!(site.coding(hello), Coding::Identity);
    assert_eq!(site.entity_tag(hello), b"\"315f5bdb76d078c43b8a\"");
    assert_eq!(site.last_modified(hello), Some(MODIFIED));
    assert_eq!(
        &site.head(hello)[site.date_offset(hello)..][..29],
        b"Thu, 01 Jan 1970 00:00:00 GMT"
    );
}

#[test]
fn what_is_prepared_is_what_each_accessor_says() {
    let dir = folder(&[("hello.txt", "Hello, world!")]);
    let built = build(dir.path());
    let site = site(&built);
    for response in [response(&site, "/hello.txt"), site.options()] {
        let prepared = site.prepared(response).unwrap();
        assert_eq!(prepared.head, site.head(response));
        assert_eq!(prepared.date_offset, site.date_offset(response));
        assert_eq!(prepared.body, site.body(response));
        assert_eq!(prepared.body_offset, site.body_offset(response));
        assert_eq!(prepared.status, site.status(response));
    }
}

#[test]
fn its_304_repeats_the_validators_and_has_no_content() {
    let dir = folder(&[
        (
            "site.toml",
            "[[response]]\npath='/a'\nbody='a'\n\
             headers={Vary='Origin', X-A='b', Content-Location='/b', Cache-Control='private'}",
        ),
        ("hello.txt", "Hello, world!"),
    ]);
    let built = build(dir.path());
    let site = site(&built);
    let hello = site.not_modified(response(&site, "/hello.txt")).unwrap();
    assert_eq!(
        head(&site, hello),
        "HTTP/1.1 304 Not Modified\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         ETag: \"315f5bdb76d078c43b8a\"\r\nCache-Control: no-cache\r\n"
    );
    assert_eq!(site.body(hello), b"");
    assert_eq!(site.entity_tag(hello), b"\"315f5bdb76d078c43b8a\"");
    assert_eq!(site.last_modified(hello), Some(MODIFIED));
    assert_eq!(site.not_modified(hello), None);
    let varying = head(&site, site.not_modified(response(&site, "/a")).unwrap());
    assert!(varying.contains("\r\nVary: Origin\r\n"), "{varying}");
    assert!(varying.contains("\r\nContent-Location: /b\r\n"), "{varying}");
    assert_eq!(varying.matches("Cache-Control: private").count(), 1, "{varying}");
    assert!(!varying.contains("X-A") && !varying.contains("no-cache"), "{varying}");
}

#[test]
fn an_index_answers_for_its_folder_and_the_bare_folder_redirects() {
    let dir = folder(&[("index.html", "top"), ("a b/c/index.html", "deep"), ("d/e.txt", "e")]);
    let built = build(dir.path());
    let site = site(&built);
    for (path, body) in [
        ("/", "top"),
        ("/index.html", "top"),
        ("/a b/c/", "deep"),
        ("/a b/c/index.html", "deep"),
        ("/d/e.txt", "e"),
    ] {
        assert_eq!(site.body(response(&site, path)), body.as_bytes(), "{path}");
    }
    let redirect = response(&site, "/a b/c");
    assert_eq!(site.status(redirect), 301);
    assert!(head(&site, redirect).contains("\r\nLocation: /a%20b/c/\r\n"));
    assert_eq!(site.not_modified(redirect), None);
    for path in ["", "/d", "/d/", "/a b/", "/a%20b/c/", "/INDEX.html", "/site.toml"] {
        assert_eq!(site.lookup(b"", path.as_bytes()), None, "{path}");
    }
    assert_eq!(response(&site, "/"), response(&site, "/index.html"), "stored once");
}

#[test]
fn media_types_come_from_names() {
    let rows = [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.xsd", "text/xml; charset=utf-8"),
        ("a.config", "application/xml; charset=utf-8"),
        ("a.geojson", "application/geo+json; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.wasm", "application/wasm"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ];
    let dir = folder(&rows.map(|(name, _)| (name, "x")));
    let built = build(dir.path());
    let site = site(&built);
    for (name, media_type) in rows {
        let head = head(&site, response(&site, &format!("/{name}")));
        assert!(head.contains(&format!("\r\nContent-Type: {media_type}\r\n")), "{head}");
    }
}

#[test]
fn every_error_has_its_default_page_and_the_fields_it_needs() {
    let built = build(folder(&[]).path());
    let site = site(&built);
    for status in http1::Status::ERRORS {
        let (code, phrase) = (status.code(), status.reason_phrase());
        let error = site.error(code).unwrap();
        let head = head(&site, error);
        assert_eq!(site.status(error), code);
        assert_eq!(site.body(error), format!("{code} {phrase}\n").as_bytes());
        assert!(head.starts_with(&format!("HTTP/1.1 {code} {phrase}\r\nDate: ")), "{head}");
        assert!(head.contains("\r\nCache-Control: no-store\r\n"), "{head}");
        assert_eq!(head.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), code == 405, "{head}");
        assert_eq!(head.contains("\r\nRetry-After: 1\r\n"), code == 503, "{head}");
        assert_eq!(site.not_modified(error), None);
        assert_eq!(site.entity_tag(error), b"");
    }
    assert_eq!(site.error(418), None);
    let options = head(&site, site.options());
    assert!(options.starts_with("HTTP/1.1 204 No Content\r\n"), "{options}");
    assert!(options.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{options}");
    assert!(!options.contains("Content-"), "{options}");
    assert_eq!(built.warnings.len(), 1, "{:?}", built.warnings);
    assert_eq!(built.warnings[0].what, "nothing to serve");
}

#[test]
fn long_bodies_start_on_pages_and_equal_ones_are_stored_once() {
    let bodies: Vec<(String, String)> = [0, 1, 15, 16, 17, 2048, 2049, 4096, 5000, 100_000]
        .into_iter()
        .map(|length| (format!("{length}"), "x".repeat(length)))
        .chain([("again".to_owned(), "x".repeat(5000))])
        .collect();
    let files: Vec<(&str, &str)> = bodies.iter().map(|(n, b)| (n.as_str(), b.as_str())).collect();
    let dir = folder(&files);
    let built = build(dir.path());
    let site = site(&built);
    for (name, body) in files {
        let response = response(&site, &format!("/{name}"));
        let at = site.body_offset(response);
        assert_eq!(site.body(response), body.as_bytes());
        assert!(at.is_multiple_of(if body.len() > 2048 { 4096 } else { 16 }), "{name} at {at}");
        assert_eq!(&built.image[at..][..body.len()], body.as_bytes());
    }
    let place = |path| site.body_offset(response(&site, path));
    assert_eq!(place("/again"), place("/5000"));
}

#[test]
fn equal_folders_make_equal_bytes_and_different_ones_another_generation() {
    let files = [("b", "2"), ("a", "1"), ("c/index.html", "3")];
    let (one, mut other) = (folder(&files), files);
    other.reverse();
    let other = folder(&other);
    let (one, other) = (build(one.path()), build(other.path()));
    assert!(one.image == other.image);
    let changed = build(folder(&[("b", "2"), ("a", "x"), ("c/index.html", "3")]).path());
    assert_ne!(site(&changed).generation(), site(&one).generation());
}

#[test]
fn last_modified_is_that_of_the_file_but_never_in_the_future() {
    let dir = folder(&[("past", "p"), ("future", "f")]);
    let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let set = |name: &str, seconds| {
        let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
        file.set_modified(at(seconds)).unwrap();
    };
    set("past", 1_000_000_000);
    set("future", 9_000_000_000);
    let built = build_folder(dir.path(), &Options::default()).unwrap();
    let site = site(&built);
    let modified = |path| site.last_modified(response(&site, path)).unwrap();
    assert_eq!(modified("/past"), 1_000_000_000);
    assert!(at(modified("/future")) <= std::time::SystemTime::now());
    assert!(head(&site, response(&site, "/past")).contains("Sun, 09 Sep 2001 01:46:40 GMT"));
}

#[test]
fn dot_files_are_skipped_with_a_warning_but_well_known_is_not() {
    let dir = folder(&[
        (".git/config", "secret"),
        (".env", "secret"),
        (".well-known/security.txt", "Contact: x"),
        ("a/.b", "secret"),
    ]);
    // What an editor leaves behind.
    std::os::unix::fs::symlink("user@host.1", dir.path().join(".#draft")).unwrap();
    let built = build(dir.path());
    assert!(site(&built).lookup(b"", b"/.well-known/security.txt").is_some());
    assert_eq!(built.summary.entries, 1);
    let skipped: Vec<String> = built
        .warnings
        .iter()
        .map(|warning| warning.file.strip_prefix(dir.path()).unwrap().display().to_string())
        .collect();
    assert_eq!(skipped, [".#draft", ".env", ".git", "a/.b"]);
}

#[test]
fn links_are_followed_inside_the_folder_only() {
    let dir = folder(&[("a/real.txt", "real")]);
    std::os::unix::fs::symlink("a/real.txt", dir.path().join("link.txt")).unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
    let built = build(dir.path());
    let site = site(&built);
    for path in ["/link.txt", "/b/real.txt", "/a/real.txt"] {
        assert_eq!(site.body(response(&site, path)), b"real", "{path}");
    }
    let outside = folder(&[("secret", "s")]);
    for target in [outside.path().to_owned(), outside.path().join("secret")] {
        let link = dir.path().join("out");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = error(dir.path());
        assert!(matches!(&error, BuildError::Outside { file, .. } if *file == link), "{error}");
        assert!(error.to_string().starts_with(&link.display().to_string()), "{error}");
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let missing = tempfile::tempdir().unwrap().path().join("missing");
    let unreadable = error(&missing);
    assert!(unreadable.source().is_some(), "what the system says");
    assert!(matches!(unreadable, BuildError::Unreadable { file, .. } if file == missing));

    let dir = folder(&[("a/file", "x")]);
    let not_a_folder = error(&dir.path().join("a/file"));
    assert!(matches!(not_a_folder, BuildError::NotAFolder { .. }), "{not_a_folder}");
    assert!(not_a_folder.to_string().ends_with("a/file: not a folder"), "{not_a_folder}");
    assert!(not_a_folder.source().is_none());

    let dangling = dir.path().join("a/dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    let found = error(dir.path());
    assert!(matches!(&found, BuildError::Unreadable { file, .. } if *file == dangling), "{found}");
    fs::remove_file(&dangling).unwrap();

    let circle = dir.path().join("a/circle");
    std::os::unix::fs::symlink("../a", &circle).unwrap();
    let found = error(dir.path());
    assert!(matches!(&found, BuildError::Loop { file } if *file == circle), "{found}");
    assert!(found.to_string().ends_with("circle: leads to a folder that it is in"), "{found}");
    fs::remove_file(&circle).unwrap();

    let fifo = dir.path().join("a/fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let found = error(dir.path());
    assert!(matches!(&found, BuildError::NotAFile { file } if *file == fifo), "{found}");
    assert!(found.to_string().ends_with("fifo: not a regular file"), "{found}");
}

#[test]
fn a_name_that_cannot_be_a_path_is_an_error_that_names_the_file() {
    for name in [&b"caf\xE9"[..], b"line\nbreak", b"del\x7F"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(&file, "x").unwrap();
        let found = error(dir.path());
        assert!(matches!(&found, BuildError::Name { file: at, .. } if *at == file), "{found}");
    }
    let deep = format!("{}{}", format!("{}/", "d".repeat(200)).repeat(5), "f".repeat(100));
    let dir = folder(&[(&deep, "x")]);
    let found = error(dir.path());
    assert!(matches!(&found, BuildError::Name { file, .. } if *file == dir.path().join(&deep)));
    assert!(found.to_string().contains("longer than 1024 octets"), "{found}");
}

#[test]
fn limits_hold_and_name_the_file() {
    let dir = folder(&[("small", "12345"), ("large", "123456")]);
    let limits = |limits| build_folder(dir.path(), &Options { limits, ..options() });
    let found = limits(Limits { response_bytes_max: 5, ..Limits::default() }).unwrap_err();
    let large = dir.path().join("large");
    assert!(matches!(&found, BuildError::TooLarge { file, .. } if *file == large), "{found}");
    let found = limits(Limits { entries_max: 1, ..Limits::default() }).unwrap_err();
    assert!(found.to_string().ends_with("too many entries for one image"), "{found}");
    assert!(found.source().is_some());
    let found = limits(Limits { image_bytes_max: 1000, ..Limits::default() }).unwrap_err();
    assert!(found.to_string().ends_with("too many octets for one image"), "{found}");
    // No more than so many is as many as that.
    let exact = Limits { entries_max: 2, ..Limits::default() };
    let image_bytes_max = limits(exact).unwrap().image.len();
    assert!(limits(Limits { image_bytes_max, ..exact }).is_ok());
    assert!(limits(Limits { image_bytes_max: image_bytes_max - 1, ..exact }).is_err());
    let declared = folder(&[("site.toml", "[[response]]\npath='/a'\nbody='123456'")]);
    let limits_of_text = Limits { response_bytes_max: 5, ..Limits::default() };
    let options = Options { limits: limits_of_text, ..options() };
    let found = build_folder(declared.path(), &options).unwrap_err();
    assert!(found.to_string().ends_with("site.toml: longer than 5 octets"), "{found}");
    // The shortest default page is longer than 5 octets: those bodies are bounded as well.
    assert!(limits(Limits { response_bytes_max: 40, ..Limits::default() }).is_ok());
}

#[test]
fn the_sample_site_builds_without_a_warning() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../driver/serve/site");
    let built = build(&dir);
    assert_eq!(built.warnings, []);
    let site = site(&built);
    assert_eq!(site.body(response(&site, "/hello.txt")), b"Hello, world!");
    for (path, length) in [("/4k.bin", 4096), ("/100k.bin", 102_400)] {
        assert_eq!(site.body(response(&site, path)).len(), length);
    }
    let health = site.lookup(b"", b"/health").unwrap();
    assert_eq!(site.lookup_response(b"", b"/health"), None);
    assert_eq!(site.health_name(health), Some(&b"main"[..]));
    assert_eq!(site.status(response(&site, "/plain")), 302);
    assert!(site.body(site.error(404).unwrap()).starts_with(b"<!DOCTYPE html>"));
    let page = String::from_utf8(site.body(response(&site, "/")).to_vec()).unwrap();
    for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let found = site.lookup(b"", link.as_bytes()).is_some();
        assert_eq!(found, link != "/nothing-here", "{link}");
    }
}
