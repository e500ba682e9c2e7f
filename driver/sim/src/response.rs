//! Reading responses with nothing but RFC 9112 in mind, and comparing them with what must come.
use std::time::Duration;

use wskhttpd_abi::Health;

use crate::history::History;
use crate::request::Answer;
use crate::site::File;

/// Octets of a head at most.
const HEAD_BYTES_MAX: usize = 8_192;

/// Reads what comes on one connection.
#[derive(Default)]
pub(crate) struct Reader {
    octets: Vec<u8>,
    /// Answers that came whole.
    pub(crate) answers: usize,
    /// When the answer that is coming was first seen to.
    seen: Option<Duration>,
    /// The answer that gave the wait up came: 408.
    pub(crate) timed_out: bool,
    /// No further answer may come.
    ended: bool,
}

/// What a head says.
struct Head {
    status: u16,
    length: usize,
    tag: Option<String>,
    closes: bool,
    /// Octets up to the end of the empty line.
    octets: usize,
}

fn head(octets: &[u8]) -> Result<Option<Head>, String> {
    let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if octets.len() > HEAD_BYTES_MAX {
            Err("an endless head".into())
        } else {
            Ok(None)
        };
    };
    let text = std::str::from_utf8(&octets[..end]).map_err(|_| "a head that is not text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status line: {first:?}"))?;
    let (mut length, mut tag, mut closes, mut dates) = (None, None, false, 0);
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("no field: {line:?}"))?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_some() => return Err("two lengths".into()),
            "content-length" => {
                length = Some(value.parse().map_err(|_| format!("no length: {value:?}"))?);
            }
            "etag" => tag = Some(value.to_owned()),
            "connection" => closes |= value == "close",
            "transfer-encoding" => return Err("a transfer coding".into()),
            "date" => {
                dates += 1;
                if !value.starts_with("Mon, 01 Jan 2024 ") {
                    return Err(format!("not the date: {value:?}"));
                }
            }
            _ => {}
        }
    }
    if dates != 1 {
        return Err(format!("{dates} dates in {text:?}"));
    }
    let length = match length {
        Some(length) => length,
        None if status == 204 || status == 304 => 0,
        None => return Err(format!("no length in {text:?}")),
    };
    Ok(Some(Head { status, length, tag, closes, octets: end + 4 }))
}

impl Reader {
    /// Takes what came now; the complaint when it is not what must come. `answers` are those to all
    /// requests that were sent, the last perhaps not whole, with the time of their first octets.
    pub(crate) fn take(
        &mut self,
        octets: &[u8],
        answers: &[(&Answer, Duration)],
        history: &History,
        now: Duration,
    ) -> Result<(), String> {
        self.octets.extend_from_slice(octets);
        while !self.octets.is_empty() {
            let seen = *self.seen.get_or_insert(now);
            if self.ended {
                return Err(format!("more behind the last answer: {}", self.octets.escape_ascii()));
            }
            let Some(head) = head(&self.octets)? else { return Ok(()) };
            let wanted = answers.get(self.answers);
            let is_timeout =
                head.status == 408 && wanted.is_none_or(|(wanted, _)| wanted.status != 408);
            let head_only = !is_timeout && wanted.is_some_and(|(wanted, _)| wanted.head_only);
            let length = if head_only { 0 } else { head.length };
            let body = &self.octets[head.octets..];
            let there = &body[..body.len().min(length)];
            if !is_timeout {
                let (wanted, asked) =
                    wanted.ok_or_else(|| format!("an answer {} to nothing", head.status))?;
                check(wanted, &head, there, history, (*asked, seen))?;
            }
            if there.len() < length {
                return Ok(());
            }
            self.octets.drain(..head.octets + length);
            self.seen = None;
            self.ended = head.closes;
            if is_timeout {
                self.timed_out = true;
            } else {
                self.answers += 1;
            }
        }
        Ok(())
    }

    /// Octets of an answer that has not come whole.
    pub(crate) fn rest(&self) -> usize {
        self.octets.len()
    }
}

/// What a health endpoint's answer means.
fn health(head: &Head, there: &[u8]) -> Result<Health, String> {
    let answers = [
        (200, "ok\n", Health::Up),
        (503, "draining\n", Health::Drain),
        (503, "down\n", Health::Down),
    ];
    let is_it = |(status, content, _): &&(u16, &str, Health)| {
        *status == head.status
            && content.len() == head.length
            && content.as_bytes().starts_with(there)
    };
    let answer = answers.iter().find(is_it);
    answer.map(|(_, _, health)| *health).ok_or_else(|| {
        format!("{} with {} octets from a health endpoint", head.status, head.length)
    })
}

