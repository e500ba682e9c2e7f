//! The W3C extended log file format, with the fields that IIS has by these names.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wskhttpd_abi::Access;

/// What opens a log, and says what its lines have.
pub(crate) fn head(now: SystemTime) -> String {
    format!(
        "#Software: wskhttpctl {}\n#Version: 1.0\n#Date: {}\n#Fields: date time c-ip c-port \
         cs-method cs-uri-stem cs-uri-query sc-status sc-bytes\n",
        env!("CARGO_PKG_VERSION"),
        humantime::format_rfc3339_seconds(now).to_string().replace('T', " ").trim_end_matches('Z'),
    )
}

/// What stands where the ring lost entries.
pub(crate) fn lost(count: u64) -> String {
    format!("#Remark: {count} requests are not in this log, because nobody read it in time\n")
}

/// One request.
pub(crate) fn line(access: &Access) -> String {
    let time = humantime::format_rfc3339_millis(instant(access.time_ms)).to_string();
    let (date, time) = time.trim_end_matches('Z').split_once('T').unwrap_or(("-", "-"));
    let mut parts = access.target.splitn(2, |octet| *octet == b'?').map(escaped);
    let stem = parts.next().unwrap_or_default();
    let query = parts.next().unwrap_or_else(|| "-".to_owned());
    format!(
        "{date} {time} {} {} {} {stem} {query} {} {}\n",
        access.address,
        access.port,
        access.method.word(),
        access.status,
        access.octets,
    )
}

/// An instant of a record.
pub(crate) fn instant(time_ms: u64) -> SystemTime {
    // The last of the year 9999: what comes after it has no date of four digits.
    const MS_MAX: u64 = 253_402_300_799_999;
    UNIX_EPOCH + Duration::from_millis(time_ms.min(MS_MAX))
}

/// A field has no white space; an empty one is a dash. What a URI cannot have is percent-encoded.
fn escaped(octets: &[u8]) -> String {
    let text: String = octets
        .iter()
        .map(|octet| match octet {
            b'!'..=b'~' => char::from(*octet).to_string(),
            _ => format!("%{octet:02X}"),
        })
        .collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use wskhttpd_abi::Method;

    use super::*;

    fn access(target: &[u8]) -> Access {
        Access {
            time_ms: 951_827_696_789,
            address: "2001:db8::1".parse().unwrap(),
            port: 40_000,
            method: Method::Get,
            status: 200,
            octets: 1234,
            target: target.try_into().unwrap(),
        }
    }

    #[test]
    fn a_line_has_the_fields_that_the_head_names() {
        let line = line(&access(b"/a?b=c?d"));
        assert_eq!(line, "2000-02-29 12:34:56.789 2001:db8::1 40000 GET /a b=c?d 200 1234\n");
        let head = head(instant(951_827_696_789));
        assert!(head.contains("#Date: 2000-02-29 12:34:56\n"), "{head}");
        let fields = head.lines().find_map(|line| line.strip_prefix("#Fields: ")).unwrap();
        assert_eq!(fields.split(' ').count(), line.trim_end().split(' ').count());
    }

    #[test]
    fn no_target_can_break_a_line_or_fake_one() {
        let line = line(&access(b"/a b\r\n#Remark:\t\xFF?"));
        assert!(line.contains(" /a%20b%0D%0A#Remark:%09%FF - 200 "), "{line}");
        assert!(super::line(&access(b"")).contains(" - - 200 "));
        assert!(super::line(&access(b"*")).contains(" * - 200 "));
    }

    #[test]
    fn a_time_beyond_all_dates_is_the_last_one() {
        let last = humantime::format_rfc3339_millis(instant(u64::MAX)).to_string();
        assert_eq!(last, "9999-12-31T23:59:59.999Z");
    }
}
