//! Why a folder is no site.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::write::WriteError;

/// Why there is no image.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The file or folder cannot be read.
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder to build from is something else.
    NotAFolder {
        /// What was given.
        file: PathBuf,
    },
    /// A FIFO, a device, a socket; or a folder where a file is needed.
    NotAFile {
        /// Which.
        file: PathBuf,
    },
    /// A link leads out of the folder.
    Outside {
        /// The link.
        file: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A link leads to a folder that it is in.
    Loop {
        /// The link.
        file: PathBuf,
    },
    /// A name that cannot be a path.
    Name {
        /// The file.
        file: PathBuf,
        /// What is wrong with its name.
        why: &'static str,
    },
    /// More octets than one body may have.
    TooLarge {
        /// The file.
        file: PathBuf,
        /// How many it may have.
        bytes_max: usize,
    },
    /// Two answers for one path on one host.
    Twice {
        /// The file of the second one.
        file: PathBuf,
        /// Where the second one comes from: the file, with the line of a configuration.
        origin: String,
        /// Host; empty = any.
        host: String,
        /// Path.
        path: String,
        /// Where the first one comes from.
        first: String,
    },
    /// `site.toml` is wrong.
    Manifest {
        /// The configuration file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key, as far as it is known.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// All files are fine, and yet there is no image.
    Image {
        /// The folder, or the file whose head does not fit.
        file: PathBuf,
        /// Why.
        source: WriteError,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, source } => write!(f, "{}: {source}", file.display()),
            Self::NotAFolder { file } => write!(f, "{}: not a folder", file.display()),
            Self::NotAFile { file } => write!(f, "{}: not a regular file", file.display()),
            Self::Outside { file, target } => {
                let (file, target) = (file.display(), target.display());
                write!(f, "{file}: leads out of the folder, to {target}")
            }
            Self::Loop { file } => {
                write!(f, "{}: leads to a folder that it is in", file.display())
            }
            Self::Name { file, why } => write!(f, "{}: {why}", file.display()),
            Self::TooLarge { file, bytes_max } => {
                write!(f, "{}: longer than {bytes_max} octets", file.display())
            }
            Self::Twice { origin, host, path, first, .. } => {
                write!(f, "{origin}: {host}{path} is already answered by {first}")
            }
            Self::Manifest { file, line, key, why } if key.is_empty() => {
                write!(f, "{}:{line}: {why}", file.display())
            }
            Self::Manifest { file, line, key, why } => {
                write!(f, "{}:{line}: {key}: {why}", file.display())
            }
            Self::Image { file, source } => write!(f, "{}: {source}", file.display()),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Image { source, .. } => Some(source),
            _ => None,
        }
    }
}
