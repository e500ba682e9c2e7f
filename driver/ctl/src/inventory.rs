//! What is in a site image.
use std::collections::BTreeMap;

use response_cache::{Coding, Entry, Layout, Response, Site};
use serde::Serialize;
use wskhttpd_abi::Health;

/// All of it.
#[derive(Serialize)]
pub(crate) struct Inventory {
    /// Octets of the image.
    pub(crate) image_bytes: u64,
    /// Identifies the content; 16 hexadecimal digits.
    pub(crate) generation: String,
    /// Contents with and without compression; each is counted once, wherever it is served.
    pub(crate) contents: Contents,
    /// By host and path.
    pub(crate) entries: Vec<Line>,
}

/// Sums over what is served with 200.
#[derive(Default, Serialize)]
pub(crate) struct Contents {
    /// Different ones.
    pub(crate) count: u64,
    /// Octets without a coding.
    pub(crate) identity_bytes: u64,
    /// Those that are there as gzip too.
    pub(crate) gzip: u64,
    /// Those that are there as br too.
    pub(crate) br: u64,
    /// Octets of the smallest variant of each.
    pub(crate) smallest_bytes: u64,
}

/// One (host, path).
#[derive(Serialize)]
pub(crate) struct Line {
    /// Empty = any.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// Where a redirect leads.
    pub(crate) location: Option<String>,
    /// Name of the health endpoint that this is.
    pub(crate) health: Option<String>,
    /// Its answers, by state; none for others. The first one is shown as that of the path.
    pub(crate) states: Vec<StateAnswer>,
    /// Identity first.
    pub(crate) variants: Vec<Variant>,
}

/// What a health endpoint answers in one state.
#[derive(Serialize)]
pub(crate) struct StateAnswer {
    pub(crate) state: &'static str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

/// One prepared response of an entry.
#[derive(Serialize)]
pub(crate) struct Variant {
    pub(crate) coding: &'static str,
    pub(crate) bytes: u64,
    pub(crate) entity_tag: Option<String>,
}

impl Inventory {
    /// Of the image that `layout` was validated from.
    pub(crate) fn of(image: &[u8], layout: Layout) -> Inventory {
        let site = Site::new(image, &layout);
        let mut entries: Vec<Line> = site.entries().map(|entry| line(&site, entry)).collect();
        entries.sort_by(|a, b| (&a.host, &a.path).cmp(&(&b.host, &b.path)));
        Inventory {
            image_bytes: image.len() as u64,
            generation: format!("{:016x}", site.generation()),
            contents: contents(&site),
            entries,
        }
    }
}

fn line(site: &Site<'_>, entry: Entry) -> Line {
    let responses = responses(site, entry);
    let first = responses.first().copied();
    let field = |name| first.and_then(|response| field(site.head(response), name));
    Line {
        host: text(site.host(entry)),
        path: text(site.path(entry)),
        status: first.map_or(0, |response| site.status(response)),
        content_type: field("content-type"),
        location: field("location"),
        health: site.health_name(entry).map(text),
        states: states(site, entry),
        variants: responses.into_iter().map(|response| variant(site, response)).collect(),
    }
}

/// The variants of an entry; of a health endpoint, what it answers when it is up.
fn responses(site: &Site<'_>, entry: Entry) -> Vec<Response> {
    let variants = (0..site.variants(entry)).filter_map(|variant| site.response(entry, variant));
    site.health_response(entry, 0).into_iter().chain(variants).collect()
}

fn states(site: &Site<'_>, entry: Entry) -> Vec<StateAnswer> {
    let answer = |health: Health| {
        let response = site.health_response(entry, health.number().into())?;
        let bytes = site.body(response).len() as u64;
        Some(StateAnswer { state: health.word(), status: site.status(response), bytes })
    };
    Health::ALL.into_iter().filter_map(answer).collect()
}

fn variant(site: &Site<'_>, response: Response) -> Variant {
    let tag = site.entity_tag(response);
    Variant {
        coding: match site.coding(response) {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Br => "br",
        },
        bytes: site.body(response).len() as u64,
        entity_tag: (!tag.is_empty()).then(|| text(tag)),
    }
}

fn contents(site: &Site<'_>) -> Contents {
    // By the place of the body: several paths may share it.
    let mut variants = BTreeMap::new();
    for entry in site.entries() {
        let responses = responses(site, entry);
        let Some(identity) = responses.first().copied() else { continue };
        if site.status(identity) == 200 && !site.body(identity).is_empty() {
            let line: Vec<Variant> = responses.into_iter().map(|r| variant(site, r)).collect();
            variants.insert(site.body_offset(identity), line);
        }
    }
    let mut contents = Contents::default();
    for variants in variants.values() {
        let bytes = |coding| variants.iter().find(|v| v.coding == coding).map(|v| v.bytes);
        contents.count += 1;
        contents.identity_bytes += bytes("identity").unwrap_or(0);
        contents.gzip += u64::from(bytes("gzip").is_some());
        contents.br += u64::from(bytes("br").is_some());
        contents.smallest_bytes += variants.iter().map(|v| v.bytes).min().unwrap_or(0);
    }
    contents
}

/// Value of the first field of this name, in lower case, in a prepared head.
fn field(head: &[u8], name: &str) -> Option<String> {
    let head = text(head);
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_owned())
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[cfg(test)]
mod tests {
    use response_cache::Limits;
    use response_cache::build::{Options, build_folder};

    use super::*;

    #[test]
    fn what_is_packed_is_told_once_for_each_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("index.html", &"<p>same and same ".repeat(100)).unwrap();
        write("a.bin", "x").unwrap();
        let manifest = "[[response]]\npath = \"/up\"\nhealth = \"main\"\n\n\
            [[response]]\npath = \"/old\"\nredirect = \"/a.bin\"\n";
        write("site.toml", manifest).unwrap();
        let image = build_folder(folder.path(), &Options::default()).unwrap().image;
        let layout = Layout::validate(&image, &Limits::SERVED).unwrap();
        let inventory = Inventory::of(&image, layout);
        let paths: Vec<_> = inventory.entries.iter().map(|line| &line.path[..]).collect();
        assert_eq!(paths, ["/", "/a.bin", "/index.html", "/old", "/up"]);
        let [index, _, _, old, up] = &inventory.entries[..] else { panic!("five") };
        assert_eq!(index.content_type.as_deref(), Some("text/html; charset=utf-8"));
        assert_eq!(index.variants[0].bytes, 1700);
        assert_eq!((old.status, old.location.as_deref()), (308, Some("/a.bin")));
        assert_eq!((up.health.as_deref(), up.status), (Some("main"), 200));
        let states: Vec<_> = up.states.iter().map(|one| (one.state, one.status)).collect();
        assert_eq!(states, [("up", 200), ("drain", 503), ("down", 503)]);
        assert!(old.states.is_empty());
        let contents = inventory.contents;
        // The index, a.bin and the `ok` of the health endpoint.
        assert_eq!((contents.count, contents.identity_bytes), (3, 1700 + 1 + 3));
        let smallest = index.variants.iter().map(|variant| variant.bytes).min().unwrap();
        assert_eq!(contents.smallest_bytes, smallest + 1 + 3);
        assert!(contents.gzip + contents.br > 0);
    }
}
