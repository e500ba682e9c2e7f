//! `log`: the access log.
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use wskhttpd_abi::Access;

use super::follow;
use crate::driver::{Driver, Part};
use crate::{output, w3c};

/// The parameter that turns the log on.
const SWITCH: &str = "AccessLog";

/// Reads the ring, to a file or to stdout.
pub(crate) fn run(driver: &Driver, goes_on: bool, file: Option<&Path>, json: bool) -> Result<()> {
    let name = || file.map_or_else(String::new, |file| file.display().to_string());
    let file: Option<File> = file
        .map(|file| OpenOptions::new().append(true).create(true).open(file).with_context(name))
        .transpose()?;
    let write = |text: &str| match &file {
        Some(file) => (&*file).write_all(text.as_bytes()).with_context(name),
        None => Ok(output::text(text)?),
    };
    if driver.parameters()?.iter().any(|one| &one.name[..] == SWITCH && &one.value[..] == "0") {
        eprintln!("wskhttpctl: {SWITCH} is 0: no request is logged");
    }
    if !json {
        write(&w3c::head(SystemTime::now()))?;
    }
    follow::read(
        goes_on,
        |since| driver.log(since),
        |part| {
            if json {
                return lines(part).iter().try_for_each(|line| Ok(output::json(line)?));
            }
            write(&text(part))
        },
    )
}

fn text(part: &Part<Access>) -> String {
    let lost = if part.lost > 0 { w3c::lost(part.lost) } else { String::new() };
    part.items.iter().fold(lost, |text, access| text + &w3c::line(access))
}

fn lines(part: &Part<Access>) -> Vec<Value> {
    let lost = (part.lost > 0).then(|| json!({ "lost": part.lost }));
    lost.into_iter().chain(part.items.iter().map(to_json)).collect()
}

fn to_json(access: &Access) -> Value {
    json!({
        "time": humantime::format_rfc3339_millis(w3c::instant(access.time_ms)).to_string(),
        "address": access.address,
        "port": access.port,
        "method": access.method.word(),
        "status": access.status,
        "octets": access.octets,
        "target": access.target.escape_ascii().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use wskhttpd_abi::Since;

    use super::*;

    #[test]
    fn what_was_lost_stands_where_it_is_missing() {
        let part = Part { items: Vec::new(), lost: 3, next: Since(3) };
        assert!(text(&part).starts_with("#Remark: 3 requests "));
        assert_eq!(lines(&part), [json!({ "lost": 3 })]);
    }
}
