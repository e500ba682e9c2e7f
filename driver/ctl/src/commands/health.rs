//! `health`: what health endpoints answer, and switching them.
use anyhow::Result;
use serde_json::{Value, json};
use wskhttpd_abi::{Health, HealthEndpoint};

use crate::driver::Driver;
use crate::output;

/// All of them.
pub(crate) fn list(driver: &Driver, json: bool) -> Result<()> {
    let endpoints = driver.health()?;
    if json {
        return Ok(output::json(&endpoints.iter().map(to_json).collect())?);
    }
    let rows = endpoints.iter().map(|endpoint| {
        let missed = output::grouped(endpoint.missed);
        vec![endpoint.name.to_string(), answered(endpoint), beats(endpoint), missed]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(output::text("the site has no health endpoints\n")?);
    }
    Ok(output::text(&output::table(&["endpoint", "answers", "beats", "missed"], &[3], rows))?)
}

/// From now on.
pub(crate) fn switch(driver: &Driver, name: &str, health: Health, json: bool) -> Result<()> {
    driver.switch(name, health)?;
    if json {
        output::json(&json!({ "name": name, "health": health.word() }))?;
    }
    Ok(())
}

/// What it answers, and why if it is not what the operator said.
pub(crate) fn answered(endpoint: &HealthEndpoint) -> String {
    if endpoint.answered == endpoint.health {
        return endpoint.answered.word().to_owned();
    }
    format!("{} for want of beats, else {}", endpoint.answered.word(), endpoint.health.word())
}

fn beats(endpoint: &HealthEndpoint) -> String {
    match endpoint.timeout_ms {
        0 => "none expected".to_owned(),
        timeout => format!("one in {timeout} ms, last {} ms ago", endpoint.since_beat_ms),
    }
}

/// The whole record.
pub(crate) fn to_json(endpoint: &HealthEndpoint) -> Value {
    json!({
        "name": &endpoint.name[..],
        "health": endpoint.health.word(),
        "answered": endpoint.answered.word(),
        "timeout_ms": endpoint.timeout_ms,
        "since_beat_ms": endpoint.since_beat_ms,
        "missed": endpoint.missed,
    })
}
