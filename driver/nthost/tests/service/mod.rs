//! A WSK client in the style of C: it logs every event, and does with connections what a test
//! says.
#![allow(unreachable_pub)]
#![allow(dead_code)] // each test executable uses a part
// A call through a table is a read of the table and the call.
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod events;
pub mod machine;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nt_sys::ex::{ExAllocatePool2, POOL_FLAG_NON_PAGED};
use nt_sys::io::{IRP, IRP_SIZE_ONE, IoAllocateMdl, IoInitializeIrp, IoSetCompletionRoutine};
use nt_sys::mm::{MDL, MmBuildMdlForNonPagedPool};
use nt_sys::ntdef::{NTSTATUS, PVOID, STATUS_SUCCESS};
use nt_sys::wsk::{
    AF_INET, AF_INET6, IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, MAKE_WSK_VERSION,
    NPI_WSK_INTERFACE_ID, SO_CONDITIONAL_ACCEPT, SOCK_STREAM, SOCKADDR, SOL_SOCKET, WSK_BUF,
    WSK_CLIENT_DISPATCH, WSK_CLIENT_NPI, WSK_EVENT_ACCEPT, WSK_EVENT_CALLBACK_CONTROL,
    WSK_EVENT_DISCONNECT, WSK_EVENT_RECEIVE, WSK_FLAG_ABORTIVE, WSK_FLAG_LISTEN_SOCKET,
    WSK_INSPECT_ID, WSK_NO_WAIT, WSK_PROVIDER_CONNECTION_DISPATCH, WSK_PROVIDER_LISTEN_DISPATCH,
    WSK_PROVIDER_NPI, WSK_REGISTRATION, WSK_SET_STATIC_EVENT_CALLBACKS, WSK_SOCKET,
    WskCaptureProviderNPI, WskDeregister, WskInspectAccept, WskInspectReject, WskRegister,
    WskReleaseProviderNPI, WskSetOption,
};

use events::{LISTEN, completed};

/// Longest wait of a test for an event.
const PATIENCE: Duration = Duration::from_secs(10);
const TAG: u32 = u32::from_le_bytes(*b"Echo");

/// What a service is told, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Inspected(WSK_INSPECT_ID),
    Aborted(WSK_INSPECT_ID),
    Accepted {
        remote: SocketAddr,
        id: Option<WSK_INSPECT_ID>,
    },
    /// An accept event without a socket.
    Lost,
    /// Indicated; what the script does about it is done.
    Received(Vec<u8>),
    Ended {
        abortive: bool,
    },
    /// A request completed.
    Done {
        what: &'static str,
        status: NTSTATUS,
        information: usize,
    },
}

/// A status, and how many octets were taken if that is said.
pub type Reaction = (NTSTATUS, Option<usize>);

