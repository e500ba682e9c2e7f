//! Making an image out of a folder (feature `std`).
//!
//! [`build_folder`] is the whole of it; [`write::Draft`] is the layer below, which knows responses
//! and no files. Either there is an image, validated, or an error that names the file.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "runs in user mode, on the input of whoever runs it; bounds are checked on the way in"
)]

mod compress;
mod error;
mod folder;
mod head;
mod manifest;
mod perfect_hash;
mod representation;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::{Limits, REQUIRED_ERRORS};
use folder::{Folder, Found, INDEX};
use head::{ALLOW, Lines, NO_STORE, PLAIN};
use manifest::{Declared, Manifest, Source};
use representation::Representation;
use write::{Answer, Draft};

pub use error::BuildError;

/// Longest `site.toml`, in octets.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the image may hold.
    pub limits: Limits,
    /// Seconds since 1970 that every file counts as modified at, in place of what the file system
    /// says: equal folders then make equal bytes wherever and whenever they are built.
    pub modified: Option<u64>,
}

/// A built site.
#[derive(Debug)]
pub struct Built {
    /// The image: valid, by [`Layout::validate`](crate::Layout::validate) under the same limits.
    pub image: Vec<u8>,
    /// What is in it.
    pub summary: Summary,
    /// What the person who packs should know, but need not change.
    pub warnings: Vec<Warning>,
}

/// What is in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// (host, path) pairs.
    pub entries: usize,
    /// Prepared responses, with those for errors and 304 among them.
    pub responses: usize,
    /// Different bodies.
    pub bodies: usize,
    /// Octets of the image.
    pub bytes: usize,
}

/// How far compressing the files is, which is what takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Files in all.
    pub files: usize,
    /// Files that are done.
    pub files_done: usize,
    /// Octets to compress, in all.
    pub bytes: usize,
    /// Octets of those files that are done.
    pub bytes_done: usize,
}

/// Is told of progress, from several threads but never from two at once.
pub type Watch<'w> = &'w (dyn Fn(Progress) + Sync);

/// Something left out or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file it is about.
    pub file: PathBuf,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

/// Builds the image of the folder `dir`: every file in it, and what its `site.toml` adds.
///
/// # Errors
/// The first thing that cannot be represented, with the file named.
pub fn build_folder(dir: &Path, options: &Options) -> Result<Built, BuildError> {
    build_folder_watched(dir, options, &|_| {})
}

/// As [`build_folder`]; `watch` is told how far it is.
///
/// # Errors
/// The same.
pub fn build_folder_watched(
    dir: &Path,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Built, BuildError> {
    let folder = Folder::open(dir)?;
    let manifest = match folder.manifest(MANIFEST_BYTES_MAX)? {
        Some(bytes) => manifest::parse(&folder.manifest_file(), &bytes)?,
        None => Manifest::default(),
    };
    let mut build = Build::new(&folder, &manifest, options);
    build.files(watch)?;
    for declared in &manifest.declared {
        build.declared(declared)?;
    }
    build.folder_redirects()?;
    build.errors()?;
    build.options_answer()?;
    let Build { mut draft, keys, mut warnings, limits, .. } = build;
    if keys.is_empty() {
        warnings.push(Warning { file: dir.to_owned(), what: "nothing to serve".to_owned() });
    }
    let image_error = |source| BuildError::Image { file: dir.to_owned(), source };
    for ((host, path), key) in &keys {
        draft.entry(host, path, &key.health, key.answer).map_err(image_error)?;
    }
    let (entries, responses, bodies) = draft.counts();
    let image = draft.finish(&limits).map_err(image_error)?;
    let summary = Summary { entries, responses, bodies, bytes: image.len() };
    Ok(Built { image, summary, warnings })
}

/// What answers a (host, path).
struct Answered {
    answer: Answer,
    health: String,
    /// Where it comes from, for messages.
    origin: String,
}

struct Build<'b> {
    folder: &'b Folder,
    manifest: &'b Manifest,
    options: &'b Options,
    /// Those of the options, but for what the configuration says.
    limits: Limits,
    /// Nothing is modified later than it is built (RFC 9110 section 8.8.2.1).
    now: u64,
    draft: Draft,
    keys: BTreeMap<(String, String), Answered>,
    /// Paths of folders that have an index, without the slash at the end.
    indexed: BTreeSet<String>,
    warnings: Vec<Warning>,
}

