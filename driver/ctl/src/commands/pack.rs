//! `pack`: a folder becomes a site image.
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use response_cache::build::{BuildError, Built, Options, Progress, build_folder_watched};
use response_cache::{Layout, Limits};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::arguments::Pack;
use crate::failure::Failure;
use crate::inventory::Inventory;
use crate::output;

/// Packs, writes, tells.
pub(crate) fn run(pack: &Pack, json: bool) -> Result<()> {
    let built = build(&pack.folder)?;
    let folder = match pack.output.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let file = write(&built.image, folder, ".image")
        .with_context(|| format!("{}: cannot be written", pack.output.display()))?;
    file.persist(&pack.output).with_context(|| pack.output.display().to_string())?;
    let inventory = inventory(&built.image)?;
    if json {
        let warnings: Vec<_> = built.warnings.iter().map(ToString::to_string).collect();
        let mut value = serde_json::to_value(&inventory)?;
        value["file"] = json!(pack.output.display().to_string());
        value["warnings"] = json!(warnings);
        return Ok(output::json(&value)?);
    }
    warn(&built);
    let mut rows = summary(&inventory);
    rows.push(vec!["written to".into(), pack.output.display().to_string(), String::new()]);
    Ok(output::text(&output::table(&[], &[], rows))?)
}

/// Builds the image of a folder; a bar on the terminal shows how far it is.
pub(crate) fn build(folder: &Path) -> Result<Built> {
    let style = "{msg} [{wide_bar}] {bytes}/{total_bytes}, {eta} to go";
    let style = ProgressStyle::with_template(style)?.progress_chars("=> ");
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::new(0).with_style(style).with_message("compressing");
    bar.enable_steady_tick(Duration::from_millis(100));
    let built = build_folder_watched(folder, &Options::default(), &|progress: Progress| {
        bar.set_length(progress.bytes as u64);
        bar.set_position(progress.bytes_done as u64);
        bar.set_message(format!("{} of {} files", progress.files_done, progress.files));
    });
    bar.finish_and_clear();
    built.map_err(|error| match error {
        BuildError::Unreadable { .. } => error.into(),
        // The folder is there, but it is no site.
        error => Failure::Refused(error.to_string()).into(),
    })
}

/// Warnings are for people, on stderr.
pub(crate) fn warn(built: &Built) {
    for warning in &built.warnings {
        eprintln!("wskhttpctl: warning: {warning}");
    }
}

/// Writes an image to a new file in `folder`, as readable as any other new file.
pub(crate) fn write(image: &[u8], folder: &Path, suffix: &str) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.suffix(suffix).tempfile_in(folder)?;
    file.write_all(image)?;
    Ok(file)
}

/// What is in an image; refused if it is none.
pub(crate) fn inventory(image: &[u8]) -> Result<Inventory> {
    let layout = Layout::validate(image, &Limits::SERVED)
        .map_err(|invalid| Failure::Refused(format!("not a site image: {invalid}")))?;
    Ok(Inventory::of(image, layout))
}

/// An image in a few rows: what, how many, of what kind.
pub(crate) fn summary(inventory: &Inventory) -> Vec<Vec<String>> {
    let Inventory { image_bytes, generation, contents, entries } = inventory;
    let saved = contents.identity_bytes - contents.smallest_bytes;
    let percent = (saved * 100).checked_div(contents.identity_bytes).unwrap_or(0);
    let redirects = entries.iter().filter(|line| line.location.is_some()).count();
    let health = entries.iter().filter(|line| line.health.is_some()).count();
    let row =
        |name: &str, count: u64, note: String| vec![name.into(), output::grouped(count), note];
    vec![
        row(
            "paths",
            entries.len() as u64,
            format!("{redirects} redirects, {health} health endpoints"),
        ),
        row(
            "contents",
            contents.count,
            format!("{} octets", output::grouped(contents.identity_bytes)),
        ),
        row(
            "variants",
            contents.gzip + contents.br,
            format!("{} gzip, {} br", contents.gzip, contents.br),
        ),
        row("octets saved", saved, format!("{percent} % where a client takes them all")),
        row("octets of image", *image_bytes, format!("generation {generation}")),
    ]
}
