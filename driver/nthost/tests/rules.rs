//! Each rule of the verifier, broken by a small client in a process of its own.
//!
//! The test executable runs itself with the name of a case; the case breaks one rule and the
//! process must end with the verifier's exit code and name that rule.
#![allow(clippy::undocumented_unsafe_blocks)] // breaking the rules is the point
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod client;
mod service;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::Ordering;

use client::{Client, Irp, MODE, Mode, Registration, TAG, pool};
use nt_sys::etw::{EVENT_DESCRIPTOR, EtwRegister, EtwUnregister, EtwWriteTransfer};
use nt_sys::ex::{ExAllocatePool2, ExFreePoolWithTag, ExInitializeLookasideListEx};
use nt_sys::ex::{ExDeleteLookasideListEx, LOOKASIDE_LIST_EX, NonPagedPoolNx, POOL_FLAG_NON_PAGED};
use nt_sys::io::{
    DEVICE_OBJECT, DRIVER_OBJECT, FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN,
    IO_ERR_CONFIGURATION_ERROR, IO_ERROR_LOG_PACKET, IRP, IRP_MJ_MAXIMUM_FUNCTION,
    IoAllocateErrorLogEntry, IoAllocateMdl, IoBuildPartialMdl, IoCreateDevice, IoFreeMdl,
    IoInitializeIrp, IoWriteErrorLogEntry,
};
use nt_sys::ke::{
    KDPC, KEVENT, KTIMER, KeAcquireSpinLockRaiseToDpc, KeBugCheckEx, KeInitializeDpc,
    KeInitializeEvent, KeInitializeTimer, KeReleaseSpinLock, KeSetEvent, KeSetTimerEx,
    KeWaitForSingleObject,
};
use nt_sys::kernel_fn;
use nt_sys::mm::MmBuildMdlForNonPagedPool;
use nt_sys::ntdef::{GUID, LARGE_INTEGER, NTSTATUS, STATUS_UNSUCCESSFUL, UNICODE_STRING};
use nt_sys::wsk::{
    WSK_INSPECT_ID, WskDeregister, WskInspectAccept, WskInspectPend, WskReleaseProviderNPI,
};
use nt_sys::zw::ZwClose;
use nthost::{Host, Options, sim};
use service::{Event, Script, Service};

/// Names the case in the child's environment.
const CASE: &str = "NTHOST_RULE_CASE";

fn null<T>() -> *mut T {
    core::ptr::null_mut()
}

fn wait(event: &mut KEVENT) {
    let event: *mut KEVENT = event;
    unsafe { KeWaitForSingleObject(event.cast(), 0, 0, 0, null()) };
}

/// A connection that the client accepted in `mode`; the peer has sent one octet.
fn connected(mode: Mode) -> (Client, TcpStream) {
    MODE.store(mode as u32, Ordering::SeqCst);
    let client = Client::listen();
    let mut peer = TcpStream::connect(client.address()).unwrap();
    peer.write_all(b"x").unwrap();
    client::wait_for_end();
    (client, peer)
}

