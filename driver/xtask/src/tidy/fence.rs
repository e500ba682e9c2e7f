//! Where `unsafe` and raw NT names may be.

use super::Finding;
use super::tree::Tree;

/// The crates that may contain `unsafe` and may name `nt_sys`.
const FENCE: [&str; 6] = [
    "driver/nt-sys",
    "driver/nt",
    "driver/nthost",
    "driver/image",
    "driver/bench",
    "loadtest/httpsys-baseline",
];
/// The one file elsewhere that may contain `unsafe`: a call of user mode that nobody wraps.
const GATE: &str = "driver/ctl/src/device/windows.rs";
/// The sources of the driver's own decisions, where not even a raw pointer type is named.
const DRIVER: &str = "driver/src/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.sources() {
        let folder = tree.crate_folder(path);
        if folder.is_some_and(|folder| FENCE.contains(&folder)) {
            continue;
        }
        let mut refuse = |sequence: &[&str], message: &str| {
            for line in source.lines_of(sequence) {
                findings.push(Finding::new(path, line, message));
            }
        };
        if path != GATE {
            let fence = "`unsafe` outside nt-sys, nt, nthost, image, bench, httpsys-baseline";
            refuse(&["unsafe"], fence);
        }
        refuse(&["nt_sys"], "`nt_sys` outside nt, nthost, image and bench");
        if path.starts_with(DRIVER) {
            refuse(&["*", "mut"], "`*mut` in the driver's own sources");
        }
        let is_root = folder
            .and_then(|folder| path.strip_prefix(folder))
            .is_some_and(|inside| is_crate_root(inside.trim_start_matches('/')));
        let forbids = ["forbid", "(", "unsafe_code", ")"];
        if is_root && source.lines_of(&forbids).next().is_none() {
            findings.push(Finding::new(path, 1, "crate root without #![forbid(unsafe_code)]"));
        }
    }
    findings
}

/// Whether a path inside a crate is the root of its library or of a program.
fn is_crate_root(inside: &str) -> bool {
    let is_program = inside.strip_prefix("src/bin/").is_some_and(|name| !name.contains('/'));
    matches!(inside, "src/lib.rs" | "src/main.rs") || is_program
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "#![forbid(unsafe_code)]\n";

    fn messages(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut files = vec![(path, text)];
        for manifest in ["http/Cargo.toml", "driver/Cargo.toml", "driver/nt/Cargo.toml"] {
            files.push((manifest, "[package]\n"));
        }
        let findings = check(&Tree::of(&files));
        findings.into_iter().map(|finding| (finding.line, finding.message)).collect()
    }

    #[test]
    fn unsafe_stays_behind_the_fence() {
        let text = "fn a() {\n    unsafe { b() }\n}\n";
        assert_eq!(messages("driver/nt/src/irp.rs", text), []);
        assert_eq!(messages(GATE, text), []);
        assert_eq!(messages("driver/ctl/src/device.rs", text).len(), 1);
        let found = messages("http/src/fields.rs", text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 2);
        assert_eq!(messages("http/src/fields.rs", "// unsafe\nconst A: &str = \"unsafe\";\n"), []);
    }

    #[test]
    fn raw_names_stay_behind_the_fence() {
        let text = "use nt_sys::io::IRP;\n";
        assert_eq!(messages("driver/nt/src/irp.rs", text), []);
        assert_eq!(messages("driver/src/send.rs", text).len(), 1);
        assert_eq!(messages("driver/tests/send.rs", text).len(), 1);
    }

    #[test]
    fn the_driver_names_no_mutable_raw_pointer() {
        let text = "fn a(b: *mut u8) {}\n";
        assert_eq!(messages("driver/nt/src/mdl.rs", text), []);
        assert_eq!(messages("http/src/fields.rs", text), []);
        assert_eq!(messages("driver/src/send.rs", text).len(), 1);
        assert_eq!(messages("driver/src/send.rs", "fn a(b: &mut u8) { *b = 1 }\n"), []);
    }

    #[test]
    fn crate_roots_forbid_unsafe_code() {
        assert_eq!(messages("http/src/lib.rs", ROOT), []);
        assert_eq!(messages("http/src/lib.rs", "//! Nothing.\n").len(), 1);
        assert_eq!(messages("http/src/bin/tool.rs", "fn main() {}\n").len(), 1);
        assert_eq!(messages("http/src/fields.rs", ""), []);
        assert_eq!(messages("driver/nt/src/lib.rs", ""), []);
    }
}
