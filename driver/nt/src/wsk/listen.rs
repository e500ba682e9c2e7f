//! The listening socket: created, bound, closed. All of it at PASSIVE_LEVEL, by one thread at a
//! time: who starts the provider, and then its worker.
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::Ordering;

use nt_sys::ntdef::PVOID;
use nt_sys::wsk::{self, SOCKADDR, WSK_PROVIDER_LISTEN_DISPATCH, WSK_SOCKET};

use super::address::{from_sockaddr, to_sockaddr};
use super::provider::{Accept, Options, Provider};
use super::{Client, Listening};
use crate::irp::SyncRequest;
use crate::{Passive, Result, Status};

impl<C: Client> Provider<C> {
    /// Opens the listener for the first time and notes the address that it got.
    pub(super) fn open(&self, passive: &Passive, options: &Options) -> Result<()> {
        let address = options.listen;
        let every_ipv4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        if options.accept != Accept::Irp
            && let Err(status) = self.enable_static_events()
        {
            crate::log(format_args!("no event callbacks ({status}): serving by IRP"));
            self.serve_by_irp();
        }
        // A dual-stack socket takes an option, and by IRP none is set.
        let is_dual = address.is_ipv6() && address.ip().is_unspecified();
        let bound = if self.is_by_irp() && is_dual {
            crate::log(format_args!("by IRP, {address} means IPv4 only"));
            self.listen(passive, every_ipv4).map(|()| every_ipv4)
        } else {
            match self.listen(passive, address) {
                Err(status) if is_dual && is_want_of_ipv6(status) => {
                    self.listen(passive, every_ipv4).map(|()| every_ipv4)
                }
                result => result.map(|()| address),
            }
        }?;
        // By IRP the provider may not tell its address: a free port is another one next time.
        let bound = self.query_address(passive).unwrap_or(bound);
        self.bound.with(|place| *place = bound);
        Ok(())
    }

    /// Opens the listener again, at the address that it had.
    pub(super) fn reopen(&self, passive: &Passive) -> Result<()> {
        let address = self.bound.with(|address| *address);
        self.listen(passive, address)
    }

    fn enable_static_events(&self) -> Result<()> {
        let (client, table) = self.captured();
        let control = table.WskControlClient.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut events = wsk::WSK_EVENT_CALLBACK_CONTROL {
            NpiId: &raw const wsk::NPI_WSK_INTERFACE_ID,
            EventMask: wsk::WSK_EVENT_ACCEPT | wsk::WSK_EVENT_RECEIVE | wsk::WSK_EVENT_DISCONNECT,
        };
        // SAFETY: no socket exists yet; this control takes no IRP and answers at once.
        Status::check(unsafe {
            control(
                client,
                wsk::WSK_SET_STATIC_EVENT_CALLBACKS,
                size_of_val(&events),
                (&raw mut events).cast(),
                0,
                core::ptr::null_mut(),
                core::ptr::null_mut(),
                core::ptr::null_mut(),
            )
        })
    }

    /// Creates the listening socket, sets its options in the legal order, binds it. A socket that
    /// cannot be bound is closed again.
    fn listen(&self, passive: &Passive, address: SocketAddr) -> Result<()> {
        let (client, table) = self.captured();
        let create = table.WskSocket.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let family = if address.is_ipv4() { wsk::AF_INET } else { wsk::AF_INET6 };
        let context: PVOID = core::ptr::from_ref(self).cast_mut().cast();
        let null = core::ptr::null_mut;
        let socket = SyncRequest::run(passive, |irp| {
            // SAFETY: context and table live until the socket's close completed (P1).
            unsafe {
                create(
                    client,
                    family,
                    wsk::SOCK_STREAM,
                    wsk::IPPROTO_TCP,
                    wsk::WSK_FLAG_LISTEN_SOCKET,
                    context,
                    (&raw const self.listen_dispatch).cast(),
                    null(),
                    null(),
                    null(),
                    irp,
                )
            }
        })?;
        self.listener.store(core::ptr::with_exposed_provenance_mut(socket), Ordering::Release);
        let bound = self.set_options(passive, address).and_then(|()| self.bind(passive, address));
        if bound.is_err() {
            self.close_listener(passive);
        }
        bound
    }

