//! The site to serve: a folder, an image, or the sample.
use std::path::Path;

use anyhow::{Context, Result};
use include_dir::{Dir, include_dir};
use response_cache::build::{Options, build_folder};
use response_cache::{Layout, Limits};

static SAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/site");

/// An image and what to call it.
pub(crate) struct LoadedSite {
    /// The octets of the image.
    pub(crate) image: Vec<u8>,
    /// Where it came from.
    pub(crate) name: String,
    /// (host, path) pairs in it.
    pub(crate) entries: usize,
}

/// Reads or builds the image.
pub(crate) fn load(site: Option<&Path>) -> Result<LoadedSite> {
    match site {
        None => {
            let folder = tempfile::tempdir().context("a folder for the sample site")?;
            SAMPLE.extract(folder.path()).context("the sample site")?;
            build(folder.path(), "the sample site")
        }
        Some(path) if path.is_dir() => build(path, &path.display().to_string()),
        Some(path) => {
            let name = path.display().to_string();
            let image = std::fs::read(path).with_context(|| name.clone())?;
            let layout = Layout::validate(&image, &Limits::SERVED)
                .map_err(|invalid| anyhow::anyhow!("{name} is not a site image: {invalid}"))?;
            Ok(LoadedSite { image, name, entries: layout.entries() })
        }
    }
}

fn build(folder: &Path, name: &str) -> Result<LoadedSite> {
    let built = build_folder(folder, &Options::default())?;
    for warning in &built.warnings {
        eprintln!("wskhttpd: warning: {warning}");
    }
    let entries = built.summary.entries;
    Ok(LoadedSite { image: built.image, name: name.to_owned(), entries })
}
