//! One request: which prepared response, and how much of its content.
use http1::{
    Expectation, Framing, Method, Part, PartFields, PathBuffer, Persistence, Rejection, Request,
    Status, Target, Validators, Verdict, Version,
};
use response_cache::{Entry, Prepared, Response, Site};

use crate::clock::Clock;
use crate::health::HealthTable;
use crate::site::PinnedSite;

/// A decision, free to be kept until the request's content has been discarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Whose head is sent.
    pub response: Response,
    /// What follows it.
    pub content: Content,
    /// What becomes of the connection.
    pub persistence: Persistence,
    /// What the peer speaks.
    pub version: Version,
}

/// What follows a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Nothing: the request is HEAD.
    None,
    /// What the response has.
    Whole,
    /// Some octets of what another response has, both positions included: 206.
    Octets {
        /// Of which.
        of: Response,
        /// Position of the first octet.
        first: u32,
        /// Position of the last octet.
        last: u32,
    },
    /// What the response has, which says that there is nothing of that part of another: 416.
    Unsatisfiable {
        /// Of which.
        of: Response,
    },
}

// A connection keeps one while content is discarded.
const _: () = assert!(size_of::<Option<Answer>>() <= 24);

impl Answer {
    /// The content, and where in the image it starts; `prepared` is the response's.
    #[inline]
    pub fn content<'i>(&self, site: Site<'i>, prepared: &Prepared<'i>) -> (&'i [u8], usize) {
        if self.content == Content::Whole {
            return (prepared.body, prepared.body_offset);
        }
        self.rare_content(site, prepared)
    }

    #[cold]
    #[inline(never)]
    fn rare_content<'i>(&self, site: Site<'i>, prepared: &Prepared<'i>) -> (&'i [u8], usize) {
        match self.content {
            Content::None => (&[], 0),
            Content::Octets { of, first, last } => part(site, of, first, last),
            Content::Whole | Content::Unsatisfiable { .. } => (prepared.body, prepared.body_offset),
        }
    }

    /// Octets of the whole response; `prepared` is the response's.
    pub fn octets(&self, site: Site<'_>, prepared: &Prepared<'_>) -> u64 {
        let (body, _) = self.content(site, prepared);
        let end = self.persistence.head_end(self.version);
        let parts = [prepared.head.len(), self.fields(site).len(), end.len(), body.len()];
        u64::try_from(parts.into_iter().fold(0, usize::saturating_add)).unwrap_or(u64::MAX)
    }

    /// True when there are field lines that could not be prepared.
    #[inline]
    pub fn has_fields(&self) -> bool {
        !matches!(self.content, Content::None | Content::Whole)
    }

    /// The field lines that could not be prepared; none but for a part.
    #[cold]
    pub fn fields(&self, site: Site<'_>) -> PartFields {
        match self.content {
            Content::Octets { of, first, last } => {
                let part = Part::Octets { first: first.into(), last: last.into() };
                part.fields(octets(site.body(of)))
            }
            Content::Unsatisfiable { of } => Part::Unsatisfiable.fields(octets(site.body(of))),
            Content::None | Content::Whole => PartFields::new(),
        }
    }
}

fn part(site: Site<'_>, of: Response, first: u32, last: u32) -> (&[u8], usize) {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let last = usize::try_from(last).unwrap_or(usize::MAX);
    let part = site.body(of).get(first..=last).unwrap_or_default();
    (part, site.body_offset(of).saturating_add(first))
}

fn octets(body: &[u8]) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

/// The answer to an understood request. `None` only for an image without a required response, which
/// validation refuses.
#[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
#[inline(always)]
pub fn select(
    pinned: &PinnedSite,
    health: &HealthTable,
    request: &Request<'_>,
    clock: &Clock,
) -> Option<Answer> {
    let site = pinned.view();
    if matches!(request.method, Method::Get | Method::Head)
        && request.framing == Framing::None
        && request.selectors.is_empty()
        && let Target::Origin { path, .. } = request.target
        && let Some(response) = site.lookup_response(request.host, path)
    {
        return Some(answer(request, response, Content::Whole, false));
    }
    select_with_care(pinned, health, *request, clock.unix_seconds())
}

/// The same, whatever was asked, at `now` in seconds since 1970. By value: for a reference the
/// request would be written to memory where this is not called, too.
#[inline(never)]
fn select_with_care(
    pinned: &PinnedSite,
    health: &HealthTable,
    request: Request<'_>,
    now: u64,
) -> Option<Answer> {
    let site = pinned.view();
    let whole = |response| (response, Content::Whole);
    let mut closes = false;
    let (response, content) = match request.method {
        Method::Get | Method::Head => match find(site, &request) {
            Ok(entry) => match site.response(entry, 0) {
                Some(response) if request.selectors.is_empty() => Some(whole(response)),
                Some(_) => selected(site, entry, &request, now),
                None => {
                    let response = endpoint(pinned, health, entry)?;
                    closes = site.closes(response);
                    let response = conditioned(site, response, &request, now)?;
                    Some(whole(response))
                }
            },
            Err(status) => site.error(status.code()).map(whole),
        },
        Method::Options => Some(whole(site.options())),
        Method::Connect => site.error(Status::MethodNotAllowed.code()).map(whole),
        Method::Other => site.error(Status::NotImplemented.code()).map(whole),
        Method::Post | Method::Put | Method::Delete | Method::Patch | Method::Trace => {
            other(site, &request).map(whole)
        }
    }?;
    // Content that was announced with an expectation may never come: answer at once and end.
    let expected = request.expectation == Expectation::Continue && request.framing != Framing::None;
    let last = expected || closes || request.method == Method::Connect;
    Some(answer(&request, response, content, last))
}

