//! Reading responses with nothing but RFC 9112 in mind, and comparing them with what must come.
use crate::request::Answer;

/// Octets of a head at most.
const HEAD_BYTES_MAX: usize = 8_192;

/// Reads what comes on one connection.
#[derive(Default)]
pub(crate) struct Reader {
    octets: Vec<u8>,
    /// Answers that came whole.
    pub(crate) answers: usize,
    /// The answer that gave the wait up came: 408.
    pub(crate) timed_out: bool,
    /// No further answer may come.
    ended: bool,
}

/// What a head says.
struct Head {
    status: u16,
    length: usize,
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
    let (mut length, mut closes, mut dates) = (None, false, 0);
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("no field: {line:?}"))?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_some() => return Err("two lengths".into()),
            "content-length" => {
                length = Some(value.parse().map_err(|_| format!("no length: {value:?}"))?);
            }
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
    Ok(Some(Head { status, length, closes, octets: end + 4 }))
}

impl Reader {
    /// Takes what came; the complaint when it is not what must come. `answers` are those to all
    /// requests that were sent, the last perhaps not whole.
    pub(crate) fn take(&mut self, octets: &[u8], answers: &[&Answer]) -> Result<(), String> {
        self.octets.extend_from_slice(octets);
        while !self.octets.is_empty() {
            if self.ended {
                return Err(format!("more behind the last answer: {}", self.octets.escape_ascii()));
            }
            let Some(head) = head(&self.octets)? else { return Ok(()) };
            let wanted = answers.get(self.answers);
            let is_timeout = head.status == 408 && wanted.is_none_or(|wanted| wanted.status != 408);
            let head_only = !is_timeout && wanted.is_some_and(|wanted| wanted.head_only);
            let length = if head_only { 0 } else { head.length };
            let body = &self.octets[head.octets..];
            let there = &body[..body.len().min(length)];
            if !is_timeout {
                let wanted =
                    wanted.ok_or_else(|| format!("an answer {} to nothing", head.status))?;
                check(wanted, &head, there)?;
            }
            if there.len() < length {
                return Ok(());
            }
            self.octets.drain(..head.octets + length);
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

fn check(wanted: &Answer, head: &Head, there: &[u8]) -> Result<(), String> {
    if head.status != wanted.status {
        return Err(format!("{} and not {}", head.status, wanted.status));
    }
    if wanted.closes && !head.closes {
        return Err(format!("{} that does not say that it is the last", head.status));
    }
    let Some(content) = wanted.content else { return Ok(()) };
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

    const DATE: &str = "Date: Mon, 01 Jan 2024 00:00:01 GMT\r\n";

    fn answer(status: u16, content: &'static [u8]) -> Answer {
        Answer { status, content: Some(content), head_only: false, closes: false }
    }

    #[test]
    fn answers_are_read_whatever_their_split() {
        let wanted = [&answer(200, b"ab"), &answer(200, b"c")];
        let octets = format!(
            "HTTP/1.1 200 OK\r\n{DATE}Content-Length: 2\r\n\r\nab\
             HTTP/1.1 200 OK\r\n{DATE}Content-Length: 1\r\n\r\nc"
        );
        for split in 0..octets.len() {
            let mut reader = Reader::default();
            let (a, b) = octets.as_bytes().split_at(split);
            reader.take(a, &wanted).unwrap();
            reader.take(b, &wanted).unwrap();
            assert_eq!((reader.answers, reader.rest()), (2, 0));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nab", "404 and not 200"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "a length of 3"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nax", "differs at octet 1"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\
                 HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "to nothing",
            ),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nabc", "more behind"),
            ("HTTP/1.1 200 OK\r\n\r\n", "no length"),
            ("SSH-2.0\r\n\r\n", "no status line"),
        ];
        for (octets, complaint) in cases {
            let octets = octets.replacen("\r\n\r\n", &format!("\r\n{DATE}\r\n"), 9);
            let said = Reader::default().take(octets.as_bytes(), &[&answer(200, b"ab")]);
            let said = said.expect_err(&octets);
            assert!(said.contains(complaint), "{said}: {octets}");
        }
    }
}
