//! `rejects`: what was refused lately.
use anyhow::Result;
use serde_json::{Value, json};
use wskhttpd_abi::Reject;

use super::follow;
use crate::driver::Driver;
use crate::{output, w3c};

/// Reads the ring.
pub(crate) fn run(driver: &Driver, goes_on: bool, json: bool) -> Result<()> {
    let mut is_first = true;
    follow::read(
        goes_on,
        |since| driver.rejects(since),
        |part| {
            if json {
                for reject in &part.items {
                    output::json(&to_json(reject))?;
                }
            } else {
                // What the ring forgot before anybody looked is no loss worth a word.
                if part.lost > 0 && !is_first {
                    output::text(&format!("... {} more, too many to keep\n", part.lost))?;
                }
                output::text(&part.items.iter().map(line).collect::<String>())?;
            }
            is_first = false;
            Ok(())
        },
    )
}

fn line(reject: &Reject) -> String {
    let time = humantime::format_rfc3339_millis(w3c::instant(reject.time_ms));
    let peer = peer(reject);
    let status = match reject.status {
        0 => "-".to_owned(),
        status => status.to_string(),
    };
    let octets = reject.octets.escape_ascii();
    let line = format!("{time}  {peer:<24} {:<24} {status:<4} {octets}", reject.reason.word());
    format!("{}\n", line.trim_end())
}

fn peer(reject: &Reject) -> String {
    match reject.port {
        0 => reject.address.to_string(),
        port => std::net::SocketAddr::new(reject.address, port).to_string(),
    }
}

fn to_json(reject: &Reject) -> Value {
    json!({
        "time": humantime::format_rfc3339_millis(w3c::instant(reject.time_ms)).to_string(),
        "address": reject.address,
        "port": reject.port,
        "reason": reject.reason.word(),
        "status": reject.status,
        "octets": reject.octets.escape_ascii().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use wskhttpd_abi::Reason;

    use super::*;

    #[test]
    fn no_octet_of_a_peer_reaches_the_terminal_as_it_is() {
        let mut reject = Reject {
            time_ms: 0,
            address: "::1".parse().unwrap(),
            port: 9,
            reason: Reason::BadRequest,
            status: 400,
            octets: b"\x1B[2J\"\\\r\nGET\xFF"[..].try_into().unwrap(),
        };
        let shown = line(&reject);
        assert!(shown.ends_with("BadRequest               400  \\x1b[2J\\\"\\\\\\r\\nGET\\xff\n"));
        assert!(shown.starts_with("1970-01-01T00:00:00.000Z  [::1]:9 "), "{shown}");
        reject.octets.clear();
        (reject.status, reject.port) = (0, 0);
        assert!(line(&reject).ends_with(" -\n"));
        assert_eq!(to_json(&reject)["address"], "::1");
    }
}