#[inline]
fn answer(request: &Request<'_>, response: Response, content: Content, last: bool) -> Answer {
    Answer {
        response,
        content: if request.method == Method::Head { Content::None } else { content },
        persistence: if last { Persistence::Close } else { request.persistence },
        version: request.version,
    }
}

/// The answer to whatever is asked on a connection that is refused: 503, and the end.
#[cold]
pub fn refuse(site: Site<'_>, request: Request<'_>) -> Option<Answer> {
    let answer = error(site, Status::Unavailable)?;
    let content = if request.method == Method::Head { Content::None } else { Content::Whole };
    Some(Answer { content, version: request.version, ..answer })
}

/// The answer to what was not understood: an error, and the end.
pub fn reject(site: Site<'_>, rejection: Rejection) -> Option<Answer> {
    error(site, rejection.status)
}

/// An error as the last response of a connection.
pub fn error(site: Site<'_>, status: Status) -> Option<Answer> {
    Some(Answer {
        response: site.error(status.code())?,
        content: Content::Whole,
        persistence: Persistence::Close,
        version: Version::Http11,
    })
}

/// What a health endpoint answers now.
#[cold]
#[inline(never)]
fn endpoint(site: &PinnedSite, health: &HealthTable, entry: Entry) -> Option<Response> {
    let number = site.view().health_number(entry)?;
    let state = site.health(health, number).number();
    site.view().health_response(entry, state.into())
}

/// A health endpoint's answer under the request's conditions. It has no validators: a tag matches
/// none of them, and there is no 304.
#[cold]
#[inline(never)]
fn conditioned(
    site: Site<'_>,
    response: Response,
    request: &Request<'_>,
    now: u64,
) -> Option<Response> {
    let none = Validators { entity_tag: &[], last_modified: None };
    let is_on = request.selectors.has_conditions() && matches!(site.status(response), 200..300);
    let fails = || {
        let verdict = request.selectors.evaluate(request.method, &none, now);
        verdict == Verdict::PreconditionFailed
    };
    if is_on && fails() { site.error(Status::PreconditionFailed.code()) } else { Some(response) }
}

/// The variant, then the conditions on it, then the part of it (RFC 9110 section 13.2.2).
#[inline(never)]
fn selected(
    site: Site<'_>,
    entry: Entry,
    request: &Request<'_>,
    now: u64,
) -> Option<(Response, Content)> {
    let (method, selectors) = (request.method, &request.selectors);
    let is_negotiated = site.variants(entry) > 1;
    let response = if is_negotiated && selectors.has_accept_encoding() {
        site.negotiate(entry, &selectors.weights())?
    } else {
        site.response(entry, 0)?
    };
    let whole = Some((response, Content::Whole));
    let is_selected = selectors.has_conditions() || selectors.has_range();
    if !is_selected || !matches!(site.status(response), 200..300) {
        return whole;
    }
    let last_modified = site.last_modified(response);
    let validators = Validators { entity_tag: site.entity_tag(response), last_modified };
    match selectors.evaluate(method, &validators, now) {
        Verdict::Full => {}
        Verdict::NotModified => {
            return site
                .not_modified(response)
                .map_or(whole, |other| Some((other, Content::Whole)));
        }
        Verdict::PreconditionFailed => {
            let failed = site.error(Status::PreconditionFailed.code())?;
            return Some((failed, Content::Whole));
        }
    }
    let Some(partial) = site.partial(response) else { return whole };
    // Variants of one file share its date, which is no strong validator then (section 8.8.2.2).
    let last_modified = last_modified.filter(|_| !is_negotiated);
    let validators = Validators { last_modified, ..validators };
    match selectors.part(method, octets(site.body(response)), &validators, now) {
        Part::Whole => whole,
        Part::Octets { first, last } => {
            // An image, and so each position in it, has 32 bits.
            let (first, last) = (u32::try_from(first).ok()?, u32::try_from(last).ok()?);
            Some((partial, Content::Octets { of: response, first, last }))
        }
        Part::Unsatisfiable => {
            let error = site.error(Status::RangeNotSatisfiable.code())?;
            Some((error, Content::Unsatisfiable { of: response }))
        }
    }
}

/// Methods that no resource here has: 405 where there is a resource, 404 where there is none.
fn other(site: Site<'_>, request: &Request<'_>) -> Option<Response> {
    let status = find(site, request).map_or_else(|status| status, |_| Status::MethodNotAllowed);
    site.error(status.code())
}

fn find(site: Site<'_>, request: &Request<'_>) -> Result<Entry, Status> {
    let plain = match request.target {
        Target::Origin { path, .. } => site.lookup(request.host, path),
        _ => None,
    };
    // A path that is found as it came needs no normalisation: images hold canonical paths only.
    plain.map_or_else(|| find_normalised(site, request), Ok)
}

#[cold]
#[inline(never)]
fn find_normalised(site: Site<'_>, request: &Request<'_>) -> Result<Entry, Status> {
    let mut buffer = PathBuffer::new();
    match request.target.path(&mut buffer) {
        Ok(Some(path)) => site.lookup(request.host, path).ok_or(Status::NotFound),
        Ok(None) => Err(Status::NotFound),
        Err(rejection) => Err(rejection.status),
    }
}
