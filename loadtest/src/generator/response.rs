//! One connection's incoming bytes: heads found, framed by Content-Length, and checked.
//!
//! The peer under test is a static responder, so an answer without Content-Length, or with any
//! Transfer-Encoding, is a fault here and not a case to support.

use crate::generator::fault::{Fault, FaultClass};

/// Longest response head that is read, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest content that is read, in bytes.
pub const CONTENT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most contents that an answer may have.
pub const CONTENTS_MAX: usize = 32;
/// Most field lines in a head.
const FIELDS_MAX: usize = 64;

/// What the next answer has to be.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// Its status code.
    pub status: u16,
    /// The contents it may have, at most [`CONTENTS_MAX`]; empty: any.
    pub contents: &'a [Vec<u8>],
}

/// Whether the connection goes on after an answer (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persistence {
    /// It does.
    KeepAlive,
    /// The peer said it closes.
    Close,
}

/// How far the bytes given so far reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The answer is not complete.
    Partial,
    /// It is, and `content_bytes` of it were content.
    Complete {
        /// What the answer says about the connection.
        persistence: Persistence,
        /// Length of the content.
        content_bytes: usize,
    },
}

/// The reader of one connection. Between answers it holds nothing.
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// The beginning of a head that has not arrived whole.
    head: Vec<u8>,
    content: Option<Content>,
}

/// Content being received.
#[derive(Clone, Copy, Debug)]
struct Content {
    length: usize,
    received: usize,
    persistence: Persistence,
    /// The permitted contents that it can still be, by their bits.
    candidates: u32,
}

/// What a head says.
struct Head {
    bytes: usize,
    status: u16,
    content: Content,
}

impl ResponseReader {
    /// Takes bytes up to the end of the answer they belong to; returns how many it took.
    ///
    /// # Errors
    /// The first fault found; the connection cannot be used after it.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        expect: &Expect<'_>,
    ) -> Result<(usize, Progress), Fault> {
        let mut taken = 0;
        if self.content.is_none() {
            let Some(head_taken) = self.receive_head(bytes, expect)? else {
                return Ok((bytes.len(), Progress::Partial));
            };
            taken = head_taken;
        }
        let Some(mut content) = self.content.take() else {
            return Ok((taken, Progress::Partial));
        };
        let end = bytes.len().min(taken + (content.length - content.received));
        content.check(&bytes[taken..end], expect)?;
        content.received += end - taken;
        if content.received < content.length {
            self.content = Some(content);
            return Ok((end, Progress::Partial));
        }
        let Content { length: content_bytes, persistence, .. } = content;
        Ok((end, Progress::Complete { persistence, content_bytes }))
    }

    /// True between answers.
    pub fn is_idle(&self) -> bool {
        self.content.is_none() && self.head.is_empty()
    }

    /// Takes the rest of a head; `None` when it is still not whole (all bytes were taken).
    fn receive_head(&mut self, bytes: &[u8], expect: &Expect<'_>) -> Result<Option<usize>, Fault> {
        let before = self.head.len();
        let parsed = if before == 0 {
            // The usual case: a whole head, read where it lies.
            parse_head(bytes)?
        } else {
            let room = HEAD_BYTES_MAX.saturating_sub(before);
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            parse_head(&self.head)?
        };
        let Some(head) = parsed else {
            if before + bytes.len() >= HEAD_BYTES_MAX {
                return Err(framing(format!("head over {HEAD_BYTES_MAX} bytes")));
            }
            if before == 0 {
                self.head.extend_from_slice(bytes);
            }
            return Ok(None);
        };
        self.head.clear();
        if head.status != expect.status {
            return Err(Fault::status(head.status, expect.status));
        }
        let mut content = head.content;
        content.candidates = with_length(expect.contents, content.length);
        if content.candidates == 0 && !expect.contents.is_empty() {
            let lengths: Vec<_> =
                expect.contents.iter().map(|right| right.len().to_string()).collect();
            let detail =
                format!("{} bytes of content instead of {}", content.length, lengths.join(" or "));
            return Err(Fault::new(FaultClass::Content, detail));
        }
        self.content = Some(content);
        Ok(Some(head.bytes - before))
    }
}

impl Content {
    /// Compares the next piece with what was expected.
    fn check(&mut self, piece: &[u8], expect: &Expect<'_>) -> Result<(), Fault> {
        if expect.contents.is_empty() {
            return Ok(());
        }
        let range = self.received..self.received + piece.len();
        let mut differs = 0;
        for (index, right) in expect.contents.iter().enumerate() {
            let bit = 1 << index;
            if self.candidates & bit != 0 && right.get(range.clone()) != Some(piece) {
                self.candidates &= !bit;
                let same = right.iter().skip(self.received).zip(piece).take_while(|(a, b)| a == b);
                differs = differs.max(same.count());
            }
        }
        if self.candidates != 0 {
            return Ok(());
        }
        let place = self.received + differs;
        let detail = format!("byte {place} of {} is not what it has to be", self.length);
        Err(Fault::new(FaultClass::Content, detail))
    }
}

/// The bits of the contents that are this long.
fn with_length(contents: &[Vec<u8>], length: usize) -> u32 {
    let fits = contents.iter().enumerate().filter(|(_, content)| content.len() == length);
    fits.fold(0, |bits, (index, _)| bits | 1 << index)
}

