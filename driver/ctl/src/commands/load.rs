//! `load`: the server serves another site.
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::pack;
use crate::driver::Driver;
use crate::failure::Failure;
use crate::output;

/// Packs a folder first; then the driver opens the image by itself, with the rights of the caller.
pub(crate) fn run(driver: &Driver, site: &Path, json: bool) -> Result<()> {
    if !site.is_dir() {
        return load(driver, site, json);
    }
    let built = pack::build(site)?;
    if !json {
        pack::warn(&built);
    }
    // Removed when the driver has read it.
    let file = pack::write(&built.image, &std::env::temp_dir(), ".img")
        .context("no place for the packed site")?;
    load(driver, file.path(), json)
}

fn load(driver: &Driver, image: &Path, json: bool) -> Result<()> {
    let name = || image.display().to_string();
    // By its whole name, without links: the driver has another working folder.
    let path = image.canonicalize().with_context(name)?;
    let path = path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))?;
    let loaded = driver.load(&nt_path(path))?;
    if !loaded.refusal.is_empty() {
        return Err(Failure::Refused(loaded.refusal.to_string()).into());
    }
    if json {
        return Ok(output::json(&json!({
            "generation": format!("{:016x}", loaded.generation),
            "image_bytes": loaded.image_bytes,
            "entries": loaded.entries,
        }))?);
    }
    let [octets, entries] = [loaded.image_bytes, loaded.entries.into()].map(output::grouped);
    let generation = loaded.generation;
    let said = format!("serving generation {generation:016x}: {entries} paths, {octets} octets\n");
    Ok(output::text(&said)?)
}

/// The NT path of an absolute one; `\\?\`, which Windows puts before a canonical path, is how user
/// mode spells the same folder of names.
fn nt_path(path: &str) -> String {
    format!("\\??\\{}", path.strip_prefix("\\\\?\\").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::nt_path;

    #[test]
    fn a_path_of_either_system_has_an_nt_path() {
        assert_eq!(nt_path("\\\\?\\C:\\a.img"), "\\??\\C:\\a.img");
        assert_eq!(nt_path("/srv/a.img"), "\\??\\/srv/a.img");
    }
}
