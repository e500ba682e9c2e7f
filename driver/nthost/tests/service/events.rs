//! The callbacks: each logs, and does what the script says.
use nt_sys::ex::ExFreePoolWithTag;
use nt_sys::io::{DEVICE_OBJECT, IRP, IoFreeMdl, irp_outcome};
use nt_sys::kernel_fn;
use nt_sys::mm::MmGetSystemAddressForMdlSafe;
use nt_sys::ntdef::{
    NTSTATUS, PVOID, STATUS_MORE_PROCESSING_REQUIRED, STATUS_REQUEST_NOT_ACCEPTED, STATUS_SUCCESS,
};
use nt_sys::wsk::{
    SIO_WSK_QUERY_INSPECT_ID, SOCKADDR, WSK_CLIENT_CONNECTION_DISPATCH, WSK_CLIENT_LISTEN_DISPATCH,
    WSK_DATA_INDICATION, WSK_FLAG_ABORTIVE, WSK_INSPECT_ID, WSK_PROVIDER_BASIC_DISPATCH,
    WSK_SOCKET, WskIoctl,
};

use super::{Connection, Event, Request, Service, TAG, from_sockaddr, lock, null};

pub(super) struct Listen(pub(super) WSK_CLIENT_LISTEN_DISPATCH);
// SAFETY: a constant table.
unsafe impl Sync for Listen {}
pub(super) static LISTEN: Listen = Listen(WSK_CLIENT_LISTEN_DISPATCH {
    WskAcceptEvent: Some(accept_event),
    WskInspectEvent: Some(inspect_event),
    WskAbortEvent: Some(abort_event),
});

struct Connect(WSK_CLIENT_CONNECTION_DISPATCH);
// SAFETY: a constant table.
unsafe impl Sync for Connect {}
static CONNECT: Connect = Connect(WSK_CLIENT_CONNECTION_DISPATCH {
    WskReceiveEvent: Some(receive_event),
    WskDisconnectEvent: Some(disconnect_event),
    WskSendBacklogEvent: None,
});

fn service(context: PVOID) -> &'static Service {
    // SAFETY: the context of every listener, never freed.
    unsafe { &*context.cast::<Service>() }
}

fn connection(context: PVOID) -> &'static Connection {
    // SAFETY: the context of every connection, never freed.
    unsafe { &*context.cast::<Connection>() }
}

kernel_fn! {
    pub(super) unsafe fn completed(
        _device: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: completed, and not reused.
        let (status, information) = unsafe { irp_outcome(irp) };
        // SAFETY: the box that the IRP is part of; completed once.
        let request = unsafe { Box::from_raw(context.cast::<Request>()) };
        if let Some((mdl, block)) = request.memory {
            // SAFETY: the send is over.
            unsafe { IoFreeMdl(mdl) };
            // SAFETY: as above.
            unsafe { ExFreePoolWithTag(block, TAG) };
        }
        request.service.push(Event::Done { what: request.what, status, information });
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

kernel_fn! {
    unsafe fn inspect_event(
        context: PVOID, _local: *mut SOCKADDR, _remote: *mut SOCKADDR, id: *mut WSK_INSPECT_ID,
    ) -> i32 {
        let service = service(context);
        // SAFETY: valid for the call.
        let id = unsafe { *id };
        service.push(Event::Inspected(id));
        service.script.inspect.as_ref().unwrap()(service, id)
    }
}

kernel_fn! {
    unsafe fn abort_event(context: PVOID, id: *mut WSK_INSPECT_ID) -> NTSTATUS {
        // SAFETY: valid for the call.
        service(context).push(Event::Aborted(unsafe { *id }));
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn accept_event(
        context: PVOID, _flags: u32, _local: *mut SOCKADDR, remote: *mut SOCKADDR,
        socket: *mut WSK_SOCKET, socket_context: *mut PVOID,
        table: *mut *const WSK_CLIENT_CONNECTION_DISPATCH,
    ) -> NTSTATUS {
        let service = service(context);
        if socket.is_null() {
            service.push(Event::Lost);
            return STATUS_REQUEST_NOT_ACCEPTED;
        }
        if !service.script.accept {
            return STATUS_REQUEST_NOT_ACCEPTED;
        }
        let mut id = WSK_INSPECT_ID { Key: 0, SerialNumber: 0 };
        let (output, mut returned) = ((&raw mut id).cast(), 0_usize);
        let code = SIO_WSK_QUERY_INSPECT_ID;
        // SAFETY: a connection socket; this ioctl takes no IRP and answers at once.
        let status = unsafe {
            let table = (*socket).Dispatch.cast::<WSK_PROVIDER_BASIC_DISPATCH>();
            let control = (*table).WskControlSocket.unwrap();
            control(socket, WskIoctl, code, 0, 0, null(), 16, output, &raw mut returned, null())
        };
        let id = (status == STATUS_SUCCESS && returned == 16).then_some(id);
        let connection: &'static Connection =
            Box::leak(Box::new(Connection { service, socket, call: std::sync::Mutex::default() }));
        lock(&service.connections).push(connection);
        // SAFETY: valid for the call.
        let remote = from_sockaddr(unsafe { &*remote });
        service.push(Event::Accepted { remote, id });
        // SAFETY: writable for the call.
        unsafe { socket_context.write(core::ptr::from_ref(connection).cast_mut().cast()) };
        // SAFETY: as above; the table stays.
        unsafe { table.write(&raw const CONNECT.0) };
        STATUS_SUCCESS
    }
}

/// The octets of an indication.
fn octets(mut node: *const WSK_DATA_INDICATION) -> Vec<u8> {
    let mut octets = Vec::new();
    while !node.is_null() {
        // SAFETY: valid for the call that indicates it.
        let WSK_DATA_INDICATION { Next, Buffer } = unsafe { &*node };
        let (mut mdl, mut skip, mut left) = (Buffer.Mdl, Buffer.Offset as usize, Buffer.Length);
        while left > 0 {
            // SAFETY: as above; the octets lie inside the chain.
            let (base, count) =
                unsafe { (MmGetSystemAddressForMdlSafe(mdl, 0), (*mdl).ByteCount as usize) };
            let taken = left.min(count - skip);
            let part = base.wrapping_byte_add(skip).cast::<u8>();
            // SAFETY: as above.
            octets.extend_from_slice(unsafe { core::slice::from_raw_parts(part, taken) });
            left -= taken;
            skip = 0;
            // SAFETY: as above.
            mdl = unsafe { (*mdl).Next };
        }
        node = *Next;
    }
    octets
}

kernel_fn! {
    unsafe fn receive_event(
        context: PVOID, _flags: u32, list: *mut WSK_DATA_INDICATION, indicated: usize,
        accepted: *mut usize,
    ) -> NTSTATUS {
        let connection = connection(context);
        let octets = octets(list);
        assert_eq!(octets.len(), indicated);
        let (status, taken) = (connection.service.script.receive)(connection, &octets);
        connection.service.push(Event::Received(octets));
        if let Some(taken) = taken {
            // SAFETY: writable for the call.
            unsafe { accepted.write(taken) };
        }
        status
    }
}

kernel_fn! {
    unsafe fn disconnect_event(context: PVOID, flags: u32) -> NTSTATUS {
        let abortive = flags & WSK_FLAG_ABORTIVE != 0;
        connection(context).service.push(Event::Ended { abortive });
        STATUS_SUCCESS
    }
}