impl<'b> Build<'b> {
    fn new(folder: &'b Folder, manifest: &'b Manifest, options: &'b Options) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let response_bytes_max =
            manifest.response_bytes_max.unwrap_or(options.limits.response_bytes_max);
        Self {
            folder,
            manifest,
            options,
            limits: Limits { response_bytes_max, ..options.limits },
            now: since.map_or(0, |since| since.as_secs()),
            draft: Draft::new(),
            keys: BTreeMap::new(),
            indexed: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    fn files(&mut self, watch: Watch<'_>) -> Result<(), BuildError> {
        let named = self.manifest.declared.iter().filter_map(|declared| match &declared.source {
            Source::File(named) => Some(named),
            _ => None,
        });
        let named = named.chain(self.manifest.errors.values());
        let used: BTreeSet<PathBuf> =
            named.filter_map(|named| self.folder.file(&named.file)).collect();
        let files = self.folder.walk(|file| used.contains(file), &mut self.warnings)?;
        let mut read = Vec::with_capacity(files.len());
        for Found { file, path } in files {
            self.warn_of_error_page(&file, &path, &used);
            let contents = self.read(&file)?;
            let compresses = self.compresses(&head::content_type(&file));
            read.push((file, path, contents, compresses));
        }
        let to_compress: Vec<_> = read
            .iter()
            .map(|(_, _, contents, compresses)| compresses.then_some(&contents.bytes[..]))
            .collect();
        let compressed = compress::all(&to_compress, watch);
        for ((file, path, contents, _), compressed) in read.into_iter().zip(compressed) {
            let shape = Representation::default();
            let answer = self.representation(&file, contents, Some(compressed), &shape)?;
            if let Some(parent) = path.strip_suffix(INDEX)
                && let Some(bare) = parent.strip_suffix('/')
            {
                self.insert((String::new(), parent.to_owned()), &file, 0, answer, "")?;
                self.indexed.insert(bare.to_owned());
            }
            self.insert((String::new(), path), &file, 0, answer, "")?;
        }
        Ok(())
    }

    /// A page named like an error status, which nothing declares as one.
    fn warn_of_error_page(&mut self, file: &Path, path: &str, used: &BTreeSet<PathBuf>) {
        let status = path.strip_prefix('/').and_then(|name| name.strip_suffix(".html"));
        let sent =
            |code: &str| REQUIRED_ERRORS.iter().any(|status| status.code().to_string() == code);
        if let Some(code) = status.filter(|code| sent(code))
            && !used.contains(file)
        {
            let what = format!("not used for status {code}: [errors] does not name it");
            self.warnings.push(Warning { file: file.to_owned(), what });
        }
    }

    fn declared(&mut self, declared: &Declared) -> Result<(), BuildError> {
        let manifest_file = self.folder.manifest_file();
        if declared.path.contains('?') || declared.path.contains('%') {
            let what = format!(
                "line {}: `?` and `%` in a path stand for themselves, as %3F and %25 in a request",
                declared.line
            );
            self.warnings.push(Warning { file: manifest_file.clone(), what });
        }
        let shape = Representation {
            status: declared.status,
            content_type: declared.content_type.as_deref(),
            fields: &declared.fields,
        };
        let answer = match &declared.source {
            _ if !declared.health.is_empty() => self.health(declared)?,
            Source::File(named) => {
                let (file, contents) = self.read_named("response.file", named)?;
                self.representation(&file, contents, None, &shape)?
            }
            Source::Text(text) => self.text(&manifest_file, text.clone().into_bytes(), &shape)?,
            Source::Default => {
                let text = head::default_text(declared.status).into_bytes();
                self.text(&manifest_file, text, &shape)?
            }
            Source::Redirect(location) => {
                self.redirect(declared.status, location, &declared.fields)?
            }
            Source::Nothing => self.nothing(&shape)?,
        };
        let key = (declared.host.clone(), declared.path.clone());
        self.insert(key, &manifest_file, declared.line, answer, &declared.health)
    }

    /// `/dir` for every `/dir/` that has an index, unless something else answers it.
    fn folder_redirects(&mut self) -> Result<(), BuildError> {
        for bare in std::mem::take(&mut self.indexed) {
            let key = (String::new(), bare);
            if key.1.is_empty() || self.keys.contains_key(&key) {
                continue;
            }
            let location = head::encode_path(&format!("{}/", key.1));
            let answer = self.redirect(301, &location, &[])?;
            let origin = format!("the folder {}", key.1);
            self.keys.insert(key, Answered { answer, health: String::new(), origin });
        }
        Ok(())
    }

    fn errors(&mut self) -> Result<(), BuildError> {
        for status in REQUIRED_ERRORS {
            let code = status.code();
            let (content_type, bytes) = match self.manifest.errors.get(&code) {
                Some(named) => {
                    let (file, contents) = self.read_named(&format!("errors.{code}"), named)?;
                    (head::content_type(&file), contents.bytes)
                }
                None => (PLAIN.to_owned(), head::default_text(code).into_bytes()),
            };
            let fields = match code {
                405 => vec![("Allow".to_owned(), ALLOW.to_owned())],
                503 => vec![("Retry-After".to_owned(), "1".to_owned())],
                _ => Vec::new(),
            };
            let lines = Lines {
                status: code,
                content_type: Some(&content_type),
                cache_control: Some(NO_STORE),
                fields: &fields,
                ..Lines::default()
            };
            let answer = self.fixed(&self.folder.manifest_file(), lines, bytes)?;
            self.draft.error(code, answer);
        }
        Ok(())
    }

    fn options_answer(&mut self) -> Result<(), BuildError> {
        let fields = [("Allow".to_owned(), ALLOW.to_owned())];
        let answer = self.nothing(&Representation {
            status: 204,
            fields: &fields,
            ..Representation::default()
        })?;
        self.draft.options(answer);
        Ok(())
    }
}
