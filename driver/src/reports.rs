//! What tools are told of what happened: service times, rejects, holders, the access log.
use nt::driver::Request;
use nt::{Result, Status};
use wskhttpd_abi::{Holder, ListWriter, Since, encode};

use crate::control::{input, nothing};
use crate::ring::Ring;
use crate::server::Server;

/// `IOCTL_QUERY_LATENCY`.
#[inline(never)]
pub(crate) fn latency(server: &Server, request: &mut Request<'_>) -> Result<usize> {
    nothing(request)?;
    encode(&server.latency.snapshot(), request.output()).ok_or(Status::BUFFER_TOO_SMALL)
}

/// `IOCTL_QUERY_REJECTS`.
#[inline(never)]
pub(crate) fn rejects(server: &Server, request: &mut Request<'_>) -> Result<usize> {
    part(Some(server.rejects.ring()), request)
}

/// `IOCTL_READ_LOG`: an empty list while there is no log.
#[inline(never)]
pub(crate) fn access_log(server: &Server, request: &mut Request<'_>) -> Result<usize> {
    part(server.access_log.ring(), request)
}

fn part(ring: Option<&Ring>, request: &mut Request<'_>) -> Result<usize> {
    let Since(since) = input(request)?;
    let octets = match ring {
        Some(ring) => ring.read(since, request.output()),
        None => ListWriter::new(request.output()).map(|list| list.finish(since, 0)),
    };
    octets.ok_or(Status::BUFFER_TOO_SMALL)
}

/// `IOCTL_QUERY_HOLDERS`.
#[inline(never)]
pub(crate) fn holders(server: &Server, request: &mut Request<'_>) -> Result<usize> {
    nothing(request)?;
    let mut list = ListWriter::new(request.output()).ok_or(Status::BUFFER_TOO_SMALL)?;
    for (holder, connections) in server.admission.top() {
        if !list.push(&Holder { address: holder.address(), connections }) {
            break;
        }
    }
    Ok(list.finish(0, 0))
}
