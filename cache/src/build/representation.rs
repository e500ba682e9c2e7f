//! From a file or a text to a prepared answer.

use std::path::{Path, PathBuf};

use http1::Coding;

use super::compress::{self, Compressed};
use super::folder::Contents;
use super::head::{self, Field, Lines, NO_STORE, PLAIN};
use super::manifest::{self, Declared, Named, Source, State};
use super::write::{Answer, Prepared, WriteError};
use super::{Answered, Build, BuildError};

/// Caches may keep a response, and ask before they use it.
const CACHE_CONTROL: &str = "no-cache";

/// What a response is like, apart from its content.
#[derive(Clone, Copy)]
pub(super) struct Representation<'r> {
    pub(super) status: u16,
    /// `None` = by the name of the file, or plain text.
    pub(super) content_type: Option<&'r str>,
    pub(super) fields: &'r [Field],
}

impl Default for Representation<'_> {
    fn default() -> Self {
        Self { status: 200, content_type: None, fields: &[] }
    }
}

impl<'b> Build<'b> {
    /// The contents of `file`, with its date. `compressed` is what is known to be shorter; `None` =
    /// not tried yet.
    pub(super) fn representation(
        &mut self,
        file: &Path,
        contents: Contents,
        compressed: Option<Vec<Compressed>>,
        shape: &Representation<'_>,
    ) -> Result<Answer, BuildError> {
        let modified = self.options.modified.or(contents.modified.map(|at| at.min(self.now)));
        let by_name = head::content_type(file);
        let shape =
            Representation { content_type: shape.content_type.or(Some(&by_name)), ..*shape };
        self.content(file, contents.bytes, compressed, modified, &shape)
    }

    /// A text of the configuration, which has no date of its own.
    pub(super) fn text(
        &mut self,
        file: &Path,
        bytes: Vec<u8>,
        shape: &Representation<'_>,
    ) -> Result<Answer, BuildError> {
        self.check_length(file, &bytes)?;
        let shape = Representation { content_type: shape.content_type.or(Some(PLAIN)), ..*shape };
        self.content(file, bytes, None, None, &shape)
    }

    fn check_length(&self, file: &Path, bytes: &[u8]) -> Result<(), BuildError> {
        let bytes_max = self.limits.response_bytes_max;
        if bytes.len() > bytes_max {
            return Err(BuildError::TooLarge { file: file.to_owned(), bytes_max });
        }
        Ok(())
    }

    /// What a health endpoint answers, state by state. It is asked for often and never about: no
    /// validators, no variants, nothing that a cache may keep.
    pub(super) fn health(&mut self, declared: &Declared) -> Result<Answer, BuildError> {
        let manifest_file = self.folder.manifest_file();
        let (content_type, up) = match &declared.source {
            Source::File(named) => {
                let (file, contents) = self.read_named("response.file", named)?;
                (head::content_type(&file), Some(contents.bytes))
            }
            Source::Text(text) => (PLAIN.to_owned(), Some(text.clone().into_bytes())),
            Source::Nothing => (PLAIN.to_owned(), None),
            Source::Default | Source::Redirect(_) => (PLAIN.to_owned(), Some(b"ok\n".to_vec())),
        };
        let content_type = declared.content_type.clone().unwrap_or(content_type);
        let mut state = |status, content_type: &str, bytes: Option<Vec<u8>>, closes| {
            if let Some(bytes) = &bytes {
                self.check_length(&manifest_file, bytes)?;
            }
            let body = bytes.map(|bytes| self.draft.body(bytes).0);
            let lines = Lines {
                status,
                content_type: body.map(|_| content_type),
                content_length: body.map(|body| self.draft.body_bytes(body)),
                cache_control: Some(NO_STORE),
                server: self.manifest.server.as_deref(),
                fields: &declared.fields,
                ..Lines::default()
            };
            let prepared = Prepared::without_validators(lines.to_head(), body);
            Ok(Prepared { closes, ..prepared })
        };
        let up = state(declared.status, &content_type, up, false)?;
        let [drain, down] = &declared.not_up;
        let mut other = |other: &State| {
            let content_type = other.content_type.as_deref().unwrap_or(PLAIN);
            state(other.status, content_type, Some(other.body.clone().into_bytes()), other.closes)
        };
        let states = [up, other(drain)?, other(down)?];
        let image_error = |source| BuildError::Image { file: manifest_file, source };
        self.draft.health(states).map_err(image_error)
    }

