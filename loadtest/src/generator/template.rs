//! The fast way to check an answer: octet for octet against one to the same request that was taken
//! apart and found right. Only the value of Date may differ, and has to be a date. An answer that
//! matches none is taken apart itself; it may still be right.

use std::ops::Range;

use memchr::memmem;

use crate::generator::response::{Persistence, is_date};

/// Octets of an IMF-fixdate.
const DATE_BYTES: usize = 29;
/// Longest answer that is kept; one that comes in many pieces is compared as it comes.
const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// Answers kept for each target: what a server changes between (a reload, a header that varies).
const TEMPLATES_MAX: usize = 4;

/// An answer that was found right.
#[derive(Clone, Debug)]
struct Template {
    octets: Vec<u8>,
    /// Where the value of Date is; empty at the end without one.
    date: Range<usize>,
    content_bytes: usize,
}

/// The right answers one thread has seen, by target.
#[derive(Clone, Debug)]
pub struct Templates {
    of: Vec<Vec<Template>>,
    /// The last value of Date that was found to be one.
    date: [u8; DATE_BYTES],
}

/// A whole answer at the beginning of what came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Match {
    /// Its length.
    pub bytes: usize,
    /// Length of its content.
    pub content_bytes: usize,
}

impl Templates {
    /// None seen yet of any of `targets`.
    pub fn new(targets: usize) -> Self {
        Self { of: vec![Vec::new(); targets], date: [0; DATE_BYTES] }
    }

    /// The template of `target` that `bytes` begin with. Such an answer leaves the connection open.
    pub fn find(&mut self, target: usize, bytes: &[u8]) -> Option<Match> {
        let Self { of, date: last_date } = self;
        of.get(target)?.iter().find_map(|Template { octets, date, content_bytes }| {
            let same = bytes.get(..octets.len())?;
            if same[..date.start] != octets[..date.start] || same[date.end..] != octets[date.end..]
            {
                return None;
            }
            let value = &same[date.clone()];
            if !value.is_empty() && value != last_date {
                if !is_date(value) {
                    return None;
                }
                last_date.copy_from_slice(value);
            }
            Some(Match { bytes: octets.len(), content_bytes: *content_bytes })
        })
    }

    /// Keeps an answer to `target` that was taken apart and found right, and leaves the connection
    /// as `persistence` says.
    pub fn keep(
        &mut self,
        target: usize,
        octets: &[u8],
        content_bytes: usize,
        persistence: Persistence,
    ) {
        let Some(kept) = self.of.get_mut(target) else { return };
        let is_wanted = persistence == Persistence::KeepAlive
            && octets.len() <= TEMPLATE_BYTES_MAX
            && kept.len() < TEMPLATES_MAX;
        if is_wanted {
            let head = &octets[..octets.len() - content_bytes];
            let date = date(head).unwrap_or(octets.len()..octets.len());
            kept.push(Template { octets: octets.to_vec(), date, content_bytes });
        }
    }
}

/// Where the value of Date is in a head.
fn date(head: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = b"\r\nDate: ";
    let start = memmem::find(head, NAME)? + NAME.len();
    let value = start..start + DATE_BYTES;
    let is_one = is_date(head.get(value.clone())?) && head.get(value.end..)?.starts_with(b"\r\n");
    is_one.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Content-Length: 5\r\n\r\nhello";

    #[test]
    fn only_the_date_may_differ_and_only_as_a_date() {
        let mut templates = Templates::new(1);
        assert_eq!(templates.find(0, GOOD.as_bytes()), None);
        templates.keep(0, GOOD.as_bytes(), 5, Persistence::KeepAlive);
        let right = Some(Match { bytes: GOOD.len(), content_bytes: 5 });
        assert_eq!(templates.find(0, GOOD.as_bytes()), right);
        let two = [GOOD, GOOD].concat();
        assert_eq!(templates.find(0, two.as_bytes()), right);
        let later = GOOD.replace("37 GMT", "38 GMT");
        assert_eq!(templates.find(0, later.as_bytes()), right);
        for at in 0..GOOD.len() {
            let mut wrong = GOOD.as_bytes().to_vec();
            wrong[at] ^= 0x40;
            assert_eq!(templates.find(0, &wrong), None, "byte {at}");
            assert_eq!(templates.find(0, &GOOD.as_bytes()[..at]), None, "only {at} bytes");
        }
    }

    #[test]
    fn an_answer_that_ends_its_connection_is_not_kept() {
        let mut templates = Templates::new(1);
        templates.keep(0, GOOD.as_bytes(), 5, Persistence::Close);
        assert_eq!(templates.find(0, GOOD.as_bytes()), None);
    }
}
