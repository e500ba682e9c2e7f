//! The number of unsafe blocks of each crate may not grow without a line that says why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Finding;
use super::tree::Tree;

/// The table, from the top of the repository.
pub(super) const PATH: &str = "driver/docs/unsafe-budget.md";

const INTRODUCTION: &str = "\
# Unsafe budget

`cargo xtask tidy` counts the unsafe blocks of each crate, tests included, and fails when a
count is above its line here. Lower counts are welcome: `cargo xtask tidy --bless` writes the
present ones and keeps the reasons. A crate that is not listed has none.

";

/// A line of the table.
#[derive(Debug, Eq, PartialEq)]
struct Line {
    number: usize,
    blocks: usize,
    why: String,
}

/// Unsafe blocks by crate name, of the crates that have any.
pub(super) fn counts(tree: &Tree) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (path, source) in tree.sources() {
        let blocks = source.lines_of(&["unsafe", "{"]).count();
        if blocks > 0 {
            *counts.entry(crate_of(tree, path)).or_insert(0) += blocks;
        }
    }
    counts
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let table = tree.text(PATH).map(lines).unwrap_or_default();
    let mut findings = Vec::new();
    for (name, blocks) in counts(tree) {
        match table.get(&name) {
            None => {
                let message = format!("{name} has {blocks} unsafe blocks and no line here");
                findings.push(Finding::new(PATH, 1, message));
            }
            Some(line) if blocks > line.blocks => {
                let message = format!("{name} has {blocks} unsafe blocks, not {}", line.blocks);
                findings.push(Finding::new(PATH, line.number, message));
            }
            Some(_) => {}
        }
    }
    for (name, line) in table.iter().filter(|(_, line)| line.why.is_empty()) {
        findings.push(Finding::new(PATH, line.number, format!("{name}: it does not say why")));
    }
    findings
}

/// The document with the present counts and the reasons it already gives.
pub(super) fn blessed(tree: &Tree) -> String {
    let before = tree.text(PATH).unwrap_or_default();
    let table = lines(before);
    let introduction = before.find("| crate").map_or(INTRODUCTION, |start| &before[..start]);
    let after = before.lines().skip_while(|line| !line.starts_with('|'));
    let after: Vec<_> = after.skip_while(|line| line.starts_with('|')).collect();
    let mut text = format!("{introduction}| crate | blocks | why |\n|---|---|---|\n");
    for (name, blocks) in counts(tree) {
        let why = table.get(&name).map_or_else(|| first_reason(&name), |line| &line.why);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {name} | {blocks} | {why} |");
    }
    for line in after {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The reason a crate behind the fence begins with; any other has to be given one.
fn first_reason(name: &str) -> &'static str {
    match name {
        "nt-sys" => "the inline WDM macros read and write fields of NT objects",
        "nt" => "the fence: every call of a DDI, and every callback from one, is here",
        "nthost" => "it is the other side: it reads what the driver hands to NT and WSK",
        "wskhttpd-bench" => "a provider in memory reads what the driver hands to NT and WSK",
        "httpsys-baseline" => "every call of the HTTP Server API is one of C",
        "wskhttpd-image" => "`DriverEntry` receives raw pointers",
        _ => "",
    }
}

fn lines(text: &str) -> BTreeMap<String, Line> {
    let rows = text.lines().enumerate().filter_map(|(index, row)| {
        let mut cells = row.strip_prefix('|')?.split('|').map(str::trim);
        let name = cells.next()?.trim_matches('`').to_owned();
        let blocks = cells.next()?.parse().ok()?;
        let why = cells.next().unwrap_or_default().to_owned();
        Some((name, Line { number: index + 1, blocks, why }))
    });
    rows.collect()
}

fn crate_of(tree: &Tree, path: &str) -> String {
    let folder = tree.crate_folder(path);
    folder.and_then(|folder| tree.crate_name(folder)).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "fn a() {\n    unsafe { b() }\n    m! { unsafe { b() } }\n}\n\
                       unsafe fn c() {}\n// unsafe { d() }\n";

    fn tree(document: Option<&str>) -> Tree {
        let manifest = ("driver/nt/Cargo.toml", "[package]\nname = \"nt\"\n");
        let mut files = vec![manifest, ("driver/nt/src/irp.rs", TWO)];
        files.extend(document.map(|text| (PATH, text)));
        Tree::of(&files)
    }

    fn findings(rows: &str) -> Vec<usize> {
        let document = format!("| crate | blocks | why |\n|---|---|---|\n{rows}");
        check(&tree(Some(&document))).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn blocks_are_counted_by_crate() {
        assert_eq!(counts(&tree(None)), BTreeMap::from([("nt".to_owned(), 2)]));
    }

    #[test]
    fn a_count_may_not_grow() {
        assert_eq!(findings("| nt | 2 | calls |\n"), []);
        assert_eq!(findings("| nt | 3 | calls |\n"), []);
        assert_eq!(findings("| nt | 1 | calls |\n"), [3]);
        assert_eq!(findings("| other | 9 | calls |\n"), [1]);
        assert_eq!(check(&tree(None)).len(), 1);
    }

    #[test]
    fn a_line_says_why() {
        assert_eq!(findings("| nt | 2 |  |\n"), [3]);
    }

    #[test]
    fn blessing_writes_the_counts_and_keeps_the_words() {
        let first = blessed(&tree(None));
        assert!(first.contains("| nt | 2 | the fence"), "{first}");
        assert_eq!(check(&tree(Some(&first))), []);
        let own = "# Mine\n\n| crate | blocks | why |\n|---|---|---|\n| nt | 1 | own |\n\nEnd.\n";
        let second = blessed(&tree(Some(own)));
        assert_eq!(second, own.replace("| 1 |", "| 2 |"));
    }
}
