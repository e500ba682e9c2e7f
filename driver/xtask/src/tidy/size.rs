//! How long lines, functions and files may be.

use super::Finding;
use super::tree::Tree;

const LINE_COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 700;
const FILE_LINES_WARNED: usize = 500;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in rust_texts(tree) {
        for (index, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS_MAX {
                let message = format!("{columns} columns, {LINE_COLUMNS_MAX} allowed");
                findings.push(Finding::new(path, index + 1, message));
            }
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            let message = format!("{lines} lines in a file, {FILE_LINES_MAX} allowed");
            findings.push(Finding::new(path, FILE_LINES_MAX + 1, message));
        }
    }
    for (path, source) in tree.sources().filter(|(path, _)| !is_test_path(path)) {
        for function in source.functions.iter().filter(|f| f.lines > FUNCTION_LINES_MAX) {
            let message = format!(
                "{} lines in `{}`, {FUNCTION_LINES_MAX} allowed",
                function.lines, function.name
            );
            findings.push(Finding::new(path, function.line, message));
        }
    }
    findings
}

/// Files that are about to be too long.
pub(super) fn warnings(tree: &Tree) -> Vec<Finding> {
    let long = rust_texts(tree).filter_map(|(path, text)| {
        let lines = text.lines().count();
        let is_warned = (FILE_LINES_WARNED + 1..=FILE_LINES_MAX).contains(&lines);
        is_warned.then(|| Finding::new(path, lines, format!("{lines} lines in a file")))
    });
    long.collect()
}

fn rust_texts(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.files().filter(|(_, file)| file.source.is_some()).filter_map(|(path, file)| {
        let text = file.text.as_deref()?;
        Some((path, text))
    })
}

/// Integration tests, whose tables may be long.
fn is_test_path(path: &str) -> bool {
    path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn lines_end_at_column_100() {
        assert_eq!(lines("http/src/a.rs", &format!("//{}\n", "é".repeat(98))), []);
        assert_eq!(lines("http/src/a.rs", &format!("\n//{}\n", "é".repeat(99))), [2]);
        assert_eq!(lines("README.md", &"x".repeat(200)), []);
    }

    #[test]
    fn functions_end_at_line_70() {
        let function = |lines: usize| format!("\nfn a() {{{}}}\n", "\n".repeat(lines - 1));
        assert_eq!(lines("http/src/a.rs", &function(70)), []);
        assert_eq!(lines("http/src/a.rs", &function(71)), [2]);
        assert_eq!(lines("http/tests/a.rs", &function(71)), []);
        let test = format!("#[test]{}", function(71));
        assert_eq!(lines("http/src/a.rs", &test), []);
    }

    #[test]
    fn files_end_at_line_700_and_are_warned_of_before() {
        let tree = |lines: usize| Tree::of(&[("http/src/a.rs", "//\n".repeat(lines).as_str())]);
        assert_eq!((check(&tree(500)).len(), warnings(&tree(500)).len()), (0, 0));
        assert_eq!((check(&tree(501)).len(), warnings(&tree(501)).len()), (0, 1));
        assert_eq!((check(&tree(700)).len(), warnings(&tree(700)).len()), (0, 1));
        assert_eq!((check(&tree(701)).len(), warnings(&tree(701)).len()), (1, 0));
    }
}
