//! The end of the line for programmer errors; no octet from a peer may lead here.

/// Code of every bug check this driver raises: "WHTP" as ASCII, outside Microsoft's range.
const BUG_CHECK_CODE: u32 = u32::from_be_bytes(*b"WHTP");

/// Stops the machine. `what` is readable at its address in a dump; `detail` says which object.
///
/// Any IRQL.
pub fn bug_check(what: &'static str, detail: usize) -> ! {
    crate::log(format_args!("bug check: {what} ({detail:#x})"));
    // SAFETY: callable in any state; it does not return.
    unsafe { nt_sys::ke::KeBugCheckEx(BUG_CHECK_CODE, what.as_ptr().addr(), what.len(), detail, 0) }
}