    /// The listener and its table, while there is one.
    pub(super) fn listener(&self) -> Result<(*mut WSK_SOCKET, &WSK_PROVIDER_LISTEN_DISPATCH)> {
        let socket = self.listener.load(Ordering::Acquire);
        if socket.is_null() {
            return Err(Status::INVALID_DEVICE_STATE);
        }
        // SAFETY: the socket exists until `close_listener`, which one thread calls.
        let table = unsafe { (*socket).Dispatch };
        // SAFETY: C6: created as a listening socket.
        Ok((socket, unsafe { &*table.cast::<WSK_PROVIDER_LISTEN_DISPATCH>() }))
    }

    /// By IRP none is set: providers without events need not have options.
    fn set_options(&self, passive: &Passive, address: SocketAddr) -> Result<()> {
        if self.is_by_irp() {
            return Ok(());
        }
        if address.is_ipv6() {
            self.set_option(passive, wsk::IPPROTO_IPV6, wsk::IPV6_V6ONLY, 0)?;
        }
        self.set_option(passive, wsk::SOL_SOCKET, wsk::SO_EXCLUSIVEADDRUSE, 1)?;
        if self.is_conditional() {
            self.set_option(passive, wsk::SOL_SOCKET, wsk::SO_CONDITIONAL_ACCEPT, 1)?;
        }
        Ok(())
    }

    fn set_option(&self, passive: &Passive, level: u32, option: u32, value: u32) -> Result<()> {
        let (socket, table) = self.listener()?;
        let control = table.Basic.WskControlSocket.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut value = value;
        SyncRequest::run(passive, |irp| {
            // SAFETY: before bind; the value lives until the request completed.
            unsafe {
                control(
                    socket,
                    wsk::WskSetOption,
                    option,
                    level,
                    size_of::<u32>(),
                    (&raw mut value).cast(),
                    0,
                    core::ptr::null_mut(),
                    core::ptr::null_mut(),
                    irp,
                )
            }
        })
        .map(|_| ())
    }

    fn bind(&self, passive: &Passive, address: SocketAddr) -> Result<()> {
        let (socket, table) = self.listener()?;
        let bind = table.WskBind.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut address = to_sockaddr(address);
        // SAFETY: the address lives until the request completed. Accept events may come from now
        // on; everything they use is ready.
        SyncRequest::run(passive, |irp| unsafe { bind(socket, &raw mut address, 0, irp) })
            .map(|_| ())
    }

    /// The address that the listener is bound to, with the real port when 0 was asked for.
    ///
    /// # Errors
    /// What `WskGetLocalAddress` said; `NOT_SUPPORTED` by IRP, where the provider may not answer.
    fn query_address(&self, passive: &Passive) -> Result<SocketAddr> {
        if self.is_by_irp() {
            return Err(Status::NOT_SUPPORTED);
        }
        let (socket, table) = self.listener()?;
        let get = table.WskGetLocalAddress.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut address = SOCKADDR::default();
        // SAFETY: room for either family until the request completed.
        SyncRequest::run(passive, |irp| unsafe { get(socket, &raw mut address, irp) })?;
        // SAFETY: filled in by the request.
        Ok(unsafe { from_sockaddr(&raw const address) })
    }

    /// Closes the listener, if there is one; when it returns, no event of it runs or will run, and
    /// its client has forgotten its requests.
    pub(super) fn close_listener(&self, passive: &Passive) {
        let Ok((socket, table)) = self.listener() else { return };
        let Some(close) = table.Basic.WskCloseSocket else { return };
        // SAFETY: nobody else calls into the listener; its close completes when no accept,
        // inspect or abort event runs. Whatever the status, the socket is gone.
        self.worker.close(passive, |irp| unsafe { close(socket, irp) });
        self.listener.store(core::ptr::null_mut(), Ordering::Release);
        self.client().listener(Listening::Closed);
    }
}

/// A machine without IPv6 still serves IPv4 when asked for every address.
fn is_want_of_ipv6(status: Status) -> bool {
    status != Status::ADDRESS_ALREADY_EXISTS && status != Status::ACCESS_DENIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_or_forbidden_is_no_want_of_ipv6() {
        assert!(is_want_of_ipv6(Status::NOT_SUPPORTED));
        assert!(is_want_of_ipv6(Status::INSUFFICIENT_RESOURCES));
        assert!(!is_want_of_ipv6(Status::ADDRESS_ALREADY_EXISTS));
        assert!(!is_want_of_ipv6(Status::ACCESS_DENIED));
    }
}
