//! Registering with WSK and capturing its NPI; the client-level functions.
use std::sync::atomic::{AtomicU32, Ordering};

use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    DISPATCH_LEVEL, NTSTATUS, PVOID, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_NOINTERFACE, STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS,
};
use nt_sys::wsk::{
    AF_INET, AF_INET6, IPPROTO_TCP, MAKE_WSK_VERSION, NPI_WSK_INTERFACE_ID, SOCK_STREAM,
    WSK_CLIENT, WSK_CLIENT_LISTEN_DISPATCH, WSK_CLIENT_NPI, WSK_EVENT_ACCEPT,
    WSK_EVENT_CALLBACK_CONTROL, WSK_EVENT_DISCONNECT, WSK_EVENT_RECEIVE, WSK_FLAG_LISTEN_SOCKET,
    WSK_PROVIDER_DISPATCH, WSK_PROVIDER_NPI, WSK_REGISTRATION, WSK_SET_STATIC_EVENT_CALLBACKS,
};

use super::{complete, listener, slots};
use crate::host::state;
use crate::ledger::Register;
use crate::nt::irp;
use crate::processor::{self, require_irql};
use crate::sim::actor::{self, Wait};
use crate::sim::freedom::Freedom;
use crate::sim::{fault, world};
use crate::verifier::{Rule, Site, violation};

pub(crate) static REGISTRATIONS: Register = Register::new("WSK registrations");
pub(crate) static CAPTURES: Register = Register::new("WSK captures");

/// Static events that are on.
static STATIC_EVENTS: AtomicU32 = AtomicU32::new(0);
/// Sockets made since the start.
static SOCKETS_MADE: AtomicU32 = AtomicU32::new(0);

static PROVIDER: WSK_PROVIDER_DISPATCH_TABLE = WSK_PROVIDER_DISPATCH_TABLE(WSK_PROVIDER_DISPATCH {
    Version: MAKE_WSK_VERSION(1, 0),
    Reserved: 0,
    WskSocket: Some(wsk_socket),
    WskSocketConnect: core::ptr::null_mut(),
    WskControlClient: Some(control_client),
    WskGetAddressInfo: core::ptr::null_mut(),
    WskFreeAddressInfo: core::ptr::null_mut(),
    WskGetNameInfo: core::ptr::null_mut(),
});

#[allow(non_camel_case_types)]
struct WSK_PROVIDER_DISPATCH_TABLE(WSK_PROVIDER_DISPATCH);
// SAFETY: a constant table.
unsafe impl Sync for WSK_PROVIDER_DISPATCH_TABLE {}

pub(crate) fn static_events() -> u32 {
    STATIC_EVENTS.load(Ordering::Relaxed)
}

/// Registers.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskRegister(
    npi: *mut WSK_CLIENT_NPI,
    registration: *mut WSK_REGISTRATION,
) -> NTSTATUS {
    let export = "WskRegister";
    require_irql(export, 0);
    // SAFETY: the caller's.
    let dispatch = unsafe { (*npi).Dispatch };
    // SAFETY: the caller's.
    let dispatch = unsafe { &*dispatch };
    if dispatch.Reserved != 0 || !dispatch.WskClientEvent.is_null() {
        violation(Rule::Flags, export, "WSK_CLIENT_DISPATCH", "reserved fields are not zero", None);
    }
    if dispatch.Version != MAKE_WSK_VERSION(1, 0) {
        return STATUS_NOINTERFACE;
    }
    if fault::fails(export, Freedom::CallFailed) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if let Some(earlier) = REGISTRATIONS.add(registration.addr(), Site::here(export)) {
        violation(
            Rule::Pairing,
            export,
            format!("{registration:p}"),
            "registered twice",
            Some(earlier),
        );
    }
    STATUS_SUCCESS
}

/// Deregisters; a leak that would make it wait for ever is reported instead.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskDeregister(registration: *mut WSK_REGISTRATION) {
    let export = "WskDeregister";
    require_irql(export, 0);
    if processor::depth() > 0 {
        violation(Rule::WaitInCallback, export, "registration", processor::callback(), None);
    }
    if world::is_on() {
        // It returns when nothing of this client's is in WSK's hands.
        actor::pause(Wait::Quiet);
    }
    let object = format!("{registration:p}");
    if REGISTRATIONS.remove(registration.addr()).is_none() {
        violation(Rule::Pairing, export, object, "not registered", None);
    }
    if let Some((_, site)) = CAPTURES.inside(0, usize::MAX) {
        violation(
            Rule::DeregisterWithLeaks,
            export,
            object,
            "a capture is not released",
            Some(site),
        );
    }
    let (open, _) = slots::open();
    let listeners = listener::LISTENERS.len();
    if open + listeners > 0 {
        let detail = format!("{open} connection sockets and {listeners} listeners are open");
        let site = listener::LISTENERS.inside(0, usize::MAX).map(|(_, site)| site);
        violation(Rule::DeregisterWithLeaks, export, object, detail, site);
    }
}

