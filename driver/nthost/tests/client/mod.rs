//! A WSK client as small as it can be, which can be told to misbehave.
#![allow(
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nt_sys::ex::{ExAllocatePool2, ExFreePoolWithTag, POOL_FLAG_NON_PAGED};
use nt_sys::io::{
    DEVICE_OBJECT, IO_COMPLETION_ROUTINE, IRP, IoAllocateMdl, IoFreeMdl, IoInitializeIrp,
    IoSetCompletionRoutine,
};
use nt_sys::ke::{KEVENT, KeInitializeEvent, KeWaitForSingleObject};
use nt_sys::kernel_fn;
use nt_sys::mm::{MDL, MmBuildMdlForNonPagedPool};
use nt_sys::ntdef::{
    NTSTATUS, PVOID, STATUS_CANCELLED, STATUS_MORE_PROCESSING_REQUIRED, STATUS_PENDING,
    STATUS_REQUEST_NOT_ACCEPTED, STATUS_SUCCESS,
};
use nt_sys::wsk::{
    AF_INET, IPPROTO_TCP, NPI_WSK_INTERFACE_ID, SO_EXCLUSIVEADDRUSE, SOCK_STREAM, SOCKADDR,
    SOL_SOCKET, WSK_BUF, WSK_CLIENT_CONNECTION_DISPATCH, WSK_CLIENT_DISPATCH,
    WSK_CLIENT_LISTEN_DISPATCH, WSK_CLIENT_NPI, WSK_DATA_INDICATION, WSK_EVENT_ACCEPT,
    WSK_EVENT_CALLBACK_CONTROL, WSK_EVENT_DISCONNECT, WSK_EVENT_RECEIVE, WSK_FLAG_ABORTIVE,
    WSK_FLAG_LISTEN_SOCKET, WSK_INSPECT_ID, WSK_PROVIDER_CONNECTION_DISPATCH,
    WSK_PROVIDER_LISTEN_DISPATCH, WSK_PROVIDER_NPI, WSK_REGISTRATION,
    WSK_SET_STATIC_EVENT_CALLBACKS, WSK_SOCKET, WskCaptureProviderNPI, WskInspectAccept,
    WskRegister, WskSetOption,
};

/// What the client does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    AcceptPending,
    AcceptNothing,
    RefuseTold,
    ReceiveCancelled,
    ReceiveTooMuch,
    SendBeyond,
    IgnoreFailure,
    ChangeInFlight,
    ReuseIrp,
    AbortWithBuffer,
    CallAfterClose,
    WaitInCallback,
    ReleaseNothing,
    SendInCompletion,
    CloseInCompletion,
    InitialiseInFlight,
    FreeIrpInFlight,
    FreeInFlight,
    FreeMdlInFlight,
    KeepIndication,
    ReadBehind,
}

pub static MODE: AtomicU32 = AtomicU32::new(0);
static SOCKET: AtomicPtr<WSK_SOCKET> = AtomicPtr::new(core::ptr::null_mut());

fn is(mode: Mode) -> bool {
    MODE.load(Ordering::SeqCst) == mode as u32
}

fn null<T>() -> *mut T {
    core::ptr::null_mut()
}

pub fn registration() -> WSK_REGISTRATION {
    unsafe { core::mem::zeroed() }
}

