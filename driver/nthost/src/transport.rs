//! What is under a socket: a TCP connection of this machine, or one of the simulated network.
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::OwnedFd;

use crate::live::stream;
use crate::sim::network::Port;

/// What came.
pub(crate) enum Received {
    /// Octets; `more` when there may be others behind them.
    Octets {
        /// How many.
        octets: usize,
        /// The buffer was filled.
        more: bool,
    },
    /// Nothing yet.
    Nothing,
    /// The peer ended its side.
    End,
    /// The connection is dead.
    Reset,
}

/// One connection; dropped, it is closed.
#[derive(Debug)]
pub(crate) enum Stream {
    Live(OwnedFd),
    Simulated(Port),
}

impl Stream {
    /// Receives once.
    #[inline]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        match self {
            Stream::Live(file) => stream::receive(file, buffer),
            Stream::Simulated(port) => port.receive(buffer),
        }
    }

    /// True when nothing came and nothing will.
    pub(crate) fn is_at_end(&self) -> bool {
        match self {
            Stream::Live(file) => stream::is_at_end(file),
            Stream::Simulated(port) => port.is_at_end(),
        }
    }

    /// Sends once, as much as the transport takes.
    #[allow(clippy::inline_always, reason = "of every request")]
    #[inline(always)]
    pub(crate) fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Live(file) => stream::send(file, parts),
            Stream::Simulated(port) => match port.send(parts.iter().map(|part| &**part)) {
                Some(0) => Err(ErrorKind::WouldBlock.into()),
                Some(sent) => Ok(sent),
                None => Err(ErrorKind::ConnectionReset.into()),
            },
        }
    }

    /// Ends our side.
    pub(crate) fn end(&self) {
        match self {
            Stream::Live(file) => stream::end(file),
            Stream::Simulated(port) => port.end(),
        }
    }

    /// Resets the connection.
    pub(crate) fn reset(&self) {
        match self {
            Stream::Live(file) => stream::reset(file),
            Stream::Simulated(port) => port.reset(),
        }
    }

    /// The peer sees a reset when this is dropped.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Stream::Live(file) => stream::reset_on_close(file),
            Stream::Simulated(port) => port.reset_on_close(),
        }
    }
}
