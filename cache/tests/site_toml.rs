//! `site.toml`: what each key does, and what each mistake is called.

use std::fs;

use response_cache::build::{BuildError, Built, Options, build_folder};
use response_cache::{Layout, Limits, Response, Site};

fn folder(manifest: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), manifest).unwrap();
    fs::write(dir.path().join("page.html"), "<p>page").unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    dir
}

fn build(manifest: &str) -> Built {
    build_folder(folder(manifest).path(), &Options::default()).unwrap()
}

fn site(built: &Built) -> Site<'_> {
    let layout = Layout::validate(&built.image, &Limits::default()).unwrap();
    Site::new(&built.image, Box::leak(Box::new(layout)))
}

fn response(site: &Site<'_>, host: &str, path: &str) -> Response {
    let entry = site.lookup(host.as_bytes(), path.as_bytes()).unwrap();
    site.response(entry, 0).or_else(|| site.health_response(entry, 0)).unwrap()
}

fn head(site: &Site<'_>, response: Response) -> String {
    String::from_utf8(site.head(response).to_vec()).unwrap()
}

const NO_DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

#[test]
fn a_body_has_an_entity_tag_and_no_date() {
    let built = build("[[response]]\npath = '/a'\nbody = 'text'\n");
    let site = site(&built);
    let response = response(&site, "", "/a");
    assert_eq!(
        head(&site, response).replace(NO_DATE, ""),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\
         ETag: \"982d9e3eb996f559e633\"\r\nAccept-Ranges: bytes\r\nCache-Control: no-cache\r\n"
    );
    assert_eq!(site.body(response), b"text");
    assert_eq!(site.last_modified(response), None);
    assert!(site.not_modified(response).is_some());
}

#[test]
fn a_file_may_answer_elsewhere_with_another_type_status_and_fields() {
    let built = build(
        "[[response]]\npath = '/gone'\nstatus = 410\nfile = 'page.html'\n\
         content-type = 'text/x-page'\nheaders = { X-B = 'b', Cache-Control = 'max-age=9' }\n",
    );
    let site = site(&built);
    let gone = response(&site, "", "/gone");
    assert_eq!(
        head(&site, gone).replace(NO_DATE, ""),
        "HTTP/1.1 410 Gone\r\nContent-Type: text/x-page\r\nContent-Length: 7\r\n\
         Cache-Control: max-age=9\r\nX-B: b\r\n"
    );
    assert_eq!(site.body(gone), b"<p>page");
    assert_eq!(site.not_modified(gone), None);
    assert!(head(&site, response(&site, "", "/page.html")).contains("text/html"));
}

#[test]
fn a_host_goes_before_any_host_and_its_case_does_not_count() {
    let built = build(
        "[[response]]\npath = '/a'\nhost = 'One.Example'\nbody = 'one'\n\
         [[response]]\npath = '/a'\nbody = 'any'\n\
         [[response]]\npath = '/b'\nhost = '[2001:DB8::1]'\nbody = 'six'\n",
    );
    let site = site(&built);
    let body = |host, path| site.body(response(&site, host, path));
    assert_eq!(body("one.example", "/a"), b"one");
    assert_eq!(body("ONE.EXAMPLE", "/a"), b"one");
    assert_eq!(body("two.example", "/a"), b"any");
    assert_eq!(body("", "/a"), b"any");
    assert_eq!(body("one.example", "/page.html"), b"<p>page");
    assert_eq!(body("[2001:db8::1]", "/b"), b"six");
    assert_eq!(site.lookup(b"one.example", b"/b"), None);
    assert_eq!(site.host(site.lookup(b"ONE.example", b"/a").unwrap()), b"one.example");
}

#[test]
fn a_redirect_is_308_unless_told_otherwise() {
    let built = build(
        "[[response]]\npath = '/old'\nredirect = '/new?a=b'\n\
         [[response]]\npath = '/302'\nredirect = 'https://other.example/'\nstatus = 302\n\
         headers = { X-A = 'b' }\n",
    );
    let site = site(&built);
    let old = response(&site, "", "/old");
    assert_eq!(
        head(&site, old).replace(NO_DATE, ""),
        "HTTP/1.1 308 Permanent Redirect\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 23\r\nCache-Control: no-cache\r\nLocation: /new?a=b\r\n"
    );
    assert_eq!(site.body(old), b"308 Permanent Redirect\n");
    let other = head(&site, response(&site, "", "/302"));
    assert!(other.starts_with("HTTP/1.1 302 Found\r\n"), "{other}");
    assert!(other.contains("\r\nLocation: https://other.example/\r\nX-A: b\r\n"), "{other}");
}

