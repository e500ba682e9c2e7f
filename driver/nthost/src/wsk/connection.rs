//! A connection socket: its state, and the functions of its dispatch table.
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    NTSTATUS, PVOID, STATUS_CANCELLED, STATUS_CONNECTION_RESET, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_DEVICE_STATE, STATUS_NOT_IMPLEMENTED,
    STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS,
};
use nt_sys::wsk::{
    SIO_WSK_QUERY_INSPECT_ID, SOCKADDR, WSK_BUF, WSK_CLIENT_CONNECTION_DISPATCH,
    WSK_DATA_INDICATION, WSK_FLAG_ABORTIVE, WSK_INSPECT_ID, WSK_PROVIDER_BASIC_DISPATCH,
    WSK_PROVIDER_CONNECTION_DISPATCH, WSK_SOCKET, WskIoctl,
};
use parking_lot::{Mutex, MutexGuard};

use super::call::{Calls, enter_call};
use super::shared::{Locked, NO_FILE, SendIrp, Shared};
use super::{complete, slots};
use crate::host::state;
use crate::nt::irp;
use crate::processor::{self, Task};
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::sim::{self, work, world};
use crate::verifier::{Rule, Site, violation};

/// Turns of the event loop that a close takes. In checked builds other events come in between, as
/// they may: a driver that lets go of a context too early is found out.
const CLOSE_TURNS: u32 = if cfg!(debug_assertions) { 3 } else { 0 };

/// Where a socket is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Life {
    /// Not handed out, or closed and waiting for reuse.
    Closed,
    /// The client's.
    Open,
    /// WskCloseSocket was called.
    Closing,
}

/// A connection socket. The client sees its first field.
#[repr(C)]
pub(crate) struct Connection {
    pub(super) socket: WSK_SOCKET,
    pub(super) calls: Calls,
    /// Processor whose thread reads and closes.
    pub(super) home: AtomicU32,
    /// Names it on a simulated machine; 0 elsewhere.
    pub(super) number: AtomicU64,
    /// A [`Life`], which changes under the lock only.
    life: AtomicU32,
    /// The client's context and table, set when accepted.
    context: AtomicUsize,
    table: AtomicUsize,
    /// A receive event is running. Written by the home processor.
    receiving: AtomicBool,
    /// The file of an open socket while octets that arrive can be told at once, or [`NO_FILE`];
    /// changes under the lock. F1: only the home processor closes the file.
    plain_file: AtomicI32,
    shared: Mutex<Shared>,
}

// SAFETY: the raw pointer in `socket` is to a constant table.
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

static TABLE: Table = Table(WSK_PROVIDER_CONNECTION_DISPATCH {
    Basic: WSK_PROVIDER_BASIC_DISPATCH {
        WskControlSocket: Some(control_socket),
        WskCloseSocket: Some(close_socket),
    },
    WskBind: None,
    WskConnect: core::ptr::null_mut(),
    WskGetLocalAddress: Some(get_local_address),
    WskGetRemoteAddress: Some(get_remote_address),
    WskSend: Some(super::send::wsk_send),
    WskReceive: Some(super::receive::wsk_receive),
    WskDisconnect: Some(disconnect),
    WskRelease: Some(release),
    WskConnectEx: core::ptr::null_mut(),
});
struct Table(WSK_PROVIDER_CONNECTION_DISPATCH);
// SAFETY: a constant table.
unsafe impl Sync for Table {}

impl Connection {
    pub(super) fn new() -> Connection {
        Connection {
            socket: WSK_SOCKET { Dispatch: (&raw const TABLE.0).cast() },
            calls: Calls::default(),
            home: AtomicU32::new(0),
            number: AtomicU64::new(0),
            life: AtomicU32::new(Life::Closed as u32),
            context: AtomicUsize::new(0),
            table: AtomicUsize::new(0),
            receiving: AtomicBool::new(false),
            plain_file: AtomicI32::new(NO_FILE),
            shared: Mutex::new(Shared::default()),
        }
    }

