//! Each rule of the verifier, broken by a small client in a process of its own.
//!
//! The test executable runs itself with the name of a case; the case breaks one rule and the
//! process must end with the verifier's exit code and name that rule.
#![allow(clippy::undocumented_unsafe_blocks)] // breaking the rules is the point
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod client;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::Ordering;

use client::{Client, Irp, MODE, Mode, Registration};
use nt_sys::ex::{ExAllocatePool2, ExFreePoolWithTag, ExInitializeLookasideListEx};
use nt_sys::ex::{ExDeleteLookasideListEx, LOOKASIDE_LIST_EX, NonPagedPoolNx, POOL_FLAG_NON_PAGED};
use nt_sys::io::{IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl, IoInitializeIrp};
use nt_sys::ke::{
    KEVENT, KeAcquireSpinLockRaiseToDpc, KeBugCheckEx, KeInitializeEvent, KeReleaseSpinLock,
    KeSetEvent, KeWaitForSingleObject,
};
use nt_sys::mm::MmBuildMdlForNonPagedPool;
use nt_sys::wsk::{WskDeregister, WskReleaseProviderNPI};
use nt_sys::zw::ZwClose;
use nthost::{Host, Options};

const TAG: u32 = u32::from_le_bytes(*b"Test");
/// Names the case in the child's environment.
const CASE: &str = "NTHOST_RULE_CASE";

fn null<T>() -> *mut T {
    core::ptr::null_mut()
}

fn pool(octets: usize) -> *mut core::ffi::c_void {
    unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, octets, TAG) }
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

