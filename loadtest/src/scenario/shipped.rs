//! The scenarios that come with this program, from `loadtest/scenarios`.

use std::fs;

use anyhow::{Context as _, Result};

use crate::scenario::file::Scenario;

/// Name and text of each, in the order in which they are listed.
pub const SHIPPED: [(&str, &str); 11] = [
    ("hello", include_str!("../../scenarios/hello.toml")),
    ("health", include_str!("../../scenarios/health.toml")),
    ("files-mixed", include_str!("../../scenarios/files-mixed.toml")),
    ("pipelined", include_str!("../../scenarios/pipelined.toml")),
    ("churn", include_str!("../../scenarios/churn.toml")),
    ("slow-readers", include_str!("../../scenarios/slow-readers.toml")),
    ("slow-writers", include_str!("../../scenarios/slow-writers.toml")),
    ("per-address-limit", include_str!("../../scenarios/per-address-limit.toml")),
    ("overload-2x", include_str!("../../scenarios/overload-2x.toml")),
    ("reload", include_str!("../../scenarios/reload.toml")),
    ("soak", include_str!("../../scenarios/soak.toml")),
];

/// The scenario of this name, or else in the file of this name.
///
/// # Errors
/// There is neither, or the file is not one; the message names the line.
pub fn find(name: &str) -> Result<Scenario> {
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Scenario::parse(name, text);
    }
    let text = fs::read_to_string(name).with_context(|| {
        let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
        format!("{name}: no such file, and no scenario of that name ({})", names.join(", "))
    })?;
    Scenario::parse(name, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_shipped_and_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = fs::read_dir(folder).expect("the folder").flatten();
        let mut names: Vec<_> = files
            .map(|file| file.path().file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        let mut shipped: Vec<_> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        shipped.sort();
        assert_eq!(names, shipped);
        for name in names {
            let scenario = find(&name).expect("a scenario");
            assert!(!scenario.about.is_empty(), "{name}");
        }
    }
}
