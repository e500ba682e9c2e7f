//! The one response.

use std::thread;

use crate::api::{Failure, Queue, Session};

/// Its content; the same as `hello.txt` of the sample site.
const CONTENT: &[u8] = b"Hello, world!";
const CONTENT_TYPE: &[u8] = b"text/plain; charset=utf-8";
/// Threads that answer what the cache does not.
const THREADS: usize = 4;

/// Where the response is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caching {
    /// In http.sys, from the first answer on.
    Kernel,
    /// Here.
    Off,
}

/// Answers requests for `url` until the process is ended.
pub(crate) fn serve(url: &str, caching: Caching) -> Result<(), Failure> {
    let session = Session::new()?;
    let queue = Queue::new(&session, url)?;
    println!("{url}: {} octets, caching: {caching:?}; Ctrl-C ends it", CONTENT.len());
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| answer(&queue, caching))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
}

fn answer(queue: &Queue, caching: Caching) -> Result<(), Failure> {
    loop {
        let request = queue.receive()?;
        match queue.send(request, CONTENT, CONTENT_TYPE, caching) {
            // A client that left before its answer is no reason to end.
            Ok(()) | Err(Failure { call: "HttpSendHttpResponse", .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
}