#[test]
fn a_health_endpoint_has_a_response_for_each_state() {
    let built = build(
        "[[response]]\npath = '/a'\nhealth = 'a'\nheaders = { x-a = 'b' }\n\
         [[response]]\npath = '/b'\nhealth = 'b'\nstatus = 204\n\
         drain = { status = 429, body = '{}', content-type = 'application/json', close = true }\n\
         [response.down]\nstatus = 500\n",
    );
    let site = site(&built);
    let state = |path: &str, state| {
        let entry = site.lookup(b"", path.as_bytes()).unwrap();
        assert_eq!((site.variants(entry), site.response(entry, 0)), (0, None));
        let response = site.health_response(entry, state).unwrap();
        assert!(head(&site, response).contains("\r\nCache-Control: no-store\r\n"));
        assert_eq!(site.not_modified(response), None);
        let body = String::from_utf8(site.body(response).to_vec()).unwrap();
        (site.status(response), body, site.closes(response))
    };
    let expected = |status, body: &str, closes| (status, body.to_owned(), closes);
    assert_eq!(state("/a", 0), expected(200, "ok\n", false));
    assert_eq!(state("/a", 1), expected(503, "draining\n", false));
    assert_eq!(state("/a", 2), expected(503, "down\n", false));
    assert_eq!(state("/b", 0), expected(204, "", false));
    assert_eq!(state("/b", 1), expected(429, "{}", true));
    assert_eq!(state("/b", 2), expected(500, "down\n", false));
    let entry = |path: &str| site.lookup(b"", path.as_bytes()).unwrap();
    let numbers = ["/a", "/b", "/page.html"].map(|path| site.health_number(entry(path)));
    assert_eq!(numbers, [Some(0), Some(1), None]);
    let heads = (0..3).map(|n| head(&site, site.health_response(entry("/a"), n).unwrap()));
    assert!(heads.into_iter().all(|head| head.contains("\r\nx-a: b\r\n")));
    let json = head(&site, site.health_response(entry("/b"), 1).unwrap());
    assert!(json.contains("\r\nContent-Type: application/json\r\n"), "{json}");
    assert_eq!(site.health_response(entry("/a"), 3), None);
    assert_eq!(site.health_response(entry("/page.html"), 0), None);
}

#[test]
fn a_health_endpoint_may_answer_a_file_and_a_response_may_have_no_content() {
    let built = build(
        "[[response]]\npath = '/a'\nhealth = 'a'\nfile = 'page.html'\n\
         [[response]]\npath = '/b'\nstatus = 204\n",
    );
    let site = site(&built);
    let entry = |path: &str| site.lookup(b"", path.as_bytes()).unwrap();
    let page = site.response(entry("/page.html"), 0).unwrap();
    let up = site.health_response(entry("/a"), 0).unwrap();
    assert_eq!(site.body(up), site.body(page));
    assert!(head(&site, up).contains("\r\nContent-Type: text/html"));
    let empty = site.response(entry("/b"), 0).unwrap();
    assert_eq!((site.status(empty), site.body(empty)), (204, b"".as_slice()));
    assert!(!head(&site, empty).contains("Content-"));
}

#[test]
fn an_image_has_so_many_names_of_health_endpoints_and_no_more() {
    let declared = |count| {
        let one = |n| format!("[[response]]\npath = '/{n}'\nhealth = 'h{}'\n", n % count);
        (0..80).map(one).collect::<Vec<_>>().concat()
    };
    let built = build(&declared(64));
    let site = site(&built);
    for entry in site.entries() {
        let Some(name) = site.health_name(entry) else { continue };
        let same = site.entries().filter(|other| site.health_name(*other) == Some(name));
        assert!(same.into_iter().all(|o| site.health_number(o) == site.health_number(entry)));
    }
    let error = build_folder(folder(&declared(65)).path(), &Options::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("too many names of health endpoints"), "{error}");
}

