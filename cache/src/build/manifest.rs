//! `site.toml`: responses that no file stands for, error pages, defaults.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use http1::Status;
use serde::Deserialize;
use toml::Spanned;

use super::BuildError;
use super::head::{Field, has_field, is_owned};
use crate::head::{is_field_value, is_token};
use crate::layout::widen;
use crate::limits::PATH_BYTES_MAX;
use crate::validate::{is_canonical_path, is_health_name, is_host};

/// What the configuration says, checked as far as it can be without the folder.
pub(super) struct Manifest {
    pub(super) cache_control: Option<String>,
    /// Content is compressed where that is worth it.
    pub(super) compress: bool,
    /// Octets of one body at most.
    pub(super) response_bytes_max: Option<usize>,
    pub(super) server: Option<String>,
    pub(super) declared: Vec<Declared>,
    /// Pages by status.
    pub(super) errors: BTreeMap<u16, Named>,
}

impl Default for Manifest {
    /// That of a folder without `site.toml`.
    fn default() -> Self {
        Self {
            cache_control: None,
            compress: true,
            response_bytes_max: None,
            server: None,
            declared: Vec::new(),
            errors: BTreeMap::new(),
        }
    }
}

/// A file that the configuration names.
pub(super) struct Named {
    pub(super) file: String,
    pub(super) line: usize,
}

/// One `[[response]]`.
pub(super) struct Declared {
    /// Line of `path`.
    pub(super) line: usize,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) source: Source,
    pub(super) content_type: Option<String>,
    pub(super) fields: Vec<Field>,
    /// Name of the health endpoint; empty = none.
    pub(super) health: String,
    /// What it answers when it drains and when it is down.
    pub(super) not_up: [State; 2],
}

/// What a health endpoint answers that is not up.
pub(super) struct State {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
    /// The connection ends behind it.
    pub(super) closes: bool,
}

/// Where the content of a declared response comes from.
pub(super) enum Source {
    Text(String),
    File(Named),
    /// Location of a redirect.
    Redirect(String),
    /// The short text that names the status.
    Default,
    /// 204.
    Nothing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    response: Vec<Spanned<Table>>,
    #[serde(default)]
    errors: BTreeMap<String, Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Defaults {
    cache_control: Option<Spanned<String>>,
    compress: Option<bool>,
    response_bytes_max: Option<u32>,
    server: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    path: Spanned<String>,
    host: Option<Spanned<String>>,
    status: Option<Spanned<u16>>,
    body: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    content_type: Option<Spanned<String>>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    redirect: Option<Spanned<String>>,
    health: Option<Spanned<String>>,
    drain: Option<Spanned<StateTable>>,
    down: Option<Spanned<StateTable>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StateTable {
    status: Option<Spanned<u16>>,
    body: Option<String>,
    content_type: Option<Spanned<String>>,
    #[serde(default)]
    close: bool,
}

/// Reads the configuration `bytes` of `file`.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Manifest, BuildError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = line_of(bytes, error.valid_up_to());
            return Err(refusal(file, line, "", "not UTF-8"));
        }
    };
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = line_of(bytes, error.span().map_or(0, |span| span.start));
        refusal(file, line, "", error.message())
    })?;
    let reader = Reader { file, bytes };
    let value = |key, value: Option<Spanned<String>>| {
        value.map(|value| reader.field_value(key, &value)).transpose()
    };
    let defaults = document.defaults;
    let mut manifest = Manifest {
        cache_control: value("defaults.cache-control", defaults.cache_control)?,
        compress: defaults.compress.unwrap_or(true),
        response_bytes_max: defaults.response_bytes_max.map(widen),
        server: value("defaults.server", defaults.server)?,
        ..Manifest::default()
    };
    for table in document.response {
        manifest.declared.push(reader.response(table)?);
    }
    for (key, page) in document.errors {
        let status = reader.error_status(&key, &page)?;
        let line = reader.line(&page.span());
        manifest.errors.insert(status, Named { file: page.into_inner(), line });
    }
    Ok(manifest)
}

struct Reader<'r> {
    file: &'r Path,
    bytes: &'r [u8],
}

