//! The house rules, as checks over one reading of the repository.

mod budget;
mod fence;
mod layout;
mod links;
mod size;
mod source;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use tree::Tree;

/// One thing that is not as it has to be.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Finding {
    /// From the top of the repository.
    path: String,
    /// From 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks everything and prints what it finds; true when there is no finding.
pub(crate) fn tidy(root: &Path, bless: bool) -> Result<bool> {
    let mut tree = Tree::read(root)?;
    if bless {
        let text = budget::blessed(&tree);
        std::fs::create_dir_all(root.join("driver/docs"))?;
        std::fs::write(root.join(budget::PATH), &text)?;
        tree.insert(budget::PATH, text);
    }
    for warning in size::warnings(&tree) {
        println!("warning: {warning}");
    }
    for (crate_name, blocks) in budget::counts(&tree) {
        println!("unsafe blocks: {crate_name} {blocks}");
    }
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", tree.files().count(), findings.len());
    Ok(findings.is_empty())
}

fn check(tree: &Tree) -> Vec<Finding> {
    let checks =
        [fence::check, words::check, size::check, layout::check, links::check, budget::check];
    let mut findings = tree.unreadable();
    findings.extend(checks.iter().flat_map(|check| check(tree)));
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_and_line() {
        let finding = Finding::new("http/src/lib.rs", 7, "too long");
        assert_eq!(finding.to_string(), "http/src/lib.rs:7: too long");
    }

    #[test]
    fn a_source_that_is_not_rust_is_a_finding() {
        let broken = Tree::of(&[("http/src/a.rs", "\nfn {")]);
        assert!(check(&broken).iter().any(|finding| finding.path == "http/src/a.rs"));
        let whole = Tree::of(&[("http/src/a.rs", "fn a() {}\n")]);
        assert_eq!(check(&whole), []);
    }
}