/// A request that waits for a connection's decision.
fn pended(
    inspect: fn(&'static Service, WSK_INSPECT_ID) -> i32,
) -> (service::Listener, TcpStream, WSK_INSPECT_ID) {
    let script = Script { inspect: Some(Box::new(inspect)), ..Script::default() };
    let service = Service::start(script);
    let (listener, address) = service.listen_locally();
    let peer = TcpStream::connect(address).unwrap();
    let id = service.wait(|event| match event {
        Event::Inspected(id) => Some(*id),
        _ => None,
    });
    client::settle();
    (listener, peer, id)
}

/// An entry of the event log without text.
fn log_packet() -> IO_ERROR_LOG_PACKET {
    IO_ERROR_LOG_PACKET {
        MajorFunctionCode: 0,
        RetryCount: 0,
        DumpDataSize: 0,
        NumberOfStrings: 0,
        StringOffset: 48,
        EventCategory: 0,
        ErrorCode: IO_ERR_CONFIGURATION_ERROR,
        UniqueErrorValue: 0,
        FinalStatus: STATUS_UNSUCCESSFUL,
        SequenceNumber: 0,
        IoControlCode: 0,
        DeviceOffset: LARGE_INTEGER { QuadPart: 0 },
        DumpData: [0],
    }
}

kernel_fn! {
    unsafe fn device_entry(driver: *mut DRIVER_OBJECT, _path: *mut UNICODE_STRING) -> NTSTATUS {
        let units: Vec<u16> = r"\Device\Leaves".encode_utf16().collect();
        let octets = u16::try_from(units.len() * 2).unwrap();
        let name = units.leak().as_mut_ptr();
        let mut name = UNICODE_STRING { Length: octets, MaximumLength: octets, Buffer: name };
        let (kind, secure) = (FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN);
        unsafe { (*driver).MajorFunction = [Some(leave as _); IRP_MJ_MAXIMUM_FUNCTION + 1] };
        unsafe { IoCreateDevice(driver, 0, &raw mut name, kind, secure, 0, &mut null()) }
    }
}

kernel_fn! {
    unsafe fn leave(_device: *mut DEVICE_OBJECT, _irp: *mut IRP) -> NTSTATUS {
        0
    }
}

type Case = (&'static str, u32, fn(&mut Host));

const CASES: &[Case] = &[
    ("deregister_without_register", 1, |_| unsafe {
        WskDeregister(Box::leak(Box::new(client::registration())));
    }),
    ("release_without_capture", 1, |_| {
        let registration = Registration::new();
        unsafe { WskReleaseProviderNPI(registration.block) };
        unsafe { WskReleaseProviderNPI(registration.block) };
    }),
    ("deregister_while_captured", 2, |_| unsafe {
        WskDeregister(Registration::new().block);
    }),
    ("deregister_with_a_listener", 2, |_| {
        let client = Client::listen();
        unsafe { WskReleaseProviderNPI(client.registration.block) };
        unsafe { WskDeregister(client.registration.block) };
    }),
    ("request_that_a_dispatch_routine_leaves", 5, |host| {
        host.load("leaves", device_entry).unwrap();
        let _ = host.device_control(r"\Device\Leaves", 1, b"", 0);
    }),
    ("static_events_after_a_socket", 3, |_| Client::listen().registration.enable_events()),
    ("option_after_bind", 4, |_| Client::listen().set_option()),
    ("completion_that_frees_nothing_and_says_success", 6, |_| {
        Client::listen().close_with(client::completes_with_success);
    }),
    ("irp_submitted_while_in_flight", 6, |_| drop(connected(Mode::ReuseIrp))),
    ("irp_initialised_while_in_flight", 6, |_| drop(connected(Mode::InitialiseInFlight))),
    ("irp_freed_while_in_flight", 6, |_| drop(connected(Mode::FreeIrpInFlight))),
    ("wait_in_a_callback", 7, |_| drop(connected(Mode::WaitInCallback))),
    ("dead_listener_that_is_used", 8, |host| {
        let client = Client::listen();
        host.lose_listeners();
        client::settle();
        client.address();
    }),
    ("accept_with_an_unknown_status", 9, |_| drop(connected(Mode::AcceptPending))),
    ("accept_without_a_context", 10, |_| drop(connected(Mode::AcceptNothing))),
    ("receive_with_an_unknown_status", 14, |_| drop(connected(Mode::ReceiveCancelled))),
    ("receive_of_more_than_was_indicated", 14, |_| drop(connected(Mode::ReceiveTooMuch))),
    ("release_of_what_is_not_retained", 16, |_| drop(connected(Mode::ReleaseNothing))),
    ("send_beyond_its_mdls", 18, |_| drop(connected(Mode::SendBeyond))),
    ("buffer_changed_in_flight", 20, |_| drop(connected(Mode::ChangeInFlight))),
    ("buffer_freed_in_flight", 20, |_| drop(connected(Mode::FreeInFlight))),
    ("mdl_freed_in_flight", 20, |_| drop(connected(Mode::FreeMdlInFlight))),
    ("abortive_disconnect_with_a_buffer", 23, |_| drop(connected(Mode::AbortWithBuffer))),
    ("call_after_close", 25, |_| drop(connected(Mode::CallAfterClose))),
    ("close_during_a_call", 25, |_| drop(connected(Mode::CloseInCompletion))),
    ("close_of_a_closed_listener", 25, |_| {
        let client = Client::listen();
        client.close_with(client::completes);
        client.close_with(client::completes);
    }),
    ("close_a_handle_at_dispatch_level", 101, |_| {
        let mut lock = 0;
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut lock) };
        unsafe { ZwClose(null()) };
    }),
    ("pool_without_a_tag", 102, |_| unsafe {
        ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 0);
    }),
    ("bind_with_flags", 102, |_| Client::bind_with_flags()),
    ("bind_to_no_family", 102, |_| Client::bind_to_no_family()),
    ("irp_without_a_routine", 103, |_| {
        let client = Client::listen();
        let irp = Irp::new();
        unsafe { IoInitializeIrp(irp.0, 280, 1) };
        client.close(irp);
    }),
    ("pool_freed_twice", 104, |_| {
        let block = pool(64);
        unsafe { ExFreePoolWithTag(block, TAG) };
        unsafe { ExFreePoolWithTag(block, TAG) };
    }),
    ("pool_freed_with_another_tag", 104, |_| unsafe { ExFreePoolWithTag(pool(64), TAG + 1) }),
    ("mdl_freed_twice", 105, |_| {
        let mdl = unsafe { IoAllocateMdl(pool(64), 64, 0, 0, null()) };
        unsafe { IoFreeMdl(mdl) };
        unsafe { IoFreeMdl(mdl) };
    }),
    ("partial_mdl_outside_its_source", 105, |_| {
        let block = pool(64);
        let source = unsafe { IoAllocateMdl(block, 64, 0, 0, null()) };
        let target = unsafe { IoAllocateMdl(block, 64, 0, 0, null()) };
        unsafe { MmBuildMdlForNonPagedPool(source) };
        unsafe { IoBuildPartialMdl(source, target, block.wrapping_byte_add(60), 8) };
    }),
    ("mdl_of_memory_that_is_not_pool", 105, |_| {
        let stack = [0_u8; 64];
        let address = stack.as_ptr().cast_mut().cast();
        let mdl = unsafe { IoAllocateMdl(address, 64, 0, 0, null()) };
        unsafe { MmBuildMdlForNonPagedPool(mdl) };
    }),
    ("spin_lock_acquired_twice", 106, |_| {
        let mut lock = 0;
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut lock) };
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut lock) };
    }),
    ("spin_lock_released_by_nobody", 106, |_| {
        let mut lock = 0;
        unsafe { KeReleaseSpinLock(&raw mut lock, 0) };
    }),
    ("locks_in_two_orders", 114, |_| {
        let (mut one, mut two) = (0, 0);
        acquire(&mut [&mut one, &mut two]);
        acquire(&mut [&mut two, &mut one]);
    }),
    ("locks_in_a_circle", 114, |_| {
        let (mut one, mut two, mut three) = (0, 0, 0);
        acquire(&mut [&mut one, &mut two]);
        acquire(&mut [&mut two, &mut three]);
        acquire(&mut [&mut three, &mut one]);
    }),
    ("event_not_initialised", 107, |_| {
        let mut event: KEVENT = unsafe { core::mem::zeroed() };
        unsafe { KeSetEvent(&raw mut event, 0, 0) };
    }),
    ("lookaside_list_deleted_twice", 107, |_| {
        let list: *mut LOOKASIDE_LIST_EX = pool(96).cast();
        unsafe {
            ExInitializeLookasideListEx(list, None, None, NonPagedPoolNx, 0, 64, TAG, 0);
        }
        unsafe { ExDeleteLookasideListEx(list) };
        unsafe { ExDeleteLookasideListEx(list) };
    }),
    ("sends_in_completions_of_sends", 108, |_| drop(connected(Mode::SendInCompletion))),
    ("handle_closed_that_was_never_open", 109, |_| unsafe {
        ZwClose(null());
    }),
    ("trace_provider_unregistered_twice", 117, |_| {
        let mut handle = 0;
        unsafe {
            EtwRegister(
                &GUID { Data1: 1, Data2: 2, Data3: 3, Data4: [4; 8] },
                None,
                null(),
                &raw mut handle,
            )
        };
        unsafe { EtwUnregister(handle) };
        unsafe { EtwUnregister(handle) };
    }),
    ("event_of_nobody", 117, |_| {
        let event = EVENT_DESCRIPTOR {
            Id: 0,
            Version: 0,
            Channel: 11,
            Level: 4,
            Opcode: 0,
            Task: 0,
            Keyword: 0,
        };
        unsafe { EtwWriteTransfer(7, &raw const event, null(), null(), 0, null()) };
    }),
    ("event_log_entry_written_twice", 107, |_| {
        let entry = unsafe { IoAllocateErrorLogEntry(core::ptr::dangling_mut(), 64) };
        unsafe { entry.cast::<IO_ERROR_LOG_PACKET>().write(log_packet()) };
        unsafe { IoWriteErrorLogEntry(entry) };
        unsafe { IoWriteErrorLogEntry(entry) };
    }),
    ("event_log_entry_not_filled_in", 102, |_| {
        let entry = unsafe { IoAllocateErrorLogEntry(core::ptr::dangling_mut(), 64) };
        unsafe { IoWriteErrorLogEntry(entry) };
    }),
    ("bug_check", 110, |_| unsafe { KeBugCheckEx(1, 2, 3, 4, 5) }),
    ("inspect_completed_for_nobody", 111, |_| Client::listen().inspect_complete()),
    ("inspect_completed_twice", 111, |_| {
        let (listener, _peer, id) = pended(|_, _| WskInspectPend);
        listener.complete(id, true);
        listener.complete(id, true);
    }),
    ("inspect_completed_and_accepted_by_result", 111, |_| {
        pended(|service, id| {
            service::complete_at_once(service, id, true);
            WskInspectAccept
        });
        client::wait_for_end();
    }),
    ("wait_that_does_not_end", 112, |_| {
        let mut event: KEVENT = unsafe { core::mem::zeroed() };
        unsafe { KeInitializeEvent(&raw mut event, 0, 0) };
        wait(&mut event);
    }),
];