impl Reader<'_> {
    fn response(&self, table: Spanned<Table>) -> Result<Declared, BuildError> {
        let mut table = table.into_inner();
        let (path, host) = self.key(&table)?;
        let status = self.status(&table)?;
        let fields = self.fields(&table.headers)?;
        let needed = match status {
            401 => "WWW-Authenticate",
            405 => "Allow",
            _ => "",
        };
        if !needed.is_empty() && !has_field(&fields, needed) {
            let why = format!("status {status} needs the field {needed} in headers");
            return Err(self.refuse(&table.path.span(), "response.status", &why));
        }
        let content_type = table.content_type.as_ref();
        let content_type = content_type
            .map(|value| self.field_value("response.content-type", value))
            .transpose()?;
        let health = self.health(&table, status)?;
        let is_health = !health.is_empty();
        let not_up = [
            self.state("drain", "draining", is_health, table.drain.take())?,
            self.state("down", "down", is_health, table.down.take())?,
        ];
        let line = self.line(&table.path.span());
        let source = self.source(table, status)?;
        Ok(Declared { line, host, path, status, source, content_type, fields, health, not_up })
    }

    fn key(&self, table: &Table) -> Result<(String, String), BuildError> {
        let path = table.path.get_ref();
        if path.len() > PATH_BYTES_MAX {
            return Err(self.refuse(&table.path.span(), "response.path", "over 1024 octets"));
        }
        if !is_canonical_path(path.as_bytes()) {
            let why = "must start with / and have neither dot segments nor control characters";
            return Err(self.refuse(&table.path.span(), "response.path", why));
        }
        let Some(host) = &table.host else { return Ok((path.clone(), String::new())) };
        let lower = host.get_ref().to_ascii_lowercase();
        if !is_host(lower.as_bytes()) {
            let why = "must be a host name, an IPv4 address or an [IPv6] address, without port";
            return Err(self.refuse(&host.span(), "response.host", why));
        }
        Ok((path.clone(), lower))
    }

    fn status(&self, table: &Table) -> Result<u16, BuildError> {
        let redirect = table.redirect.is_some();
        let Some(status) = &table.status else { return Ok(if redirect { 308 } else { 200 }) };
        let code = *status.get_ref();
        let refuse = |why| Err(self.refuse(&status.span(), "response.status", why));
        if redirect && !matches!(code, 301 | 302 | 307 | 308) {
            return refuse("a redirect is 301, 302, 307 or 308");
        }
        if !redirect && matches!(code, 301 | 302 | 303 | 305 | 307 | 308) {
            return refuse("this status needs redirect");
        }
        if !(200..600).contains(&code) || matches!(code, 205 | 206 | 304 | 407 | 426) {
            return refuse("not a status that a fixed response can have");
        }
        Ok(code)
    }

    fn health(&self, table: &Table, status: u16) -> Result<String, BuildError> {
        let Some(name) = &table.health else { return Ok(String::new()) };
        let refuse = |why| Err(self.refuse(&name.span(), "response.health", why));
        if !is_health_name(name.get_ref().as_bytes()) {
            return refuse("must be 1 to 64 letters, digits, dots, underscores or hyphens");
        }
        if !(200..300).contains(&status) {
            return refuse("a health endpoint has a status of 2xx");
        }
        if table.headers.keys().any(|field| field.eq_ignore_ascii_case("cache-control")) {
            return refuse("a health endpoint has its own Cache-Control");
        }
        Ok(name.get_ref().clone())
    }

    fn state(
        &self,
        name: &str,
        text: &str,
        is_health: bool,
        table: Option<Spanned<StateTable>>,
    ) -> Result<State, BuildError> {
        if let Some(table) = table.as_ref().filter(|_| !is_health) {
            let key = format!("response.{name}");
            return Err(self.refuse(&table.span(), &key, "only a health endpoint has states"));
        }
        let table = table.map(Spanned::into_inner).unwrap_or_default();
        if let Some(status) = &table.status
            && (!matches!(status.get_ref(), 200..300 | 400..600)
                || matches!(status.get_ref(), 204..207 | 401 | 405 | 407 | 426))
        {
            let why = "must be 2xx, 4xx or 5xx, and one that has content and needs no other field";
            return Err(self.refuse(&status.span(), &format!("response.{name}.status"), why));
        }
        let key = format!("response.{name}.content-type");
        let content_type = table.content_type.as_ref();
        let content_type = content_type.map(|value| self.field_value(&key, value)).transpose()?;
        Ok(State {
            status: table.status.map_or(503, Spanned::into_inner),
            content_type,
            body: table.body.unwrap_or_else(|| format!("{text}\n")),
            closes: table.close,
        })
    }

    fn source(&self, table: Table, status: u16) -> Result<Source, BuildError> {
        let sources = [&table.body, &table.file, &table.redirect];
        if let [_, second, ..] = sources.into_iter().flatten().collect::<Vec<_>>()[..] {
            let why = "only one of body, file and redirect can be the content";
            return Err(self.refuse(&second.span(), "response", why));
        }
        if let Some(content_type) = &table.content_type
            && (status == 204 || table.redirect.is_some())
        {
            let why = "this response has no content of its own";
            return Err(self.refuse(&content_type.span(), "response.content-type", why));
        }
        if status == 204 {
            let Some(content) = table.body.or(table.file) else { return Ok(Source::Nothing) };
            return Err(self.refuse(&content.span(), "response", "status 204 has no content"));
        }
        if let Some(body) = table.body {
            return Ok(Source::Text(body.into_inner()));
        }
        if let Some(file) = table.file {
            let line = self.line(&file.span());
            return Ok(Source::File(Named { file: file.into_inner(), line }));
        }
        if let Some(target) = table.redirect {
            self.check_location(&target)?;
            return Ok(Source::Redirect(target.into_inner()));
        }
        if table.health.is_some() || status != 200 {
            return Ok(Source::Default);
        }
        let why = "needs one of body, file, redirect and health";
        Err(self.refuse(&table.path.span(), "response", why))
    }

    fn check_location(&self, target: &Spanned<String>) -> Result<(), BuildError> {
        let location = target.get_ref();
        let known = ["/", "http://", "https://"].iter().any(|start| location.starts_with(start));
        if known && location.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Ok(());
        }
        let why = "must start with /, http:// or https:// and be percent-encoded";
        Err(self.refuse(&target.span(), "response.redirect", why))
    }

    fn fields(
        &self,
        headers: &BTreeMap<String, Spanned<String>>,
    ) -> Result<Vec<Field>, BuildError> {
        let mut fields: Vec<Field> = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let key = format!("response.headers.{name}");
            let refuse = |why| Err(self.refuse(&value.span(), &key, why));
            if !is_token(name.as_bytes()) {
                return refuse("not a field name");
            }
            if is_owned(name) {
                return refuse("this field is not set by hand");
            }
            if has_field(&fields, name) {
                return refuse("the same field twice");
            }
            fields.push((name.clone(), self.field_value(&key, value)?));
        }
        Ok(fields)
    }

    fn field_value(&self, key: &str, value: &Spanned<String>) -> Result<String, BuildError> {
        if is_field_value(value.get_ref().as_bytes()) {
            return Ok(value.get_ref().clone());
        }
        let why = "not a field value: visible ASCII, blanks only inside";
        Err(self.refuse(&value.span(), key, why))
    }

    fn error_status(&self, key: &str, page: &Spanned<String>) -> Result<u16, BuildError> {
        let sent = Status::ERRORS.iter().map(|status| status.code());
        let known = sent.clone().find(|code| code.to_string() == key);
        known.ok_or_else(|| {
            let codes: Vec<String> = sent.map(|code| code.to_string()).collect();
            let why = format!("not an error the server sends; those are {}", codes.join(", "));
            self.refuse(&page.span(), &format!("errors.{key}"), &why)
        })
    }

    fn line(&self, span: &Range<usize>) -> usize {
        line_of(self.bytes, span.start)
    }

    fn refuse(&self, span: &Range<usize>, key: &str, why: &str) -> BuildError {
        refusal(self.file, self.line(span), key, why)
    }
}

/// An error at a line of the configuration.
pub(super) fn refusal(file: &Path, line: usize, key: &str, why: &str) -> BuildError {
    let (file, key, why) = (file.to_owned(), key.to_owned(), why.to_owned());
    BuildError::Manifest { file, line, key, why }
}

fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &bytes[..offset.min(bytes.len())]).count()
}
