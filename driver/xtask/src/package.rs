//! The driver package: the files that are installed, in `target/package`. On Windows they are
//! also checked, catalogued and signed with a test certificate.

mod inf;
mod tools;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

/// Files of the repository that are in the package, and their names there.
const TEXTS: [(&str, &str); 3] = [
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("inf/README.md", "README.md"),
];
/// The program that controls the driver, which is built apart from it.
const CONTROL: &str = "wskhttpd-ctl.exe";
/// Where it may have been built, below the target folder.
const CONTROL_FOLDERS: [&str; 3] =
    ["x86_64-pc-windows-msvc/release", "x86_64-pc-windows-gnu/release", "release"];

/// Lays out the package below `target`, and does what this system can do with it.
pub(crate) fn package(root: &Path, target: &Path) -> Result<()> {
    let date = inf::date(now()?);
    let folder = lay_out(root, target, &date)?;
    let mut is_complete = true;
    for step in tools::steps(&folder) {
        if cfg!(windows) {
            step.run(&folder)?;
        } else {
            println!("not done here: {} (Windows only)", step.program);
            is_complete = false;
        }
    }
    let state = if is_complete { "" } else { ": neither checked nor signed" };
    println!("{}{state}", folder.display());
    Ok(())
}

/// Puts the files in place and says which; returns their folder.
fn lay_out(root: &Path, target: &Path, date: &str) -> Result<PathBuf> {
    let built = target.join("x86_64-pc-windows-msvc").join("release");
    let (image, symbols) = (built.join("wskhttpd.sys"), built.join("wskhttpd.pdb"));
    for file in [&image, &symbols] {
        ensure!(file.is_file(), "no {}: cargo xtask image", file.display());
    }
    let folder = target.join("package");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder.join("symbols")).with_context(|| folder.display().to_string())?;
    copy(&image, &folder.join("wskhttpd.sys"))?;
    copy(&symbols, &folder.join("symbols").join("wskhttpd.pdb"))?;
    let source = root.join("inf").join("wskhttpd.inx");
    let inx = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let stamped =
        inf::stamp(&inx, date, inf::VERSION).with_context(|| source.display().to_string())?;
    write(&folder.join("wskhttpd.inf"), &stamped)?;
    for (from, to) in TEXTS {
        copy(&root.join(from), &folder.join(to))?;
    }
    match CONTROL_FOLDERS.map(|below| target.join(below).join(CONTROL)).iter().find(|p| p.is_file())
    {
        Some(control) => copy(control, &folder.join(CONTROL))?,
        None => println!("not in the package: {CONTROL}, which was not built"),
    }
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    println!("{}", to.display());
    Ok(())
}

fn write(to: &Path, text: &str) -> Result<()> {
    fs::write(to, text).with_context(|| to.display().to_string())?;
    println!("{}", to.display());
    Ok(())
}

/// Seconds since 1970: what SOURCE_DATE_EPOCH says, so that a package can be made again as it was,
/// or the present.
fn now() -> Result<u64> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds.parse().with_context(|| format!("SOURCE_DATE_EPOCH={seconds}")),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository and its target folder below the temporary one.
    fn repository(name: &str) -> (PathBuf, PathBuf) {
        let root = env::temp_dir().join(format!("xtask-package-{name}-{}", std::process::id()));
        let target = root.join("target");
        fs::create_dir_all(root.join("inf")).expect("a folder");
        fs::create_dir_all(target.join(CONTROL_FOLDERS[0])).expect("a folder");
        for (from, _) in TEXTS {
            fs::write(root.join(from), from).expect("written");
        }
        let inx = "[Version]\nDriverVer =\n[DefaultInstall.NT$ARCH$]\n";
        fs::write(root.join("inf/wskhttpd.inx"), inx).expect("written");
        (root, target)
    }

    #[test]
    fn without_an_image_it_says_how_to_make_one() {
        let (root, target) = repository("none");
        let error = lay_out(&root, &target, "11/06/1994").expect_err("no image").to_string();
        fs::remove_dir_all(root).expect("removed");
        assert!(error.starts_with("no ") && error.contains("wskhttpd.sys"), "{error}");
        assert!(error.ends_with(": cargo xtask image"), "{error}");
    }

    #[test]
    fn a_package_holds_what_was_built_and_nothing_of_before() {
        let (root, target) = repository("whole");
        let built = target.join(CONTROL_FOLDERS[0]);
        let folder = target.join("package");
        for file in ["wskhttpd.sys", "wskhttpd.pdb", CONTROL] {
            fs::write(built.join(file), file).expect("written");
        }
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("wskhttpd.cat"), "of another image").expect("written");
        assert_eq!(lay_out(&root, &target, "11/06/1994").expect("laid out"), folder);
        let mut names: Vec<_> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
        let (inf, symbols) = (read("wskhttpd.inf"), read("symbols/wskhttpd.pdb"));
        fs::remove_dir_all(root).expect("removed");
        let expected = [
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "README.md",
            "symbols",
            CONTROL,
            "wskhttpd.inf",
            "wskhttpd.sys",
        ];
        assert_eq!(names, expected);
        assert_eq!(symbols, "wskhttpd.pdb");
        assert!(inf.contains("= 11/06/1994,") && inf.contains("[DefaultInstall.NTamd64]"), "{inf}");
    }
}
