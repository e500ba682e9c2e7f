//! The INF and its README agree with the driver, and the INF is whole: what one section names is
//! there.

use std::collections::BTreeSet;

use configparser::ini::{Ini, IniDefault};
use wskhttpd::parameters::{CHOICES, LISTEN_PORT, LISTS, NUMBERS, Number};

const INF: &str = include_str!("../../inf/wskhttpd.inx");
const README: &str = include_str!("../../inf/README.md");

/// The REG_SZ parameters that may be anything, and what the driver takes without a value.
const STRINGS: [(&str, &str); 2] = [("SiteImage", ""), ("ListenAddress", "::")];
const REG_SZ: &str = "0x00000002";
const REG_DWORD: &str = "0x00010003";
const REG_MULTI_SZ: &str = "0x00010002";

const INSTALL: &str = "DefaultInstall.NT$ARCH$";
const SERVICES: &str = "DefaultInstall.NT$ARCH$.Services";
const SERVICE: &str = "Driver.Service";
const PARAMETERS: &str = "Driver.Parameters";

/// Entries that make it a primitive driver run from the driver store, by section and key.
const ENTRIES: [(&str, &str, &str); 16] = [
    ("Version", "Signature", "\"$WINDOWS NT$\""),
    ("Version", "Class", "System"),
    ("Version", "ClassGuid", "{4d36e97d-e325-11ce-bfc1-08002be10318}"),
    ("Version", "Provider", "%Provider%"),
    ("Version", "DriverVer", ""),
    ("Version", "CatalogFile", "wskhttpd.cat"),
    ("Version", "PnpLockdown", "1"),
    ("DestinationDirs", "DefaultDestDir", "13"),
    (SERVICES, "AddService", "wskhttpd, , Driver.Service"),
    (SERVICE, "ServiceType", "1"),
    (SERVICE, "StartType", "3"),
    (SERVICE, "ErrorControl", "1"),
    (SERVICE, "ServiceBinary", "%13%\\wskhttpd.sys"),
    (SERVICE, "Dependencies", "Tcpip"),
    (SERVICE, "Security", "\"D:P(A;;GA;;;SY)(A;;GA;;;BA)\""),
    (SERVICE, "AddReg", PARAMETERS),
];
/// With one of these it is not a primitive driver.
const FORBIDDEN: [&str; 3] = ["Manufacturer", "DefaultInstall", "DefaultUninstall"];

fn parsed(inf: &str) -> Ini {
    let mut rules = IniDefault::default();
    rules.case_sensitive = true;
    rules.comment_symbols = vec![';'];
    // A `;` inside a security descriptor and a `:` inside an address are no marks.
    rules.enable_inline_comments = false;
    rules.delimiters = vec!['='];
    let mut ini = Ini::new_from_defaults(rules);
    ini.read(inf.to_owned()).expect("an INF");
    ini
}

fn numbers() -> impl Iterator<Item = &'static Number> {
    NUMBERS.iter().chain([&LISTEN_PORT])
}

/// What both documents say of a number.
fn meaning(number: &Number) -> (String, String) {
    (number.help.trim().to_owned(), format!("{} to {}", number.min, number.max))
}

/// One line of an AddReg section: `HKR, Parameters, NAME, TYPE, VALUE`.
struct Line<'t> {
    fields: Vec<&'t str>,
    /// The comment above it, as one line.
    comment: String,
}

/// The lines of [Driver.Parameters]: configparser keeps only one of two that are the same.
fn lines(inf: &str) -> Vec<Line<'_>> {
    let heading = format!("[{PARAMETERS}]");
    let section = inf.lines().skip_while(|line| *line != heading).skip(1);
    let (mut lines, mut comment) = (Vec::new(), Vec::new());
    for line in section.take_while(|line| !line.starts_with('[')) {
        if let Some(text) = line.strip_prefix(';') {
            comment.push(text.trim());
        } else if line.trim().is_empty() {
            comment.clear();
        } else {
            let fields = line.split(',').map(str::trim).collect();
            lines.push(Line { fields, comment: comment.join(" ") });
            comment.clear();
        }
    }
    lines
}

