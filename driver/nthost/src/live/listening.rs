//! Listening for TCP connections.
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use nt_sys::ntdef::{
    NTSTATUS, STATUS_ACCESS_DENIED, STATUS_ADDRESS_ALREADY_EXISTS, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_ADDRESS_COMPONENT, STATUS_UNSUCCESSFUL,
};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

/// Connections that wait for being accepted.
const BACKLOG: i32 = 4_096;

/// A listening socket, and the address it has.
pub(crate) fn listen(address: SocketAddr, v6_only: bool) -> io::Result<(OwnedFd, SocketAddr)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let file = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // Connections of an earlier process that have not quite ended do not hold the port.
    sockopt::set_socket_reuseaddr(&file, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&file, v6_only)?;
    }
    // Like WSK_FLAG_NODELAY on every send: connections have it of their listener.
    sockopt::set_tcp_nodelay(&file, true)?;
    net::bind(&file, &address)?;
    net::listen(&file, BACKLOG)?;
    let local = SocketAddr::try_from(net::getsockname(&file)?)?;
    Ok((file, local))
}

/// A waiting connection.
pub(crate) fn accept(file: impl AsFd) -> Option<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        return match net::acceptfrom_with(&file, flags) {
            Ok((stream, remote)) => {
                let remote = SocketAddr::try_from(remote?).ok()?;
                Some((stream, remote))
            }
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            // None waiting, or no descriptor left: it stays in the backlog until there is one.
            Err(_) => None,
        };
    }
}

/// What WskBind says to an error.
pub(crate) fn status_of(error: &io::Error) -> NTSTATUS {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => STATUS_ADDRESS_ALREADY_EXISTS,
        Some(Errno::ACCESS) => STATUS_ACCESS_DENIED,
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => STATUS_INVALID_ADDRESS_COMPONENT,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            STATUS_INSUFFICIENT_RESOURCES
        }
        _ => STATUS_UNSUCCESSFUL,
    }
}
