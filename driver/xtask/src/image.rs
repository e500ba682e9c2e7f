//! `wskhttpd.sys`: where its toolchain comes from, how it is built, how large it may be.
//!
//! On Windows this is `cargo build` with the WDK. Elsewhere three things are put in its place:
//! the stand-in for wdk-build (patched in by a configuration of this one build, with a lock file
//! of its own, so that nothing of the repository changes), import libraries made from the `.def`
//! files of `driver/image`, and, where the target is not installed, a core library built from
//! source.

mod toolchain;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

use toolchain::Core;

const X64: &str = "x86_64-pc-windows-msvc";
const ARM64: &str = "aarch64-pc-windows-msvc";
/// Octets of a release image at most.
const IMAGE_BYTES_MAX: u64 = 200 * 1024;
/// How the image is made small: little is inlined but what must be, and crates whose code on the
/// request path is inlined into the driver's are made for size. It is a quarter smaller so;
/// `driver/docs/performance.md` has what that costs.
const INLINE_COST_MAX: [&str; 2] =
    ["-Cllvm-args=-inline-threshold=15", "-Cllvm-args=-inlinehint-threshold=60"];
const SMALL: [&str; 4] = ["response-cache", "wskhttpd-abi", "tracelogging", "nt"];

/// What to make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Make {
    /// The image that users install.
    Release,
    /// With debug assertions and overflow checks.
    Debug,
    /// Nothing: the crates are checked for ARM64.
    CheckArm64,
}

/// Builds the image, or checks its crates, and says where it is and how large.
pub(crate) fn image(root: &Path, make: Make) -> Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = std::path::absolute(target)?;
    let triple = if make == Make::CheckArm64 { ARM64 } else { X64 };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let verb = if make == Make::CheckArm64 { "check" } else { "build" };
    cargo.current_dir(root).args([verb, "-p", "wskhttpd-image", "--target", triple]);
    if make != Make::Debug {
        cargo.arg("--release");
    }
    // A kernel image has nothing to unwind with, and its frames must stay below a page.
    cargo.env("CARGO_PROFILE_RELEASE_PANIC", "abort").env("CARGO_PROFILE_DEV_PANIC", "abort");
    let small = [("OPT_LEVEL", "2"), ("LTO", "true"), ("CODEGEN_UNITS", "1")];
    for profile in ["DEV", "RELEASE"] {
        cargo.envs(small.map(|(name, value)| (format!("CARGO_PROFILE_{profile}_{name}"), value)));
    }
    for name in SMALL {
        cargo.args(["--config", &format!("profile.release.package.{name}.opt-level='s'")]);
    }
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.extend(INLINE_COST_MAX.map(str::to_owned));
    for (folder, name) in places(root) {
        flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
    }
    if !cfg!(windows) {
        let work = target.join("image");
        fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
        let core = toolchain::core(triple, &work)?;
        if let Core::Source(library) = &core {
            flags.push(format!("--remap-path-prefix={}=library", library.display()));
        }
        flags.push("-Clinker-flavor=lld-link".to_owned());
        flags.push("-Clinker=rust-lld".to_owned());
        without_windows(&mut cargo, root, &work, &core)?;
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let status = cargo.status().context("cargo cannot be run")?;
    ensure!(status.success(), "the image was not built");
    if make == Make::CheckArm64 {
        return Ok(());
    }
    let profile = if make == Make::Debug { "debug" } else { "release" };
    finish(&target.join(triple).join(profile), make)
}

/// Folders whose names would otherwise be in the image, in the locations of panics.
fn places(root: &Path) -> Vec<(PathBuf, &'static str)> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut places = vec![(root.to_path_buf(), "wskhttpd")];
    places.extend(home.map(|home| (home.join("registry").join("src"), "registry")));
    places
}

