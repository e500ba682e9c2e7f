//! The folder: which files there are, what paths they get, and their bytes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use walkdir::WalkDir;

use super::{BuildError, Warning};
use crate::limits::PATH_BYTES_MAX;

/// Name of the configuration file in the root of a folder.
pub(super) const MANIFEST: &str = "site.toml";
/// Name of the file that answers for its folder.
pub(super) const INDEX: &str = "index.html";

/// The folder a site is built from.
pub(super) struct Folder {
    dir: PathBuf,
    /// `dir` without links, to tell what is inside.
    real: PathBuf,
}

/// A file that will be served.
pub(super) struct Found {
    pub(super) file: PathBuf,
    /// Canonical path.
    pub(super) path: String,
}

/// The bytes of a file.
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    /// Seconds since 1970, if the file system tells and it is not before 1970.
    pub(super) modified: Option<u64>,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, BuildError> {
        let real = dir.canonicalize().map_err(|source| unreadable(dir, source))?;
        if !real.is_dir() {
            return Err(BuildError::NotAFolder { file: dir.to_owned() });
        }
        Ok(Self { dir: dir.to_owned(), real })
    }

    /// The text of `site.toml`, if there is one.
    pub(super) fn manifest(&self, bytes_max: usize) -> Result<Option<Vec<u8>>, BuildError> {
        let file = self.dir.join(MANIFEST);
        if file.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        self.read(&file, bytes_max).map(|contents| Some(contents.bytes))
    }

    pub(super) fn manifest_file(&self) -> PathBuf {
        self.dir.join(MANIFEST)
    }

    /// A file that the configuration names, relative to the folder.
    pub(super) fn file(&self, relative: &str) -> Option<PathBuf> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let relative = Path::new(relative);
        let inside = relative.components().all(plain) && relative.components().next().is_some();
        inside.then(|| self.dir.join(relative))
    }

    /// All files, in the order of their names; every skipped one that is not `used` is warned of.
    pub(super) fn walk(
        &self,
        used: impl Fn(&Path) -> bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<Found>, BuildError> {
        let mut files = Vec::new();
        let mut skip = |file: &Path| {
            if !used(file) {
                let what = "skipped: its name starts with a dot".to_owned();
                warnings.push(Warning { file: file.to_owned(), what });
            }
        };
        let walk = WalkDir::new(&self.dir).min_depth(1).follow_links(true).sort_by_file_name();
        let mut walk = walk.into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // Editors leave dangling links behind, named like other files of theirs.
                Err(error) if error.path().is_some_and(is_dot_file) => {
                    skip(error.path().unwrap_or(&self.dir));
                    continue;
                }
                Err(error) => return Err(self.walk_error(error)),
            };
            let file = entry.path();
            let is_dir = entry.file_type().is_dir();
            if is_dot_file(file) {
                skip(file);
                if is_dir {
                    walk.skip_current_dir();
                }
                continue;
            }
            if entry.path_is_symlink() {
                self.check_inside(file)?;
            }
            if is_dir {
                continue;
            }
            if !entry.file_type().is_file() {
                return Err(BuildError::NotAFile { file: file.to_owned() });
            }
            if file.parent() != Some(&self.dir) || entry.file_name() != MANIFEST {
                files.push(Found { file: file.to_owned(), path: self.path_of(file)? });
            }
        }
        Ok(files)
    }

    /// Reads a regular file of at most `bytes_max` octets that lies inside the folder.
    pub(super) fn read(&self, file: &Path, bytes_max: usize) -> Result<Contents, BuildError> {
        self.check_inside(file)?;
        let unreadable = |source| unreadable(file, source);
        // Asked before it is opened: opening a FIFO would wait for somebody to write to it.
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(BuildError::NotAFile { file: file.to_owned() });
        }
        let opened = File::open(file).map_err(unreadable)?;
        let modified = opened.metadata().and_then(|metadata| metadata.modified()).ok();
        let mut bytes = Vec::new();
        let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        opened.take(bound).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > bytes_max {
            return Err(BuildError::TooLarge { file: file.to_owned(), bytes_max });
        }
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Contents { bytes, modified: since.map(|since| since.as_secs()) })
    }

    /// Links may lead anywhere in the folder, but not out of it.
    fn check_inside(&self, file: &Path) -> Result<(), BuildError> {
        let real = file.canonicalize().map_err(|source| unreadable(file, source))?;
        if real.starts_with(&self.real) {
            return Ok(());
        }
        Err(BuildError::Outside { file: file.to_owned(), target: real })
    }

    fn path_of(&self, file: &Path) -> Result<String, BuildError> {
        let refuse = |why| BuildError::Name { file: file.to_owned(), why };
        let mut path = String::new();
        for part in file.strip_prefix(&self.dir).unwrap_or(file) {
            let name = part.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?;
            if name.chars().any(char::is_control) {
                return Err(refuse("its name has a control character"));
            }
            path.push('/');
            path.push_str(name);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(refuse("its path is longer than 1024 octets"));
        }
        Ok(path)
    }

    fn walk_error(&self, error: walkdir::Error) -> BuildError {
        let file = error.path().unwrap_or(&self.dir).to_owned();
        if error.loop_ancestor().is_some() {
            return BuildError::Loop { file };
        }
        let source = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
        BuildError::Unreadable { file, source }
    }
}

fn unreadable(file: &Path, source: io::Error) -> BuildError {
    BuildError::Unreadable { file: file.to_owned(), source }
}

/// Hidden by its name; `.well-known` (RFC 8615) is not.
fn is_dot_file(file: &Path) -> bool {
    let name = file.file_name().unwrap_or(OsStr::new("")).as_encoded_bytes();
    name.starts_with(b".") && name != b".well-known"
}
