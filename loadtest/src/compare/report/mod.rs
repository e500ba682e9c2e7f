//! A comparison for people and programs: three files in one folder.
//!
//! | module | what |
//! |---|---|
//! | [`page`] | one self-contained HTML file |
//! | [`plots`] | its pictures |
//! | [`markdown`] | the same in few words, for a document or an issue |

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::compare::comparison::Comparison;

pub mod markdown;
pub mod page;
pub mod plots;

/// Writes `report.html`, `report.md` and `report.json` into `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write(comparison: &Comparison, folder: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(comparison)?;
    let page = page::page(comparison)?;
    let markdown = markdown::markdown(comparison);
    for (name, text) in [("report.html", page), ("report.md", markdown), ("report.json", json)] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Three digits that count.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_once('.').map_or((&*plain, None), |(a, b)| (a, Some(b)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (value, text) in
            [(1_234_567.8, "1,234,568"), (123.4, "123"), (12.34, "12.3"), (1.0, "1.00")]
        {
            assert_eq!(figure(value), text);
        }
    }
}
