//! Composing prepared heads. What the sender appends is not here: connection options, empty line.

use std::borrow::Cow;
use std::fmt::Write as _;

use http1::date::ImfFixdate;
use http1::{Coding, Status};

use crate::head::{DATE_PLACEHOLDER, varies_by_coding};

/// What OPTIONS and 405 name as allowed.
pub(super) const ALLOW: &str = "GET, HEAD, OPTIONS";
/// What answers that must not be stored say.
pub(super) const NO_STORE: &str = "no-store";
/// Media type of texts that name none.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
/// Fields that the builder or the sender writes; nobody else may.
const OWNED: [&str; 17] = [
    "accept-ranges",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Extra fields that a 304 repeats (RFC 9110 section 15.4.5); Vary goes by itself.
const REPEATED: [&str; 3] = ["cache-control", "content-location", "expires"];

/// A field line from the configuration, already checked.
pub(super) type Field = (String, String);

/// Whether the configuration may not set this field.
pub(super) fn is_owned(name: &str) -> bool {
    OWNED.iter().any(|owned| owned.eq_ignore_ascii_case(name))
}

/// Whether `fields` has one of this name.
pub(super) fn has_field(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|(other, _)| is_named(other, name))
}

/// Everything a head is made from.
#[derive(Clone, Copy, Default)]
pub(super) struct Lines<'l> {
    pub(super) status: u16,
    pub(super) content_type: Option<&'l str>,
    /// `None` for identity too, which has no name in Content-Encoding.
    pub(super) coding: Option<Coding>,
    /// The answer has variants in other codings.
    pub(super) varies_by_coding: bool,
    /// Octets of the body; `None` where the status has no content, or another at each time.
    pub(super) content_length: Option<usize>,
    pub(super) entity_tag: Option<&'l str>,
    /// Seconds since 1970.
    pub(super) last_modified: Option<u64>,
    pub(super) accepts_ranges: bool,
    pub(super) cache_control: Option<&'l str>,
    pub(super) location: Option<&'l str>,
    pub(super) server: Option<&'l str>,
    pub(super) fields: &'l [Field],
}

impl Lines<'_> {
    /// The head: Date first, so that it stands at a short offset.
    pub(super) fn to_head(self) -> Vec<u8> {
        let mut head = Head::new(self.status);
        head.optional("Content-Type", self.content_type);
        head.optional("Content-Encoding", self.coding.and_then(coding_name));
        if let Some(length) = self.content_length {
            head.field("Content-Length", &length.to_string());
        }
        head.optional("ETag", self.entity_tag);
        if let Some(seconds) = self.last_modified {
            let date = ImfFixdate::from_unix(seconds);
            head.field("Last-Modified", &String::from_utf8_lossy(date.as_bytes()));
        }
        if self.accepts_ranges {
            head.field("Accept-Ranges", "bytes");
        }
        self.caching(&mut head);
        head.optional("Location", self.location);
        head.optional("Server", self.server);
        for (name, value) in self.fields.iter().filter(|(name, _)| !is_named(name, "vary")) {
            head.field(name, value);
        }
        head.0
    }

    /// The head of the 304 that goes with this 200.
    pub(super) fn to_not_modified(self) -> Vec<u8> {
        let mut head = Head::new(304);
        head.optional("ETag", self.entity_tag);
        self.caching(&mut head);
        head.optional("Server", self.server);
        for (name, value) in self.fields {
            if REPEATED.iter().any(|other| is_named(name, other)) {
                head.field(name, value);
            }
        }
        head.0
    }

    /// The head of the 206 that goes with this 200. How much is sent and from where is added then.
    pub(super) fn to_partial(self) -> Vec<u8> {
        Lines { status: 206, content_length: None, ..self }.to_head()
    }

    /// Cache-Control, unless it is among the extra fields, and Vary.
    fn caching(&self, head: &mut Head) {
        if !has_field(self.fields, "cache-control") {
            head.optional("Cache-Control", self.cache_control);
        }
        head.optional("Vary", self.vary().as_deref());
    }

    /// What the configuration says, and Accept-Encoding where that matters.
    fn vary(&self) -> Option<Cow<'_, str>> {
        let said = self.fields.iter().find(|(name, _)| is_named(name, "vary"));
        match said {
            Some((_, said)) if !self.varies_by_coding || varies_by_coding(said.as_bytes()) => {
                Some(said.into())
            }
            Some((_, said)) => Some(format!("{said}, Accept-Encoding").into()),
            None => self.varies_by_coding.then_some("Accept-Encoding".into()),
        }
    }
}

fn is_named(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

fn coding_name(coding: Coding) -> Option<&'static str> {
    match coding {
        Coding::Identity => None,
        Coding::Gzip => Some("gzip"),
        Coding::Br => Some("br"),
    }
}

struct Head(Vec<u8>);

impl Head {
    fn new(status: u16) -> Self {
        let reason = reason_phrase(status);
        let mut head = Self(format!("HTTP/1.1 {status} {reason}\r\nDate: ").into_bytes());
        head.0.extend_from_slice(DATE_PLACEHOLDER);
        head.0.extend_from_slice(b"\r\n");
        head
    }

    fn field(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }
}

/// The registered phrase, or none: it may be empty.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    Status::from_code(status).map_or("", Status::reason_phrase)
}

/// The text that stands where nobody gave one.
pub(super) fn default_text(status: u16) -> String {
    let text = format!("{status} {}", reason_phrase(status));
    format!("{}\n", text.trim_end())
}

/// A strong entity tag out of a SHA-256 digest: 80 bits of it, in hex.
pub(super) fn entity_tag(digest: &[u8; 32]) -> String {
    let mut tag = String::from("\"");
    for octet in &digest[..10] {
        let _ = write!(tag, "{octet:02x}");
    }
    tag.push('"');
    tag
}

/// A path as a URI reference (RFC 3986 section 3.3): everything but `pchar` and `/` encoded.
pub(super) fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for octet in path.bytes() {
        if octet.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

/// Media type by the extension of a file name, with a charset where it is text.
pub(super) fn content_type(file: &std::path::Path) -> String {
    let guess = mime_guess::from_path(file).first_or_octet_stream();
    let essence = guess.essence_str();
    let is_text = guess.type_() == "text"
        || essence.ends_with("/json")
        || essence.ends_with("/xml")
        || essence.ends_with("/javascript")
        || essence.ends_with("+json")
        || essence.ends_with("+xml");
    if is_text { format!("{essence}; charset=utf-8") } else { essence.to_owned() }
}