/// Compares [Driver.Parameters] with the driver.
fn parameters(inf: &str, complain: &mut impl FnMut(String)) {
    let lines = lines(inf);
    let mut expect = |name: &str, kind: &str, value: &str, comment: Option<&str>| {
        let named: Vec<_> = lines.iter().filter(|line| line.fields.get(2) == Some(&name)).collect();
        let fields = ["HKR", "Parameters", name, kind, value];
        let is_right = |line: &Line<'_>| {
            line.fields == fields && comment.is_none_or(|comment| line.comment == comment)
        };
        if !matches!(named[..], [line] if is_right(line)) {
            let above = comment.map(|comment| format!("; {comment}\n")).unwrap_or_default();
            let name = format!("{name},");
            complain(format!(
                "[{PARAMETERS}] has {} lines for it and needs exactly this:\n\
                 {above}HKR, Parameters, {name:<29} {kind}, {value}",
                named.len()
            ));
        }
    };
    for number in numbers() {
        let (help, range) = meaning(number);
        let comment = format!("{help} {range}.");
        expect(number.name, REG_DWORD, &number.default.to_string(), Some(&comment));
    }
    for (name, default) in STRINGS {
        expect(name, REG_SZ, &format!("\"{default}\""), None);
    }
    for choice in CHOICES {
        let default = format!("\"{}\"", choice.words[0]);
        expect(choice.name, REG_SZ, &default, Some(choice.help.trim()));
    }
    for list in LISTS {
        expect(list.name, REG_MULTI_SZ, "\"\"", Some(list.help.trim()));
    }
    for line in &lines {
        let name = line.fields.get(2).copied().unwrap_or_default();
        if !is_known(name) {
            complain(format!("[{PARAMETERS}] sets {name}, which the driver does not know"));
        }
        if line.comment.is_empty() {
            complain(format!("[{PARAMETERS}] has no comment above {name}"));
        }
    }
}

fn is_known(name: &str) -> bool {
    let numbers = numbers().map(|number| number.name);
    let strings = STRINGS.iter().map(|(name, _)| *name);
    let choices = CHOICES.iter().map(|choice| choice.name);
    let lists = LISTS.iter().map(|list| list.name);
    numbers.chain(strings).chain(choices).chain(lists).any(|known| known == name)
}

/// The entries that have to be there, and the sections that must not.
fn entries(ini: &Ini, complain: &mut impl FnMut(String)) {
    for (section, key, value) in ENTRIES {
        if ini.get(section, key).as_deref() != Some(value) {
            complain(format!("[{section}] needs {key} = {value}"));
        }
    }
    for section in FORBIDDEN {
        if ini.sections().iter().any(|other| other.split('.').next() == Some(section))
            && section != "DefaultInstall"
            || ini.sections().iter().any(|other| other == section)
        {
            complain(format!("a primitive driver has no [{section}]"));
        }
    }
}

/// Every section and every file that is named is there.
fn references(ini: &Ini, complain: &mut impl FnMut(String)) {
    let sections = ini.get_map_ref();
    let mut needed = BTreeSet::from(["Strings", INSTALL, SERVICES].map(str::to_owned));
    for (section, entries) in sections {
        for (key, value) in entries {
            let parts = || value.as_deref().unwrap_or_default().split(',').map(str::trim);
            match key.as_str() {
                "AddReg" | "CopyFiles" => needed.extend(parts().map(str::to_owned)),
                "AddService" => needed.extend(parts().nth(2).map(str::to_owned)),
                "DefaultDestDir" => {}
                other if section == "DestinationDirs" => drop(needed.insert(other.to_owned())),
                _ => {}
            }
        }
    }
    for section in needed.iter().filter(|name| !sections.contains_key(*name)) {
        complain(format!("[{section}] is named and not there"));
    }
    let copied = ini.get(INSTALL, "CopyFiles").unwrap_or_default();
    let files = sections.get(&copied).into_iter().flat_map(|files| files.keys());
    let has = |section: &str, key: &str| {
        sections.get(section).is_some_and(|entries| entries.contains_key(key))
    };
    for file in files.chain([&"wskhttpd.sys".to_owned()]) {
        if !has("SourceDisksFiles", file) {
            complain(format!("[SourceDisksFiles] does not say where {file} is"));
        }
        let disk = ini.get("SourceDisksFiles", file).unwrap_or_default();
        if !has("SourceDisksNames", &disk) {
            complain(format!("[SourceDisksNames] has no disk {disk}"));
        }
        if !has(&copied, file) {
            complain(format!("{file} is not copied"));
        }
    }
}

