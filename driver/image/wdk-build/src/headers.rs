//! Which headers are read, and as whom.
use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::{ApiSubset, Config, ConfigError};

/// Where Debian's mingw-w64-common keeps the headers; `MINGW_INCLUDE` says otherwise.
const MINGW_INCLUDE: &str = "/usr/share/mingw-w64/include";
impl Config {
    /// Folders of headers, the first one that has a name wins.
    ///
    /// # Errors
    /// mingw-w64's headers are not installed.
    pub fn include_paths(&self) -> Result<impl Iterator<Item = PathBuf>, ConfigError> {
        println!("cargo::rerun-if-env-changed=MINGW_INCLUDE");
        let mingw = PathBuf::from(env::var_os("MINGW_INCLUDE").unwrap_or(MINGW_INCLUDE.into()));
        let ddk = mingw.join("ddk");
        if !ddk.join("wdm.h").is_file() {
            let what = format!("no ddk/wdm.h in {} (mingw-w64-common)", mingw.display());
            return Err(ConfigError::Missing(what));
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
        // Last, as a fallback: empty files in place of a compiler's own headers, which nothing
        // that the kernel declares needs; so any libclang will do.
        let compiler = own.join("compiler");
        Ok([own, ddk, mingw, compiler].into_iter())
    }

    /// Macros that make the headers those of a 64-bit kernel, Windows 10.
    pub fn preprocessor_definitions(&self) -> impl Iterator<Item = (String, Option<String>)> {
        let named = ["_WIN64", "_AMD64_", "AMD64", "_KERNEL_MODE"].map(|name| (name, None));
        let valued =
            [("_WIN32_WINNT", "0x0A00"), ("WINVER", "0x0A00"), ("NTDDI_VERSION", "0x0A000005")];
        let valued = valued.map(|(name, value)| (name, Some(value.to_owned())));
        named.into_iter().chain(valued).map(|(name, value)| (name.to_owned(), value))
    }

    /// Headers of a subset.
    ///
    /// # Errors
    /// None; the signature is wdk-build's.
    pub fn headers(&self, subset: ApiSubset) -> Result<impl Iterator<Item = String>, ConfigError> {
        let names: &[&str] = match subset {
            ApiSubset::Base => &["ntifs.h", "ntddk.h", "missing_in_mingw.h"],
            ApiSubset::Wdf => &[],
        };
        Ok(names.iter().map(|name| (*name).to_owned()))
    }

    /// A source that includes the headers of `subsets`.
    ///
    /// # Errors
    /// None; the signature is wdk-build's.
    pub fn bindgen_header_contents(
        &self,
        subsets: impl IntoIterator<Item = ApiSubset>,
    ) -> Result<String, ConfigError> {
        let mut source = String::new();
        for subset in subsets {
            for header in self.headers(subset)? {
                // Writing to a String cannot fail.
                let _ = writeln!(source, "#include \"{header}\"");
            }
        }
        Ok(source)
    }
}