kernel_fn! {
    pub unsafe fn completes(_d: *mut DEVICE_OBJECT, _irp: *mut IRP, _c: PVOID) -> NTSTATUS {
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

kernel_fn! {
    pub unsafe fn completes_with_success(
        _d: *mut DEVICE_OBJECT, _i: *mut IRP, _c: PVOID,
    ) -> NTSTATUS {
        STATUS_SUCCESS
    }
}

type Routine = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, PVOID) -> NTSTATUS;

/// An IRP that is never freed.
#[derive(Clone, Copy)]
pub struct Irp(pub *mut IRP);

impl Irp {
    pub fn new() -> Irp {
        Irp(Box::leak(Box::new([0_u128; 18])).as_mut_ptr().cast())
    }

    pub fn ready(routine: Routine) -> Irp {
        let irp = Irp::new();
        irp.prepare(Some(routine));
        irp
    }

    fn prepare(self, routine: IO_COMPLETION_ROUTINE) {
        unsafe { IoInitializeIrp(self.0, 280, 1) };
        unsafe { IoSetCompletionRoutine(self.0, routine, null()) };
    }

    fn information(self) -> usize {
        unsafe { (*self.0).IoStatus.Information }
    }
}

pub struct Registration {
    pub block: *mut WSK_REGISTRATION,
    npi: WSK_PROVIDER_NPI,
}

impl Registration {
    pub fn new() -> Registration {
        let block: *mut WSK_REGISTRATION = Box::leak(Box::new(registration()));
        let dispatch = WSK_CLIENT_DISPATCH { Version: 0x100, Reserved: 0, WskClientEvent: null() };
        let dispatch: *const WSK_CLIENT_DISPATCH = Box::leak(Box::new(dispatch));
        let mut client = WSK_CLIENT_NPI { ClientContext: null(), Dispatch: dispatch };
        let mut npi = WSK_PROVIDER_NPI { Client: null(), Dispatch: null() };
        assert_eq!(unsafe { WskRegister(&raw mut client, block) }, STATUS_SUCCESS);
        assert_eq!(unsafe { WskCaptureProviderNPI(block, 0, &raw mut npi) }, STATUS_SUCCESS);
        Registration { block, npi }
    }

    pub fn enable_events(&self) {
        let mut control = WSK_EVENT_CALLBACK_CONTROL {
            NpiId: &raw const NPI_WSK_INTERFACE_ID,
            EventMask: WSK_EVENT_ACCEPT | WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT,
        };
        let function = unsafe { (*self.npi.Dispatch).WskControlClient }.unwrap();
        let code = WSK_SET_STATIC_EVENT_CALLBACKS;
        let input = (&raw mut control).cast();
        let npi = self.npi.Client;
        unsafe { function(npi, code, 16, input, 0, null(), null(), null()) };
    }
}

static LISTEN: Listen = Listen(WSK_CLIENT_LISTEN_DISPATCH {
    WskAcceptEvent: Some(accept_event),
    WskInspectEvent: None,
    WskAbortEvent: None,
});
struct Listen(WSK_CLIENT_LISTEN_DISPATCH);
unsafe impl Sync for Listen {}

static CONNECTION: Connection = Connection(WSK_CLIENT_CONNECTION_DISPATCH {
    WskReceiveEvent: Some(receive_event),
    WskDisconnectEvent: None,
    WskSendBacklogEvent: None,
});
struct Connection(WSK_CLIENT_CONNECTION_DISPATCH);
unsafe impl Sync for Connection {}

/// A client with a listening socket on a free port of 127.0.0.1.
pub struct Client {
    pub registration: Registration,
    socket: *mut WSK_SOCKET,
}

impl Client {
    pub fn listen() -> Client {
        let client = Client::unbound();
        client.bind(AF_INET, 0);
        client
    }

    pub fn bind_with_flags() {
        Client::unbound().bind(AF_INET, 1);
    }

    pub fn bind_to_no_family() {
        Client::unbound().bind(0, 0);
    }

    fn unbound() -> Client {
        let registration = Registration::new();
        registration.enable_events();
        let irp = Irp::ready(completes);
        let create = unsafe { (*registration.npi.Dispatch).WskSocket }.unwrap();
        unsafe {
            create(
                registration.npi.Client,
                AF_INET,
                SOCK_STREAM,
                IPPROTO_TCP,
                WSK_FLAG_LISTEN_SOCKET,
                null(),
                (&raw const LISTEN.0).cast(),
                null(),
                null(),
                null(),
                irp.0,
            )
        };
        if nthost::sim::is_simulated() {
            settle();
        }
        let socket = core::ptr::with_exposed_provenance_mut(irp.information());
        Client { registration, socket }
    }

    fn table(&self) -> &WSK_PROVIDER_LISTEN_DISPATCH {
        unsafe { &*(*self.socket).Dispatch.cast() }
    }

    fn bind(&self, family: u16, flags: u32) {
        let loopback = u32::from_ne_bytes([127, 0, 0, 1]);
        let mut address =
            SOCKADDR { sin6_family: family, sin6_flowinfo: loopback, ..SOCKADDR::default() };
        let irp = Irp::ready(completes);
        unsafe { self.table().WskBind.unwrap()(self.socket, &raw mut address, flags, irp.0) };
    }

    pub fn address(&self) -> SocketAddr {
        let mut address = SOCKADDR::default();
        let irp = Irp::ready(completes);
        let get = self.table().WskGetLocalAddress.unwrap();
        unsafe { get(self.socket, &raw mut address, irp.0) };
        SocketAddr::from(([127, 0, 0, 1], u16::from_be(address.sin6_port)))
    }

    pub fn set_option(&self) {
        let mut value = 1_u32;
        let set = self.table().Basic.WskControlSocket.unwrap();
        let input = (&raw mut value).cast();
        let irp = Irp::ready(completes);
        let (option, level) = (SO_EXCLUSIVEADDRUSE, SOL_SOCKET);
        let request = WskSetOption;
        unsafe {
            set(self.socket, request, option, level, 4, input, 0, null(), null(), irp.0);
        }
    }

    pub fn inspect_complete(&self) {
        let mut id = WSK_INSPECT_ID { Key: 1, SerialNumber: 2 };
        let complete = self.table().WskInspectComplete.unwrap();
        let irp = Irp::ready(completes);
        unsafe { complete(self.socket, &raw mut id, WskInspectAccept, irp.0) };
    }

    pub fn close(&self, irp: Irp) {
        unsafe { self.table().Basic.WskCloseSocket.unwrap()(self.socket, irp.0) };
        // The close completes on the processors that watched the socket.
        settle();
    }

    pub fn close_with(&self, routine: Routine) {
        self.close(Irp::ready(routine));
    }
}

/// Time for what was begun on another thread to be over there.
pub fn settle() {
    if nthost::sim::is_simulated() {
        return nthost::sim::sleep(Duration::from_millis(300));
    }
    std::thread::sleep(Duration::from_millis(300));
}

/// Time for other threads to do their part; a report ends the process meanwhile.
pub fn wait_for_end() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

kernel_fn! {
    unsafe fn accept_event(
        _context: PVOID, _flags: u32, _local: *mut SOCKADDR, _remote: *mut SOCKADDR,
        socket: *mut WSK_SOCKET, context: *mut PVOID,
        table: *mut *const WSK_CLIENT_CONNECTION_DISPATCH,
    ) -> NTSTATUS {
        SOCKET.store(socket, Ordering::SeqCst);
        if socket.is_null() {
            return STATUS_REQUEST_NOT_ACCEPTED;
        }
        if is(Mode::AcceptPending) {
            return STATUS_PENDING;
        }
        if !is(Mode::AcceptNothing) {
            unsafe { context.write(socket.cast()) };
            unsafe { table.write(&raw const CONNECTION.0) };
        }
        if is(Mode::RefuseTold) {
            return STATUS_REQUEST_NOT_ACCEPTED;
        }
        STATUS_SUCCESS
    }
}

/// The tag of what the client allocates.
pub const TAG: u32 = u32::from_le_bytes(*b"Test");

pub fn pool(octets: usize) -> PVOID {
    unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, octets, TAG) }
}

