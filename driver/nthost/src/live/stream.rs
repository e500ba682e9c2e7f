//! One TCP connection.
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, sockopt};

use crate::transport::Received;

/// Receives once.
#[inline]
pub(crate) fn receive(file: impl AsFd, buffer: &mut [u8]) -> Received {
    let room = buffer.len();
    loop {
        return match net::recv(&file, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => Received::End,
            Ok((octets, _)) => Received::Octets { octets, more: octets == room },
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Received::Nothing,
            Err(_) => Received::Reset,
        };
    }
}

/// True when nothing came and nothing will.
pub(crate) fn is_at_end(file: impl AsFd) -> bool {
    let mut octet = [0];
    match net::recv(file, &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((octets, _)) => octets == 0,
        Err(error) => error != Errno::AGAIN && error != Errno::INTR,
    }
}

/// Sends once, as much as the transport takes.
#[inline]
pub(crate) fn send(file: impl AsFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if let [part] = parts {
        return Ok(net::send(file, part, flags)?);
    }
    Ok(net::sendmsg(file, parts, &mut SendAncillaryBuffer::default(), flags)?)
}

/// Ends our side.
pub(crate) fn end(file: impl AsFd) {
    // A connection that is gone already needs no end.
    let _ = net::shutdown(file, Shutdown::Write);
}

/// Resets the connection.
pub(crate) fn reset(file: impl AsFd) {
    // A connection that is gone already needs no reset.
    let _ = net::connect_unspec(file);
}

/// The peer sees a reset when the file is closed.
pub(crate) fn reset_on_close(file: impl AsFd) {
    // Without it the peer sees an ordinary end: nothing is lost.
    let _ = sockopt::set_socket_linger(file, Some(std::time::Duration::ZERO));
}
