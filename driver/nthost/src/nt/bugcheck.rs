//! The end of the machine.
use crate::verifier::{Rule, violation};

/// Ends the process with a report.
///
/// # Safety
/// None; it does not return.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeBugCheckEx(
    code: u32,
    p1: usize,
    p2: usize,
    p3: usize,
    p4: usize,
) -> ! {
    let detail = format!("parameters {p1:#x} {p2:#x} {p3:#x} {p4:#x}");
    violation(Rule::BugCheck, "KeBugCheckEx", format!("bug check {code:#010x}"), detail, None)
}