/// Every %string% is defined, and every definition is of use.
fn strings(inf: &str, ini: &Ini, complain: &mut impl FnMut(String)) {
    let code = inf.lines().filter(|line| !line.starts_with(';'));
    let used: BTreeSet<_> = code.flat_map(|line| line.split('%').skip(1).step_by(2)).collect();
    // %13% is a folder's number.
    let is_text = |name: &&&str| name.parse::<u32>().is_err();
    let defined = ini.get_map_ref().get("Strings").cloned().unwrap_or_default();
    for name in used.iter().filter(is_text).filter(|name| !defined.contains_key(**name)) {
        complain(format!("[Strings] does not define {name}"));
    }
    for name in defined.keys().filter(|name| !used.contains(name.as_str())) {
        complain(format!("[Strings] defines {name}, which nothing uses"));
    }
}

/// Compares the table of the README with the driver.
fn table(readme: &str, complain: &mut impl FnMut(String)) {
    let rows: Vec<&str> = readme
        .lines()
        .filter(|line| {
            ["DWORD", "SZ", "MULTI_SZ"].iter().any(|t| line.contains(&format!("| REG_{t} |")))
        })
        .collect();
    for number in numbers() {
        let (help, range) = meaning(number);
        let row =
            format!("| `{}` | REG_DWORD | {} | {range} | {help} |", number.name, number.default);
        if rows.iter().filter(|other| **other == row).count() != 1 {
            complain(format!("the table of inf/README.md needs exactly this:\n{row}"));
        }
    }
    for (name, default) in STRINGS {
        let default = if default.is_empty() { "empty".into() } else { format!("`{default}`") };
        let beginning = format!("| `{name}` | REG_SZ | {default} |");
        if rows.iter().filter(|row| row.starts_with(&beginning)).count() != 1 {
            complain(format!("the table of inf/README.md needs one row {beginning} ..."));
        }
    }
    for choice in CHOICES {
        let words = choice.words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
        let (name, default, help) = (choice.name, &words[0], choice.help.trim());
        let row = format!("| `{name}` | REG_SZ | {default} | {} | {help} |", words.join(", "));
        if !rows.contains(&row.as_str()) {
            complain(format!("the table of inf/README.md needs exactly this:\n{row}"));
        }
    }
    for list in LISTS {
        let (name, help) = (list.name, list.help.trim());
        let row = format!("| `{name}` | REG_MULTI_SZ | empty | prefixes, 64 at most | {help} |");
        if !rows.contains(&row.as_str()) {
            complain(format!("the table of inf/README.md needs exactly this:\n{row}"));
        }
    }
    for row in &rows {
        let name = row.split('`').nth(1).unwrap_or_default();
        if !is_known(name) {
            complain(format!("inf/README.md names {name}, which the driver does not know"));
        }
    }
    if rows.len() != NUMBERS.len() + 1 + STRINGS.len() + CHOICES.len() + LISTS.len() {
        complain("the table of inf/README.md names a parameter twice".to_owned());
    }
}

fn complaints(inf: &str, readme: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut complain = |what: String| all.push(what);
    let ini = parsed(inf);
    parameters(inf, &mut complain);
    entries(&ini, &mut complain);
    references(&ini, &mut complain);
    strings(inf, &ini, &mut complain);
    table(readme, &mut complain);
    all
}

#[test]
fn the_inf_and_its_readme_agree_with_the_driver() {
    let complaints = complaints(INF, README);
    assert!(
        complaints.is_empty(),
        "inf/wskhttpd.inx and inf/README.md:\n{}",
        complaints.join("\n")
    );
}

/// Breaks the INF in one place; some complaint has to say `message`.
#[track_caller]
fn broken_inf(from: &str, to: &str, message: &str) {
    assert!(INF.contains(from), "{from} is not in the INF");
    let complaints = complaints(&INF.replacen(from, to, 1), README);
    assert!(complaints.iter().any(|complaint| complaint.contains(message)), "{complaints:#?}");
}

