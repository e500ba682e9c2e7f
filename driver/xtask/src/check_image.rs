//! `cargo xtask check-image`: whether a driver image may be shipped.
//!
//! It refuses what a kernel would refuse or suffer from: other modules and names than the host
//! exports, writable code, thread-local storage, frames over a page (the kernel's stack has 24
//! KiB, and `__chkstk` is no export), vector registers that nobody saves, a missing checksum.

mod code;
mod pe_file;

use std::path::Path;

use anyhow::{Context as _, Result};

use pe_file::PeFile;

/// Octets of a release image at most.
const IMAGE_BYTES_MAX: usize = 200 * 1024;
/// The modules that a driver may need.
const MODULES: [&str; 2] = ["ntoskrnl.exe", "netio.sys"];
/// What compilers call where a frame is larger than a page.
const CHKSTK: &str = "__chkstk";
/// Octets of a frame at most: beyond a page the compiler would call `__chkstk`.
const FRAME_BYTES_MAX: u64 = 4096;

/// Checks the image; prints its figures and every finding; true when there is none.
pub(crate) fn check_image(root: &Path, file: &Path) -> Result<bool> {
    let octets = std::fs::read(file).with_context(|| file.display().to_string())?;
    let image = PeFile::parse(&octets).with_context(|| file.display().to_string())?;
    let exports = root.join("driver/nthost/src/exports.rs");
    let exports = std::fs::read_to_string(&exports).context("the host's exports")?;
    let readme = root.join("driver/image/README.md");
    let readme = std::fs::read_to_string(&readme).context("the image's README")?;
    let allowed = Allowed { exported: exported(&exports), documented: documented(&readme) };
    let code = code::examine(&image);
    println!("{}: {} octets", file.display(), octets.len());
    for (module, name) in &image.imports {
        println!("    {module} {name}");
    }
    println!("largest frame: {} octets, function at {:#x}", code.frame, code.frame_at);
    let findings = findings(&image, &octets, &allowed, &code);
    for finding in &findings {
        println!("{}: {finding}", file.display());
    }
    println!("check-image: {} findings", findings.len());
    Ok(findings.is_empty())
}

/// Imports, each a module and a name.
struct Allowed {
    /// What the host exports.
    exported: Vec<(String, String)>,
    /// What the image's README lists.
    documented: Vec<(String, String)>,
}

/// Rows of the README's table of imports: a module and its functions, each in back-quotes.
fn documented(readme: &str) -> Vec<(String, String)> {
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let mut names = Vec::new();
    for row in rows {
        let mut quoted = row.split('`').skip(1).step_by(2);
        let Some(module) = quoted.next() else { continue };
        names.extend(quoted.map(|name| (module.to_owned(), name.to_owned())));
    }
    names
}

/// Names in the host's table of exports, each with its module.
fn exported(source: &str) -> Vec<(String, String)> {
    let table = source.split_once("\nexports! {").map_or("", |(_, rest)| rest);
    let table = table.split_once("\n}").map_or("", |(table, _)| table);
    let mut names = Vec::new();
    for group in table.split(';') {
        let Some((module, list)) = group.split_once(':') else { continue };
        let module = module.trim().trim_matches('"');
        names.extend(list.split_whitespace().map(|name| (module.to_owned(), name.to_owned())));
    }
    names
}

