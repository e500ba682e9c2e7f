//! The README's tables name tests that exist, and every test that is named after a section.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of tests: of functions, and of the rows of the macros that make some.
fn tests_in(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let line = line.trim();
            if let Some((name, _)) = line.strip_prefix("fn ").and_then(|line| line.split_once("()"))
            {
                names.insert(name.to_owned());
            } else if let Some((name, _)) = line.split_once(':')
                && is_section(name)
            {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// `s9112_6_3_...`
fn is_section(name: &str) -> bool {
    let digits = |text: &str| text.len() == 4 && text.bytes().all(|octet| octet.is_ascii_digit());
    name.strip_prefix('s').and_then(|rest| rest.split_once('_')).is_some_and(|(rfc, _)| digits(rfc))
}

/// `*` stands for anything, or nothing.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn the_tables_and_the_tests_name_each_other() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = tests_in(&here.join("tests"));
    let all: BTreeSet<String> = [ours.clone(), tests_in(&here.join("../driver/tests"))]
        .into_iter()
        .chain([tests_in(&here.join("../cache/tests"))])
        .flatten()
        .collect();
    let readme = fs::read_to_string(here.join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "));
    let named: Vec<&str> = cells
        .flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2))
        .filter(|name| {
            name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"_*".contains(&octet))
        })
        .collect();
    assert!(named.len() > 50, "{named:?}");
    for pattern in &named {
        assert!(all.iter().any(|name| matches(pattern, name)), "there is no test {pattern}");
    }
    let unnamed: Vec<&String> = ours
        .iter()
        .filter(|name| is_section(name) && !named.iter().any(|pattern| matches(pattern, name)))
        .collect();
    assert!(unnamed.is_empty(), "not in the README: {unnamed:#?}");
}