#[test]
fn a_health_endpoint_is_marked_and_never_stored() {
    let built = build(
        "[[response]]\npath = '/health'\nhealth = 'main'\n\
         [[response]]\npath = '/ready'\nhealth = 'ready'\nstatus = 204\n\
         [[response]]\npath = '/live'\nhealth = 'main'\nbody = '{}'\n\
         content-type = 'application/json'\n",
    );
    let site = site(&built);
    let name = |path: &str| site.health_name(site.lookup(b"", path.as_bytes()).unwrap());
    assert_eq!(name("/health"), Some(&b"main"[..]));
    assert_eq!(name("/ready"), Some(&b"ready"[..]));
    assert_eq!(name("/live"), Some(&b"main"[..]));
    assert_eq!(name("/page.html"), None);
    let health = response(&site, "", "/health");
    assert_eq!(
        head(&site, health).replace(NO_DATE, ""),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
         Cache-Control: no-store\r\n"
    );
    assert_eq!(site.body(health), b"ok\n");
    assert_eq!(site.not_modified(health), None);
    assert_eq!(
        head(&site, response(&site, "", "/ready")).replace(NO_DATE, ""),
        "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n"
    );
}

#[test]
fn defaults_reach_every_answer_of_a_file() {
    let built = build("[defaults]\ncache-control = 'max-age=60'\nserver = 'pinned'\n");
    let site = site(&built);
    let page = response(&site, "", "/page.html");
    for response in [page, site.not_modified(page).unwrap()] {
        let head = head(&site, response);
        assert!(head.contains("\r\nCache-Control: max-age=60\r\n"), "{head}");
        assert!(head.contains("\r\nServer: pinned\r\n"), "{head}");
    }
    let missing = head(&site, site.error(404).unwrap());
    assert!(missing.contains("\r\nCache-Control: no-store\r\n"), "{missing}");
    assert!(missing.contains("\r\nServer: pinned\r\n"), "{missing}");
}

#[test]
fn error_pages_replace_the_default_ones() {
    let dir = folder(
        "[errors]\n404 = 'page.html'\n503 = '.down.html'\n\
         [[response]]\npath = '/a'\nfile = '.a.html'\n",
    );
    fs::write(dir.path().join(".down.html"), "down").unwrap();
    fs::write(dir.path().join(".a.html"), "a").unwrap();
    let built = build_folder(dir.path(), &Options::default()).unwrap();
    let site = site(&built);
    let missing = site.error(404).unwrap();
    assert_eq!(site.body(missing), b"<p>page");
    assert_eq!(
        head(&site, missing).replace(NO_DATE, ""),
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: 7\r\nCache-Control: no-store\r\n"
    );
    assert_eq!(site.body(site.error(503).unwrap()), b"down");
    assert_eq!(site.body(site.error(400).unwrap()), b"400 Bad Request\n");
    assert_eq!(built.warnings, [], "a page in use is no reason for a warning");
}

#[test]
fn doubtful_things_are_warned_of() {
    let dir = folder("[[response]]\npath = '/a%20b'\nbody = ''\n");
    fs::write(dir.path().join("404.html"), "?").unwrap();
    let built = build_folder(dir.path(), &Options::default()).unwrap();
    let warnings: Vec<String> = built.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].ends_with("404.html: not used for status 404: [errors] does not name it"));
    assert!(warnings[1].contains("site.toml: line 2: "), "{warnings:?}");
    assert!(site(&built).lookup(b"", b"/a%20b").is_some());
}

#[test]
fn two_answers_for_one_path_are_an_error_that_names_both() {
    let rows = [
        ("[[response]]\npath = '/page.html'\nbody = 'x'\n", "site.toml:2", "page.html"),
        (
            "[[response]]\npath='/a'\nbody='x'\n[[response]]\npath='/a'\nbody='y'\n",
            "site.toml:5",
            "site.toml:2",
        ),
        (
            "[[response]]\npath='/a'\nhost='h'\nbody='x'\n\
             [[response]]\npath='/a'\nhost='H'\nbody='y'\n",
            "site.toml:6",
            "site.toml:2",
        ),
    ];
    for (manifest, second, first) in rows {
        let dir = folder(manifest);
        let error = build_folder(dir.path(), &Options::default()).unwrap_err();
        assert!(matches!(error, BuildError::Twice { .. }), "{error}");
        let start = dir.path().join(second).display().to_string();
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(error.to_string().ends_with(first), "{error}");
    }
}

