//! Message boundaries as hyper sees them: wherever both of us read on, they are the same.
//!
//! hyper gets each stream in pieces that end right before and at each boundary of ours, so that a
//! request or the end of its content that it sees at another octet shows. What we refuse is not
//! compared further, nor is what hyper refuses: neither can be framed in two ways. `tests/
//! differential.py` does the same with h11 and llhttp.
#![allow(missing_docs)]

mod messages;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use messages::{Mark, Reading, cuts, difference, read, streams};

const MESSAGES: usize = 100_000;

/// Streams whose boundaries differ for a reason that is known, and is not ours to mend.
type Class = (fn(&[u8]) -> bool, &'static str);
const KNOWN: &[Class] = &[];

/// A peer that sends the pieces of one stream, and takes all that comes back.
struct Peer<'s> {
    stream: &'s [u8],
    cuts: std::vec::IntoIter<usize>,
    sent: Rc<RefCell<usize>>,
}

impl Read for Peer<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Some(cut) = self.cuts.next() else { return Poll::Pending };
        let sent = self.sent.replace(cut);
        buffer.put_slice(&self.stream[sent..cut]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Peer<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether a future that is not ready is to be polled again; a peer with nothing more to say never
/// wakes it.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn read_by_hyper(stream: &[u8], cuts: Vec<usize>) -> Reading {
    let sent = Rc::new(RefCell::new(0));
    let marks = Rc::new(RefCell::new(Vec::new()));
    let peer = Peer { stream, cuts: cuts.into_iter(), sent: sent.clone() };
    let service = service_fn(|request: Request<Incoming>| {
        let (sent, marks) = (sent.clone(), marks.clone());
        // Here and not in the future, which is polled after hyper has looked for content.
        marks.borrow_mut().push(Mark::Head(*sent.borrow()));
        async move {
            if let Ok(content) = request.into_body().collect().await {
                let content = content.to_bytes().to_vec();
                marks.borrow_mut().push(Mark::End(*sent.borrow(), content));
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    // Otherwise it reads ahead, to see whether the peer has gone.
    builder.half_close(true).auto_date_header(false);
    let woken = Arc::new(Woken::default());
    let outcome = {
        let mut connection = pin!(builder.serve_connection(peer, service));
        let waker = Waker::from(woken.clone());
        loop {
            let outcome = connection.as_mut().poll(&mut Context::from_waker(&waker));
            if outcome.is_ready() || !woken.0.swap(false, Ordering::Relaxed) {
                break outcome;
            }
        }
    };
    let refused = matches!(&outcome, Poll::Ready(Err(_)));
    Reading { marks: marks.take(), ended: outcome.is_ready(), refused }
}

#[test]
fn hyper_sees_the_same_boundaries() {
    let (mut compared, mut refused_by_us, mut refused_by_hyper) = (0, 0, 0);
    let mut known = vec![0; KNOWN.len()];
    let mut differences = Vec::new();
    for stream in streams(MESSAGES) {
        let ours = read(&stream);
        let theirs = read_by_hyper(&stream, cuts(&ours.marks, stream.len()));
        compared += ours.marks.len().min(theirs.marks.len());
        refused_by_us += usize::from(ours.refused);
        refused_by_hyper += usize::from(theirs.refused);
        let Some(difference) = difference(&ours, &theirs) else { continue };
        match KNOWN.iter().position(|(is_known, _)| is_known(&stream)) {
            Some(class) => known[class] += 1,
            None => differences.push(format!("mark {difference} in {}", stream.escape_ascii())),
        }
    }
    println!("{compared} boundaries; refused by us {refused_by_us}, by hyper {refused_by_hyper}");
    for ((_, reason), count) in KNOWN.iter().zip(known) {
        println!("{count} streams: {reason}");
        assert!(count > 0, "this does not differ any more: {reason}");
    }
    let shown = differences.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} streams:\n{shown}", differences.len());
    assert!(compared > MESSAGES && refused_by_us > MESSAGES / 50, "nothing to compare");
}
