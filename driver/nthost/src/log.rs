//! What the driver prints.
use std::ffi::{CStr, c_char};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lines kept.
const LINES_MAX: usize = 1_000;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static TO_STDERR: AtomicBool = AtomicBool::new(false);

/// Forgets earlier lines; from now on lines go to stderr too, or not.
pub(crate) fn start(to_stderr: bool) {
    TO_STDERR.store(to_stderr, Ordering::Relaxed);
    LINES.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
}

/// The last lines, oldest first, each with its line end.
pub(crate) fn last(count: usize) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    lines[lines.len().saturating_sub(count)..].to_vec()
}

/// `DbgPrint` of exactly one string.
///
/// # Safety
/// `format` and `argument` are terminated strings.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn DbgPrint(format: *const c_char, argument: *const c_char) -> u32 {
    crate::sim::actor::simple_export_called();
    // SAFETY: the caller's.
    let format = unsafe { CStr::from_ptr(format) };
    let line = if format == c"%s" {
        // SAFETY: the caller's.
        unsafe { CStr::from_ptr(argument) }.to_string_lossy().into_owned()
    } else {
        format.to_string_lossy().into_owned()
    };
    if TO_STDERR.load(Ordering::Relaxed) {
        eprint!("{line}");
    }
    let mut lines = LINES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if lines.len() == LINES_MAX {
        lines.remove(0);
    }
    lines.push(line);
    0
}
