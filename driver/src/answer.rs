//! One request: which prepared response.
use http1::{
    Expectation, Framing, Method, PathBuffer, Persistence, Rejection, Request, Status, Target,
    Validators, Verdict, Version,
};
use response_cache::{Entry, Response, Site};

/// A decision, free to be kept until the request's content has been discarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What is sent.
    pub response: Response,
    /// Its content too, or the head alone.
    pub content: bool,
    /// What becomes of the connection.
    pub persistence: Persistence,
    /// What the peer speaks.
    pub version: Version,
}

/// The answer to an understood request. `None` only for an image without a required response,
/// which validation refuses.
pub fn select(site: Site<'_>, request: &Request<'_>) -> Option<Answer> {
    let response = match request.method {
        Method::Get | Method::Head => get(site, request),
        Method::Options => Some(site.options()),
        Method::Connect => site.error(Status::MethodNotAllowed.code()),
        Method::Other => site.error(Status::NotImplemented.code()),
        Method::Post | Method::Put | Method::Delete | Method::Patch | Method::Trace => {
            other(site, request)
        }
    }?;
    // Content that was announced with an expectation may never come: answer at once and end.
    let expected = request.expectation == Expectation::Continue && request.framing != Framing::None;
    let last = expected || request.method == Method::Connect;
    Some(Answer {
        response,
        content: request.method != Method::Head,
        persistence: if last { Persistence::Close } else { request.persistence },
        version: request.version,
    })
}

/// The answer to whatever is asked on a connection that is refused: 503, and the end.
#[cold]
pub fn refuse(site: Site<'_>, request: &Request<'_>) -> Option<Answer> {
    let answer = error(site, Status::Unavailable)?;
    Some(Answer { content: request.method != Method::Head, version: request.version, ..answer })
}

/// The answer to what was not understood: an error, and the end.
pub fn reject(site: Site<'_>, rejection: Rejection) -> Option<Answer> {
    error(site, rejection.status)
}

/// An error as the last response of a connection.
pub fn error(site: Site<'_>, status: Status) -> Option<Answer> {
    Some(Answer {
        response: site.error(status.code())?,
        content: true,
        persistence: Persistence::Close,
        version: Version::Http11,
    })
}

fn get(site: Site<'_>, request: &Request<'_>) -> Option<Response> {
    let response = match find(site, request) {
        Ok(entry) => site.response(entry, 0)?,
        Err(status) => return site.error(status.code()),
    };
    if request.conditions.is_empty() {
        return Some(response);
    }
    let not_modified = site.not_modified(response);
    let validators = Validators {
        entity_tag: site.entity_tag(response),
        last_modified: site.last_modified(response),
    };
    match request.conditions.evaluate(request.method, &validators) {
        Verdict::NotModified => not_modified.or(Some(response)),
        Verdict::Full => Some(response),
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