/// Acquires the locks one inside the other, and releases them.
fn acquire(locks: &mut [&mut usize]) {
    let irqls: Vec<_> =
        locks.iter_mut().map(|lock| unsafe { KeAcquireSpinLockRaiseToDpc(*lock) }).collect();
    for (lock, irql) in locks.iter_mut().zip(irqls).rev() {
        unsafe { KeReleaseSpinLock(*lock, irql) };
    }
}

/// Runs a DPC on a simulated machine.
fn run_dpc(routine: Routine) {
    sim::run(sim::Options::default(), &sim::nobody(), move || {
        let _host = Host::start(Options::default()).unwrap();
        set_timer(routine);
        sim::sleep(std::time::Duration::from_secs(1));
    });
}

/// Indicates octets to a client many times, on a machine that takes some of them away.
fn receive_on_machine(mode: Mode) {
    sim::run(sim::Options::default(), &sim::nobody(), move || {
        let _host = Host::start(Options::default()).unwrap();
        MODE.store(mode as u32, Ordering::SeqCst);
        let _client = Client::listen();
        let peer = sim::Peer::connect(([127, 0, 0, 1], 1_000).into());
        for _ in 0..100 {
            sim::sleep(std::time::Duration::from_secs(1));
            peer.write(b"x");
        }
    });
}