fn check(
    wanted: &Answer,
    head: &Head,
    there: &[u8],
    history: &History,
    (asked, seen): (Duration, Duration),
) -> Result<(), String> {
    if wanted.is_health {
        let health = health(head, there)?;
        if history.health.allows(health, asked, seen) {
            return Ok(());
        }
        return Err(format!("{} since {asked:?}, which it was not then", health.word()));
    }
    if head.status != wanted.status {
        return Err(format!("{} and not {}", head.status, wanted.status));
    }
    if wanted.closes && !head.closes {
        return Err(format!("{} that does not say that it is the last", head.status));
    }
    let Some(files) = wanted.files else { return Ok(()) };
    // Tags differ from one generation to another, and so do lengths where there is no tag.
    let is_it = |file: &&File| {
        file.tag == head.tag && (head.tag.is_some() || file.content.len() == head.length)
    };
    let generation = files.iter().position(is_it);
    let generation = generation.ok_or_else(|| {
        format!("the tag {:?} and length {}, of no generation", head.tag, head.length)
    })?;
    let current = history.between(asked, seen);
    if !current[generation] {
        return Err(format!("generation {generation}, which was not current: {current:?}"));
    }
    if head.status == 304 {
        return Ok(());
    }
    let content = &files[generation].content;
    if head.length != content.len() {
        return Err(format!("a length of {} and not {}", head.length, content.len()));
    }
    if !content.starts_with(there) {
        let at = there.iter().zip(content).take_while(|(a, b)| a == b).count();
        return Err(format!("content that differs at octet {at}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{GENERATIONS, files};

    const DATE: &str = "Date: Mon, 01 Jan 2024 00:00:01 GMT\r\n";

    fn hello() -> [&'static File; GENERATIONS] {
        files("/hello.txt")
    }

    fn answer(status: u16) -> Answer {
        Answer { status, files: Some(hello()), ..Answer::NONE }
    }

    /// Reads pieces as answers to two requests; how many came whole.
    fn read(pieces: &[&str], answer: &Answer) -> Result<usize, String> {
        let mut reader = Reader::default();
        let answers = [(answer, Duration::ZERO), (answer, Duration::ZERO)];
        for piece in pieces {
            reader.take(piece.as_bytes(), &answers, &History::new(true), Duration::ZERO)?;
        }
        Ok(reader.answers)
    }

    fn response(status: u16, of: usize, content_of: usize) -> String {
        let tag = hello()[of].tag.as_deref().unwrap();
        let content = String::from_utf8(hello()[content_of].content.clone()).unwrap();
        let length = content.len();
        let head = format!("HTTP/1.1 {status} X\r\nETag: {tag}\r\nContent-Length: {length}\r\n");
        format!("{head}{DATE}\r\n{content}")
    }

    #[test]
    fn answers_are_read_whatever_their_split() {
        let two = response(200, 0, 0).repeat(2);
        for at in 0..two.len() {
            let (a, b) = two.split_at(at);
            assert_eq!(read(&[a, b], &answer(200)), Ok(2));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (response(404, 0, 0), "404 and not 200"),
            (response(200, 1, 1), "was not current"),
            (response(200, 0, 1), "a length of"),
            (response(200, 0, 0).replace("world", "wordl"), "differs at octet 10"),
            (response(200, 0, 0).replace("ETag", "Etags"), "of no generation"),
            (response(200, 0, 0).repeat(3), "to nothing"),
            (response(200, 0, 0).replace(DATE, ""), "0 dates"),
            (format!("HTTP/1.1 200 OK\r\n{DATE}\r\n"), "no length"),
            ("SSH-2.0\r\n\r\n".to_owned(), "no status line"),
        ];
        for (octets, complaint) in cases {
            let said = read(&[&octets], &answer(200)).expect_err(&octets);
            assert!(said.contains(complaint), "{said}: {octets}");
        }
        let last = Answer { closes: true, ..answer(200) };
        assert!(read(&[&response(200, 0, 0)], &last).is_err());
        let closed = response(200, 0, 0).replace(DATE, &format!("{DATE}Connection: close\r\n"));
        assert_eq!(read(&[&closed], &last), Ok(1));
        assert!(read(&[&closed, "x"], &last).unwrap_err().contains("more behind"));
    }
}
