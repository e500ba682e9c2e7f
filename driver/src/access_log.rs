//! The access log: one record per request that was understood, in a ring that tools read.
//!
//! Off, it costs nothing where heads are remembered, and a branch elsewhere. On, every head is
//! parsed, for what is remembered has no target to log.
use arrayvec::ArrayVec;
use http1::{Request, Target};
use nt::{Lookaside, LookasideBox, PerProcessor, Result, processor};
use response_cache::Site;
use wskhttpd_abi::{Access, Method};

use crate::answer::Answer;
use crate::clock::unix_ms;
use crate::connection::HEAD_BUFFER_BYTES;
use crate::rejects::Peer;
use crate::ring::Ring;
use crate::trace;

/// Records that are kept: about 3 MiB.
const KEPT: usize = 16_384;

/// The log, if there is one.
pub struct AccessLog(Option<Ring>);

/// A request's target, cut.
type Text = ArrayVec<u8, 128>;

/// What was asked, kept while the request's content is discarded.
pub struct Asked {
    method: Method,
    target: LookasideBox<HEAD_BUFFER_BYTES>,
}

impl AccessLog {
    /// Empty, or none.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(is_on: bool) -> Result<AccessLog> {
        is_on.then(|| Ring::new(KEPT)).transpose().map(AccessLog)
    }

    /// True when requests are to be noted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The ring the records are in.
    pub fn ring(&self) -> Option<&Ring> {
        self.0.as_ref()
    }

    /// Notes a request that is answered now. IRQL <= DISPATCH.
    #[inline(never)]
    pub fn answered(&self, site: Site<'_>, peer: Peer, request: &Request<'_>, answer: Answer) {
        self.note(site, peer, method(request.method), text(request.target), answer);
    }

    /// Notes a request whose content was waited for, and that is answered now.
    #[cold]
    #[inline(never)]
    pub fn answered_late(&self, site: Site<'_>, peer: Peer, asked: &Asked, answer: Answer) {
        let mut target = Text::new();
        append(&mut target, &asked.target);
        self.note(site, peer, asked.method, target, answer);
    }

    fn note(&self, site: Site<'_>, peer: Peer, method: Method, target: Text, answer: Answer) {
        let Some((ring, prepared)) = self.0.as_ref().zip(site.prepared(answer.response)) else {
            return;
        };
        let access = Access {
            time_ms: unix_ms(),
            address: peer.address,
            port: peer.port,
            method,
            status: prepared.status,
            octets: answer.octets(site, &prepared),
            target,
        };
        trace::answered(&access);
        ring.push(&access);
    }

    /// What is asked, to be kept until it is answered; `None` when memory is short, or the log is
    /// off.
    pub fn asked(
        &self,
        heads: &PerProcessor<Lookaside<HEAD_BUFFER_BYTES>>,
        request: &Request<'_>,
    ) -> Option<Asked> {
        self.0.as_ref()?;
        let mut target = heads.of(processor::current())?.take()?;
        target.append(&text(request.target));
        Some(Asked { method: method(request.method), target })
    }
}

/// The target as it came; for an absolute one the scheme is not known any more.
fn text(target: Target<'_>) -> Text {
    let mut text = Text::new();
    let (path, query) = match target {
        Target::Origin { path, query } => (path, query),
        Target::Absolute { authority, path, query } => {
            append(&mut text, b"http://");
            append(&mut text, authority);
            (path, query)
        }
        Target::Authority(authority) => (authority, None),
        Target::Asterisk => (&b"*"[..], None),
    };
    append(&mut text, path);
    if let Some(query) = query {
        append(&mut text, b"?");
        append(&mut text, query);
    }
    text
}

/// Appends as much as there is room for.
fn append(text: &mut Text, part: &[u8]) {
    let room = text.remaining_capacity().min(part.len());
    // It fits.
    let _ = text.try_extend_from_slice(part.get(..room).unwrap_or_default());
}

const fn method(method: http1::Method) -> Method {
    match method {
        http1::Method::Get => Method::Get,
        http1::Method::Head => Method::Head,
        http1::Method::Options => Method::Options,
        http1::Method::Post => Method::Post,
        http1::Method::Put => Method::Put,
        http1::Method::Delete => Method::Delete,
        http1::Method::Patch => Method::Patch,
        http1::Method::Trace => Method::Trace,
        http1::Method::Connect => Method::Connect,
        http1::Method::Other => Method::Other,
    }
}