    pub(super) fn pointer(&'static self) -> *mut WSK_SOCKET {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    pub(crate) fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed) as usize
    }

    pub(super) fn life(&self) -> Life {
        match self.life.load(Ordering::Acquire) {
            life if life == Life::Open as u32 => Life::Open,
            life if life == Life::Closing as u32 => Life::Closing,
            _ => Life::Closed,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.life() == Life::Open
    }

    /// Under the lock.
    pub(super) fn set_life(&self, life: Life, _shared: &mut Locked<'_>) {
        self.life.store(life as u32, Ordering::Release);
    }

    /// What its client and its transport share.
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked::of(self, self.shared.lock())
    }

    /// The same for a send, which changes nothing that the way of arriving octets depends on.
    pub(super) fn lock_to_send(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock()
    }

    /// Under the lock.
    pub(super) fn set_plain_file(&self, file: RawFd) {
        self.plain_file.store(file, Ordering::Release);
    }

    /// The file of an open socket, while octets that arrive can be told at once. On the home
    /// processor.
    pub(super) fn plain_file(&self) -> Option<BorrowedFd<'_>> {
        let file = self.plain_file.load(Ordering::Acquire);
        // SAFETY: F1: open until this thread closes it.
        (file != NO_FILE).then(|| unsafe { BorrowedFd::borrow_raw(file) })
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.load(Ordering::Relaxed)
    }

    pub(super) fn set_receiving(&self, receiving: bool) {
        self.receiving.store(receiving, Ordering::Relaxed);
    }

    /// A receive or a disconnect event is running.
    fn is_in_event(&self, shared: &Shared) -> bool {
        self.is_receiving() || shared.telling
    }

    /// The client's context and table; a null table means that it wants no events.
    pub(super) fn client(&self) -> (PVOID, *const WSK_CLIENT_CONNECTION_DISPATCH) {
        let table = self.table.load(Ordering::Acquire);
        let context = self.context.load(Ordering::Relaxed);
        (core::ptr::with_exposed_provenance_mut(context), core::ptr::with_exposed_provenance(table))
    }

    pub(crate) fn set_client(&self, context: usize, table: usize) {
        self.context.store(context, Ordering::Relaxed);
        self.table.store(table, Ordering::Release);
    }

    /// Names it on a simulated machine; 0 elsewhere.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Of the socket, for what is counted by it.
    pub(crate) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// A call into one of its functions is running.
    pub(crate) fn is_in_call(&self) -> bool {
        self.calls.count() > 0
    }

    /// Asks the home processor, or any of a simulated machine, to look at the connection.
    pub(super) fn call_home(&'static self) {
        if world::is_on() {
            sim::connection::look(self);
        } else {
            state().processor(self.home()).post(Task::Connection(self));
        }
    }

    /// Something was queued: the live transport says by itself when it takes more.
    pub(super) fn look(&'static self) {
        if world::is_on() {
            sim::connection::look(self);
        }
    }

    /// Ends everything at once: sends fail, the peer will see a reset.
    pub(super) fn abort_sends(&self, export: &'static str, status: NTSTATUS) {
        loop {
            let mut shared = self.lock();
            let send = shared.sends.pop_front();
            let waiting = if send.is_some() {
                None
            } else {
                shared.disconnect.take().or_else(|| shared.stuck.take())
            };
            drop(shared);
            match (send, waiting) {
                (Some(send), _) => send.finish(self.address(), export, status),
                (None, Some(waiting)) => complete(self.address(), export, waiting.0, status, 0),
                (None, None) => return,
            };
        }
    }

    /// Sends are all out: a waiting disconnect can end our side.
    pub(super) fn sends_done(&self) {
        let mut shared = self.lock();
        if !shared.sends.is_empty() {
            return;
        }
        let Some(waiting) = shared.disconnect.take() else { return };
        shared.write_ended = true;
        if let Some(stream) = &shared.stream {
            stream.end();
        }
        if sim::takes(Freedom::DisconnectStuck) {
            shared.stuck = Some(waiting);
            return;
        }
        drop(shared);
        complete(self.address(), "WskDisconnect", waiting.0, STATUS_SUCCESS, 0);
    }

    /// On the home processor, outside every callback of this socket: the close, when asked for.
    /// True when the socket is gone.
    pub(crate) fn finish_close(&'static self) -> bool {
        let mut shared = self.lock();
        let life = self.life();
        if life != Life::Closing || self.is_in_event(&shared) {
            return life == Life::Closed;
        }
        if world::is_on() && shared.close_turns > 0 {
            // What was pending completes before the close does, wherever and whenever.
            shared.close_turns = 0;
            drop(shared);
            self.abort_sends("WskCloseSocket", STATUS_CANCELLED);
            self.cancel_receives();
            return false;
        }
        if shared.close_turns > 0 {
            shared.close_turns -= 1;
            drop(shared);
            self.call_home();
            return false;
        }
        let Some(close) = shared.close.take() else { return true };
        drop(shared);
        self.abort_sends("WskCloseSocket", STATUS_CANCELLED);
        self.cancel_receives();
        let mut shared = self.lock();
        // A provider that cannot end one side has no other end than the close.
        let write_ended = shared.write_ended || state().irp_only;
        let orderly = (shared.read_ended || state().irp_only) && write_ended && !shared.reset;
        if let Some(stream) = shared.stream.take() {
            if !orderly {
                stream.reset_on_close();
            }
            drop(stream);
        }
        let site = shared.closed_at;
        *shared = Shared { closed_at: site, ..Shared::default() };
        self.set_life(Life::Closed, &mut shared);
        drop(shared);
        // Before the client hears of it: it may deregister at once.
        slots::give(self);
        if world::is_on() {
            sim::completion::closed(self, close.0);
        } else {
            irp::complete("WskCloseSocket", close.0, STATUS_SUCCESS, 0);
        }
        true
    }
}