fn framing(detail: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Framing, detail)
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(framing(format!("malformed head: {error}"))),
    };
    if head_bytes > HEAD_BYTES_MAX {
        return Err(framing(format!("head over {HEAD_BYTES_MAX} bytes")));
    }
    let status = response.code.unwrap_or_default();
    let mut length = None;
    let mut persistence =
        if response.version == Some(1) { Persistence::KeepAlive } else { Persistence::Close };
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = content_length(field.value)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(framing("two Content-Length values"));
            }
            length = Some(value);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(framing("Transfer-Encoding where Content-Length was expected"));
        } else if field.name.eq_ignore_ascii_case("date") {
            if !is_date(field.value) {
                return Err(framing(format!("Date `{}`", field.value.escape_ascii())));
            }
        } else if field.name.eq_ignore_ascii_case("connection") && says_close(field.value) {
            persistence = Persistence::Close;
        }
    }
    // RFC 9112 section 6.3, rule 1: these have no content whatever their fields say.
    let length = if matches!(status, 204 | 304) { Some(0) } else { length };
    let Some(length) = length else {
        return Err(framing(format!("status {status} without Content-Length")));
    };
    let content = Content { length, received: 0, persistence, candidates: 0 };
    Ok(Some(Head { bytes: head_bytes, status, content }))
}

fn content_length(value: &[u8]) -> Result<usize, Fault> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let length = digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten();
    match length {
        Some(length) if length <= CONTENT_BYTES_MAX => Ok(length),
        _ => Err(framing(format!("Content-Length `{}`", value.escape_ascii()))),
    }
}

/// True for an IMF-fixdate, the one form that may be sent (RFC 9110 section 5.6.7).
pub fn is_date(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    httpdate::parse_http_date(text).is_ok_and(|date| httpdate::fmt_http_date(date) == text)
}

fn says_close(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn expect() -> Expect<'static> {
        static CONTENTS: LazyLock<[Vec<u8>; 1]> = LazyLock::new(|| [b"hello".to_vec()]);
        Expect { status: 200, contents: &*CONTENTS }
    }
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    fn fault(bytes: &[u8]) -> FaultClass {
        ResponseReader::default().receive(bytes, &expect()).expect_err("a fault").class
    }

    #[test]
    fn any_split_gives_the_same_answer() {
        for first in 0..GOOD.len() {
            for second in first..GOOD.len() {
                let mut reader = ResponseReader::default();
                let mut last = Progress::Partial;
                for piece in [&GOOD[..first], &GOOD[first..second], &GOOD[second..]] {
                    let (taken, progress) = reader.receive(piece, &expect()).expect("no fault");
                    assert_eq!(taken, piece.len());
                    last = progress;
                }
                let persistence = Persistence::KeepAlive;
                assert_eq!(last, Progress::Complete { persistence, content_bytes: 5 });
                assert!(reader.is_idle());
            }
        }
    }

    #[test]
    fn the_next_answer_is_left_alone() {
        let two = [GOOD, GOOD].concat();
        let (taken, progress) =
            ResponseReader::default().receive(&two, &expect()).expect("no fault");
        assert_eq!(taken, GOOD.len());
        assert!(matches!(progress, Progress::Complete { .. }));
    }

    #[test]
    fn close_is_seen_in_a_list_and_implied_by_http_1_0() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ] {
            let (_, progress) = ResponseReader::default().receive(bytes, &expect()).expect("ok");
            let persistence = Persistence::Close;
            assert_eq!(progress, Progress::Complete { persistence, content_bytes: 5 });
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let wrong: [(&[u8], FaultClass); 9] = [
            (
                b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nhello",
                FaultClass::Framing,
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO", FaultClass::Content),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell", FaultClass::Content),
            (b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello", FaultClass::Status),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello", FaultClass::Framing),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", FaultClass::Framing),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", FaultClass::Framing),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                FaultClass::Framing,
            ),
            (b"SSH-2.0-nothing\r\n", FaultClass::Framing),
        ];
        for (bytes, class) in wrong {
            assert_eq!(fault(bytes), class, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn one_of_several_contents_is_right_and_a_mixture_is_not() {
        let contents = [b"first".to_vec(), b"fight".to_vec(), b"longer".to_vec()];
        let expect = Expect { status: 200, contents: &contents };
        let receive = |content: &str| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
            let mut reader = ResponseReader::default();
            let mut outcome = reader.receive(head.as_bytes(), &expect);
            for byte in content.bytes() {
                outcome = outcome.and_then(|_| reader.receive(&[byte], &expect));
            }
            outcome.map_err(|fault| fault.class)
        };
        for right in ["first", "fight", "longer"] {
            assert!(receive(right).is_ok(), "{right}");
        }
        for wrong in ["fighs", "firht", "longes", "none"] {
            assert_eq!(receive(wrong), Err(FaultClass::Content), "{wrong}");
        }
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut reader = ResponseReader::default();
        let mut outcome = reader.receive(b"HTTP/1.1 200 OK\r\nA: ", &expect());
        for _ in 0..HEAD_BYTES_MAX / 1024 {
            outcome = outcome.and_then(|_| reader.receive(&[b'a'; 1024], &expect()));
        }
        assert_eq!(outcome.expect_err("a fault").class, FaultClass::Framing);
    }

    #[test]
    fn a_304_has_no_content_whatever_its_length_says() {
        let expect = Expect { status: 304, contents: &[] };
        let bytes = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        let (taken, progress) = ResponseReader::default().receive(bytes, &expect).expect("ok");
        assert_eq!(taken, bytes.len());
        let persistence = Persistence::KeepAlive;
        assert_eq!(progress, Progress::Complete { persistence, content_bytes: 0 });
    }
}