fn findings(image: &PeFile, octets: &[u8], allowed: &Allowed, code: &code::Code) -> Vec<String> {
    let mut findings = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            findings.push(what);
        }
    };
    check(image.machine == 0x8664, format!("machine {:#06x}, not x86-64", image.machine));
    check(image.subsystem == 1, format!("subsystem {}, not native", image.subsystem));
    check(octets.len() <= IMAGE_BYTES_MAX, format!("{} octets are too many", octets.len()));
    let is_tls = |section: &pe_file::Section| section.name.starts_with(".tls");
    let thread_local = image.thread_local || image.sections.iter().any(is_tls);
    check(!thread_local, "it has thread-local storage".to_owned());
    check(image.relocatable, "it has no relocations".to_owned());
    let sum = pe_file::checksum(octets, image.checksum_at);
    let stored = image.checksum;
    check(stored != 0, "no checksum".to_owned());
    check(stored == sum, format!("checksum {stored:#x} where {sum:#x} is right"));
    for section in &image.sections {
        let name = &section.name;
        check(!(section.write && section.execute), format!("section {name} is writable code"));
    }
    for import in &image.imports {
        let (module, name) = import;
        check(MODULES.contains(&module.as_str()), format!("{module} is no module for drivers"));
        check(name != CHKSTK, format!("a frame is larger than a page: {CHKSTK}"));
        let known = allowed.exported.contains(import);
        check(known, format!("the host does not export {module}!{name}"));
        let listed = allowed.documented.contains(import);
        check(listed, format!("driver/image/README.md does not list {module}!{name}"));
    }
    let defines = image.exports.iter().any(|name| name == CHKSTK);
    check(!defines, format!("it defines {CHKSTK}: a frame is larger than a page"));
    let (frame, at) = (code.frame, code.frame_at);
    check(frame < FRAME_BYTES_MAX, format!("a frame of {frame} octets at {at:#x}"));
    for at in &code.probed_frames {
        check(false, format!("a frame that needs __chkstk, or none that is known, at {at:#x}"));
    }
    for at in &code.wide_vectors {
        check(false, format!("a ymm or zmm register is used or cleared at {at:#x}"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::code::Code;
    use super::pe_file::{PeFile, Section};
    use super::{Allowed, documented, exported, findings};

    fn good() -> PeFile {
        PeFile {
            machine: 0x8664,
            subsystem: 1,
            thread_local: false,
            relocatable: true,
            checksum: 0,
            checksum_at: 0,
            sections: vec![Section {
                name: ".text".to_owned(),
                at: 0x1000,
                data: Vec::new(),
                write: false,
                execute: true,
            }],
            imports: vec![("ntoskrnl.exe".to_owned(), "DbgPrint".to_owned())],
            exports: vec!["DriverEntry".to_owned()],
            functions: Vec::new(),
        }
    }

    fn found(change: impl FnOnce(&mut PeFile, &mut Code)) -> Vec<String> {
        let (mut image, mut code) = (good(), Code::default());
        let octets = [0; 64];
        image.checksum = super::pe_file::checksum(&octets, image.checksum_at);
        change(&mut image, &mut code);
        let names = vec![("ntoskrnl.exe".to_owned(), "DbgPrint".to_owned())];
        let allowed = Allowed { exported: names.clone(), documented: names };
        findings(&image, &octets, &allowed, &code)
    }

    #[test]
    fn a_good_image_has_no_findings() {
        assert_eq!(found(|_, _| {}), Vec::<String>::new());
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        type Change = fn(&mut PeFile, &mut Code);
        let rows: &[(&str, Change)] = &[
            ("machine", |image, _| image.machine = 0xAA64),
            ("subsystem", |image, _| image.subsystem = 3),
            ("thread-local", |image, _| image.thread_local = true),
            ("relocations", |image, _| image.relocatable = false),
            ("thread-local", |image, _| image.sections[0].name = ".tls$".to_owned()),
            ("is right", |image, _| image.checksum ^= 1),
            ("no checksum", |image, _| image.checksum = 0),
            ("hal.dll is no module", |image, _| image.imports[0].0 = "hal.dll".to_owned()),
            ("defines __chkstk", |image, _| image.exports.push("__chkstk".to_owned())),
            ("needs __chkstk", |_, code| code.probed_frames.push(0x1000)),
            ("writable code", |image, _| image.sections[0].write = true),
            ("hal.dll!DbgPrint", |image, _| image.imports[0].0 = "hal.dll".to_owned()),
            ("!malloc", |image, _| image.imports[0].1 = "malloc".to_owned()),
            ("not list ntoskrnl.exe!a", |image, _| image.imports[0].1 = "a".to_owned()),
            ("__chkstk", |image, _| image.imports[0].1 = "__chkstk".to_owned()),
            ("a frame of 4096", |_, code| code.frame = 4096),
            ("ymm or zmm", |_, code| code.wide_vectors.push(0x1000)),
        ];
        for (what, change) in rows {
            let found = found(*change);
            assert!(found.iter().any(|finding| finding.contains(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn the_table_of_imports_is_read_from_the_readme() {
        let readme = "| module | functions |\n|---|---|\n| `a.exe` | `One` `Two` |\ntext `a`\n";
        let names = documented(readme);
        assert_eq!(names.len(), 2);
        assert!(names.contains(&("a.exe".to_owned(), "Two".to_owned())));
    }

    #[test]
    fn the_table_of_exports_is_read_from_its_source() {
        let source = "x\nexports! {\n    \"a.exe\":\n        One Two\n        Three;\n    \
            \"b.sys\":\n        Four;\n}\n\nfn y() {}";
        let names = exported(source);
        assert_eq!(names.len(), 4);
        assert!(names.contains(&("a.exe".to_owned(), "Three".to_owned())));
        assert!(names.contains(&("b.sys".to_owned(), "Four".to_owned())));
    }
}
