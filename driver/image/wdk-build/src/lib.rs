//! What wdk-sys 0.5.2 asks of wdk-build 0.6.0, answered on a machine without the WDK: the driver
//! model is WDM, the headers are mingw-w64's, the import library is made from a list of names.
//!
//! `cargo xtask image` patches this crate in, off Windows only. Names and signatures are those that
//! the build script of wdk-sys uses; what it never reaches for a WDM driver is left out where the
//! compiler allows it.
#![forbid(unsafe_code)]

mod binding;
mod headers;
mod linking;

use std::fmt;
use std::path::PathBuf;

pub use binding::BuilderExt;

/// A part of the WDK that bindings are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiSubset {
    /// What every driver has.
    Base,
    /// The driver frameworks; a WDM driver has none.
    Wdf,
}

/// Version of the kernel-mode framework; never present here.
#[derive(Debug, Clone)]
pub struct KmdfConfig {
    /// Major version.
    pub kmdf_version_major: u8,
    /// Minor version built for.
    pub target_kmdf_version_minor: u8,
    /// Minor version needed, if another.
    pub minimum_kmdf_version_minor: Option<u8>,
}

/// Version of the user-mode framework; never present here.
#[derive(Debug, Clone)]
pub struct UmdfConfig {
    /// Major version.
    pub umdf_version_major: u8,
    /// Minor version built for.
    pub target_umdf_version_minor: u8,
    /// Minor version needed, if another.
    pub minimum_umdf_version_minor: Option<u8>,
}

/// A driver model; always [`DriverConfig::Wdm`] here.
#[derive(Debug, Clone)]
pub enum DriverConfig {
    /// Windows driver model.
    Wdm,
    /// Kernel-mode driver framework.
    Kmdf(KmdfConfig),
    /// User-mode driver framework.
    Umdf(UmdfConfig),
}

/// A file that could not be read or written.
#[derive(Debug)]
pub struct IoError {
    path: PathBuf,
    source: std::io::Error,
}

impl IoError {
    /// What happened to `path`.
    pub fn with_path(path: impl Into<PathBuf>, source: std::io::Error) -> IoError {
        IoError { path: path.into(), source }
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for IoError {}

/// Why bindings cannot be configured.
#[derive(Debug)]
pub enum ConfigError {
    /// A file.
    Io(IoError),
    /// A tool or a package is missing; the text says which.
    Missing(String),
}

impl From<IoError> for ConfigError {
    fn from(error: IoError) -> ConfigError {
        ConfigError::Io(error)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Io(error) => error.fmt(f),
            ConfigError::Missing(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The configuration of a build.
#[derive(Debug, Clone)]
pub struct Config {
    /// The driver model.
    pub driver_config: DriverConfig,
}

impl Config {
    /// The configuration; there is only one.
    ///
    /// # Errors
    /// None; the signature is wdk-build's.
    pub fn from_env_auto() -> Result<Config, ConfigError> {
        Ok(Config { driver_config: DriverConfig::Wdm })
    }
}

/// Configures a library and then does `f`.
///
/// # Errors
/// What `f` returned, or a missing tool.
pub fn configure_wdk_library_build_and_then<F, E>(mut f: F) -> Result<(), E>
where
    F: FnMut(Config) -> Result<(), E>,
    E: From<ConfigError>,
{
    let config = Config::from_env_auto()?;
    config.configure_library_build()?;
    f(config)
}
