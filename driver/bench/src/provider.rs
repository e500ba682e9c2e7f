//! WSK in memory: one listener; sends complete at once, or when they are told to.
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::mm::{MDL, MDL_MAPPED_TO_SYSTEM_VA};
use nt_sys::ntdef::{NTSTATUS, PVOID, STATUS_PENDING, STATUS_SUCCESS};
use nt_sys::wsk::{
    AF_INET, PFN_WSK_DISCONNECT_EVENT, PFN_WSK_RECEIVE_EVENT, SIO_WSK_QUERY_INSPECT_ID, SOCKADDR,
    WSK_BUF, WSK_CLIENT, WSK_CLIENT_CONNECTION_DISPATCH, WSK_CLIENT_LISTEN_DISPATCH,
    WSK_CLIENT_NPI, WSK_DATA_INDICATION, WSK_INSPECT_ID, WSK_PROVIDER_BASIC_DISPATCH,
    WSK_PROVIDER_CONNECTION_DISPATCH, WSK_PROVIDER_DISPATCH, WSK_PROVIDER_LISTEN_DISPATCH,
    WSK_PROVIDER_NPI, WSK_REGISTRATION, WSK_SOCKET, WskInspectAccept,
};

use crate::kernel::{called, complete, describe};

/// A table of functions, shared by all sockets of a kind.
struct Table<T>(T);
// SAFETY: a constant table.
unsafe impl<T> Sync for Table<T> {}

static PROVIDER: Table<WSK_PROVIDER_DISPATCH> = Table(WSK_PROVIDER_DISPATCH {
    Version: 0x0100,
    Reserved: 0,
    WskSocket: Some(wsk_socket),
    WskSocketConnect: core::ptr::null_mut(),
    WskControlClient: Some(wsk_control_client),
    WskGetAddressInfo: core::ptr::null_mut(),
    WskFreeAddressInfo: core::ptr::null_mut(),
    WskGetNameInfo: core::ptr::null_mut(),
});
static LISTENING: Table<WSK_PROVIDER_LISTEN_DISPATCH> = Table(WSK_PROVIDER_LISTEN_DISPATCH {
    Basic: WSK_PROVIDER_BASIC_DISPATCH {
        WskControlSocket: Some(wsk_control_socket),
        WskCloseSocket: Some(wsk_close),
    },
    WskBind: Some(wsk_bind),
    WskAccept: None,
    WskInspectComplete: None,
    WskGetLocalAddress: Some(wsk_get_address),
});
static CONNECTED: Table<WSK_PROVIDER_CONNECTION_DISPATCH> =
    Table(WSK_PROVIDER_CONNECTION_DISPATCH {
        Basic: WSK_PROVIDER_BASIC_DISPATCH {
            WskControlSocket: Some(wsk_control_socket),
            WskCloseSocket: Some(wsk_close),
        },
        WskBind: None,
        WskConnect: core::ptr::null_mut(),
        WskGetLocalAddress: None,
        WskGetRemoteAddress: None,
        WskSend: Some(wsk_send),
        WskReceive: Some(wsk_receive),
        WskDisconnect: Some(wsk_disconnect),
        WskRelease: None,
        WskConnectEx: core::ptr::null_mut(),
    });

/// What the driver gave with its listener.
static LISTENER_CONTEXT: AtomicUsize = AtomicUsize::new(0);
static LISTENER_TABLE: AtomicUsize = AtomicUsize::new(0);
/// Octets of the last send that were looked at, and how many sends there were.
static SENT: Mutex<(Vec<u8>, u32)> = Mutex::new((Vec::new(), 0));
/// Serial number of inspect IDs.
static SERIAL: AtomicUsize = AtomicUsize::new(0);

/// The first octets of the last send, and how many sends there were since the last call.
pub fn sent() -> (Vec<u8>, u32) {
    let mut sent = SENT.lock().expect("not poisoned");
    core::mem::take(&mut *sent)
}

#[repr(C)]
struct Socket {
    wsk: WSK_SOCKET,
    serial: u32,
}

fn socket(table: *const core::ffi::c_void, serial: u32) -> *mut WSK_SOCKET {
    Box::into_raw(Box::new(Socket { wsk: WSK_SOCKET { Dispatch: table }, serial })).cast()
}

