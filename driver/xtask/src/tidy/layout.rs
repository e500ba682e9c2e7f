//! Where files may be, and what they may be called.

use super::Finding;
use super::tree::Tree;

/// The only files and folders at the top that do not begin with a dot.
const TOP: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "rust-toolchain.toml",
    "driver",
    "http",
    "cache",
    "loadtest",
    "inf",
];
/// Names that say nothing about what is inside.
const BANNED: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _) in tree.files() {
        let mut parts = path.split('/');
        let top = parts.next().unwrap_or_default();
        if !top.starts_with('.') && !TOP.contains(&top) {
            findings.push(Finding::new(path, 1, format!("`{top}` does not belong at the top")));
        }
        for part in path.split('/') {
            let stem = part.split('.').next().unwrap_or_default();
            if BANNED.contains(&stem) {
                findings.push(Finding::new(path, 1, format!("`{stem}` names nothing")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str) -> usize {
        check(&Tree::of(&[(path, "")])).len()
    }

    #[test]
    fn the_top_level_is_fixed() {
        for path in ["README.md", ".ci/run", "inf/README.md", "http/src/lib.rs"] {
            assert_eq!(count(path), 0, "{path}");
        }
        for path in ["NOTES.md", "docs/design.md", "tools/x"] {
            assert_eq!(count(path), 1, "{path}");
        }
    }

    #[test]
    fn names_say_what_is_inside() {
        for stem in BANNED {
            assert_eq!(count(&format!("http/src/{stem}.rs")), 1, "{stem}");
            assert_eq!(count(&format!("http/tests/{stem}/mod.rs")), 1, "{stem}");
            assert_eq!(count(&format!("http/src/{stem}_of_host.rs")), 0, "{stem}");
        }
    }
}
