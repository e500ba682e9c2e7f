//! New connections: inspection, and the accept event.
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use nt_sys::ntdef::{DISPATCH_LEVEL, STATUS_REQUEST_NOT_ACCEPTED, STATUS_SUCCESS, status_name};
use nt_sys::wsk::{
    SOCKADDR, WSK_EVENT_DISCONNECT, WSK_EVENT_RECEIVE, WSK_FLAG_AT_DISPATCH_LEVEL, WSK_INSPECT_ID,
    WskInspectAccept, WskInspectPend, WskInspectReject,
};

use super::connection::{Connection, Life, Shared};
use super::listener::Listener;
use super::{registration, slots};
use crate::host::state;
use crate::live::{address, listening, stream};
use crate::nt::lock;
use crate::processor;
use crate::verifier::{Rule, violation};

/// Tells requests apart.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// Connections taken at once, so that other processors get their share.
const ACCEPTS_MAX: usize = 4;

/// A request that the client has not decided.
pub(crate) struct Pended {
    id: WSK_INSPECT_ID,
    file: OwnedFd,
    remote: SocketAddr,
}

impl Listener {
    /// Connections are waiting. On a processor's thread.
    pub(crate) fn accept_ready(&'static self, processor: usize) {
        for _ in 0..ACCEPTS_MAX {
            let mut accepted = None;
            self.with_file(|file| accepted = listening::accept(file));
            let Some((file, remote)) = accepted else { return };
            self.request(processor, file, remote);
        }
    }

    fn request(&'static self, processor: usize, file: OwnedFd, remote: SocketAddr) {
        let shared = lock(&self.shared);
        let (conditional, local) = (shared.conditional, shared.local);
        drop(shared);
        if !conditional {
            return self.establish(processor, file, remote, local, None);
        }
        let mut id = WSK_INSPECT_ID {
            Key: self.pointer().addr(),
            SerialNumber: SERIAL.fetch_add(1, Ordering::Relaxed),
        };
        match self.inspect(local, remote, &mut id) {
            WskInspectAccept => self.establish(processor, file, remote, local, Some(id)),
            WskInspectPend => lock(&self.shared).pended.push(Pended { id, file, remote }),
            WskInspectReject => stream::reset_on_close(&file),
            other => violation(Rule::Flags, "WskInspectEvent", "its result", other, None),
        }
    }

    fn inspect(&self, local: SOCKADDR, remote: SocketAddr, id: &mut WSK_INSPECT_ID) -> i32 {
        let Some(event) = self.client().WskInspectEvent else {
            violation(Rule::AcceptOutputs, "WskInspectEvent", "its callback", "none", None);
        };
        let (mut local, mut remote) = (local, self.sockaddr(remote));
        let _frame = processor::enter("WskInspectEvent", DISPATCH_LEVEL);
        // SAFETY: the client's callback with its context; the addresses are valid for the call.
        unsafe { event(self.context(), &raw mut local, &raw mut remote, id) }
    }

    /// An address in the family of the listener.
    fn sockaddr(&self, remote: SocketAddr) -> SOCKADDR {
        let local = address::from_sockaddr(&lock(&self.shared).local);
        match (local, remote) {
            (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
                let mapped = v4.ip().to_ipv6_mapped();
                address::to_sockaddr(SocketAddr::new(mapped.into(), v4.port()))
            }
            _ => address::to_sockaddr(remote),
        }
    }

    /// The client decided on a pended request. A request that is not there was aborted or decided.
    pub(super) fn inspect_completed(&'static self, id: WSK_INSPECT_ID, accept: bool) {
        let mut shared = lock(&self.shared);
        let at = shared.pended.iter().position(|pended| pended.id == id);
        let pended = at.map(|at| shared.pended.remove(at));
        let local = shared.local;
        drop(shared);
        let Some(pended) = pended else {
            let detail = "unknown, or completed before";
            violation(Rule::Inspect, "WskInspectComplete", format!("{id:?}"), detail, None);
        };
        if accept {
            let home = processor::index();
            self.establish(home, pended.file, pended.remote, local, Some(id));
        } else {
            stream::reset_on_close(&pended.file);
        }
    }

    /// The handshake is over: the accept event.
    fn establish(
        &'static self,
        processor: usize,
        file: OwnedFd,
        remote: SocketAddr,
        local: SOCKADDR,
        inspect_id: Option<WSK_INSPECT_ID>,
    ) {
        let connection = slots::take();
        connection.home.store(u32::try_from(processor).unwrap_or(0), Ordering::Relaxed);
        let remote = self.sockaddr(remote);
        *lock(&connection.shared) =
            Shared { life: Life::Open, inspect_id, remote, local, ..Shared::default() };
        *lock(&connection.client) = (0, 0);
        if !self.offer(connection, local, remote) {
            *lock(&connection.shared) = Shared::default();
            slots::give(connection);
            stream::reset_on_close(&file);
            return;
        }
        let watched = state().processor(processor).watch(connection, &file);
        let mut shared = lock(&connection.shared);
        shared.file = Some(file);
        shared.reset |= watched.is_err();
        drop(shared);
        if watched.is_err() {
            connection.call_home();
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
