//! What only Windows has: the WDK's checks, the catalog, and a test signature.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use walkdir::WalkDir;

/// The subject of the test certificate, which is made once for each user.
const SUBJECT: &str = "wskhttpd test";
/// Windows 10 1903, which was the first with primitive drivers, and 2004; Windows 11; Server 2022.
const SYSTEMS: &str = "10_19H1_X64,10_VB_X64,10_CO_X64,ServerFE_X64";
/// Variables that name folders with the WDK's programs in them, and the folder below.
const PLACES: [(&str, &str); 7] = [
    ("WDKToolRoot", ""),
    ("WDKBinRoot", ""),
    ("WindowsSdkBinPath", ""),
    ("WDKContentRoot", "tools"),
    ("WDKContentRoot", "bin"),
    ("ProgramFiles(x86)", "Windows Kits/10/tools"),
    ("ProgramFiles(x86)", "Windows Kits/10/bin"),
];

/// A program and its arguments.
pub(super) struct Step {
    /// Without `.exe`.
    pub(super) program: &'static str,
    arguments: Vec<String>,
}

/// What is done with the package in `folder`, in this order: the image's own signature is part of
/// what the catalog vouches for.
pub(super) fn steps(folder: &Path) -> Vec<Step> {
    let step = |program, arguments: &[&str]| Step {
        program,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
    };
    let sign = |file| step("signtool", &["sign", "/v", "/fd", "sha256", "/n", SUBJECT, file]);
    vec![
        step("infverif", &["/v", "/w", "wskhttpd.inf"]),
        step("powershell", &["-NoProfile", "-NonInteractive", "-Command", &certificate()]),
        sign("wskhttpd.sys"),
        step("inf2cat", &[&format!("/driver:{}", folder.display()), &format!("/os:{SYSTEMS}")]),
        sign("wskhttpd.cat"),
    ]
}

/// Makes the certificate unless there is one, and lays it beside the driver.
fn certificate() -> String {
    let make = "New-SelfSignedCertificate -Type CodeSigningCert \
        -CertStoreLocation Cert:\\CurrentUser\\My";
    format!(
        "$ErrorActionPreference = 'Stop'; \
         $made = Get-ChildItem Cert:\\CurrentUser\\My | Where-Object Subject -eq 'CN={SUBJECT}' | \
         Select-Object -First 1; \
         if (-not $made) {{ $made = {make} -Subject 'CN={SUBJECT}' }}; \
         Export-Certificate -Cert $made -FilePath wskhttpd-test.cer"
    )
}

impl Step {
    /// Prints and runs it, in `folder`.
    pub(super) fn run(&self, folder: &Path) -> Result<()> {
        let file = format!("{}.exe", self.program);
        let program = find(&places(), &file).unwrap_or_else(|| PathBuf::from(&file));
        println!("{} {}", program.display(), self.arguments.join(" "));
        let status = Command::new(&program).args(&self.arguments).current_dir(folder).status();
        let status = status.with_context(|| {
            format!("{} cannot be run: is the Windows Driver Kit installed?", program.display())
        })?;
        ensure!(status.success(), "{}: {status}", self.program);
        Ok(())
    }
}

fn places() -> Vec<PathBuf> {
    let place = |(name, below)| env::var_os(name).map(|root| PathBuf::from(root).join(below));
    PLACES.iter().copied().filter_map(place).collect()
}

/// The program in the first place that has it; of several versions the newest, for this processor
/// before the 32-bit one.
fn find(places: &[PathBuf], file: &str) -> Option<PathBuf> {
    places.iter().find_map(|place| {
        let files = WalkDir::new(place).max_depth(3).into_iter().filter_map(Result::ok);
        let of_this_name = files
            .map(walkdir::DirEntry::into_path)
            .filter(|path| path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(file)));
        of_this_name.filter_map(|path| Some((rank(&path)?, path))).max().map(|(_, path)| path)
    })
}

/// What to prefer in `.../10.0.26100.0/x64/program.exe`; nothing for other processors.
fn rank(path: &Path) -> Option<(Vec<u32>, bool)> {
    let folder = path.parent()?;
    let is_x64 = match folder.file_name()?.to_str()? {
        "x64" => true,
        "x86" => false,
        _ => return None,
    };
    let version = folder.parent()?.file_name()?.to_str()?;
    Some((version.split('.').map_while(|part| part.parse().ok()).collect(), is_x64))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn programs_are_found_in_their_newest_version() {
        let root = env::temp_dir().join(format!("xtask-tools-{}", std::process::id()));
        let files = [
            "bin/10.0.9200.0/x64/signtool.exe",
            "bin/10.0.26100.0/arm64/signtool.exe",
            "bin/10.0.26100.0/x64/signtool.exe",
            "bin/10.0.26100.0/x86/signtool.exe",
            "bin/10.0.26100.0/x86/Inf2Cat.exe",
            "tools/10.0.22621.0/x64/infverif.exe",
        ];
        for file in files.map(|file| root.join(file)) {
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, "").expect("written");
        }
        let places = ["none", "tools", "bin"].map(|name| root.join(name));
        let found = ["infverif.exe", "inf2cat.exe", "signtool.exe", "other.exe"].map(|file| {
            find(&places, file).map(|path| path.strip_prefix(&root).unwrap().to_owned())
        });
        fs::remove_dir_all(&root).expect("removed");
        let expected = [Some(files[5]), Some(files[4]), Some(files[2]), None];
        assert_eq!(found, expected.map(|path| path.map(PathBuf::from)));
    }

    #[test]
    fn the_readme_has_the_same_commands() {
        let readme = include_str!("../../../../inf/README.md");
        for step in steps(Path::new(".")).iter().filter(|step| step.program != "powershell") {
            let arguments = step.arguments.join(" ").replace(SUBJECT, &format!("\"{SUBJECT}\""));
            let command = format!("\n{} {arguments}\n", step.program);
            assert!(readme.contains(&command), "inf/README.md needs the line{command}");
        }
        assert!(readme.contains(&format!("-Subject 'CN={SUBJECT}'")));
    }

    #[test]
    fn the_image_is_signed_before_the_catalog_is_made() {
        let steps = steps(Path::new("package"));
        let position = |program: &str, argument: &str| {
            let is_it = |step: &Step| {
                step.program == program && step.arguments.iter().any(|a| a.contains(argument))
            };
            steps.iter().position(is_it).expect(program)
        };
        let made = position("powershell", SUBJECT);
        let image = position("signtool", "wskhttpd.sys");
        let catalog = position("inf2cat", "/driver:package");
        assert!(made < image && image < catalog);
        assert!(catalog < position("signtool", "wskhttpd.cat"));
    }
}
