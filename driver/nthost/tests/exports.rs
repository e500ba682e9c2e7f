//! What the host exports is what `nt-sys` declares: neither has a name that the other lacks.
use std::collections::BTreeSet;
use std::path::Path;

use nthost::exports::EXPORTS;

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Module and name of every function in the `import!` blocks of a source.
fn declared(source: &str, names: &mut BTreeSet<(String, String)>) {
    let mut module = None;
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("import! {") {
            let quoted = rest.split('"').nth(1);
            module = Some(quoted.unwrap_or("ntoskrnl.exe").to_owned());
        } else if line == "}" {
            module = None;
        }
        let name = line.strip_prefix("    fn ").and_then(|rest| rest.split('(').next());
        if let (Some(module), Some(name)) = (&module, name) {
            assert!(names.insert((module.clone(), name.to_owned())), "{name} is declared twice");
        }
    }
}

#[test]
fn every_declared_function_is_exported_and_no_other() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../nt-sys/src"), &mut found);
    let mut names = BTreeSet::new();
    for source in &found {
        declared(source, &mut names);
    }
    // What compilers call needs no declaration.
    let called = ["memcmp", "memcpy", "memmove", "memset"];
    names.extend(called.map(|name| ("ntoskrnl.exe".to_owned(), name.to_owned())));
    assert!(names.len() > 40, "the declarations have another form: {names:?}");
    let exported = EXPORTS.iter().map(|export| (export.module.to_owned(), export.name.to_owned()));
    let exported: BTreeSet<(String, String)> = exported.collect();
    assert_eq!(exported.len(), EXPORTS.len(), "exported twice");
    let missing: Vec<_> = names.difference(&exported).collect();
    let surplus: Vec<_> = exported.difference(&names).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
}

#[test]
fn import_blocks_are_read_as_they_are_written() {
    let mut names = BTreeSet::new();
    let source = "import! {\n    /// One.\n    fn KeOne(a: u32);\n}\n\
        fn not_this() {\n    fn inner() {}\n}\n\
        import! { \"netio.sys\":\n    fn WskTwo(a: u32,\n        b: u32) -> u32;\n}\n";
    declared(source, &mut names);
    let name = |module: &str, name: &str| (module.to_owned(), name.to_owned());
    let expected = [name("netio.sys", "WskTwo"), name("ntoskrnl.exe", "KeOne")];
    assert_eq!(names, BTreeSet::from(expected));
}
