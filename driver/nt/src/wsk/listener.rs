//! Events of the listening socket, as the provider calls them.
use nt_sys::kernel_fn;
use nt_sys::ntdef::{NT_SUCCESS, NTSTATUS, PVOID, STATUS_REQUEST_NOT_ACCEPTED, STATUS_SUCCESS};
use nt_sys::wsk::{
    SIO_WSK_QUERY_INSPECT_ID, SOCKADDR, WSK_CLIENT_CONNECTION_DISPATCH, WSK_CLIENT_LISTEN_DISPATCH,
    WSK_INSPECT_ID, WSK_PROVIDER_BASIC_DISPATCH, WSK_SOCKET, WskInspectAccept, WskInspectPend,
    WskInspectReject, WskIoctl,
};

use super::address::from_sockaddr;
use super::endpoint::Endpoint;
use super::provider::Provider;
use super::{Client, InspectId, Inspection};

/// The table of the listening socket.
pub(super) const fn listen_dispatch<C: Client>() -> WSK_CLIENT_LISTEN_DISPATCH {
    WSK_CLIENT_LISTEN_DISPATCH {
        WskAcceptEvent: Some(accept_event::<C>),
        WskInspectEvent: Some(inspect_event::<C>),
        WskAbortEvent: Some(abort_event::<C>),
    }
}

impl From<&WSK_INSPECT_ID> for InspectId {
    fn from(id: &WSK_INSPECT_ID) -> InspectId {
        InspectId { key: id.Key, serial: id.SerialNumber }
    }
}

/// # Safety
/// `context` was given with the listening socket: the provider, which closes the listener and
/// waits for its close before it is freed.
unsafe fn provider<'p, C: Client>(context: PVOID) -> &'p Provider<C> {
    // SAFETY: the caller's.
    unsafe { &*context.cast::<Provider<C>>() }
}

kernel_fn! {
    unsafe fn inspect_event<C: Client>(
        context: PVOID, _local: *mut SOCKADDR, remote: *mut SOCKADDR, id: *mut WSK_INSPECT_ID,
    ) -> i32 {
        // SAFETY: the context given with the listener.
        let provider = unsafe { provider::<C>(context) };
        // SAFETY: null or valid for the call.
        let Some(id) = (unsafe { id.as_ref() }) else {
            provider.worker.listener_lost();
            return WskInspectReject;
        };
        // SAFETY: valid for the call (C7).
        let remote = unsafe { from_sockaddr(remote) };
        let inspection = provider.client().inspect(&remote, id.into());
        provider.attend_if_wanted();
        match inspection {
            Inspection::Accept => WskInspectAccept,
            Inspection::Pend => WskInspectPend,
            Inspection::Reject => WskInspectReject,
        }
    }
}

kernel_fn! {
    unsafe fn abort_event<C: Client>(context: PVOID, id: *mut WSK_INSPECT_ID) -> NTSTATUS {
        // SAFETY: the context given with the listener.
        let provider = unsafe { provider::<C>(context) };
        // SAFETY: null or valid for the call.
        if let Some(id) = unsafe { id.as_ref() } {
            provider.client().abort(id.into());
            provider.attend_if_wanted();
        }
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn accept_event<C: Client>(
        context: PVOID, _flags: u32, _local: *mut SOCKADDR, remote: *mut SOCKADDR,
        socket: *mut WSK_SOCKET, socket_context: *mut PVOID,
        dispatch: *mut *const WSK_CLIENT_CONNECTION_DISPATCH,
    ) -> NTSTATUS {
        // SAFETY: the context given with the listener.
        let provider = unsafe { provider::<C>(context) };
        if socket.is_null() {
            provider.worker.listener_lost();
            return STATUS_REQUEST_NOT_ACCEPTED;
        }
        // SAFETY: valid for the call (C7).
        let remote = unsafe { from_sockaddr(remote) };
        let id = if provider.is_conditional() {
            // SAFETY: a connection socket, ours for the call.
            unsafe { query_inspect_id(socket) }
        } else {
            None
        };
        let Some(endpoint) = provider.take_slot() else {
            provider.client().crowded(&remote, id);
            provider.attend_if_wanted();
            return STATUS_REQUEST_NOT_ACCEPTED;
        };
        let accepted = provider.client().accept(&remote, id, endpoint.seat());
        provider.attend_if_wanted();
        let Some(state) = accepted else {
            provider.connection_gone(endpoint.index, None);
            return STATUS_REQUEST_NOT_ACCEPTED;
        };
        // From here on events may come on other processors: the slot is complete before the
        // out-parameters say so, and is not touched afterwards.
        endpoint.occupy(socket, state, None);
        let endpoint: *const Endpoint<C> = endpoint;
        // SAFETY: an out-parameter, writable for the call.
        unsafe { socket_context.write(endpoint.cast_mut().cast()) };
        // SAFETY: as above; the table lives as long as the provider.
        unsafe { dispatch.write(provider.connection_dispatch()) };
        STATUS_SUCCESS
    }
}

/// Which inspected request became this connection.
///
/// # Safety
/// `socket` is a connection socket that stays for the call.
unsafe fn query_inspect_id(socket: *mut WSK_SOCKET) -> Option<InspectId> {
    // SAFETY: the caller's; every table begins with the basic one (C6).
    let table = unsafe { (*socket).Dispatch };
    // SAFETY: as above; the table lives as long as the socket.
    let table = unsafe { &*table.cast::<WSK_PROVIDER_BASIC_DISPATCH>() };
    let control = table.WskControlSocket?;
    let mut id = WSK_INSPECT_ID { Key: 0, SerialNumber: 0 };
    let mut returned = 0;
    // SAFETY: this ioctl takes no IRP and answers at once into a buffer of the size said.
    let status = unsafe {
        control(
            socket,
            WskIoctl,
            SIO_WSK_QUERY_INSPECT_ID,
            0,
            0,
            core::ptr::null_mut(),
            size_of::<WSK_INSPECT_ID>(),
            (&raw mut id).cast(),
            &raw mut returned,
            core::ptr::null_mut(),
        )
    };
    NT_SUCCESS(status).then(|| InspectId::from(&id))
}
