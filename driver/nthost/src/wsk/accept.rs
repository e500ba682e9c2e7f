//! New connections: the accept event.
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use nt_sys::ntdef::{
    NTSTATUS, STATUS_FILE_FORCED_CLOSED, STATUS_REQUEST_NOT_ACCEPTED, STATUS_SUCCESS, status_name,
};
use nt_sys::wsk::{
    AF_INET6, SOCKADDR, WSK_EVENT_ACCEPT, WSK_EVENT_DISCONNECT, WSK_EVENT_RECEIVE, WSK_INSPECT_ID,
};

use super::connection::{Connection, Life};
use super::listener::Listener;
use super::shared::Shared;
use super::{registration, slots};
use crate::host::state;
use crate::live::{address, listening};
use crate::processor;
use crate::sim::{self, work, world};
use crate::transport::Stream;
use crate::verifier::{Rule, Site, violation};

/// Connections taken at once, so that other processors get their share.
const ACCEPTS_MAX: usize = 16;

impl Listener {
    /// Connections are waiting. On a processor's thread.
    pub(crate) fn accept_ready(&'static self, processor: usize) {
        for _ in 0..ACCEPTS_MAX {
            let mut accepted = None;
            self.with_file(|file| accepted = listening::accept(file));
            let Some((file, remote)) = accepted else { return };
            self.arrived(processor, Stream::Live(file), remote);
        }
    }

    /// A connection is there. On a processor.
    pub(crate) fn arrived(&'static self, processor: usize, stream: Stream, remote: SocketAddr) {
        if !Listener::has_events() {
            work::establishes(&stream);
            self.await_accept(processor, stream, remote);
        } else if self.is_conditional() {
            self.request(processor, stream, remote);
        } else {
            work::asks(&stream);
            self.establish(processor, stream, remote, None);
        }
    }

    /// Connections are told by events.
    pub(crate) fn has_events() -> bool {
        registration::static_events() & WSK_EVENT_ACCEPT != 0
    }

    /// An address in the family of the listener.
    pub(super) fn sockaddr(&self, remote: SocketAddr) -> SOCKADDR {
        match (self.family, remote) {
            (AF_INET6, SocketAddr::V4(v4)) => {
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
        stream: Stream,
        remote: SocketAddr,
        inspect_id: Option<WSK_INSPECT_ID>,
    ) {
        work::establishes(&stream);
        let (local, remote) = (self.local(), self.sockaddr(remote));
        let connection = Self::connection(processor, stream, local, remote, inspect_id);
        if self.offer(processor, connection, local, remote) {
            return;
        }
        let mut shared = connection.lock();
        let refused = core::mem::take(&mut *shared);
        connection.set_life(Life::Closed, &mut shared);
        drop(shared);
        slots::give(connection);
        if let Some(stream) = refused.stream {
            work::answered(&stream, false);
            work::refused(&stream);
            stream.reset_on_close();
        }
    }

    /// A socket of which the client does not know yet.
    pub(super) fn connection(
        processor: usize,
        stream: Stream,
        local: SOCKADDR,
        remote: SOCKADDR,
        inspect_id: Option<WSK_INSPECT_ID>,
    ) -> &'static Connection {
        let connection = slots::take();
        connection.number.store(work::number_of(&stream), Ordering::Relaxed);
        connection.home.store(u32::try_from(processor).unwrap_or(0), Ordering::Relaxed);
        connection.set_client(0, 0);
        let mut shared = connection.lock();
        *shared = Shared { stream: Some(stream), inspect_id, remote, local, ..Shared::default() };
        connection.set_life(Life::Open, &mut shared);
        connection
    }

    /// From now on the transport is heard.
    pub(super) fn attach(connection: &'static Connection, processor: usize) {
        if world::is_on() {
            return sim::connection::attach(connection);
        }
        let mut shared = connection.lock();
        let Some(Stream::Live(file)) = &shared.stream else { return };
        let unsent = !shared.sends.is_empty();
        if state().processor(processor).watch(connection, file, unsent).is_err() {
            shared.reset = true;
            drop(shared);
            connection.call_home();
        }
    }

    /// Tells the client, once, that the listener is dead. On a processor's thread.
    pub(crate) fn tell_lost(&self) {
        let export = "WskAcceptEvent";
        if !Listener::has_events() {
            self.shared.lock().lost_at = Some(Site::here("WskAccept"));
            return self.end_accepts(STATUS_FILE_FORCED_CLOSED);
        }
        let Some(event) = self.client().WskAcceptEvent else { return };
        let (mut local, mut remote) = (self.local(), SOCKADDR::default());
        let (mut context, mut table) = (core::ptr::null_mut(), core::ptr::null());
        let socket = core::ptr::null_mut();
        let (context, table) = (&raw mut context, &raw mut table);
        let (local, remote) = (&raw mut local, &raw mut remote);
        let status = processor::run_event(export, |flags| {
            // SAFETY: the client's callback with its context; everything is valid for the call.
            unsafe { event(self.context(), flags, local, remote, socket, context, table) }
        });
        self.shared.lock().lost_at = Some(Site::here(export));
        if status != STATUS_REQUEST_NOT_ACCEPTED {
            let detail = format!("{status:#x} for no socket");
            violation(Rule::AcceptResult, export, "its result", detail, None);
        }
    }

    /// What an accept event returned; `told`: events of the connection may have come already.
    fn is_taken(status: NTSTATUS, told: bool) -> bool {
        let detail = match status {
            STATUS_SUCCESS => return true,
            STATUS_REQUEST_NOT_ACCEPTED if !told => return false,
            STATUS_REQUEST_NOT_ACCEPTED => "a refusal, when it had said where events are to go",
            other => status_name(other).unwrap_or("an unknown status"),
        };
        violation(Rule::AcceptResult, "WskAcceptEvent", "its result", detail, None)
    }

    /// Calls the client; true when it took the connection.
    fn offer(
        &self,
        processor: usize,
        connection: &'static Connection,
        local: SOCKADDR,
        remote: SOCKADDR,
    ) -> bool {
        let export = "WskAcceptEvent";
        let Some(event) = self.client().WskAcceptEvent else {
            violation(Rule::AcceptOutputs, export, "its callback", "none", None);
        };
        let (mut local, mut remote) = (local, remote);
        let mut context = core::ptr::null_mut();
        let mut table = core::ptr::null();
        sim::event_begins(self.address(), export, connection.number());
        let (local, remote) = (&raw mut local, &raw mut remote);
        let (to_context, to_table) = (&raw mut context, &raw mut table);
        sim::offer::begin(connection, to_context, to_table);
        let socket = connection.pointer();
        let status = processor::run_event(export, |flags| {
            // SAFETY: the client's callback with its context; everything is valid for the call.
            unsafe { event(self.context(), flags, local, remote, socket, to_context, to_table) }
        });
        sim::event_ends(self.address());
        let told = sim::offer::end(connection);
        if !Self::is_taken(status, told) {
            return false;
        }
        if told {
            return true;
        }
        let events = registration::static_events();
        let wants = events & (WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT) != 0;
        if wants && (context.is_null() || table.is_null()) {
            violation(Rule::AcceptOutputs, export, "context and table", "null", None);
        }
        connection.set_client(context.expose_provenance(), table.expose_provenance());
        Self::attach(connection, processor);
        true
    }
}