type Routine = unsafe extern "win64" fn(
    *mut KDPC,
    *mut core::ffi::c_void,
    *mut core::ffi::c_void,
    *mut core::ffi::c_void,
);

/// A DPC that is due.
fn set_timer(routine: Routine) {
    let timer: &'static mut KTIMER = Box::leak(Box::new(unsafe { core::mem::zeroed() }));
    let dpc: &'static mut KDPC = Box::leak(Box::new(unsafe { core::mem::zeroed() }));
    unsafe { KeInitializeTimer(timer) };
    unsafe { KeInitializeDpc(dpc, Some(routine), null()) };
    unsafe { KeSetTimerEx(timer, LARGE_INTEGER { QuadPart: 0 }, 0, dpc) };
}

/// Cases that need a simulated machine.
const SIMULATED: &[(&str, u32, fn())] = &[
    ("indication_kept", 116, || receive_on_machine(Mode::KeepIndication)),
    ("indication_read_behind_its_end", 116, || receive_on_machine(Mode::ReadBehind)),
    ("accept_refused_when_events_may_come", 9, || {
        // A seed that does so.
        let options = sim::Options { seed: 2, interruptions: true, ..sim::Options::default() };
        sim::run(options, &sim::nobody(), || {
            let _host = Host::start(Options::default()).unwrap();
            MODE.store(Mode::RefuseTold as u32, Ordering::SeqCst);
            let _client = Client::listen();
            for port in 1_000..1_400 {
                sim::Peer::connect(([127, 0, 0, 1], port).into());
                sim::sleep(std::time::Duration::from_millis(100));
            }
        });
    }),
    ("dpc_that_takes_long", 115, || run_dpc(allocating_dpc)),
    ("dpc_that_keeps_a_lock", 106, || run_dpc(locking_dpc)),
    ("code_left_running", 113, || {
        let options = sim::Options { processors: 2, ..sim::Options::default() };
        sim::run(options, &sim::nobody(), || {
            let mut host = Host::start(Options::default()).unwrap();
            host.load("left", leaves_code_running).unwrap_err();
        });
    }),
    ("failed_send_ignored", 13, || {
        let strike = sim::Strike { export: "WskSend".to_owned(), first: 0, times: 1 };
        let options = sim::Options { strike: Some(strike), ..sim::Options::default() };
        sim::run(options, &sim::nobody(), || {
            let _host = Host::start(Options::default()).unwrap();
            MODE.store(Mode::IgnoreFailure as u32, Ordering::SeqCst);
            let _client = Client::listen();
            let peer = sim::Peer::connect(([127, 0, 0, 1], 1_000).into());
            sim::sleep(std::time::Duration::from_secs(1));
            peer.write(b"x");
            sim::sleep(std::time::Duration::from_secs(10));
        });
    }),
];

