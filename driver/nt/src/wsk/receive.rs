//! Events of a connection, as the provider calls them.
use nt_sys::kernel_fn;
use nt_sys::ntdef::{NTSTATUS, PVOID, STATUS_DATA_NOT_ACCEPTED, STATUS_SUCCESS};
use nt_sys::wsk::{WSK_CLIENT_CONNECTION_DISPATCH, WSK_DATA_INDICATION, WSK_FLAG_ABORTIVE};

use super::endpoint::{Endpoint, Events};
use super::{Arrival, Client};

/// The table that accepted sockets get.
pub(super) const fn connection_dispatch<C: Client>() -> WSK_CLIENT_CONNECTION_DISPATCH {
    WSK_CLIENT_CONNECTION_DISPATCH {
        WskReceiveEvent: Some(receive_event::<C>),
        WskDisconnectEvent: Some(disconnect_event::<C>),
        // Never enabled: a completion is back-pressure enough for small responses.
        WskSendBacklogEvent: None,
    }
}

kernel_fn! {
    unsafe fn receive_event<C: Client>(
        context: PVOID, _flags: u32, list: *mut WSK_DATA_INDICATION, octets: usize,
        accepted: *mut usize,
    ) -> NTSTATUS {
        // SAFETY: C3: the context of a socket is its slot, which outlives the socket.
        let endpoint = unsafe { &*context.cast::<Endpoint<C>>() };
        // SAFETY: valid until this callback returns.
        let Some(list) = (unsafe { list.as_ref() }) else {
            endpoint.post(Events::PEER_RESET);
            return STATUS_SUCCESS;
        };
        // SAFETY: as above; receive events of a socket are serial, so nobody else maps these MDLs.
        let arrival = unsafe { Arrival::new(list, octets) };
        match endpoint.receive(arrival) {
            Some(taken) if taken == octets => STATUS_SUCCESS,
            None | Some(0) => STATUS_DATA_NOT_ACCEPTED,
            Some(taken) => {
                // SAFETY: an out-parameter, writable for the call.
                unsafe { accepted.write(taken) };
                STATUS_SUCCESS
            }
        }
    }
}

kernel_fn! {
    unsafe fn disconnect_event<C: Client>(context: PVOID, flags: u32) -> NTSTATUS {
        let events = if flags & WSK_FLAG_ABORTIVE == 0 {
            Events::PEER_ENDED
        } else {
            Events::PEER_RESET
        };
        // SAFETY: C3, as above.
        unsafe { &*context.cast::<Endpoint<C>>() }.post(events);
        STATUS_SUCCESS
    }
}