/// What stands in for the WDK.
fn without_windows(cargo: &mut Command, root: &Path, work: &Path, core: &Core) -> Result<()> {
    let folder = root.join("driver").join("image");
    let stand_in = folder.join("wdk-build");
    cargo.env("LIBCLANG_PATH", toolchain::libclang()?);
    toolchain::headers()?;
    for module in ["ntoskrnl", "rpcrt4"] {
        let list = folder.join(module).with_extension("def");
        toolchain::import_library(&list, &work.join(module).with_extension("lib"))?;
    }
    cargo.env("WDK_IMPORT_LIBRARY", work);
    // The patch changes what is locked, so this build has a lock file of its own, made from the
    // repository's. Naming one is not stable yet in cargo, hence the variable.
    let lock = work.join("lock").join("Cargo.lock");
    seed(&root.join("Cargo.lock"), &lock)?;
    cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zlockfile-path");
    config(cargo, "resolver.lockfile-path", &lock);
    config(cargo, "patch.crates-io.wdk-build.path", &stand_in);
    if let Core::Source(library) = core {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        cargo.arg("-Zbuild-std=core,compiler_builtins");
    }
    Ok(())
}

fn config(cargo: &mut Command, key: &str, path: &Path) {
    let mut setting = OsString::from(format!("{key}='"));
    setting.push(path);
    setting.push("'");
    cargo.arg("--config").arg(setting);
}

/// Copies the lock file, unless the copy was made from the present one.
fn seed(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read(from).with_context(|| from.display().to_string())?;
    let origin = to.with_extension("origin");
    if to.is_file() && fs::read(&origin).is_ok_and(|before| before == text) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
    fs::write(to, &text).with_context(|| to.display().to_string())?;
    fs::write(&origin, &text).with_context(|| origin.display().to_string())
}

/// Gives the image its name, lays its symbols beside it, and looks at its size.
fn finish(folder: &Path, make: Make) -> Result<()> {
    let image = folder.join("wskhttpd.sys");
    let copy = |from: &str, to: &Path| -> Result<()> {
        let from = folder.join(from);
        fs::copy(&from, to).with_context(|| from.display().to_string())?;
        Ok(())
    };
    copy("wskhttpd_image.dll", &image)?;
    copy("wskhttpd_image.pdb", &folder.join("wskhttpd.pdb"))?;
    let octets = fs::metadata(&image)?.len();
    println!("{}: {octets} octets", image.display());
    ensure!(
        make != Make::Release || octets <= IMAGE_BYTES_MAX,
        "the image is larger than {IMAGE_BYTES_MAX} octets"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own below the temporary one.
    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("xtask-image-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn the_lock_file_is_copied_when_the_repository_s_has_changed() {
        let folder = folder("seed");
        let (from, to) = (folder.join("Cargo.lock"), folder.join("lock").join("Cargo.lock"));
        fs::write(&from, "one").expect("written");
        seed(&from, &to).expect("seeded");
        fs::write(&to, "one, patched").expect("written");
        seed(&from, &to).expect("kept");
        assert_eq!(fs::read_to_string(&to).expect("there"), "one, patched");
        fs::write(&from, "two").expect("written");
        seed(&from, &to).expect("seeded again");
        assert_eq!(fs::read_to_string(&to).expect("there"), "two");
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_large_release_is_refused() {
        let folder = folder("size");
        let large = vec![0; usize::try_from(IMAGE_BYTES_MAX).expect("small") + 1];
        fs::write(folder.join("wskhttpd_image.dll"), &large).expect("written");
        fs::write(folder.join("wskhttpd_image.pdb"), "symbols").expect("written");
        assert!(finish(&folder, Make::Release).is_err());
        assert!(finish(&folder, Make::Debug).is_ok());
        fs::write(folder.join("wskhttpd_image.dll"), &large[1..]).expect("written");
        assert!(finish(&folder, Make::Release).is_ok());
        assert!(folder.join("wskhttpd.sys").is_file() && folder.join("wskhttpd.pdb").is_file());
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_readme_lists_what_can_be_imported() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image");
        let list = fs::read_to_string(folder.join("ntoskrnl.def")).expect("the list");
        let readme = fs::read_to_string(folder.join("README.md")).expect("the document");
        let row = readme.lines().find(|line| line.starts_with("| `ntoskrnl.exe`"));
        let row: Vec<_> = row.expect("a row").split('`').collect();
        let names: Vec<_> = list.lines().skip(2).map(str::trim).collect();
        assert!(names.len() > 30 && names.is_sorted());
        for name in names {
            assert!(row.contains(&name), "{name} is not in the README");
        }
    }
}
