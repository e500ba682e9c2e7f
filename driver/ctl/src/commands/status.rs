//! `status`: what is served where.
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use wskhttpd_abi::{Counter, ServerState};

use super::health;
use crate::driver::Driver;
use crate::output::{self, grouped};

/// Asks and tells.
pub(crate) fn run(driver: &Driver, json: bool) -> Result<()> {
    let (state, counters, health) = (driver.state()?, driver.counters()?, driver.health()?);
    if json {
        let mut value = to_json(&state);
        value["connections_open"] = json!(counters.get(Counter::ConnectionsOpen));
        value["requests"] = json!(counters.get(Counter::Requests));
        value["health"] = health.iter().map(health::to_json).collect();
        return Ok(output::json(&value)?);
    }
    let uptime = humantime::format_duration(Duration::from_secs(state.uptime_s));
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let [open, requests] =
        [Counter::ConnectionsOpen, Counter::Requests].map(|counter| grouped(counters.get(counter)));
    let mut rows = vec![
        row("listening on", format!("{} ({})", state.listen, state.accept_mode)),
        row("version", state.version.to_string()),
        row("up for", format!("{uptime}, on {} processors", state.processors)),
        row("site", site(&state)),
        row(
            "published",
            format!("{} sites, {} in memory", state.sites_published, state.sites_held),
        ),
        row("connections", format!("{open} open")),
        row("requests", requests),
    ];
    rows.extend(
        health
            .iter()
            .map(|endpoint| row(&format!("health {}", endpoint.name), health::answered(endpoint))),
    );
    Ok(output::text(&output::table(&[], &[], rows))?)
}

fn site(state: &ServerState) -> String {
    let [entries, octets] = [state.entries.into(), state.image_bytes].map(grouped);
    format!("generation {:016x}, {entries} paths, {octets} octets", state.generation)
}

/// The whole record.
pub(crate) fn to_json(state: &ServerState) -> Value {
    json!({
        "version": &state.version[..],
        "listen": state.listen.to_string(),
        "accept_mode": &state.accept_mode[..],
        "uptime_s": state.uptime_s,
        "now_s": state.now_s,
        "generation": format!("{:016x}", state.generation),
        "sites_published": state.sites_published,
        "sites_held": state.sites_held,
        "image_bytes": state.image_bytes,
        "entries": state.entries,
        "processors": state.processors,
    })
}