type Case = (&'static str, u32, fn());

const CASES: &[Case] = &[
    ("deregister_without_register", 1, || unsafe {
        WskDeregister(Box::leak(Box::new(client::registration())));
    }),
    ("release_without_capture", 1, || {
        let registration = Registration::new();
        unsafe { WskReleaseProviderNPI(registration.block) };
        unsafe { WskReleaseProviderNPI(registration.block) };
    }),
    ("deregister_while_captured", 2, || unsafe {
        WskDeregister(Registration::new().block);
    }),
    ("deregister_with_a_listener", 2, || {
        let client = Client::listen();
        unsafe { WskReleaseProviderNPI(client.registration.block) };
        unsafe { WskDeregister(client.registration.block) };
    }),
    ("static_events_after_a_socket", 3, || Client::listen().registration.enable_events()),
    ("option_after_bind", 4, || Client::listen().set_option()),
    ("completion_that_frees_nothing_and_says_success", 6, || {
        Client::listen().close_with(client::completes_with_success);
    }),
    ("irp_submitted_while_in_flight", 6, || drop(connected(Mode::ReuseIrp))),
    ("wait_in_a_callback", 7, || drop(connected(Mode::WaitInCallback))),
    ("accept_with_an_unknown_status", 9, || drop(connected(Mode::AcceptPending))),
    ("accept_without_a_context", 10, || drop(connected(Mode::AcceptNothing))),
    ("receive_with_an_unknown_status", 14, || drop(connected(Mode::ReceiveCancelled))),
    ("receive_of_more_than_was_indicated", 14, || drop(connected(Mode::ReceiveTooMuch))),
    ("send_beyond_its_mdls", 18, || drop(connected(Mode::SendBeyond))),
    ("buffer_changed_in_flight", 20, || drop(connected(Mode::ChangeInFlight))),
    ("abortive_disconnect_with_a_buffer", 23, || drop(connected(Mode::AbortWithBuffer))),
    ("call_after_close", 25, || drop(connected(Mode::CallAfterClose))),
    ("close_of_a_closed_listener", 25, || {
        let client = Client::listen();
        client.close_with(client::completes);
        client.close_with(client::completes);
    }),
    ("close_a_handle_at_dispatch_level", 101, || {
        let mut lock = 0;
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut lock) };
        unsafe { ZwClose(null()) };
    }),
    ("pool_without_a_tag", 102, || unsafe {
        ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 0);
    }),
    ("bind_with_flags", 102, || Client::bind_with_flags()),
    ("irp_without_a_routine", 103, || {
        let client = Client::listen();
        let irp = Irp::new();
        unsafe { IoInitializeIrp(irp.0, 280, 1) };
        client.close(irp);
    }),
    ("pool_freed_twice", 104, || {
        let block = pool(64);
        unsafe { ExFreePoolWithTag(block, TAG) };
        unsafe { ExFreePoolWithTag(block, TAG) };
    }),
    ("pool_freed_with_another_tag", 104, || unsafe { ExFreePoolWithTag(pool(64), TAG + 1) }),
    ("mdl_freed_twice", 105, || {
        let mdl = unsafe { IoAllocateMdl(pool(64), 64, 0, 0, null()) };
        unsafe { IoFreeMdl(mdl) };
        unsafe { IoFreeMdl(mdl) };
    }),
    ("partial_mdl_outside_its_source", 105, || {
        let block = pool(64);
        let source = unsafe { IoAllocateMdl(block, 64, 0, 0, null()) };
        let target = unsafe { IoAllocateMdl(block, 64, 0, 0, null()) };
        unsafe { MmBuildMdlForNonPagedPool(source) };
        unsafe { IoBuildPartialMdl(source, target, block.wrapping_byte_add(60), 8) };
    }),
    ("mdl_of_memory_that_is_not_pool", 105, || {
        let stack = [0_u8; 64];
        let address = stack.as_ptr().cast_mut().cast();
        let mdl = unsafe { IoAllocateMdl(address, 64, 0, 0, null()) };
        unsafe { MmBuildMdlForNonPagedPool(mdl) };
    }),
    ("spin_lock_acquired_twice", 106, || {
        let mut lock = 0;
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut lock) };
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut lock) };
    }),
    ("spin_lock_released_by_nobody", 106, || {
        let mut lock = 0;
        unsafe { KeReleaseSpinLock(&raw mut lock, 0) };
    }),
    ("event_not_initialised", 107, || {
        let mut event: KEVENT = unsafe { core::mem::zeroed() };
        unsafe { KeSetEvent(&raw mut event, 0, 0) };
    }),
    ("lookaside_list_deleted_twice", 107, || {
        let list: *mut LOOKASIDE_LIST_EX = pool(96).cast();
        unsafe {
            ExInitializeLookasideListEx(list, None, None, NonPagedPoolNx, 0, 64, TAG, 0);
        }
        unsafe { ExDeleteLookasideListEx(list) };
        unsafe { ExDeleteLookasideListEx(list) };
    }),
    ("handle_closed_that_was_never_open", 109, || unsafe {
        ZwClose(null());
    }),
    ("bug_check", 110, || unsafe { KeBugCheckEx(1, 2, 3, 4, 5) }),
    ("inspect_completed_for_nobody", 111, || Client::listen().inspect_complete()),
    ("wait_that_does_not_end", 112, || {
        let mut event: KEVENT = unsafe { core::mem::zeroed() };
        unsafe { KeInitializeEvent(&raw mut event, 0, 0) };
        wait(&mut event);
    }),
];

/// In the parent it does nothing; in a child it runs the case.
#[test]
fn child() {
    let Ok(name) = std::env::var(CASE) else { return };
    let (_, _, case) = CASES.iter().find(|(case, _, _)| *case == name).unwrap();
    let wait_max = std::time::Duration::from_secs(3);
    let options = Options { processors: 1, wait_max, ..Options::default() };
    let host = Host::start(options).unwrap();
    case();
    drop(host);
    println!("nothing was reported");
}

#[test]
fn every_rule_is_reported_by_its_number() {
    let me = std::env::current_exe().unwrap();
    let mut wrong = Vec::new();
    for (name, rule, _) in CASES {
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

/// Every rule that the verifier has is broken by a case, but for these.
#[test]
fn no_rule_is_without_a_case() {
    // 5: only the host completes IRPs of WSK; a driver cannot complete one twice through it.
    // 8: no listener of this transport dies by itself. 16: nothing is retained.
    // 108: needs a driver that sends in every completion; the bound is in `processor.rs`.
    const WITHOUT: [u32; 4] = [5, 8, 16, 108];
    let source = include_str!("../src/verifier.rs");
    let numbers = source.lines().filter_map(|line| {
        let (_, number) = line.trim().split_once(" = ")?;
        number.split_once(':')?.0.parse::<u32>().ok()
    });
    let without = numbers.filter(|number| CASES.iter().all(|(_, rule, _)| rule != number));
    assert_eq!(without.collect::<Vec<_>>(), WITHOUT);
}
