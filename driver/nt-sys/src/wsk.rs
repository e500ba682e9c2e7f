//! Winsock Kernel (`wsk.h`), version 1.0, and the Winsock constants it takes.
use crate::io::IRP;
use crate::ke::KSPIN_LOCK;
use crate::mm::MDL;
use crate::ntdef::{GUID, NTSTATUS, PVOID};

macro_rules! constants {
    ($t:ty: $($(#[$m:meta])* $name:ident = $value:expr),* $(,)?) => {
        $($(#[$m])* #[doc = concat!("`", stringify!($name), "` = ", stringify!($value), ".")]
        pub const $name: $t = $value;)*
    };
}

/// `MAKE_WSK_VERSION`.
pub const fn MAKE_WSK_VERSION(major: u8, minor: u8) -> u16 {
    u16::from_be_bytes([major, minor])
}

constants! { u32:
    WSK_NO_WAIT = 0,
    WSK_INFINITE_WAIT = 0xFFFF_FFFF,
    WSK_FLAG_LISTEN_SOCKET = 1,
    WSK_FLAG_ABORTIVE = 1,
    WSK_FLAG_RELEASE_ASAP = 2,
    WSK_FLAG_ENTIRE_MESSAGE = 4,
    WSK_FLAG_AT_DISPATCH_LEVEL = 8,
    WSK_FLAG_NODELAY = 2,
    WSK_FLAG_WAITALL = 2,
    WSK_FLAG_DRAIN = 4,
    WSK_EVENT_SEND_BACKLOG = 0x10,
    WSK_EVENT_RECEIVE = 0x40,
    WSK_EVENT_DISCONNECT = 0x80,
    WSK_EVENT_ACCEPT = 0x200,
    WSK_EVENT_DISABLE = 0x8000_0000,
    WSK_SET_STATIC_EVENT_CALLBACKS = 7,
    SO_WSK_EVENT_CALLBACK = 0x4002,
    SIO_WSK_QUERY_INSPECT_ID = 0x4F00_0005,
    SOL_SOCKET = 0xFFFF,
    SO_EXCLUSIVEADDRUSE = 0xFFFF_FFFB,
    SO_CONDITIONAL_ACCEPT = 0x3002,
    IPPROTO_TCP = 6,
    IPPROTO_IPV6 = 41,
    IPV6_V6ONLY = 27,
}
constants! { u16:
    AF_INET = 2,
    AF_INET6 = 23,
    SOCK_STREAM = 1,
}
constants! { i32:
    WskSetOption = 0,
    WskGetOption = 1,
    WskIoctl = 2,
    WskInspectReject = 0,
    WskInspectAccept = 1,
    WskInspectPend = 2,
}

/// `NPI_WSK_INTERFACE_ID`.
pub static NPI_WSK_INTERFACE_ID: GUID = GUID {
    Data1: 0x2227_E803,
    Data2: 0x8D8B,
    Data3: 0x11D4,
    Data4: [0xAB, 0xAD, 0x00, 0x90, 0x27, 0x71, 0x9E, 0x09],
};

/// `SOCKADDR_IN6`, the larger of the two address families used here.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SOCKADDR_IN6 {
    /// `AF_INET6`, or `AF_INET` when this is a `SOCKADDR_IN`.
    pub sin6_family: u16,
    /// Port, network order.
    pub sin6_port: u16,
    /// Flow label; the IPv4 address when this is a `SOCKADDR_IN`.
    pub sin6_flowinfo: u32,
    /// Address, network order.
    pub sin6_addr: [u8; 16],
    /// Scope.
    pub sin6_scope_id: u32,
}
layout!(SOCKADDR_IN6: 28, sin6_port @ 2, sin6_flowinfo @ 4, sin6_addr @ 8, sin6_scope_id @ 24);

/// A socket address of either family; look at `sin6_family` first.
pub type SOCKADDR = SOCKADDR_IN6;

/// `WSK_CLIENT_DISPATCH`.
#[repr(C)]
pub struct WSK_CLIENT_DISPATCH {
    /// Version wanted.
    pub Version: u16,
    /// Zero.
    pub Reserved: u16,
    /// Null.
    pub WskClientEvent: PVOID,
}
layout!(WSK_CLIENT_DISPATCH: 16, WskClientEvent @ 8);

/// `WSK_CLIENT_NPI`.
#[repr(C)]
pub struct WSK_CLIENT_NPI {
    /// The client's.
    pub ClientContext: PVOID,
    /// Resident until deregistered.
    pub Dispatch: *const WSK_CLIENT_DISPATCH,
}
layout!(WSK_CLIENT_NPI: 16);

/// `WSK_REGISTRATION`, opaque.
#[repr(C)]
pub struct WSK_REGISTRATION {
    /// WSK's.
    pub ReservedRegistrationState: u64,
    /// WSK's.
    pub ReservedRegistrationContext: PVOID,
    /// WSK's.
    pub ReservedRegistrationLock: KSPIN_LOCK,
}
layout!(WSK_REGISTRATION: 24);

/// `WSK_CLIENT`, opaque.
#[repr(C)]
pub struct WSK_CLIENT {
    _opaque: [u8; 0],
}

/// `WSK_PROVIDER_NPI`.
#[repr(C)]
pub struct WSK_PROVIDER_NPI {
    /// Handle of the attachment.
    pub Client: *mut WSK_CLIENT,
    /// WSK's functions.
    pub Dispatch: *const WSK_PROVIDER_DISPATCH,
}
layout!(WSK_PROVIDER_NPI: 16);

/// `WSK_SOCKET`: the first word of WSK's own object.
#[repr(C)]
pub struct WSK_SOCKET {
    /// Table of the socket's category.
    pub Dispatch: *const core::ffi::c_void,
}
layout!(WSK_SOCKET: 8);

/// `WSK_BUF`.
#[repr(C)]
pub struct WSK_BUF {
    /// Locked MDL chain.
    pub Mdl: *mut MDL,
    /// Octets to skip in the first MDL.
    pub Offset: u32,
    /// Octets of data.
    pub Length: usize,
}
layout!(WSK_BUF: 24, Offset @ 8, Length @ 16);

/// `WSK_DATA_INDICATION`.
#[repr(C)]
pub struct WSK_DATA_INDICATION {
    /// Next node.
    pub Next: *mut WSK_DATA_INDICATION,
    /// Data.
    pub Buffer: WSK_BUF,
}
layout!(WSK_DATA_INDICATION: 32, Buffer @ 8);

/// `WSK_INSPECT_ID`; compare field by field, the tail is padding.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WSK_INSPECT_ID {
    /// WSK's key.
    pub Key: usize,
    /// Distinguishes uses of one key.
    pub SerialNumber: u32,
}
layout!(WSK_INSPECT_ID: 16, SerialNumber @ 8);

/// `WSK_EVENT_CALLBACK_CONTROL`.
#[repr(C)]
pub struct WSK_EVENT_CALLBACK_CONTROL {
    /// `NPI_WSK_INTERFACE_ID`.
    pub NpiId: *const GUID,
    /// `WSK_EVENT_*`.
    pub EventMask: u32,
}
layout!(WSK_EVENT_CALLBACK_CONTROL: 16, EventMask @ 8);

/// `WskSocket`.
pub type PFN_WSK_SOCKET = crate::callback!((
    *mut WSK_CLIENT, u16, u16, u32, u32, PVOID, *const core::ffi::c_void, PVOID, PVOID, PVOID,
    *mut IRP) -> NTSTATUS);
/// `WskControlClient`.
pub type PFN_WSK_CONTROL_CLIENT = crate::callback!((
    *mut WSK_CLIENT, u32, usize, PVOID, usize, PVOID, *mut usize, *mut IRP) -> NTSTATUS);
/// `WskControlSocket`.
pub type PFN_WSK_CONTROL_SOCKET = crate::callback!((
    *mut WSK_SOCKET, i32, u32, u32, usize, PVOID, usize, PVOID, *mut usize, *mut IRP) -> NTSTATUS);
/// `WskCloseSocket`.
pub type PFN_WSK_CLOSE_SOCKET = crate::callback!((*mut WSK_SOCKET, *mut IRP) -> NTSTATUS);
/// `WskBind`.
pub type PFN_WSK_BIND =
    crate::callback!((*mut WSK_SOCKET, *mut SOCKADDR, u32, *mut IRP) -> NTSTATUS);
/// `WskAccept`.
pub type PFN_WSK_ACCEPT = crate::callback!((
    *mut WSK_SOCKET, u32, PVOID, *const WSK_CLIENT_CONNECTION_DISPATCH, *mut SOCKADDR,
    *mut SOCKADDR, *mut IRP) -> NTSTATUS);
/// `WskInspectComplete`.
pub type PFN_WSK_INSPECT_COMPLETE =
    crate::callback!((*mut WSK_SOCKET, *mut WSK_INSPECT_ID, i32, *mut IRP) -> NTSTATUS);
/// `WskGetLocalAddress`, `WskGetRemoteAddress`.
pub type PFN_WSK_GET_ADDRESS =
    crate::callback!((*mut WSK_SOCKET, *mut SOCKADDR, *mut IRP) -> NTSTATUS);
/// `WskSend`, `WskReceive`, `WskDisconnect`.
pub type PFN_WSK_TRANSFER =
    crate::callback!((*mut WSK_SOCKET, *mut WSK_BUF, u32, *mut IRP) -> NTSTATUS);
/// `WskRelease`.
pub type PFN_WSK_RELEASE =
    crate::callback!((*mut WSK_SOCKET, *mut WSK_DATA_INDICATION) -> NTSTATUS);

/// `WSK_PROVIDER_DISPATCH`.
#[repr(C)]
pub struct WSK_PROVIDER_DISPATCH {
    /// Version of the provider.
    pub Version: u16,
    /// Zero.
    pub Reserved: u16,
    /// Creates a socket.
    pub WskSocket: PFN_WSK_SOCKET,
    /// Not used.
    pub WskSocketConnect: PVOID,
    /// Client-level controls.
    pub WskControlClient: PFN_WSK_CONTROL_CLIENT,
    /// Not used.
    pub WskGetAddressInfo: PVOID,
    /// Not used.
    pub WskFreeAddressInfo: PVOID,
    /// Not used.
    pub WskGetNameInfo: PVOID,
}
layout!(WSK_PROVIDER_DISPATCH: 56, WskSocket @ 8, WskControlClient @ 24);

/// `WSK_PROVIDER_BASIC_DISPATCH`.
#[repr(C)]
pub struct WSK_PROVIDER_BASIC_DISPATCH {
    /// Options and controls.
    pub WskControlSocket: PFN_WSK_CONTROL_SOCKET,
    /// Closes; aborts unless both directions are already shut.
    pub WskCloseSocket: PFN_WSK_CLOSE_SOCKET,
}
layout!(WSK_PROVIDER_BASIC_DISPATCH: 16);

/// `WSK_PROVIDER_LISTEN_DISPATCH`.
#[repr(C)]
pub struct WSK_PROVIDER_LISTEN_DISPATCH {
    /// Common part.
    pub Basic: WSK_PROVIDER_BASIC_DISPATCH,
    /// Binds, and thereby listens.
    pub WskBind: PFN_WSK_BIND,
    /// Accepts by IRP.
    pub WskAccept: PFN_WSK_ACCEPT,
    /// Completes a pended inspection.
    pub WskInspectComplete: PFN_WSK_INSPECT_COMPLETE,
    /// Address bound to.
    pub WskGetLocalAddress: PFN_WSK_GET_ADDRESS,
}
layout!(WSK_PROVIDER_LISTEN_DISPATCH: 48, WskBind @ 16);

/// `WSK_PROVIDER_CONNECTION_DISPATCH`.
#[repr(C)]
pub struct WSK_PROVIDER_CONNECTION_DISPATCH {
    /// Common part.
    pub Basic: WSK_PROVIDER_BASIC_DISPATCH,
    /// Not used for accepted sockets.
    pub WskBind: PFN_WSK_BIND,
    /// Not used for accepted sockets.
    pub WskConnect: PVOID,
    /// Address of this end.
    pub WskGetLocalAddress: PFN_WSK_GET_ADDRESS,
    /// Address of the peer.
    pub WskGetRemoteAddress: PFN_WSK_GET_ADDRESS,
    /// Sends.
    pub WskSend: PFN_WSK_TRANSFER,
    /// Receives, or restarts receive events.
    pub WskReceive: PFN_WSK_TRANSFER,
    /// Ends sending (graceful) or everything (abortive).
    pub WskDisconnect: PFN_WSK_TRANSFER,
    /// Gives a retained indication back.
    pub WskRelease: PFN_WSK_RELEASE,
    /// Not used.
    pub WskConnectEx: PVOID,
}
layout!(WSK_PROVIDER_CONNECTION_DISPATCH: 88, WskSend @ 48, WskReceive @ 56, WskDisconnect @ 64,
    WskRelease @ 72);

/// `WskAcceptEvent`.
pub type PFN_WSK_ACCEPT_EVENT = crate::callback!((
    PVOID, u32, *mut SOCKADDR, *mut SOCKADDR, *mut WSK_SOCKET, *mut PVOID,
    *mut *const WSK_CLIENT_CONNECTION_DISPATCH) -> NTSTATUS);
/// `WskInspectEvent`.
pub type PFN_WSK_INSPECT_EVENT =
    crate::callback!((PVOID, *mut SOCKADDR, *mut SOCKADDR, *mut WSK_INSPECT_ID) -> i32);
/// `WskAbortEvent`.
pub type PFN_WSK_ABORT_EVENT = crate::callback!((PVOID, *mut WSK_INSPECT_ID) -> NTSTATUS);
/// `WskReceiveEvent`.
pub type PFN_WSK_RECEIVE_EVENT =
    crate::callback!((PVOID, u32, *mut WSK_DATA_INDICATION, usize, *mut usize) -> NTSTATUS);
/// `WskDisconnectEvent`.
pub type PFN_WSK_DISCONNECT_EVENT = crate::callback!((PVOID, u32) -> NTSTATUS);
/// `WskSendBacklogEvent`.
pub type PFN_WSK_SEND_BACKLOG_EVENT = crate::callback!((PVOID, usize) -> NTSTATUS);

/// `WSK_CLIENT_LISTEN_DISPATCH`.
#[repr(C)]
pub struct WSK_CLIENT_LISTEN_DISPATCH {
    /// A connection is established.
    pub WskAcceptEvent: PFN_WSK_ACCEPT_EVENT,
    /// A connection is requested.
    pub WskInspectEvent: PFN_WSK_INSPECT_EVENT,
    /// A requested connection is gone.
    pub WskAbortEvent: PFN_WSK_ABORT_EVENT,
}
layout!(WSK_CLIENT_LISTEN_DISPATCH: 24);

/// `WSK_CLIENT_CONNECTION_DISPATCH`.
#[repr(C)]
pub struct WSK_CLIENT_CONNECTION_DISPATCH {
    /// Data arrived.
    pub WskReceiveEvent: PFN_WSK_RECEIVE_EVENT,
    /// The peer ended its side, or everything.
    pub WskDisconnectEvent: PFN_WSK_DISCONNECT_EVENT,
    /// Ideal amount of unsent data.
    pub WskSendBacklogEvent: PFN_WSK_SEND_BACKLOG_EVENT,
}
layout!(WSK_CLIENT_CONNECTION_DISPATCH: 24);

import! { "netio.sys":
    /// IRQL PASSIVE. The registration and the dispatch stay where they are until deregistered.
    fn WskRegister(npi: *mut WSK_CLIENT_NPI, registration: *mut WSK_REGISTRATION) -> NTSTATUS;
    /// IRQL PASSIVE; blocks until every capture is released and every socket closed.
    fn WskDeregister(registration: *mut WSK_REGISTRATION);
    /// IRQL PASSIVE, or <= DISPATCH with `WSK_NO_WAIT`.
    fn WskCaptureProviderNPI(registration: *mut WSK_REGISTRATION, wait_ms: u32,
        npi: *mut WSK_PROVIDER_NPI) -> NTSTATUS;
    /// IRQL <= DISPATCH.
    fn WskReleaseProviderNPI(registration: *mut WSK_REGISTRATION);
}
