//! A listening socket: its state, and the functions of its dispatch table.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    DISPATCH_LEVEL, NTSTATUS, PVOID, STATUS_ADDRESS_ALREADY_EXISTS, STATUS_FILE_FORCED_CLOSED,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_STATE, STATUS_NOT_SUPPORTED,
    STATUS_PENDING, STATUS_SUCCESS,
};
use nt_sys::wsk::{
    AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SO_CONDITIONAL_ACCEPT, SO_EXCLUSIVEADDRUSE, SOCKADDR,
    SOL_SOCKET, WSK_CLIENT_LISTEN_DISPATCH, WSK_INSPECT_ID, WSK_PROVIDER_BASIC_DISPATCH,
    WSK_PROVIDER_LISTEN_DISPATCH, WSK_SOCKET, WskInspectAccept, WskInspectReject, WskSetOption,
};
use parking_lot::Mutex;

use super::complete;
use super::shared::SendIrp;
use crate::host::state;
use crate::ledger::Register;
use crate::live::{address, listening};
use crate::nt::irp;
use crate::processor::{Task, require_irql};
use crate::sim::freedom::Freedom;
use crate::sim::{fault, work, world};
use crate::verifier::{Rule, Site, violation};

pub(crate) static LISTENERS: Register = Register::new("listening sockets");
static OPEN: Mutex<Vec<&'static Listener>> = Mutex::new(Vec::new());

/// What the client set, and what became of it.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(super) struct Shared {
    v6_only: bool,
    exclusive: bool,
    /// Bound; without a file on a simulated machine.
    bound: bool,
    file: Option<OwnedFd>,
    /// Those that are not established yet.
    pub(super) requests: super::inspect::Requests,
    /// Those that are accepted by IRP.
    pub(super) accepts: VecDeque<super::by_irp::PendingAccept>,
    pub(super) backlog: VecDeque<super::by_irp::Waiting>,
    pub(super) lost_at: Option<Site>,
    close: Option<SendIrp>,
    closed_at: Option<Site>,
}

/// A listening socket. The client sees its first field.
#[repr(C)]
pub(crate) struct Listener {
    socket: WSK_SOCKET,
    pub(super) family: u16,
    /// Set before bind.
    conditional: AtomicBool,
    /// Set by bind.
    local: OnceLock<SOCKADDR>,
    context: usize,
    table: usize,
    /// Processors that still watch it.
    watchers: AtomicUsize,
    pub(super) shared: Mutex<Shared>,
}

// SAFETY: the raw pointer in `socket` is to a constant table.
unsafe impl Send for Listener {}
// SAFETY: as above.
unsafe impl Sync for Listener {}

static TABLE: Table = Table(WSK_PROVIDER_LISTEN_DISPATCH {
    Basic: WSK_PROVIDER_BASIC_DISPATCH {
        WskControlSocket: Some(control_socket),
        WskCloseSocket: Some(close_socket),
    },
    WskBind: Some(bind),
    WskAccept: Some(super::by_irp::accept),
    WskInspectComplete: Some(inspect_complete),
    WskGetLocalAddress: Some(get_local_address),
});
struct Table(WSK_PROVIDER_LISTEN_DISPATCH);
// SAFETY: a constant table.
unsafe impl Sync for Table {}

pub(super) fn create(
    family: u16,
    context: PVOID,
    table: *const WSK_CLIENT_LISTEN_DISPATCH,
) -> *mut WSK_SOCKET {
    // Never freed: a driver's use of a closed listener is a report.
    let listener: &'static Listener = Box::leak(Box::new(Listener {
        socket: WSK_SOCKET { Dispatch: (&raw const TABLE.0).cast() },
        family,
        conditional: AtomicBool::new(false),
        local: OnceLock::new(),
        context: context.expose_provenance(),
        table: table.expose_provenance(),
        watchers: AtomicUsize::new(0),
        shared: Mutex::new(Shared { v6_only: true, ..Shared::default() }),
    }));
    let address = core::ptr::from_ref(listener);
    LISTENERS.add(address.addr(), Site::here("WskSocket"));
    OPEN.lock().push(listener);
    address.cast_mut().cast()
}

/// Listeners that are not closed.
pub(super) fn open() -> Vec<&'static Listener> {
    OPEN.lock().clone()
}

/// The transport under the bound listeners goes away.
pub(crate) fn lose() {
    for listener in open() {
        let mut shared = listener.shared.lock();
        shared.file = None;
        if !std::mem::take(&mut shared.bound) {
            continue;
        }
        drop(shared);
        if world::is_on() {
            work::loses(listener);
        } else {
            state().processor(0).post(Task::Lost(listener));
        }
    }
}