#[track_caller]
fn broken_readme(from: &str, to: &str, message: &str) {
    assert!(README.contains(from), "{from} is not in the README");
    let complaints = complaints(INF, &README.replacen(from, to, 1));
    assert!(complaints.iter().any(|complaint| complaint.contains(message)), "{complaints:#?}");
}

#[test]
fn a_parameter_that_differs_is_found() {
    let drain = "\nHKR, Parameters, LingerMs,                     0x00010003, 2000";
    let needed = "the peer's end. 100 to 60000.\nHKR, Parameters, LingerMs,                     \
        0x00010003, 2000";
    assert!(INF.contains(drain), "the line is as long as the others");
    broken_inf(drain, "", needed);
    broken_inf(drain, &drain.repeat(2), "has 2 lines");
    broken_inf(drain, &drain.replace("2000", "3000"), needed);
    broken_inf(drain, &drain.replace("0x00010003", "0x00010001"), needed);
    broken_inf("the peer's end. 100 to 60000.", "the peer's end. 100 to 70000.", needed);
    broken_inf("LingerMs,  ", "LingersMs, ", "sets LingersMs, which the driver does not know");
    broken_inf("\"::\"", "\"0.0.0.0\"", "ListenAddress,                0x00000002, \"::\"");
    broken_inf("AcceptMode,                   0x00000002", "AcceptMode, 0x00000000", "AcceptMode,");
    broken_inf("SiteImage,", "SitesImage,", "SiteImage,                    0x00000002, \"\"");
    let above = "; Local IPv4 or IPv6 address to listen on; :: = all of both families.\n";
    broken_inf(above, "", "no comment above ListenAddress");
}

#[test]
fn an_entry_that_differs_is_found() {
    for (section, key, value) in ENTRIES {
        let message = format!("[{section}] needs {key} = ");
        let line = INF.lines().find(|line| {
            line.split_once('=').is_some_and(|(k, v)| k.trim() == key && v.trim() == value)
        });
        broken_inf(line.expect(key), "", &message);
        broken_inf(line.expect(key), &format!("{key} = 0{value}"), &message);
    }
    for section in FORBIDDEN {
        let message = format!("a primitive driver has no [{section}]");
        broken_inf("[Strings]", &format!("[{section}]\n[Strings]"), &message);
    }
    broken_inf("[Strings]", "[DefaultUninstall.NTamd64]\n[Strings]", "no [DefaultUninstall]");
}

#[test]
fn a_reference_to_nothing_is_found() {
    for section in ["Driver.Files", "Driver.Service", "Driver.Parameters", "Strings", INSTALL] {
        let message = format!("[{section}] is named and not there");
        broken_inf(&format!("\n[{section}]"), "\n[Elsewhere]", &message);
    }
    broken_inf(&format!("[{SERVICES}]"), "[Elsewhere]", SERVICES);
    broken_inf("DefaultDestDir", "Nowhere = 13\nDefaultDestDir", "[Nowhere] is named");
    broken_inf("\nwskhttpd.sys\n", "\n", "wskhttpd.sys is not copied");
    broken_inf("\nwskhttpd.sys\n", "\nother.sys\n", "does not say where other.sys is");
    broken_inf("wskhttpd.sys = 1", "wskhttpd.sys = 2", "has no disk 2");
    broken_inf("\nProvider           =", "\nProducer =", "does not define Provider");
    broken_inf("[Strings]", "[Strings]\nSpare = \"x\"", "defines Spare, which nothing uses");
}

#[test]
fn a_table_that_differs_is_found() {
    broken_readme("| `LingerMs` | REG_DWORD | 2000", "| `LingerMs` | REG_DWORD | 1", "`LingerMs`");
    broken_readme("| `AcceptMode` | REG_SZ | `cond", "| `AcceptMode` | REG_SZ | `", "`AcceptMode`");
    broken_readme("| `LingerMs` |", "| `LingeredMs` |", "names LingeredMs, which");
    let row = README.lines().find(|line| line.starts_with("| `StopMs`")).expect("a row");
    broken_readme(row, "", "| `StopMs` | REG_DWORD | 3000 | 0 to 60000 |");
    broken_readme(row, &format!("{row}\n{row}"), "twice");
}