#[test]
fn a_declared_answer_for_a_bare_folder_goes_before_its_redirect() {
    let dir = folder("[[response]]\npath = '/d'\nbody = 'mine'\n");
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/index.html"), "i").unwrap();
    let built = build_folder(dir.path(), &Options::default()).unwrap();
    let site = site(&built);
    assert_eq!(site.body(response(&site, "", "/d")), b"mine");
    assert_eq!(site.body(response(&site, "", "/d/")), b"i");
}

/// What is in the file, the line at fault, and a part of the message.
const MISTAKES: [(&str, usize, &str); 52] = [
    ("[[response]\n", 1, ""),
    ("a = 1\n", 1, "unknown field `a`"),
    ("\n[defaults]\nserve = 'x'\n", 3, "unknown field `serve`"),
    ("[[response]]\npath = '/a'\nbody = ''\nheader = {}\n", 4, "unknown field `header`"),
    ("[[response]]\nbody = 'x'\n", 1, "missing field `path`"),
    ("[[response]]\npath = 1\n", 2, "invalid type"),
    ("[[response]]\npath = '/a'\nstatus = '200'\n", 3, "invalid type"),
    ("[[response]]\npath = '/a'\nstatus = 70000\n", 3, "70000"),
    ("[[response]]\npath = '/a'\npath = '/b'\n", 3, "duplicate key"),
    ("[[response]]\n\npath = 'a'\nbody = ''\n", 3, "response.path: must start with /"),
    ("[[response]]\npath = ''\nbody = ''\n", 2, "response.path: must start with /"),
    ("[[response]]\npath = '/a/../b'\nbody = ''\n", 2, "response.path"),
    ("[[response]]\npath = '/a/.'\nbody = ''\n", 2, "response.path"),
    ("[[response]]\npath = \"/a\\u0000\"\nbody = ''\n", 2, "response.path"),
    ("[[response]]\npath = '/a'\nhost = 'a b'\nbody = ''\n", 3, "response.host"),
    ("[[response]]\npath = '/a'\nhost = 'a:80'\nbody = ''\n", 3, "response.host"),
    ("[[response]]\npath = '/a'\nhost = ''\nbody = ''\n", 3, "response.host"),
    ("[[response]]\npath = '/a'\nstatus = 99\nbody = ''\n", 3, "response.status"),
    ("[[response]]\npath = '/a'\nstatus = 600\nbody = ''\n", 3, "response.status"),
    ("[[response]]\npath = '/a'\nstatus = 304\n", 3, "response.status"),
    ("[[response]]\npath = '/a'\nstatus = 206\nbody = ''\n", 3, "response.status"),
    ("[[response]]\npath = '/a'\nstatus = 301\nbody = ''\n", 3, "needs redirect"),
    ("[[response]]\npath = '/a'\nstatus = 200\nredirect = '/'\n", 3, "301, 302, 307 or 308"),
    ("[[response]]\npath = '/a'\nstatus = 401\n", 2, "WWW-Authenticate"),
    ("[[response]]\npath = '/a'\nstatus = 405\n", 2, "Allow"),
    ("[[response]]\npath = '/a'\n", 2, "needs one of"),
    ("[[response]]\npath = '/a'\nbody = ''\nfile = 'page.html'\n", 4, "only one of"),
    ("[[response]]\npath = '/a'\nbody = ''\nredirect = '/'\n", 4, "only one of"),
    ("[[response]]\npath = '/a'\nstatus = 204\nbody = ''\n", 4, "204 has no content"),
    ("[[response]]\npath = '/a'\nredirect = '/'\ncontent-type = 'a/b'\n", 4, "content-type"),
    ("[[response]]\npath = '/a'\nredirect = 'new'\n", 3, "response.redirect"),
    ("[[response]]\npath = '/a'\nredirect = '/a b'\n", 3, "response.redirect"),
    ("[[response]]\npath = '/a'\nhealth = 'a b'\n", 3, "response.health"),
    ("[[response]]\npath = '/a'\nhealth = 'a'\nredirect = '/b'\n", 3, "response.health"),
    ("[[response]]\npath = '/a'\nbody = ''\ndown = {}\n", 4, "only a health endpoint has states"),
    ("[[response]]\npath = '/a'\nhealth = 'a'\ndrain = { status = 302 }\n", 4, "drain.status"),
    ("[[response]]\npath = '/a'\nhealth = 'a'\ndown = { status = 204 }\n", 4, "down.status"),
    ("[[response]]\npath = '/a'\nhealth = 'a'\ndown = { text = '' }\n", 4, "unknown field"),
    (
        "[[response]]\npath = '/a'\nhealth = 'a'\nheaders = { cache-control = 'private' }\n",
        3,
        "response.health: a health endpoint has its own Cache-Control",
    ),
    ("[defaults]\ncompress = 'no'\n", 2, "invalid type"),
    ("[defaults]\nresponse-bytes-max = -1\n", 2, "invalid value"),
    ("[[response]]\npath = '/a'\nfile = 'folder'\n", 3, "folder: not a regular file"),
    ("[[response]]\npath = '/a'\nbody = ''\n[response.headers]\nDate = 'x'\n", 5, "headers.Date"),
    ("[[response]]\npath = '/a'\nbody = ''\nheaders = { etag = '\"a\"' }\n", 4, "headers.etag"),
    ("[[response]]\npath = '/a'\nbody = ''\nheaders = { 'a b' = 'c' }\n", 4, "not a field name"),
    ("[[response]]\npath = '/a'\nbody = ''\nheaders = { a = ' b' }\n", 4, "not a field value"),
    ("[[response]]\npath = '/a'\nbody = ''\nheaders = { a = \"b\\n\" }\n", 4, "not a field value"),
    ("[[response]]\npath = '/a'\nbody = ''\nheaders = { a = '1', A = '2' }\n", 4, "twice"),
    ("[[response]]\npath = '/a'\nfile = 'missing'\n", 3, "missing: No such file"),
    ("[[response]]\npath = '/a'\nfile = '../page.html'\n", 3, "response.file: must be a file in"),
    ("[errors]\n404 = 'missing.html'\n", 2, "errors.404"),
    ("[errors]\n418 = 'page.html'\n", 2, "errors.418: not an error the server sends"),
];

