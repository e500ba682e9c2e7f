//! What a callback at DISPATCH_LEVEL costs, in virtual time: nothing else runs on its processor.
//!
//! The clock of a simulated machine does not move while the driver runs, so what the driver asks
//! for is added up: calls, at about what they cost a processor of today, and octets that it reads
//! or has others copy. A loop without any of these is not seen here, but by the alarm of
//! `interrupt`.
use crate::processor;
use crate::sim::world;

/// Nanoseconds of one callback at DISPATCH_LEVEL: no more than 100 microseconds, as the
/// documentation of DPCs has it ("Guidelines for Writing DPC Routines").
pub(crate) const BUDGET: u64 = 100_000;

/// Of one call.
fn of(export: &str) -> u64 {
    match export {
        "WskSend" => 3_000,
        "WskReceive" | "WskDisconnect" | "WskCloseSocket" | "WskInspectComplete" => 2_000,
        "ExAllocatePool2"
        | "ExAllocatePoolWithTag"
        | "ExFreePoolWithTag"
        | "MmMapLockedPagesSpecifyCache" => 300,
        _ => 25,
    }
}

/// The driver calls `export`.
pub(crate) fn call(export: &str) {
    processor::spend(of(export));
}

/// The driver reads so many octets: a nanosecond each.
pub(crate) fn read(octets: usize) {
    if world::is_on() {
        processor::spend(octets as u64);
    }
}