/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskRegister(
    _npi: *mut WSK_CLIENT_NPI,
    _registration: *mut WSK_REGISTRATION,
) -> NTSTATUS {
    STATUS_SUCCESS
}

/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskDeregister(_registration: *mut WSK_REGISTRATION) {}

/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskReleaseProviderNPI(_registration: *mut WSK_REGISTRATION) {}

/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskCaptureProviderNPI(
    _registration: *mut WSK_REGISTRATION,
    _wait_ms: u32,
    npi: *mut WSK_PROVIDER_NPI,
) -> NTSTATUS {
    let value =
        WSK_PROVIDER_NPI { Client: core::ptr::dangling_mut(), Dispatch: &raw const PROVIDER.0 };
    // SAFETY: an out-parameter.
    unsafe { npi.write(value) };
    STATUS_SUCCESS
}

kernel_fn! {
    unsafe fn wsk_control_client(
        _client: *mut WSK_CLIENT, _code: u32, _in_octets: usize, _input: PVOID,
        _out_octets: usize, _output: PVOID, _returned: *mut usize, _irp: *mut IRP,
    ) -> NTSTATUS {
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_socket(
        _client: *mut WSK_CLIENT, _family: u16, _kind: u16, _protocol: u32, _flags: u32,
        context: PVOID, table: *const core::ffi::c_void, _process: PVOID, _thread: PVOID,
        _security: PVOID, irp: *mut IRP,
    ) -> NTSTATUS {
        LISTENER_CONTEXT.store(context.expose_provenance(), Ordering::Relaxed);
        LISTENER_TABLE.store(table.expose_provenance(), Ordering::Relaxed);
        let listener = socket((&raw const LISTENING.0).cast(), 0);
        complete(irp, STATUS_SUCCESS, listener.expose_provenance());
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_bind(
        _socket: *mut WSK_SOCKET, _address: *mut SOCKADDR, _flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        complete(irp, STATUS_SUCCESS, 0);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_get_address(
        _socket: *mut WSK_SOCKET, address: *mut SOCKADDR, irp: *mut IRP,
    ) -> NTSTATUS {
        // SAFETY: an out-parameter.
        unsafe { address.write(ipv4(0x7F00_0001)) };
        complete(irp, STATUS_SUCCESS, 0);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_control_socket(
        socket: *mut WSK_SOCKET, _kind: i32, code: u32, _level: u32, _in_octets: usize,
        _input: PVOID, _out_octets: usize, output: PVOID, _returned: *mut usize, irp: *mut IRP,
    ) -> NTSTATUS {
        called();
        if code == SIO_WSK_QUERY_INSPECT_ID {
            // SAFETY: all sockets are ours.
            let serial = unsafe { (*socket.cast::<Socket>()).serial };
            // SAFETY: an out-parameter of this type.
            unsafe { output.cast::<WSK_INSPECT_ID>().write(inspect_id(serial)) };
            return STATUS_SUCCESS;
        }
        complete(irp, STATUS_SUCCESS, 0);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_close(socket: *mut WSK_SOCKET, irp: *mut IRP) -> NTSTATUS {
        called();
        // SAFETY: made by `socket`, closed once.
        drop(unsafe { Box::from_raw(socket.cast::<Socket>()) });
        complete(irp, STATUS_SUCCESS, 0);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_send(
        _socket: *mut WSK_SOCKET, buffer: *mut WSK_BUF, _flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        called();
        // SAFETY: the driver's: stays until completed.
        let buffer = unsafe { &*buffer };
        note(buffer.Mdl);
        complete(irp, STATUS_SUCCESS, buffer.Length);
        STATUS_PENDING
    }
}

fn note(mdl: *const MDL) {
    // SAFETY: the driver's: described, until the send is completed.
    let mdl = unsafe { &*mdl };
    let first = mdl.MappedSystemVa.cast::<u8>();
    let octets = (mdl.ByteCount as usize).min(64);
    // SAFETY: as above: that many octets are mapped.
    let octets = unsafe { core::slice::from_raw_parts(first, octets) };
    let mut sent = SENT.lock().expect("not poisoned");
    sent.0.clear();
    sent.0.extend_from_slice(octets);
    sent.1 += 1;
}

kernel_fn! {
    unsafe fn wsk_receive(
        _socket: *mut WSK_SOCKET, _buffer: *mut WSK_BUF, _flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        called();
        complete(irp, STATUS_SUCCESS, 0);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_disconnect(
        _socket: *mut WSK_SOCKET, _buffer: *mut WSK_BUF, _flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        called();
        complete(irp, STATUS_SUCCESS, 0);
        STATUS_SUCCESS
    }
}

fn ipv4(address: u32) -> SOCKADDR {
    let flow = u32::from_ne_bytes(address.to_be_bytes());
    SOCKADDR { sin6_family: AF_INET, sin6_flowinfo: flow, ..SOCKADDR::default() }
}

fn inspect_id(serial: u32) -> WSK_INSPECT_ID {
    WSK_INSPECT_ID { Key: 1, SerialNumber: serial }
}

/// The octets of one receive event.
pub struct Octets {
    list: WSK_DATA_INDICATION,
    mdl: Box<MDL>,
    held: Vec<u8>,
}

impl Octets {
    /// `octets` in one MDL.
    pub fn new(octets: &[u8]) -> Octets {
        let octets = octets.to_vec();
        let length = u32::try_from(octets.len()).expect("a few octets");
        let mut mdl = Box::new(describe(octets.as_ptr().cast_mut().cast(), length));
        mdl.MdlFlags = MDL_MAPPED_TO_SYSTEM_VA;
        let buffer = WSK_BUF { Mdl: &raw mut *mdl, Offset: 0, Length: octets.len() };
        let list = WSK_DATA_INDICATION { Next: core::ptr::null_mut(), Buffer: buffer };
        Octets { list, mdl, held: octets }
    }
}

/// A connection that the driver has accepted.
pub struct Connection {
    context: PVOID,
    receive: PFN_WSK_RECEIVE_EVENT,
    disconnect: PFN_WSK_DISCONNECT_EVENT,
}

impl Connection {
    /// A request from `address`, inspected and, if the driver wants it, accepted.
    pub fn open(address: u32) -> Option<Connection> {
        let context = LISTENER_CONTEXT.load(Ordering::Relaxed);
        let context: PVOID = core::ptr::with_exposed_provenance_mut(context);
        let table = LISTENER_TABLE.load(Ordering::Relaxed);
        let table: *const WSK_CLIENT_LISTEN_DISPATCH = core::ptr::with_exposed_provenance(table);
        // SAFETY: the table that the driver gave with its listener.
        let table = unsafe { &*table };
        let (mut local, mut remote) = (ipv4(0x7F00_0001), ipv4(address));
        let serial = u32::try_from(SERIAL.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
        let mut id = inspect_id(serial);
        let inspect = table.WskInspectEvent?;
        // SAFETY: the driver's callback with its context.
        let verdict = unsafe { inspect(context, &raw mut local, &raw mut remote, &raw mut id) };
        if verdict != WskInspectAccept {
            return None;
        }
        let socket = socket((&raw const CONNECTED.0).cast(), serial);
        let mut context_of = core::ptr::null_mut();
        let mut table_of: *const WSK_CLIENT_CONNECTION_DISPATCH = core::ptr::null();
        let accept = table.WskAcceptEvent?;
        let (local, remote) = (&raw mut local, &raw mut remote);
        let (own, events) = (&raw mut context_of, &raw mut table_of);
        // SAFETY: as above.
        let status = unsafe { accept(context, 0, local, remote, socket, own, events) };
        if status != STATUS_SUCCESS {
            return None;
        }
        // SAFETY: the driver's table, which stays.
        let events = unsafe { &*table_of };
        let (receive, disconnect) = (events.WskReceiveEvent, events.WskDisconnectEvent);
        Some(Connection { context: context_of, receive, disconnect })
    }

    /// A receive event; all octets must be taken.
    pub fn receive(&self, octets: &mut Octets) {
        let Some(event) = self.receive else { return };
        let length = octets.held.len();
        octets.list.Buffer.Mdl = &raw mut *octets.mdl;
        let mut accepted = length;
        let list = &raw mut octets.list;
        // SAFETY: the driver's callback with its context; the list is valid for the call.
        let status = unsafe { event(self.context, 0, list, length, &raw mut accepted) };
        assert!(status == STATUS_SUCCESS && accepted == length, "{status:#x}, {accepted}");
    }

    /// The peer ends its side.
    pub fn end(&self) {
        let Some(event) = self.disconnect else { return };
        // SAFETY: the driver's callback with its context.
        unsafe { event(self.context, 0) };
    }
}