kernel_fn! {
    /// A DPC that is over, but not soon: 400 calls of 300 ns each.
    unsafe fn allocating_dpc(
        _dpc: *mut KDPC, _context: *mut core::ffi::c_void, _a: *mut core::ffi::c_void,
        _b: *mut core::ffi::c_void,
    ) {
        for _ in 0..200 {
            unsafe { ExFreePoolWithTag(pool(64), TAG) };
        }
    }
}

kernel_fn! {
    /// A DPC that does not release what it acquires.
    unsafe fn locking_dpc(
        _dpc: *mut KDPC, _context: *mut core::ffi::c_void, _a: *mut core::ffi::c_void,
        _b: *mut core::ffi::c_void,
    ) {
        let lock: &'static mut usize = Box::leak(Box::new(0));
        unsafe { KeAcquireSpinLockRaiseToDpc(lock) };
    }
}

kernel_fn! {
    /// A DPC that takes a second.
    unsafe fn long_dpc(
        _dpc: *mut KDPC, _context: *mut core::ffi::c_void, _a: *mut core::ffi::c_void,
        _b: *mut core::ffi::c_void,
    ) {
        sim::sleep(std::time::Duration::from_secs(1));
    }
}

kernel_fn! {
    /// An entry that fails while its DPC runs.
    unsafe fn leaves_code_running(
        _object: *mut DRIVER_OBJECT, _path: *mut UNICODE_STRING,
    ) -> NTSTATUS {
        set_timer(long_dpc);
        sim::sleep(std::time::Duration::from_millis(500));
        STATUS_UNSUCCESSFUL
    }
}

/// In the parent it does nothing; in a child it runs the case.
#[test]
fn child() {
    let Ok(name) = std::env::var(CASE) else { return };
    if let Some((_, _, case)) = SIMULATED.iter().find(|(case, _, _)| *case == name) {
        case();
        println!("nothing was reported");
        return;
    }
    let (_, _, case) = CASES.iter().find(|(case, _, _)| *case == name).unwrap();
    let wait_max = std::time::Duration::from_secs(3);
    let options = Options { processors: 1, wait_max, ..Options::default() };
    let mut host = Host::start(options).unwrap();
    case(&mut host);
    // What is reported ends the process, perhaps a little later and elsewhere.
    client::wait_for_end();
    drop(host);
    println!("nothing was reported");
}

/// Names of all cases, with the rule that each breaks.
fn cases() -> impl Iterator<Item = (&'static str, u32)> {
    let simulated = SIMULATED.iter().map(|(name, rule, _)| (*name, *rule));
    CASES.iter().map(|(name, rule, _)| (*name, *rule)).chain(simulated)
}

#[test]
fn every_rule_is_reported_by_its_number() {
    let me = std::env::current_exe().unwrap();
    let mut wrong = Vec::new();
    for (name, rule) in cases() {
        let child = Command::new(&me)
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(CASE, name)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        let expected = format!("the driver broke rule {rule}: ");
        if child.status.code() != Some(86) || !said.contains(&expected) {
            wrong.push(format!("{name} ({rule}): {} {said}", child.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every rule that the verifier has is broken by a case.
#[test]
fn no_rule_is_without_a_case() {
    let source = include_str!("../src/verifier.rs");
    let numbers = source.lines().filter_map(|line| {
        let (_, number) = line.trim().split_once(" = ")?;
        number.split_once(':')?.0.parse::<u32>().ok()
    });
    let (mut rules, mut without) = (0, Vec::new());
    for number in numbers {
        rules += 1;
        if cases().all(|(_, rule)| rule != number) {
            without.push(number);
        }
    }
    assert!(rules > 20, "the source has another form: {rules} rules found");
    assert_eq!(without, []);
}
