//! Files that documents point at exist.

use super::Finding;
use super::tree::Tree;

/// Beginnings by which a word in code style is known to be a path of this repository.
const ROOMS: [&str; 8] =
    ["driver/", "http/", "cache/", "loadtest/", "inf/", ".ci/", ".github/", ".cargo/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_document = |path: &str| path.to_ascii_lowercase().ends_with(".md");
    for (path, text) in tree.texts().filter(|(path, _)| is_document(path)) {
        let mut is_fenced = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
                continue;
            }
            if is_fenced {
                continue;
            }
            for target in links(line) {
                if !tree.exists(&resolve(path, target)) {
                    findings.push(Finding::new(path, index + 1, format!("no file at {target}")));
                }
            }
            for named in paths(line) {
                if !tree.exists(named) && !tree.exists(&resolve(path, named)) {
                    findings.push(Finding::new(path, index + 1, format!("no file at {named}")));
                }
            }
        }
    }
    findings
}

/// The relative targets of `[text](target)`, without their fragments.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split([' ', '#']).next()?;
        let is_elsewhere = target.contains(':') || target.is_empty();
        (!is_elsewhere).then_some(target)
    })
}

/// The words in code style that are paths.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|word| {
        let is_literal = !word.contains(|c: char| c.is_whitespace() || "*<>{}[]$:,()".contains(c));
        is_literal && !word.contains("...") && ROOMS.iter().any(|room| word.starts_with(room))
    })
}

/// The path from the top that `target` means in the document at `path`.
fn resolve(path: &str, target: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        folder.split('/').filter(|part| !part.is_empty()).collect()
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(document: &str) -> Vec<usize> {
        let tree = Tree::of(&[
            ("driver/docs/testing.md", document),
            ("driver/docs/design.md", ""),
            ("http/src/lib.rs", ""),
        ]);
        check(&tree).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_lead_somewhere() {
        let good = "[a](design.md#here), [b](../../http/src/), [c](https://b.org), [d](#e)\n";
        assert_eq!(lines(good), []);
        assert_eq!(lines("\n[a](desing.md) [b](../http/src/lib.rs)\n"), [2, 2]);
    }

    #[test]
    fn paths_in_code_style_exist() {
        assert_eq!(lines("`http/src/lib.rs` `http/src` `http/*.rs` `GET /x` `docs/x`\n"), []);
        assert_eq!(lines("\n\nsee `http/src/main.rs`\n"), [3]);
    }

    #[test]
    fn listings_are_not_read() {
        assert_eq!(lines("```\n[a](nothing.md) `http/no`\n```\n"), []);
        assert_eq!(lines("```\n```\n[a](nothing.md)\n"), [3]);
    }
}