kernel_fn! {
    unsafe fn close_socket(socket: *mut WSK_SOCKET, irp: *mut IRP) -> NTSTATUS {
        let export = "WskCloseSocket";
        let _return = AtReturn;
        let call = enter_call(export, socket);
        let connection = call.0;
        if connection.calls.count() > 1 {
            let object = format!("connection socket {socket:p}");
            violation(Rule::CallDuringClose, export, object, "another call is running", None);
        }
        irp::submit(export, irp);
        if connection.client().1.is_null() {
            work::closes_unused(connection.number());
        }
        let mut shared = connection.lock();
        connection.set_life(Life::Closing, &mut shared);
        shared.closed_at = Some(Site::here(export));
        shared.close = Some(SendIrp(irp));
        shared.close_turns = if world::is_on() { 1 } else { CLOSE_TURNS };
        let in_event = connection.is_in_event(&shared);
        drop(shared);
        drop(call);
        // The home processor closes, after the callback that is running there, if one is: whoever
        // calls an event of the socket looks for this behind it.
        let at_home = processor::is(connection.home()) && !world::is_on();
        if at_home && !in_event && processor::depth() == 0 {
            connection.finish_close();
        } else if !(at_home && in_event) {
            connection.call_home();
        }
        STATUS_PENDING
    }
}