/// Addresses that are bound.
pub(crate) fn addresses() -> Vec<SocketAddr> {
    let open = OPEN.lock();
    let bound = open.iter().filter(|listener| listener.shared.lock().bound);
    bound.map(|listener| address::from_sockaddr(&listener.local())).collect()
}

pub(super) fn enter_call(export: &'static str, socket: *mut WSK_SOCKET) -> &'static Listener {
    require_irql(export, DISPATCH_LEVEL);
    // SAFETY: listeners are never freed, and the client gets no other sockets of this category.
    let listener: &'static Listener = unsafe { &*socket.cast::<Listener>() };
    if !LISTENERS.contains(socket.addr()) || listener.shared.lock().close.is_some() {
        let site = listener.shared.lock().closed_at;
        violation(Rule::CallDuringClose, export, format!("listener {socket:p}"), "closed", site);
    }
    let lost = listener.shared.lock().lost_at;
    // On a simulated machine the call may have crossed the event that said so: it fails.
    // By IRP nothing has said so before a WskAccept fails.
    let told = lost.is_some() && Listener::has_events();
    if told && export != "WskCloseSocket" && !world::is_on() {
        violation(Rule::DeadListener, export, format!("listener {socket:p}"), "it is dead", lost);
    }
    listener
}

impl Listener {
    pub(super) fn context(&self) -> PVOID {
        core::ptr::with_exposed_provenance_mut(self.context)
    }

    pub(super) fn client(&self) -> &WSK_CLIENT_LISTEN_DISPATCH {
        let table = core::ptr::with_exposed_provenance(self.table);
        // SAFETY: the client's table stays until the socket is closed.
        unsafe { &*table }
    }

    pub(super) fn pointer(&self) -> *mut WSK_SOCKET {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// Connections are inspected before they are accepted.
    pub(crate) fn is_conditional(&self) -> bool {
        self.conditional.load(Ordering::Relaxed)
    }

    /// The address that it is bound to.
    pub(super) fn local(&self) -> SOCKADDR {
        self.local.get().copied().unwrap_or_default()
    }

    /// Of the socket, for what is counted by it.
    pub(crate) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Bound, and neither closed nor dead.
    pub(crate) fn listens(&self) -> bool {
        let shared = self.shared.lock();
        shared.bound && shared.close.is_none() && shared.lost_at.is_none()
    }

    /// It is dead from now on; the client is told next.
    pub(crate) fn lose_now(&self) {
        let mut shared = self.shared.lock();
        shared.bound = false;
        shared.lost_at = Some(Site::here("WSK"));
    }

    /// What calls on a listener that is dead come to.
    pub(super) fn lost(&self) -> Option<NTSTATUS> {
        self.shared.lock().lost_at.map(|_| STATUS_FILE_FORCED_CLOSED)
    }

    /// Uses the file, if there is one.
    pub(crate) fn with_file(&self, f: impl FnOnce(&OwnedFd)) {
        if let Some(file) = &self.shared.lock().file {
            f(file);
        }
    }

    /// One processor watches it no more; the last one completes the close.
    pub(crate) fn forgotten(&'static self) {
        if self.watchers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish_close();
        }
    }

    pub(crate) fn finish_close(&'static self) {
        let mut shared = self.shared.lock();
        let close = shared.close.take();
        let requests = core::mem::take(&mut shared.requests);
        shared.file = None;
        shared.bound = false;
        drop(shared);
        requests.cancel();
        self.cancel_accepts();
        LISTENERS.remove(self.pointer().addr());
        OPEN.lock().retain(|open| !core::ptr::eq(*open, self));
        if let Some(close) = close {
            complete(self.address(), "WskCloseSocket", close.0, STATUS_SUCCESS, 0);
        }
    }
}

kernel_fn! {
    unsafe fn close_socket(socket: *mut WSK_SOCKET, irp: *mut IRP) -> NTSTATUS {
        let export = "WskCloseSocket";
        let listener = enter_call(export, socket);
        irp::submit(export, irp);
        let mut shared = listener.shared.lock();
        shared.close = Some(SendIrp(irp));
        shared.closed_at = Some(Site::here(export));
        drop(shared);
        if world::is_on() {
            work::closes(listener);
        } else if listener.watchers.load(Ordering::Acquire) == 0 {
            listener.finish_close();
        } else {
            for processor in &state().processors {
                processor.post(Task::Forget(listener));
            }
        }
        STATUS_PENDING
    }
}

kernel_fn! {
    unsafe fn control_socket(
        socket: *mut WSK_SOCKET, request: i32, code: u32, level: u32, in_octets: usize,
        input: PVOID, _out_octets: usize, _output: PVOID, _returned: *mut usize, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskControlSocket";
        let listener = enter_call(export, socket);
        irp::submit(export, irp);
        if request != WskSetOption || in_octets != 4 {
            return complete(listener.address(), export, irp, STATUS_NOT_SUPPORTED, 0);
        }
        if fault::fails(export, Freedom::CallFailed) {
            return complete(listener.address(), export, irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        }
        // SAFETY: the size says that it is a ULONG.
        let value = unsafe { input.cast::<u32>().read_unaligned() };
        let mut shared = listener.shared.lock();
        if shared.bound {
            drop(shared);
            let detail = format!("option {code:#x} after bind");
            violation(Rule::OptionOrder, export, format!("listener {socket:p}"), detail, None);
        }
        let known = match (level, code) {
            (IPPROTO_IPV6, IPV6_V6ONLY) => {
                shared.v6_only = value != 0;
                listener.family == AF_INET6
            }
            (SOL_SOCKET, SO_EXCLUSIVEADDRUSE) => {
                shared.exclusive = value != 0;
                true
            }
            (SOL_SOCKET, SO_CONDITIONAL_ACCEPT) => {
                listener.conditional.store(value != 0, Ordering::Relaxed);
                true
            }
            _ => false,
        };
        drop(shared);
        let status = if known { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED };
        complete(listener.address(), export, irp, status, 0)
    }
}

kernel_fn! {
    unsafe fn bind(
        socket: *mut WSK_SOCKET, address: *mut SOCKADDR, flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskBind";
        let listener = enter_call(export, socket);
        if flags != 0 {
            violation(Rule::Flags, export, "flags", format!("{flags:#x}"), None);
        }
        irp::submit(export, irp);
        // SAFETY: the caller's: an address of the socket's family.
        let wanted = unsafe { address::read(address) };
        let shared = listener.shared.lock();
        if shared.bound || wanted.is_ipv6() != (listener.family == AF_INET6) {
            drop(shared);
            return complete(listener.address(), export, irp, STATUS_INVALID_DEVICE_STATE, 0);
        }
        let v6_only = shared.v6_only;
        drop(shared);
        let status = if world::is_on() {
            listener.bind_simulated(wanted)
        } else {
            listener.bind_live(wanted, v6_only)
        };
        complete(listener.address(), export, irp, status, 0)
    }
}

/// The port that a simulated listener gets when it asks for any.
const SIMULATED_PORT: u16 = 49_152;

impl Listener {
    fn bind_live(&'static self, wanted: SocketAddr, v6_only: bool) -> NTSTATUS {
        let (file, local) = match listening::listen(wanted, v6_only) {
            Ok(bound) => bound,
            Err(error) => return listening::status_of(&error),
        };
        self.local.get_or_init(|| address::to_sockaddr(local));
        let mut shared = self.shared.lock();
        shared.file = Some(file);
        shared.bound = true;
        drop(shared);
        self.watchers.store(state().processors.len(), Ordering::Release);
        for processor in &state().processors {
            processor.post(Task::Watch(self));
        }
        STATUS_SUCCESS
    }

    fn bind_simulated(&'static self, mut local: SocketAddr) -> NTSTATUS {
        if fault::fails("WskBind", Freedom::CallFailed) {
            return STATUS_ADDRESS_ALREADY_EXISTS;
        }
        if local.port() == 0 {
            local.set_port(SIMULATED_PORT);
        }
        self.local.get_or_init(|| address::to_sockaddr(local));
        let mut shared = self.shared.lock();
        shared.bound = true;
        drop(shared);
        work::listens(self);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn inspect_complete(
        socket: *mut WSK_SOCKET, id: *mut WSK_INSPECT_ID, action: i32, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskInspectComplete";
        let listener = enter_call(export, socket);
        // SAFETY: the caller's.
        let id = unsafe { *id };
        if action != WskInspectAccept && action != WskInspectReject {
            violation(Rule::Inspect, export, format!("{id:?}"), format!("action {action}"), None);
        }
        irp::submit(export, irp);
        if let Some(status) = listener.lost() {
            return complete(listener.address(), export, irp, status, 0);
        }
        listener.inspect_completed(id, action == WskInspectAccept);
        complete(listener.address(), export, irp, STATUS_SUCCESS, 0)
    }
}

kernel_fn! {
    unsafe fn get_local_address(
        socket: *mut WSK_SOCKET, address: *mut SOCKADDR, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskGetLocalAddress";
        let listener = enter_call(export, socket);
        irp::submit(export, irp);
        let (bound, local) = (listener.shared.lock().bound, listener.local());
        // SAFETY: the caller's: room for an address.
        unsafe { address.write_unaligned(local) };
        let failed = fault::fails(export, Freedom::CallFailed);
        let status = if failed || !bound { STATUS_INVALID_DEVICE_STATE } else { STATUS_SUCCESS };
        complete(listener.address(), export, irp, listener.lost().unwrap_or(status), 0)
    }
}

pub(super) fn reset() {
    LISTENERS.clear();
    OPEN.lock().clear();
}