/// Captures the provider.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskCaptureProviderNPI(
    registration: *mut WSK_REGISTRATION,
    wait_ms: u32,
    npi: *mut WSK_PROVIDER_NPI,
) -> NTSTATUS {
    let export = "WskCaptureProviderNPI";
    require_irql(export, if wait_ms == 0 { DISPATCH_LEVEL } else { 0 });
    if !REGISTRATIONS.contains(registration.addr()) {
        violation(Rule::Pairing, export, format!("{registration:p}"), "not registered", None);
    }
    if fault::fails(export, Freedom::CallFailed) {
        return STATUS_DEVICE_NOT_READY;
    }
    if let Some(earlier) = CAPTURES.add(registration.addr(), Site::here(export)) {
        // Allowed by WSK; this host keeps one per registration.
        violation(
            Rule::Pairing,
            export,
            format!("{registration:p}"),
            "captured twice",
            Some(earlier),
        );
    }
    let value = WSK_PROVIDER_NPI { Client: registration.cast(), Dispatch: &raw const PROVIDER.0 };
    // SAFETY: the caller's.
    unsafe { npi.write(value) };
    STATUS_SUCCESS
}

/// Releases the provider.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn WskReleaseProviderNPI(registration: *mut WSK_REGISTRATION) {
    let export = "WskReleaseProviderNPI";
    require_irql(export, DISPATCH_LEVEL);
    if CAPTURES.remove(registration.addr()).is_none() {
        violation(Rule::Pairing, export, format!("{registration:p}"), "not captured", None);
    }
}

fn check_client(export: &'static str, client: *mut WSK_CLIENT) {
    require_irql(export, DISPATCH_LEVEL);
    if !CAPTURES.contains(client.addr()) {
        violation(Rule::Pairing, export, format!("{client:p}"), "the NPI is not captured", None);
    }
}

kernel_fn! {
    unsafe fn control_client(
        client: *mut WSK_CLIENT, code: u32, in_octets: usize, input: PVOID, out_octets: usize,
        _output: PVOID, _returned: *mut usize, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskControlClient";
        check_client(export, client);
        let known = code == WSK_SET_STATIC_EVENT_CALLBACKS && in_octets == 16 && out_octets == 0;
        if !known || !irp.is_null() {
            violation(Rule::Flags, export, format!("code {code}"), "unknown, or with an IRP", None);
        }
        if state().irp_only {
            return STATUS_NOT_IMPLEMENTED;
        }
        if fault::fails(export, Freedom::CallFailed) {
            return STATUS_NOT_SUPPORTED;
        }
        if SOCKETS_MADE.load(Ordering::Relaxed) > 0 {
            violation(Rule::StaticEventsLate, export, "static events", "a socket exists", None);
        }
        // SAFETY: the size says that it is this structure.
        let control = unsafe { &*input.cast::<WSK_EVENT_CALLBACK_CONTROL>() };
        // SAFETY: the caller's.
        let id = unsafe { *control.NpiId };
        let known = WSK_EVENT_ACCEPT | WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT;
        if id != NPI_WSK_INTERFACE_ID || control.EventMask & !known != 0 {
            violation(Rule::Flags, export, "static events", "interface or mask", None);
        }
        STATIC_EVENTS.fetch_or(control.EventMask, Ordering::Relaxed);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn wsk_socket(
        client: *mut WSK_CLIENT, family: u16, kind: u16, protocol: u32, flags: u32, context: PVOID,
        dispatch: *const core::ffi::c_void, _process: PVOID, _thread: PVOID, _security: PVOID,
        irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskSocket";
        check_client(export, client);
        irp::submit(export, irp);
        SOCKETS_MADE.fetch_add(1, Ordering::Relaxed);
        let known = matches!(family, AF_INET | AF_INET6)
            && kind == SOCK_STREAM
            && protocol == IPPROTO_TCP
            && flags == WSK_FLAG_LISTEN_SOCKET;
        if !known || dispatch.is_null() {
            // Only listening stream sockets exist here.
            return complete(0, export, irp, STATUS_INVALID_PARAMETER, 0);
        }
        if fault::fails(export, Freedom::CallFailed) {
            return complete(0, export, irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        }
        let table = dispatch.cast::<WSK_CLIENT_LISTEN_DISPATCH>();
        let socket = listener::create(family, context, table);
        complete(0, export, irp, STATUS_SUCCESS, socket.expose_provenance())
    }
}

pub(crate) fn reset() {
    REGISTRATIONS.clear();
    CAPTURES.clear();
    STATIC_EVENTS.store(0, Ordering::Relaxed);
    SOCKETS_MADE.store(0, Ordering::Relaxed);
}
