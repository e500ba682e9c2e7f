//! What building the image off Windows needs from the machine, and what to install where it is
//! missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};

/// Where the core library of the target comes from.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Core {
    /// The toolchain has it.
    Installed,
    /// Built from this `library` folder.
    Source(PathBuf),
}

/// Finds the core library: the installed target, or the source of the same version.
pub(crate) fn core(triple: &str, work: &Path) -> Result<Core> {
    let installed = PathBuf::from(rustc(&["--print", "target-libdir", "--target", triple])?);
    if has_core(&installed) {
        return Ok(Core::Installed);
    }
    let version = rustc(&["--version"])?;
    let version = version.split(' ').nth(1).unwrap_or_default();
    for place in sources(version, work)? {
        if let Some(library) = library(&place) {
            let of = version_of(&library);
            ensure!(
                of.as_deref().is_none_or(|of| of == version),
                "{} is the source of Rust {}, not {version}",
                library.display(),
                of.unwrap_or_default()
            );
            return Ok(Core::Source(std::path::absolute(library)?));
        }
    }
    bail!(
        "no core library for {triple}: `rustup target add {triple}`, or `rustup component add \
         rust-src`, or set RUST_SRC to the source of Rust {version} (RUST_SRC_DEB to the package \
         rust-src of that version)"
    )
}

fn has_core(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// Folders in which the source may be, the most explicit first.
fn sources(version: &str, work: &Path) -> Result<Vec<PathBuf>> {
    let mut places: Vec<_> = env::var_os("RUST_SRC").map(PathBuf::from).into_iter().collect();
    if let Some(package) = env::var_os("RUST_SRC_DEB").map(PathBuf::from) {
        let folder = work.join(format!("rust-src-{version}"));
        unpack(&package, &folder)?;
        places.push(folder.join(format!("usr/src/rustc-{version}")));
    }
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?);
    places.push(sysroot.join("lib/rustlib/src/rust"));
    places.push(PathBuf::from(format!("/usr/src/rustc-{version}")));
    Ok(places)
}

/// Unpacks a Debian package, once.
fn unpack(package: &Path, folder: &Path) -> Result<()> {
    if folder.join("usr").is_dir() {
        return Ok(());
    }
    ensure!(package.is_file(), "RUST_SRC_DEB: no file {}", package.display());
    // Completed by the renaming, so that an interrupted run leaves nothing half done.
    let part = folder.with_extension("part");
    let mut dpkg = Command::new("dpkg-deb");
    let status = dpkg.arg("-x").arg(package).arg(&part).status().context("dpkg-deb")?;
    ensure!(status.success(), "{} cannot be unpacked", package.display());
    fs::rename(&part, folder).with_context(|| folder.display().to_string())
}

/// The `library` folder in `place`, or `place` itself when it is one.
fn library(place: &Path) -> Option<PathBuf> {
    let below = [place.join("library"), place.to_path_buf()];
    below.into_iter().find(|folder| folder.join("core/src/lib.rs").is_file())
}

/// The version that the source says it is of, where it says so.
fn version_of(library: &Path) -> Option<String> {
    let text = fs::read_to_string(library.parent()?.join("src/version")).ok()?;
    Some(text.trim().to_owned())
}

/// The folder of a libclang, for bindgen.
pub(crate) fn libclang() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("LIBCLANG_PATH") {
        return Ok(folder.into());
    }
    let llvm = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut folders: Vec<_> = llvm
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
        .map(|entry| entry.path().join("lib"))
        .filter(|folder| has_libclang(folder))
        .collect();
    folders.extend(
        ["/usr/lib64", "/usr/lib"].map(PathBuf::from).into_iter().filter(|f| has_libclang(f)),
    );
    folders.sort();
    folders.pop().context(
        "no libclang: install one (Debian: `apt-get install libclang-dev mingw-w64-common`) or \
         set LIBCLANG_PATH to its folder",
    )
}

/// Whether a folder has a library that bindgen will find.
fn has_libclang(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libclang.so") || name.starts_with("libclang-") && name.contains(".so")
        })
    })
}

/// Looks for mingw-w64's kernel headers where the stand-in for wdk-build will.
pub(crate) fn headers() -> Result<()> {
    let folder = env::var_os("MINGW_INCLUDE").unwrap_or("/usr/share/mingw-w64/include".into());
    let wdm = PathBuf::from(folder).join("ddk/wdm.h");
    ensure!(
        wdm.is_file(),
        "no {}: install mingw-w64's headers (Debian: `apt-get install mingw-w64-common`) or set \
         MINGW_INCLUDE to their folder",
        wdm.display()
    );
    Ok(())
}

/// Makes the import library of a list of names, with the linker that comes with Rust.
pub(crate) fn import_library(list: &Path, library: &Path) -> Result<()> {
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?);
    let host = rustc(&["--print", "host-tuple"])?;
    let lld = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    let mut lib = Command::new(&lld);
    lib.args(["-flavor", "link", "/lib", "/machine:x64"]);
    lib.arg(format!("/def:{}", list.display())).arg(format!("/out:{}", library.display()));
    let status = lib.status().with_context(|| lld.display().to_string())?;
    ensure!(status.success(), "no import library from {}", list.display());
    Ok(())
}

/// A line that rustc prints.
fn rustc(arguments: &[&str]) -> Result<String> {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).args(arguments).output().context("rustc cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rustc {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_folder_is_found_in_and_as_the_place() {
        let folder = env::temp_dir().join(format!("xtask-toolchain-{}", std::process::id()));
        let source = folder.join("library/core/src");
        fs::create_dir_all(&source).expect("folders");
        assert_eq!(library(&folder), None);
        fs::write(source.join("lib.rs"), "").expect("written");
        let found = folder.join("library");
        assert_eq!(library(&folder), Some(found.clone()));
        assert_eq!(library(&found), Some(found.clone()));
        assert_eq!(version_of(&found), None);
        fs::create_dir_all(folder.join("src")).expect("a folder");
        fs::write(folder.join("src/version"), "1.2.3\n").expect("written");
        assert_eq!(version_of(&found).as_deref(), Some("1.2.3"));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_host_s_own_core_is_found_and_an_unknown_target_s_is_an_error() {
        let libdir = rustc(&["--print", "target-libdir"]).expect("a folder");
        assert!(has_core(Path::new(&libdir)));
        assert!(!has_core(&Path::new(&libdir).join("nothing")));
        assert!(core("no-such-target", Path::new(".")).is_err());
    }
}
