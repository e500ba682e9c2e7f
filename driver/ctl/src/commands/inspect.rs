//! `inspect`: what is in a site image, or what is wrong with it.
use std::path::Path;

use anyhow::{Context as _, Result};

use super::pack::{inventory, summary};
use crate::inventory::{Line, StateAnswer};
use crate::output;

/// Reads, validates, tells.
pub(crate) fn run(file: &Path, json: bool) -> Result<()> {
    let name = || file.display().to_string();
    let image = std::fs::read(file).with_context(name)?;
    let inventory = inventory(&image).with_context(name)?;
    if json {
        return Ok(output::json(&serde_json::to_value(&inventory)?)?);
    }
    let rows = inventory.entries.iter().map(row).collect();
    let head = ["path", "status", "identity", "gzip", "br", "what"];
    let table = output::table(&head, &[1, 2, 3, 4], rows);
    let summary = output::table(&[], &[], summary(&inventory));
    Ok(output::text(&format!("{table}\n{summary}"))?)
}

fn row(line: &Line) -> Vec<String> {
    let bytes = |coding| {
        let variant = line.variants.iter().find(|variant| variant.coding == coding);
        variant.map_or_else(String::new, |variant| output::grouped(variant.bytes))
    };
    let health = line.health.as_ref().map(|name| {
        let other = line.states.iter().skip(1);
        other.fold(format!("health endpoint {name}"), |text, StateAnswer { state, status, .. }| {
            format!("{text}, {status} when {state}")
        })
    });
    let location = line.location.as_ref().map(|location| format!("to {location}"));
    let what = health.or(location).or_else(|| line.content_type.clone()).unwrap_or_default();
    vec![
        format!("{}{}", line.host, line.path),
        line.status.to_string(),
        bytes("identity"),
        bytes("gzip"),
        bytes("br"),
        what,
    ]
}
