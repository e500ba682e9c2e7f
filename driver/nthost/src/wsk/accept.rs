//! New connections: the accept event.
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use nt_sys::ntdef::{DISPATCH_LEVEL, STATUS_REQUEST_NOT_ACCEPTED, STATUS_SUCCESS, status_name};
use nt_sys::wsk::{
    SOCKADDR, WSK_EVENT_ACCEPT, WSK_EVENT_DISCONNECT, WSK_EVENT_RECEIVE,
    WSK_FLAG_AT_DISPATCH_LEVEL, WSK_INSPECT_ID,
};

use super::connection::{Connection, Life, Shared};
use super::listener::Listener;
use super::{registration, slots};
use crate::host::state;
use crate::live::{address, listening, stream};
use crate::nt::lock;
use crate::processor;
use crate::verifier::{Rule, Site, violation};

/// Connections taken at once, so that other processors get their share.
const ACCEPTS_MAX: usize = 4;

impl Listener {
    /// Connections are waiting. On a processor's thread.
    pub(crate) fn accept_ready(&'static self, processor: usize) {
        for _ in 0..ACCEPTS_MAX {
            let mut accepted = None;
            self.with_file(|file| accepted = listening::accept(file));
            let Some((file, remote)) = accepted else { return };
            let shared = lock(&self.shared);
            let (conditional, local) = (shared.conditional, shared.local);
            drop(shared);
            if registration::static_events() & WSK_EVENT_ACCEPT == 0 {
                self.await_accept(processor, file, remote);
            } else if conditional {
                self.request(processor, file, remote);
            } else {
                self.establish(processor, file, remote, local, None);
            }
        }
    }

    /// An address in the family of the listener.
    pub(super) fn sockaddr(&self, remote: SocketAddr) -> SOCKADDR {
        let local = address::from_sockaddr(&lock(&self.shared).local);
        match (local, remote) {
            (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
                let mapped = v4.ip().to_ipv6_mapped();
                address::to_sockaddr(SocketAddr::new(mapped.into(), v4.port()))
            }
            _ => address::to_sockaddr(remote),
        }
    }

    /// The handshake is over: the accept event.
    pub(super) fn establish(
        &'static self,
        processor: usize,
        file: OwnedFd,
        remote: SocketAddr,
        local: SOCKADDR,
        inspect_id: Option<WSK_INSPECT_ID>,
    ) {
        let remote = self.sockaddr(remote);
        let connection = Self::connection(processor, file, local, remote, inspect_id);
        if self.offer(connection, local, remote) {
            Self::attach(connection, processor);
            return;
        }
        let refused = core::mem::take(&mut *lock(&connection.shared));
        slots::give(connection);
        if let Some(file) = refused.file {
            stream::reset_on_close(&file);
        }
    }

    /// A socket of which the client does not know yet.
    pub(super) fn connection(
        processor: usize,
        file: OwnedFd,
        local: SOCKADDR,
        remote: SOCKADDR,
        inspect_id: Option<WSK_INSPECT_ID>,
    ) -> &'static Connection {
        let (life, file) = (Life::Open, Some(file));
        let connection = slots::take();
        connection.home.store(u32::try_from(processor).unwrap_or(0), Ordering::Relaxed);
        *lock(&connection.shared) =
            Shared { life, file, inspect_id, remote, local, ..Shared::default() };
        *lock(&connection.client) = (0, 0);
        connection
    }

    /// From now on the transport is heard.
    pub(super) fn attach(connection: &'static Connection, processor: usize) {
        let mut shared = lock(&connection.shared);
        let Some(file) = &shared.file else { return };
        if state().processor(processor).watch(connection, file).is_err() {
            shared.reset = true;
            drop(shared);
            connection.call_home();
        }
    }

    /// Tells the client, once, that the listener is dead. On a processor's thread.
    pub(crate) fn tell_lost(&self) {
        let export = "WskAcceptEvent";
        let Some(event) = self.client().WskAcceptEvent else { return };
        let local = lock(&self.shared).local;
        let (mut local, mut remote) = (local, SOCKADDR::default());
        let (mut context, mut table) = (core::ptr::null_mut(), core::ptr::null());
        let socket = core::ptr::null_mut();
        let frame = processor::enter(export, DISPATCH_LEVEL);
        let (context, table) = (&raw mut context, &raw mut table);
        let (local, remote) = (&raw mut local, &raw mut remote);
        let flags = WSK_FLAG_AT_DISPATCH_LEVEL;
        // SAFETY: the client's callback with its context; everything is valid for the call.
        let status = unsafe { event(self.context(), flags, local, remote, socket, context, table) };
        drop(frame);
        lock(&self.shared).lost_at = Some(Site::here(export));
        if status != STATUS_REQUEST_NOT_ACCEPTED {
            let detail = format!("{status:#x} for no socket");
            violation(Rule::AcceptResult, export, "its result", detail, None);
        }
    }

    /// Calls the client; true when it took the connection.
    fn offer(&self, connection: &'static Connection, local: SOCKADDR, remote: SOCKADDR) -> bool {
        let export = "WskAcceptEvent";
        let Some(event) = self.client().WskAcceptEvent else {
            violation(Rule::AcceptOutputs, export, "its callback", "none", None);
        };
        let (mut local, mut remote) = (local, remote);
        let mut context = core::ptr::null_mut();
        let mut table = core::ptr::null();
        let frame = processor::enter(export, DISPATCH_LEVEL);
        // SAFETY: the client's callback with its context; everything is valid for the call.
        let status = unsafe {
            event(
                self.context(),
                WSK_FLAG_AT_DISPATCH_LEVEL,
                &raw mut local,
                &raw mut remote,
                connection.pointer(),
                &raw mut context,
                &raw mut table,
            )
        };
        drop(frame);
        match status {
            STATUS_SUCCESS => {}
            STATUS_REQUEST_NOT_ACCEPTED => return false,
            other => {
                let name = status_name(other).unwrap_or("an unknown status");
                violation(Rule::AcceptResult, export, "its result", name, None)
            }
        }
        let events = registration::static_events();
        let wants = events & (WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT) != 0;
        if wants && (context.is_null() || table.is_null()) {
            violation(Rule::AcceptOutputs, export, "context and table", "null", None);
        }
        *lock(&connection.client) = (context.expose_provenance(), table.expose_provenance());
        true
    }
}