#[test]
fn every_mistake_is_named_with_its_line() {
    for (manifest, line, part) in MISTAKES {
        let dir = folder(manifest);
        let error = build_folder(dir.path(), &Options::default()).unwrap_err();
        let text = error.to_string();
        let start = format!("{}:{line}: ", dir.path().join("site.toml").display());
        assert!(matches!(error, BuildError::Manifest { .. }), "{manifest}{text}");
        assert!(text.starts_with(&start), "{manifest}{text}");
        assert!(text.contains(part), "{manifest}{text}");
    }
}

#[test]
fn a_path_that_is_too_long_is_named_with_its_line() {
    let of_length = |octets: usize| {
        let path = "/".repeat(octets);
        let dir = folder(&format!("[[response]]\npath = '{path}'\nstatus = 410\n"));
        build_folder(dir.path(), &Options::default())
    };
    let error = of_length(1025).unwrap_err().to_string();
    assert!(error.ends_with("site.toml:2: response.path: over 1024 octets"), "{error}");
    let built = of_length(1024).unwrap();
    let site = site(&built);
    let gone = response(&site, "", &"/".repeat(1024));
    assert_eq!((site.status(gone), site.body(gone)), (410, &b"410 Gone\n"[..]));
}

#[test]
fn octets_that_are_not_utf_8_are_named_with_their_line() {
    let dir = folder("");
    fs::write(dir.path().join("site.toml"), b"# a\n# \xFF\n").unwrap();
    let error = build_folder(dir.path(), &Options::default()).unwrap_err();
    assert!(error.to_string().ends_with("site.toml:2: not UTF-8"), "{error}");
}

#[test]
fn a_head_that_is_too_long_is_an_error() {
    let long = "x".repeat(5000);
    let dir = folder(&format!("[[response]]\npath='/a'\nbody=''\nheaders={{a='{long}'}}\n"));
    let error = build_folder(dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(error, BuildError::Image { .. }), "{error}");
    assert!(error.to_string().contains("site.toml"), "{error}");
}
