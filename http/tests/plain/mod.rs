//! The same grammar read the plain way: whole slices, no limits, nothing incremental. It shares no
//! code with the crate, so that the two can be compared.
#![allow(dead_code)] // Every test binary uses its own part of this.

/// Chunked content (RFC 9112 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// It ends after so many octets, and this is what was in the chunks.
    End(usize, Vec<u8>),
    Unfinished,
    Broken,
}

/// The line that begins at `from` without its CRLF, and where the next one begins.
fn line(octets: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = &octets[from..];
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    Some((&rest[..end], from + end + 2))
}

fn is_text(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == b'\t' || !octet.is_ascii_control())
}

fn is_token(octets: &[u8]) -> bool {
    let is_tchar = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
    !octets.is_empty() && octets.iter().all(is_tchar)
}

/// `chunk-size [ BWS ";" anything ]`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    if !(1..=16).contains(&digits) {
        return None;
    }
    let (digits, extension) = line.split_at(digits);
    let behind_space = extension.trim_ascii_start();
    if !extension.is_empty() && (!behind_space.starts_with(b";") || !is_text(extension)) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).ok()
}

pub(crate) fn chunked(octets: &[u8]) -> Chunked {
    let (mut at, mut content) = (0, Vec::new());
    loop {
        let Some((size_line, next)) = line(octets, at) else { return Chunked::Unfinished };
        let Some(size) = chunk_size(size_line) else { return Chunked::Broken };
        at = next;
        if size == 0 {
            break;
        }
        let room = u64::try_from(octets.len() - at).unwrap();
        if size.checked_add(2).is_none_or(|wanted| wanted > room) {
            return Chunked::Unfinished;
        }
        let end = at + usize::try_from(size).unwrap();
        if &octets[end..end + 2] != b"\r\n" {
            return Chunked::Broken;
        }
        content.extend_from_slice(&octets[at..end]);
        at = end + 2;
    }
    loop {
        let Some((trailer, next)) = line(octets, at) else { return Chunked::Unfinished };
        at = next;
        if trailer.is_empty() {
            return Chunked::End(at, content);
        }
        let colon = trailer.iter().position(|octet| *octet == b':');
        if !colon.is_some_and(|colon| is_token(&trailer[..colon]) && is_text(&trailer[colon..])) {
            return Chunked::Broken;
        }
    }
}

/// The lines of a complete head, or `None` if anything but CRLF ends one.
pub(crate) fn lines(head: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some((line_at, next)) = line(head, at) {
        lines.push(line_at);
        at = next;
    }
    let clean = lines.iter().all(|line| !line.iter().any(|octet| b"\r\n\0".contains(octet)));
    (at == head.len() && clean).then_some(lines)
}

/// The values of the field `name` in these lines, without the whitespace around them.
pub(crate) fn values<'b>(lines: &[&'b [u8]], name: &str) -> Vec<&'b [u8]> {
    let split = |line: &&'b [u8]| {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let (before, value) = (&line[..colon], &line[colon + 1..]);
        before.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    };
    lines.iter().filter_map(split).collect()
}

/// Digits alone. What is over 64 bits is as far away as can be said, as in the crate: of two such
/// positions neither is behind the other.
fn number(digits: &str) -> Option<u128> {
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let farthest = u128::from(u64::MAX);
    Some(digits.parse().map_or(farthest, |number: u128| number.min(farthest)))
}

/// The members of a list, without whitespace around them.
fn members(value: &str) -> impl Iterator<Item = &str> {
    let is_space = |octet| octet == ' ' || octet == '\t';
    value.split(',').map(move |member| member.trim_matches(is_space)).filter(|m| !m.is_empty())
}

/// The octets of `complete` that a Range asks for, both ends included (RFC 9110 section 14.1.2);
/// `Err` is for a range that cannot be satisfied, `None` for no range at all.
pub(crate) fn range(value: &[u8], complete: u64) -> Option<Result<(u64, u64), ()>> {
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    let specs: Vec<&str> =
        members(value.trim_matches([' ', '\t']).strip_prefix("bytes=")?).collect();
    let [spec] = specs.as_slice() else { return None };
    let (first, last) = spec.split_once('-')?;
    let complete = u128::from(complete);
    let (first, end) = if first.is_empty() {
        let length = number(last)?;
        if complete == 0 && length > 0 {
            return None;
        }
        (complete - length.min(complete), complete)
    } else {
        let first = number(first)?;
        let last = if last.is_empty() { u128::MAX } else { number(last)? };
        if last < first {
            return None;
        }
        (first, last.saturating_add(1).min(complete))
    };
    let range = if first < end { Ok((first, end - 1)) } else { Err(()) };
    Some(range.map(|(first, last)| (first.try_into().unwrap(), last.try_into().unwrap())))
}

/// The weights of identity, gzip and br in thousandths (RFC 9110 section 12.5.3).
pub(crate) fn weights(value: &[u8]) -> [u16; 3] {
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    let mut said = std::collections::HashMap::new();
    for member in members(&value) {
        let (name, weight) = match member.split_once(';') {
            None => (member, Some(1000)),
            Some((name, parameter)) => {
                let parameter = parameter.trim_matches([' ', '\t']);
                (name.trim_matches([' ', '\t']), parameter.strip_prefix("q=").and_then(thousandths))
            }
        };
        if let Some(weight) = weight {
            said.insert(if name == "x-gzip" { "gzip" } else { name }.to_owned(), weight);
        }
    }
    let others = said.get("*").copied();
    let of = |name, unsaid| said.get(name).copied().or(others).unwrap_or(unsaid);
    [of("identity", 1), of("gzip", 0), of("br", 0)]
}

/// `0[.digits]` or `1[.zeros]`, at most three of them (RFC 9110 section 12.4.2).
fn thousandths(value: &str) -> Option<u16> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|octet| octet.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse().ok().filter(|_| is_fraction)?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}