type Receive = dyn Fn(&Connection, &[u8]) -> Reaction + Send + Sync;
type Inspect = dyn Fn(&'static Service, WSK_INSPECT_ID) -> i32 + Send + Sync;

/// What a service does.
pub struct Script {
    pub receive: Box<Receive>,
    /// Of a conditional listener.
    pub inspect: Option<Box<Inspect>>,
    /// New connections are taken.
    pub accept: bool,
    /// The IPv6 listener is for IPv4 too.
    pub dual: bool,
}

/// Sends everything back.
pub fn echo(connection: &Connection, octets: &[u8]) -> Reaction {
    connection.send(octets);
    (STATUS_SUCCESS, None)
}

impl Default for Script {
    fn default() -> Script {
        Script { receive: Box::new(echo), inspect: None, accept: true, dual: false }
    }
}

/// A registered client with its listeners and connections; never freed.
pub struct Service {
    script: Script,
    log: Mutex<Vec<Event>>,
    changed: Condvar,
    registration: *mut WSK_REGISTRATION,
    npi: WSK_PROVIDER_NPI,
    connections: Mutex<Vec<&'static Connection>>,
}
// SAFETY: the pointers are to WSK's objects, which any thread may use.
unsafe impl Send for Service {}
// SAFETY: as above.
unsafe impl Sync for Service {}

/// A connection socket; never freed.
pub struct Connection {
    service: &'static Service,
    socket: *mut WSK_SOCKET,
    /// Held in every call: none may be running when the socket is closed.
    call: Mutex<()>,
}
// SAFETY: the pointer is to WSK's object, which any thread may use.
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

/// A listening socket.
pub struct Listener {
    service: &'static Service,
    socket: *mut WSK_SOCKET,
}

/// An IRP with what its completion needs; freed there.
#[repr(C, align(16))]
struct Request {
    irp: [u8; IRP_SIZE_ONE as usize],
    service: &'static Service,
    what: &'static str,
    memory: Option<(*mut MDL, PVOID)>,
}

fn null<T>() -> *mut T {
    core::ptr::null_mut()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub fn start(script: Script) -> &'static Service {
        // SAFETY: plain data for which zero is valid; never freed.
        let registration: *mut WSK_REGISTRATION =
            Box::leak(Box::new(unsafe { core::mem::zeroed() }));
        let version = MAKE_WSK_VERSION(1, 0);
        let dispatch =
            WSK_CLIENT_DISPATCH { Version: version, Reserved: 0, WskClientEvent: null() };
        let dispatch: *const WSK_CLIENT_DISPATCH = Box::leak(Box::new(dispatch));
        let mut client = WSK_CLIENT_NPI { ClientContext: null(), Dispatch: dispatch };
        let mut npi = WSK_PROVIDER_NPI { Client: null(), Dispatch: core::ptr::null() };
        // SAFETY: block and dispatch stay.
        assert_eq!(unsafe { WskRegister(&raw mut client, registration) }, STATUS_SUCCESS);
        // SAFETY: registered just now.
        let captured = unsafe { WskCaptureProviderNPI(registration, WSK_NO_WAIT, &raw mut npi) };
        assert_eq!(captured, STATUS_SUCCESS);
        let service = Box::leak(Box::new(Service {
            script,
            log: Mutex::default(),
            changed: Condvar::new(),
            registration,
            npi,
            connections: Mutex::default(),
        }));
        let mut control = WSK_EVENT_CALLBACK_CONTROL {
            NpiId: &raw const NPI_WSK_INTERFACE_ID,
            EventMask: WSK_EVENT_ACCEPT | WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT,
        };
        let (input, code) = ((&raw mut control).cast(), WSK_SET_STATIC_EVENT_CALLBACKS);
        // SAFETY: the provider's table; static events take no IRP.
        let enabled = unsafe {
            let set = (*service.npi.Dispatch).WskControlClient.unwrap();
            set(service.npi.Client, code, 16, input, 0, null(), null(), null())
        };
        assert_eq!(enabled, STATUS_SUCCESS);
        service
    }

    /// An IRP whose completion is logged.
    fn request(&'static self, what: &'static str, memory: Option<(*mut MDL, PVOID)>) -> *mut IRP {
        let irp = [0; IRP_SIZE_ONE as usize];
        let request = Box::into_raw(Box::new(Request { irp, service: self, what, memory }));
        let irp = request.cast::<IRP>();
        // SAFETY: the IRP is the first field, of the size said.
        unsafe { IoInitializeIrp(irp, IRP_SIZE_ONE, 1) };
        // SAFETY: initialised just now.
        unsafe { IoSetCompletionRoutine(irp, Some(completed), request.cast()) };
        irp
    }

    /// A new listening socket on `address`; the status of WskBind when it fails.
    pub fn listen(&'static self, address: SocketAddr) -> Result<Listener, NTSTATUS> {
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        let context = core::ptr::from_ref(self).cast_mut().cast();
        let from = self.len();
        // SAFETY: the provider's table; context and table stay.
        unsafe {
            let create = (*self.npi.Dispatch).WskSocket.unwrap();
            create(
                self.npi.Client,
                family,
                SOCK_STREAM,
                IPPROTO_TCP,
                WSK_FLAG_LISTEN_SOCKET,
                context,
                (&raw const LISTEN.0).cast(),
                null(),
                null(),
                null(),
                self.request("socket", None),
            );
        }
        let (status, socket) = self.outcome(from, "socket");
        assert_eq!(status, STATUS_SUCCESS);
        let socket = core::ptr::with_exposed_provenance_mut(socket);
        let listener = Listener { service: self, socket };
        if self.script.inspect.is_some() {
            listener.set(SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 1);
        }
        if self.script.dual {
            listener.set(IPPROTO_IPV6, IPV6_V6ONLY, 0);
        }
        let mut wanted = to_sockaddr(address);
        let from = self.len();
        // SAFETY: the address stays until completed, which is waited for.
        unsafe {
            let bind = listener.table().WskBind.unwrap();
            bind(socket, &raw mut wanted, 0, self.request("bind", None));
        }
        match self.outcome(from, "bind") {
            (STATUS_SUCCESS, _) => Ok(listener),
            (status, _) => {
                listener.close();
                Err(status)
            }
        }
    }

    /// A listening socket on a free port of 127.0.0.1, and its address.
    pub fn listen_locally(&'static self) -> (Listener, SocketAddr) {
        let listener = self.listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.address();
        (listener, address)
    }

    fn push(&self, event: Event) {
        lock(&self.log).push(event);
        self.changed.notify_all();
    }

    pub fn log(&self) -> Vec<Event> {
        lock(&self.log).clone()
    }

    pub fn len(&self) -> usize {
        lock(&self.log).len()
    }

    /// How many events are like this.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        lock(&self.log).iter().filter(|event| is(event)).count()
    }

    /// Waits for the first event from `from` on for which `find` finds something.
    pub fn wait_from<T>(&self, from: usize, find: impl Fn(&Event) -> Option<T>) -> T {
        let start = Instant::now();
        let mut log = lock(&self.log);
        loop {
            if let Some(found) = log.iter().skip(from).find_map(&find) {
                return found;
            }
            let left = PATIENCE.checked_sub(start.elapsed());
            let left = left.unwrap_or_else(|| panic!("it did not come; came: {log:?}"));
            log = self.changed.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn wait<T>(&self, find: impl Fn(&Event) -> Option<T>) -> T {
        self.wait_from(0, find)
    }

    /// Waits until there are so many events like this.
    pub fn wait_for_count(&self, count: usize, is: impl Fn(&Event) -> bool) {
        let start = Instant::now();
        while self.count(&is) < count {
            assert!(start.elapsed() < PATIENCE, "they did not come; came: {:?}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Status and information of the first request `name` that completed from `from` on.
    pub fn outcome(&self, from: usize, name: &str) -> (NTSTATUS, usize) {
        self.wait_from(from, |event| match event {
            Event::Done { what, status, information } if *what == name => {
                Some((*status, *information))
            }
            _ => None,
        })
    }

    /// Every connection that was accepted, in order.
    pub fn connections(&self) -> Vec<&'static Connection> {
        lock(&self.connections).clone()
    }

    /// The connection that was accepted last, once there is one.
    pub fn connection(&self) -> &'static Connection {
        self.wait(|event| matches!(event, Event::Accepted { .. }).then_some(()));
        self.connections().last().copied().unwrap()
    }

    /// Leaves WSK; every socket is closed.
    pub fn stop(&self) {
        // SAFETY: captured once.
        unsafe { WskReleaseProviderNPI(self.registration) };
        // SAFETY: registered once.
        unsafe { WskDeregister(self.registration) };
    }
}

impl Listener {
    fn table(&self) -> &WSK_PROVIDER_LISTEN_DISPATCH {
        // SAFETY: a listening socket has this table.
        unsafe { &*(*self.socket).Dispatch.cast() }
    }

    fn set(&self, level: u32, option: u32, mut value: u32) {
        let (service, from) = (self.service, self.service.len());
        let (input, irp) = ((&raw mut value).cast(), service.request("option", None));
        let set = self.table().Basic.WskControlSocket.unwrap();
        // SAFETY: the value stays until completed, which is waited for.
        unsafe {
            set(self.socket, WskSetOption, option, level, 4, input, 0, null(), null(), irp);
        }
        assert_eq!(service.outcome(from, "option").0, STATUS_SUCCESS);
    }

    pub fn address(&self) -> SocketAddr {
        let mut address = SOCKADDR::default();
        let from = self.service.len();
        let irp = self.service.request("address", None);
        // SAFETY: the address stays until completed, which is waited for.
        unsafe { self.table().WskGetLocalAddress.unwrap()(self.socket, &raw mut address, irp) };
        assert_eq!(self.service.outcome(from, "address").0, STATUS_SUCCESS);
        from_sockaddr(&address)
    }

    /// Decides on a pended request.
    pub fn complete(&self, id: WSK_INSPECT_ID, accept: bool) {
        complete(self.service, self.socket, id, accept);
    }

    /// Closes and waits for it.
    pub fn close(self) {
        let from = self.service.len();
        let irp = self.service.request("close", None);
        // SAFETY: closed once: `self` is gone.
        unsafe { self.table().Basic.WskCloseSocket.unwrap()(self.socket, irp) };
        assert_eq!(self.service.outcome(from, "close").0, STATUS_SUCCESS);
    }
}

/// WskInspectComplete.
fn complete(
    service: &'static Service,
    socket: *mut WSK_SOCKET,
    mut id: WSK_INSPECT_ID,
    accept: bool,
) {
    let action = if accept { WskInspectAccept } else { WskInspectReject };
    let irp = service.request("inspect", None);
    // SAFETY: a listening socket, which has this table; the ID is read in the call.
    unsafe {
        let table = (*socket).Dispatch.cast::<WSK_PROVIDER_LISTEN_DISPATCH>();
        (*table).WskInspectComplete.unwrap()(socket, &raw mut id, action, irp);
    }
}

/// The listener that a request came to, for a decision inside the callback.
pub fn complete_at_once(service: &'static Service, id: WSK_INSPECT_ID, accept: bool) {
    // This host's keys are the listeners.
    complete(service, core::ptr::with_exposed_provenance_mut(id.Key), id, accept);
}

impl Connection {
    fn table(&self) -> &WSK_PROVIDER_CONNECTION_DISPATCH {
        // SAFETY: a connection socket has this table.
        unsafe { &*(*self.socket).Dispatch.cast() }
    }

    /// Copies the octets to pool and sends them; "send" when done.
    pub fn send(&self, octets: &[u8]) {
        // SAFETY: pool of this size, freed with the MDL when the send completed.
        let (mdl, block) = unsafe {
            let block = ExAllocatePool2(POOL_FLAG_NON_PAGED, octets.len(), TAG);
            block.cast::<u8>().copy_from_nonoverlapping(octets.as_ptr(), octets.len());
            let length = u32::try_from(octets.len()).unwrap();
            let mdl = IoAllocateMdl(block, length, 0, 0, null());
            MmBuildMdlForNonPagedPool(mdl);
            (mdl, block)
        };
        let mut buffer = WSK_BUF { Mdl: mdl, Offset: 0, Length: octets.len() };
        let irp = self.service.request("send", Some((mdl, block)));
        let _call = lock(&self.call);
        // SAFETY: an open socket; the MDL stays until completed.
        unsafe { self.table().WskSend.unwrap()(self.socket, &raw mut buffer, 0, irp) };
    }

    /// Receive events go on; "restart" when done.
    pub fn restart(&self) {
        let mut buffer = WSK_BUF { Mdl: null(), Offset: 0, Length: 0 };
        let irp = self.service.request("restart", None);
        let _call = lock(&self.call);
        // SAFETY: an open socket.
        unsafe { self.table().WskReceive.unwrap()(self.socket, &raw mut buffer, 0, irp) };
    }

    /// Ends our side, or both; "disconnect" when done.
    pub fn disconnect(&self, abortive: bool) {
        let flags = if abortive { WSK_FLAG_ABORTIVE } else { 0 };
        let irp = self.service.request("disconnect", None);
        let _call = lock(&self.call);
        // SAFETY: an open socket.
        unsafe { self.table().WskDisconnect.unwrap()(self.socket, null(), flags, irp) };
    }

    /// Closes; "close" when done. Nothing is called on it afterwards.
    pub fn close(&self) {
        let irp = self.service.request("close", None);
        let _call = lock(&self.call);
        // SAFETY: the tests close once.
        unsafe { self.table().Basic.WskCloseSocket.unwrap()(self.socket, irp) };
    }

    /// Closes, and waits until that is done.
    pub fn close_and_wait(&self) {
        let from = self.service.len();
        self.close();
        assert_eq!(self.service.outcome(from, "close").0, STATUS_SUCCESS);
    }

    pub fn remote(&self) -> SocketAddr {
        let mut address = SOCKADDR::default();
        let from = self.service.len();
        let irp = self.service.request("address", None);
        let _call = lock(&self.call);
        // SAFETY: the address stays until completed, which is waited for.
        unsafe { self.table().WskGetRemoteAddress.unwrap()(self.socket, &raw mut address, irp) };
        assert_eq!(self.service.outcome(from, "address").0, STATUS_SUCCESS);
        from_sockaddr(&address)
    }
}

fn to_sockaddr(address: SocketAddr) -> SOCKADDR {
    let port = address.port().to_be();
    let sockaddr = SOCKADDR { sin6_port: port, ..SOCKADDR::default() };
    match address.ip() {
        IpAddr::V4(ip) => {
            let ip = u32::from_ne_bytes(ip.octets());
            SOCKADDR { sin6_family: AF_INET, sin6_flowinfo: ip, ..sockaddr }
        }
        IpAddr::V6(ip) => SOCKADDR { sin6_family: AF_INET6, sin6_addr: ip.octets(), ..sockaddr },
    }
}

fn from_sockaddr(sockaddr: &SOCKADDR) -> SocketAddr {
    let ip = if sockaddr.sin6_family == AF_INET6 {
        IpAddr::V6(Ipv6Addr::from(sockaddr.sin6_addr))
    } else {
        IpAddr::V4(Ipv4Addr::from(sockaddr.sin6_flowinfo.to_ne_bytes()))
    };
    SocketAddr::new(ip, u16::from_be(sockaddr.sin6_port))
}
