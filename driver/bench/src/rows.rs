//! What is asked of the driver.

/// What a row does with connections.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One indication on an open connection; it holds so many requests.
    Indication(u32),
    /// The request comes in two indications.
    Split,
    /// Accepted, one request, ended.
    Life,
    /// Not accepted.
    Refused,
    /// No driver: httparse alone on the same octets.
    Httparse,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name in the ratchet.
    pub name: &'static str,
    /// What one operation sends.
    pub octets: Vec<u8>,
    /// How.
    pub shape: Shape,
    /// Status of the response that must come; 0 = none.
    pub status: u16,
}

/// A file that is chained to its head.
pub const LONG_PATH: &str = "/long.bin";
/// wrk's request.
pub const WRK: &str = "GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const CURL: &str = "GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
    User-Agent: curl/8.11.0\r\nAccept: */*\r\n\r\n";
const BROWSER: &str = "GET /hello.txt HTTP/1.1\r\nHost: www.example.org:8080\r\n\
    Connection: keep-alive\r\nCache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Windows\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\
    \r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\r\n";

/// All rows.
pub fn all() -> Vec<Row> {
    let row = |name, octets: String, shape, status| Row {
        name,
        octets: octets.into_bytes(),
        shape,
        status,
    };
    let with = |line: &str| WRK.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    let one = Shape::Indication(1);
    vec![
        row("wrk", WRK.into(), one, 200),
        row("curl", CURL.into(), one, 200),
        row("browser", BROWSER.into(), one, 200),
        row("not_modified", with("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), one, 304),
        row("range", with("Range: bytes=0-4"), one, 206),
        row("not_found", WRK.replace("/hello.txt", "/none.txt"), one, 404),
        row("head", WRK.replace("GET", "HEAD"), one, 200),
        row("pipelined_16", WRK.repeat(16), Shape::Indication(16), 200),
        row("pipelined_64", WRK.repeat(64), Shape::Indication(64), 200),
        row("split", WRK.into(), Shape::Split, 200),
        row("life", WRK.into(), Shape::Life, 200),
        row("bad_life", WRK.replace("Host", "Ho st"), Shape::Life, 400),
        row("refused", String::new(), Shape::Refused, 0),
        row("httparse_wrk", WRK.into(), Shape::Httparse, 0),
        row("httparse_browser", BROWSER.into(), Shape::Httparse, 0),
    ]
}
