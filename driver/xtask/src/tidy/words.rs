//! Words that a room, or any file, may not contain.
//!
//! The words are put together here from pieces, so that this file passes its own checks.

use super::Finding;
use super::tree::Tree;

/// A folder and the words its sources may not say, not even in a comment.
struct Room {
    folder: &'static str,
    words: &'static [&'static str],
    /// Whether capitals count.
    exact: bool,
}

const ROOMS: [Room; 3] = [
    Room { folder: "http/src/", words: &["Irp", "NTSTATUS", "Wsk"], exact: true },
    Room { folder: "cache/src/", words: &["Irp", "NTSTATUS", "Wsk"], exact: true },
    Room { folder: "driver/nthost/src/", words: &["http"], exact: false },
];

/// Marks of unfinished work.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Macros of unfinished work.
const UNFINISHED_MACROS: [&str; 2] = ["todo", "unimplemented"];
/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/t", "mp/"),
    concat!("C:\\Us", "ers\\"),
];
/// Not written here.
const NOT_OURS: [&str; 3] = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !NOT_OURS.contains(path)) {
        for (index, line) in text.lines().enumerate() {
            let said = ROOMS
                .iter()
                .filter(|room| path.starts_with(room.folder))
                .filter_map(|room| room.word_in(line).map(|word| (word, room.folder)));
            for (word, folder) in said {
                let message = format!("`{word}` is not a word of {folder}");
                findings.push(Finding::new(path, index + 1, message));
            }
            if let Some(mark) = UNFINISHED.iter().find(|mark| has_word(line, mark)) {
                findings.push(Finding::new(path, index + 1, format!("unfinished: {mark}")));
            }
            if let Some(start) = MACHINE_PATHS.iter().find(|start| has_path(line, start)) {
                let message = format!("a path of one machine: {start}");
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    for (path, source) in tree.sources() {
        for name in UNFINISHED_MACROS {
            for line in source.lines_of(&[name, "!"]) {
                findings.push(Finding::new(path, line, format!("unfinished: {name}!")));
            }
        }
    }
    findings
}

impl Room {
    fn word_in(&self, line: &str) -> Option<&'static str> {
        let lower = line.to_ascii_lowercase();
        let line = if self.exact { line } else { &lower };
        self.words.iter().copied().find(|word| line.contains(word))
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !is_inside(before) && !is_inside(after)
    })
}

/// Whether an absolute path beginning with `start` is in `line`; `a/tmp/b` and `b.org/tmp/` are
/// not.
fn has_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~})/*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn pure_rooms_do_not_speak_of_nt() {
        for word in ["Irp", "NTSTATUS", "WskSend"] {
            let text = format!("\n// {word}\n");
            assert_eq!(lines("http/src/a.rs", &text), [2], "{word}");
            assert_eq!(lines("cache/src/a.rs", &text), [2], "{word}");
            assert_eq!(lines("driver/src/a.rs", &text), []);
        }
        assert_eq!(lines("http/src/a.rs", "// stirp\n"), []);
    }

    #[test]
    fn the_host_does_not_speak_of_its_clients_protocol() {
        for text in ["// http\n", "struct HttpThing;\n", "// HTTP/1.1\n"] {
            assert_eq!(lines("driver/nthost/src/a.rs", text), [1]);
            assert_eq!(lines("driver/src/a.rs", text), []);
        }
        assert_eq!(lines("driver/nthost/src/a.rs", "// TCP\n"), []);
    }

    #[test]
    fn unfinished_work_is_found() {
        for mark in UNFINISHED {
            assert_eq!(lines("inf/a.inx", &format!("; {mark}: later\n")), [1]);
            assert_eq!(lines("inf/a.inx", &format!("; {mark}S\n")), []);
        }
        for name in UNFINISHED_MACROS {
            assert_eq!(lines("http/src/a.rs", &format!("fn a() {{\n{name}!()\n}}\n")), [2]);
            assert_eq!(lines("http/src/a.rs", &format!("fn a() {{ {name}() }}\n")), []);
        }
    }

    #[test]
    fn machine_paths_are_found() {
        for start in MACHINE_PATHS {
            assert_eq!(lines("README.md", &format!("in `{start}x`\n")), [1], "{start}");
        }
        let elsewhere = format!("driver{} and b.org{}\n", MACHINE_PATHS[2], MACHINE_PATHS[0]);
        assert_eq!(lines("README.md", &elsewhere), []);
    }
}