    fn content(
        &mut self,
        file: &Path,
        bytes: Vec<u8>,
        compressed: Option<Vec<Compressed>>,
        modified: Option<u64>,
        shape: &Representation<'_>,
    ) -> Result<Answer, BuildError> {
        // Conditions are for answers that are otherwise 200 (RFC 9110 section 13.2.1), and so are
        // ranges.
        let has_validators = shape.status == 200;
        let may_compress = has_validators && shape.content_type.is_some_and(|t| self.compresses(t));
        let compressed = match compressed {
            Some(compressed) => compressed,
            None if may_compress => compress::one(&bytes),
            None => Vec::new(),
        };
        let lines = Lines {
            status: shape.status,
            content_type: shape.content_type,
            varies_by_coding: !compressed.is_empty(),
            last_modified: modified.filter(|_| has_validators),
            accepts_ranges: has_validators,
            cache_control: Some(self.default_cache_control()),
            server: self.manifest.server.as_deref(),
            fields: shape.fields,
            ..Lines::default()
        };
        let identity = (Coding::Identity, bytes);
        let variants: Vec<Prepared> = [identity]
            .into_iter()
            .chain(compressed)
            .map(|(coding, bytes)| self.prepared(coding, bytes, has_validators, lines))
            .collect();
        self.answer(file, &variants)
    }

    /// One variant; its entity tag is of its own octets.
    fn prepared(
        &mut self,
        coding: Coding,
        bytes: Vec<u8>,
        has_validators: bool,
        lines: Lines<'_>,
    ) -> Prepared {
        let (body, digest) = self.draft.body(bytes);
        let entity_tag = has_validators.then(|| head::entity_tag(&digest));
        let lines = Lines {
            coding: Some(coding),
            content_length: Some(self.draft.body_bytes(body)),
            entity_tag: entity_tag.as_deref(),
            ..lines
        };
        Prepared {
            coding,
            head: lines.to_head(),
            body: Some(body),
            last_modified: lines.last_modified,
            not_modified: has_validators.then(|| lines.to_not_modified()),
            partial: has_validators.then(|| lines.to_partial()),
            closes: false,
        }
    }

    /// Whether content of this media type is compressed.
    pub(super) fn compresses(&self, content_type: &str) -> bool {
        self.manifest.compress && compress::is_compressible(content_type)
    }

    /// An answer that caches must not keep or that has nothing to ask about: no validators.
    pub(super) fn fixed(
        &mut self,
        file: &Path,
        lines: Lines<'_>,
        bytes: Vec<u8>,
    ) -> Result<Answer, BuildError> {
        let (body, _) = self.draft.body(bytes);
        let content_length = Some(self.draft.body_bytes(body));
        let server = self.manifest.server.as_deref();
        let head = Lines { content_length, server, ..lines }.to_head();
        self.answer(file, &[Prepared::without_validators(head, Some(body))])
    }

    pub(super) fn redirect(
        &mut self,
        status: u16,
        location: &str,
        fields: &[Field],
    ) -> Result<Answer, BuildError> {
        let lines = Lines {
            status,
            content_type: Some(PLAIN),
            cache_control: Some(self.default_cache_control()),
            location: Some(location),
            fields,
            ..Lines::default()
        };
        let text = head::default_text(status).into_bytes();
        self.fixed(&self.folder.manifest_file(), lines, text)
    }

    /// An answer without content: 204.
    pub(super) fn nothing(&mut self, shape: &Representation<'_>) -> Result<Answer, BuildError> {
        let lines = Lines {
            status: shape.status,
            cache_control: Some(self.default_cache_control()),
            server: self.manifest.server.as_deref(),
            fields: shape.fields,
            ..Lines::default()
        };
        let prepared = Prepared::without_validators(lines.to_head(), None);
        self.answer(&self.folder.manifest_file(), &[prepared])
    }

    pub(super) fn read(&self, file: &Path) -> Result<Contents, BuildError> {
        self.folder.read(file, self.limits.response_bytes_max)
    }

    /// A file that the configuration names under `key`.
    pub(super) fn read_named(
        &self,
        key: &str,
        named: &Named,
    ) -> Result<(PathBuf, Contents), BuildError> {
        let manifest_file = self.folder.manifest_file();
        let refuse = |why: &str| manifest::refusal(&manifest_file, named.line, key, why);
        let file = self.folder.file(&named.file);
        let file = file.ok_or_else(|| refuse("must be a file in the folder, by relative path"))?;
        match self.read(&file) {
            Ok(contents) => Ok((file, contents)),
            Err(error) => Err(refuse(&error.to_string())),
        }
    }

    /// Files one answer under its key. `line` is that of the configuration, 0 for a file.
    pub(super) fn insert(
        &mut self,
        key: (String, String),
        file: &Path,
        line: usize,
        answer: Answer,
        health: &str,
    ) -> Result<(), BuildError> {
        let origin = match line {
            0 => file.display().to_string(),
            line => format!("{}:{line}", file.display()),
        };
        if let Some(first) = self.keys.get(&key) {
            let (host, path) = key;
            let first = first.origin.clone();
            return Err(BuildError::Twice { origin, file: file.to_owned(), host, path, first });
        }
        self.keys.insert(key, Answered { answer, health: health.to_owned(), origin });
        Ok(())
    }

    fn default_cache_control(&self) -> &'b str {
        self.manifest.cache_control.as_deref().unwrap_or(CACHE_CONTROL)
    }

    fn answer(&mut self, file: &Path, variants: &[Prepared]) -> Result<Answer, BuildError> {
        let image_error = |source: WriteError| BuildError::Image { file: file.to_owned(), source };
        self.draft.answer(variants).map_err(image_error)
    }
}