kernel_fn! {
    unsafe fn disconnect(
        socket: *mut WSK_SOCKET, buffer: *mut WSK_BUF, flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskDisconnect";
        let _return = AtReturn;
        let call = enter_call(export, socket);
        let connection = call.0;
        if flags & !WSK_FLAG_ABORTIVE != 0 {
            let object = format!("connection socket {socket:p}");
            violation(Rule::Flags, export, object, format!("flags {flags:#x}"), None);
        }
        if state().irp_only {
            // Nor does it take the IRP.
            return STATUS_NOT_IMPLEMENTED;
        }
        irp::submit(export, irp);
        if flags == WSK_FLAG_ABORTIVE {
            if !buffer.is_null() {
                let object = format!("connection socket {socket:p}");
                violation(Rule::AbortiveBuffer, export, object, "a buffer", None);
            }
            connection.lock().reset = true;
            connection.abort_sends(export, STATUS_CANCELLED);
            if let Some(stream) = &connection.lock().stream {
                stream.reset();
            }
            return complete(connection.address(), export, irp, STATUS_SUCCESS, 0);
        }
        if !buffer.is_null() {
            // Legal in WSK; no driver here sends its last octets this way.
            return complete(connection.address(), export, irp, STATUS_NOT_SUPPORTED, 0);
        }
        let mut shared = connection.lock();
        let refused = if shared.reset {
            Some(STATUS_CONNECTION_RESET)
        } else if shared.write_ended || shared.disconnect.is_some() {
            Some(STATUS_INVALID_DEVICE_STATE)
        } else if work::fails_for(connection.number(), export, Freedom::CallFailed) {
            Some(STATUS_INSUFFICIENT_RESOURCES)
        } else {
            shared.disconnect = Some(SendIrp(irp));
            None
        };
        drop(shared);
        if let Some(status) = refused {
            return complete(connection.address(), export, irp, status, 0);
        }
        connection.sends_done();
        STATUS_PENDING
    }
}

kernel_fn! {
    unsafe fn release(socket: *mut WSK_SOCKET, list: *mut WSK_DATA_INDICATION) -> NTSTATUS {
        let _call = enter_call("WskRelease", socket);
        violation(Rule::Release, "WskRelease", format!("{list:p}"), "nothing was retained", None)
    }
}

kernel_fn! {
    unsafe fn control_socket(
        socket: *mut WSK_SOCKET, request: i32, code: u32, _level: u32, _in_octets: usize,
        _input: PVOID, out_octets: usize, output: PVOID, returned: *mut usize, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskControlSocket";
        let _return = AtReturn;
        let call = enter_call(export, socket);
        if request != WskIoctl || code != SIO_WSK_QUERY_INSPECT_ID || !irp.is_null() {
            let detail = format!("request {request}, code {code:#x}");
            violation(Rule::Flags, export, format!("connection socket {socket:p}"), detail, None);
        }
        let Some(id) = call.0.lock().inspect_id else {
            return STATUS_INVALID_DEVICE_REQUEST;
        };
        if work::fails_for(call.0.number(), export, Freedom::CallFailed) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        if out_octets != size_of::<WSK_INSPECT_ID>() {
            violation(Rule::Flags, export, "WSK_INSPECT_ID", format!("{out_octets} octets"), None);
        }
        // SAFETY: the size says that it is this structure.
        unsafe { output.cast::<WSK_INSPECT_ID>().write(id) };
        // SAFETY: the caller's.
        unsafe { returned.write(out_octets) };
        STATUS_SUCCESS
    }
}

fn get_address(
    export: &'static str,
    socket: *mut WSK_SOCKET,
    address: *mut SOCKADDR,
    irp: *mut IRP,
    which: fn(&Shared) -> SOCKADDR,
) -> NTSTATUS {
    let call = enter_call(export, socket);
    irp::submit(export, irp);
    let value = which(&call.0.lock());
    // SAFETY: the caller's: room for an address.
    unsafe { address.write_unaligned(value) };
    complete(call.0.address(), export, irp, STATUS_SUCCESS, 0)
}

kernel_fn! {
    unsafe fn get_local_address(
        socket: *mut WSK_SOCKET, address: *mut SOCKADDR, irp: *mut IRP,
    ) -> NTSTATUS {
        get_address("WskGetLocalAddress", socket, address, irp, |shared| shared.local)
    }
}

kernel_fn! {
    unsafe fn get_remote_address(
        socket: *mut WSK_SOCKET, address: *mut SOCKADDR, irp: *mut IRP,
    ) -> NTSTATUS {
        get_address("WskGetRemoteAddress", socket, address, irp, |shared| shared.remote)
    }
}