/// Pool with an MDL over it.
fn buffer(octets: u32) -> *mut MDL {
    let block = pool(octets as usize);
    let mdl = unsafe { IoAllocateMdl(block, octets, 0, 0, null()) };
    unsafe { MmBuildMdlForNonPagedPool(mdl) };
    mdl
}

/// More than a socket's buffers hold, so that the send stays in flight.
const LARGE: u32 = 16 << 20;

fn send(socket: *mut WSK_SOCKET, mdl: *mut MDL, octets: u32, irp: Irp) {
    let table: &WSK_PROVIDER_CONNECTION_DISPATCH = unsafe { &*(*socket).Dispatch.cast() };
    let mut data = WSK_BUF { Mdl: mdl, Offset: 0, Length: octets as usize };
    unsafe { table.WskSend.unwrap()(socket, &raw mut data, 0, irp.0) };
}

kernel_fn! {
    unsafe fn sends_again(_d: *mut DEVICE_OBJECT, _i: *mut IRP, _c: PVOID) -> NTSTATUS {
        send(SOCKET.load(Ordering::SeqCst), buffer(8), 8, Irp::ready(sends_again));
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

kernel_fn! {
    unsafe fn closes(_d: *mut DEVICE_OBJECT, _i: *mut IRP, _c: PVOID) -> NTSTATUS {
        let socket = SOCKET.load(Ordering::SeqCst);
        let table: &WSK_PROVIDER_CONNECTION_DISPATCH = unsafe { &*(*socket).Dispatch.cast() };
        unsafe { table.Basic.WskCloseSocket.unwrap()(socket, Irp::ready(completes).0) };
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

/// True when the mode is one of what is done while a send is in flight.
fn misuse_in_flight(socket: *mut WSK_SOCKET) -> bool {
    let irp = Irp::ready(completes);
    if is(Mode::SendInCompletion) {
        send(socket, buffer(8), 8, Irp::ready(sends_again));
    } else if is(Mode::CloseInCompletion) {
        send(socket, buffer(8), 8, Irp::ready(closes));
    } else if is(Mode::InitialiseInFlight) {
        send(socket, buffer(LARGE), LARGE, irp);
        irp.prepare(Some(completes));
    } else if is(Mode::FreeIrpInFlight) {
        let irp = Irp(pool(280).cast());
        irp.prepare(Some(completes));
        send(socket, buffer(LARGE), LARGE, irp);
        unsafe { ExFreePoolWithTag(irp.0.cast(), TAG) };
    } else if is(Mode::FreeInFlight) {
        let mdl = buffer(LARGE);
        send(socket, mdl, LARGE, irp);
        unsafe { ExFreePoolWithTag((*mdl).MappedSystemVa, TAG) };
    } else if is(Mode::FreeMdlInFlight) {
        let mdl = buffer(LARGE);
        send(socket, mdl, LARGE, irp);
        unsafe { IoFreeMdl(mdl) };
    } else {
        return false;
    }
    true
}

/// Where the last indication was.
static KEPT: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// The first octet of the first MDL.
fn first_octet(list: *mut WSK_DATA_INDICATION) -> *mut u8 {
    let mdl = unsafe { &*(*list).Buffer.Mdl };
    mdl.StartVa.wrapping_byte_add(mdl.ByteOffset as usize).cast()
}

kernel_fn! {
    unsafe fn receive_event(
        _context: PVOID, _flags: u32, list: *mut WSK_DATA_INDICATION, octets: usize,
        accepted: *mut usize,
    ) -> NTSTATUS {
        let socket = SOCKET.load(Ordering::SeqCst);
        let table: &WSK_PROVIDER_CONNECTION_DISPATCH = unsafe { &*(*socket).Dispatch.cast() };
        let (send, close) = (table.WskSend.unwrap(), table.Basic.WskCloseSocket.unwrap());
        let irp = Irp::ready(completes);
        if misuse_in_flight(socket) {
            return STATUS_SUCCESS;
        }
        if is(Mode::ReceiveCancelled) {
            return STATUS_CANCELLED;
        } else if is(Mode::ReceiveTooMuch) {
            unsafe { accepted.write(octets + 1) };
        } else if is(Mode::SendBeyond) {
            let mut data = WSK_BUF { Mdl: buffer(64), Offset: 0, Length: 65 };
            unsafe { send(socket, &raw mut data, 0, irp.0) };
        } else if is(Mode::IgnoreFailure) {
            self::send(socket, buffer(8), 8, irp);
        } else if is(Mode::ChangeInFlight) {
            let mdl = buffer(LARGE);
            let mut data = WSK_BUF { Mdl: mdl, Offset: 0, Length: LARGE as usize };
            unsafe { send(socket, &raw mut data, 0, irp.0) };
            let octets = unsafe { (*mdl).MappedSystemVa }.cast::<u8>();
            unsafe { octets.add(LARGE as usize - 1).write(1) };
            unsafe { close(socket, Irp::ready(completes).0) };
        } else if is(Mode::ReuseIrp) {
            let mut data = WSK_BUF { Mdl: buffer(LARGE), Offset: 0, Length: LARGE as usize };
            unsafe { send(socket, &raw mut data, 0, irp.0) };
            unsafe { send(socket, &raw mut data, 0, irp.0) };
        } else if is(Mode::AbortWithBuffer) {
            let mut data = WSK_BUF { Mdl: buffer(64), Offset: 0, Length: 64 };
            let disconnect = table.WskDisconnect.unwrap();
            unsafe { disconnect(socket, &raw mut data, WSK_FLAG_ABORTIVE, irp.0) };
        } else if is(Mode::CallAfterClose) {
            unsafe { close(socket, irp.0) };
            let mut data = WSK_BUF { Mdl: buffer(64), Offset: 0, Length: 64 };
            unsafe { send(socket, &raw mut data, 0, Irp::ready(completes).0) };
        } else if is(Mode::KeepIndication) {
            let kept = KEPT.swap(first_octet(list), Ordering::SeqCst);
            if !kept.is_null() {
                unsafe { kept.read_volatile() };
            }
        } else if is(Mode::ReadBehind) {
            unsafe { first_octet(list).add(octets + 64).read_volatile() };
        } else if is(Mode::ReleaseNothing) {
            unsafe { table.WskRelease.unwrap()(socket, list) };
        } else if is(Mode::WaitInCallback) {
            let mut event: KEVENT = unsafe { core::mem::zeroed() };
            unsafe { KeInitializeEvent(&raw mut event, 0, 0) };
            unsafe { KeWaitForSingleObject((&raw mut event).cast(), 0, 0, 0, null()) };
        }
        STATUS_SUCCESS
    }
}
