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
