//! What the driver prints.
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};

/// Lines kept.
const LINES_MAX: usize = 1_000;

/// What a driver that is linked in writes instead of ETW's events begins with this.
const EVENT: &str = "event=";

/// The last lines of one kind.
struct Lines {
    lines: Mutex<VecDeque<String>>,
    to_stderr: AtomicBool,
}

impl Lines {
    const fn new() -> Lines {
        Lines { lines: Mutex::new(VecDeque::new()), to_stderr: AtomicBool::new(false) }
    }

    fn start(&self, to_stderr: bool) {
        self.to_stderr.store(to_stderr, Ordering::Relaxed);
        self.lines.lock().clear();
    }

    fn push(&self, line: String) {
        if self.to_stderr.load(Ordering::Relaxed) {
            eprint!("{line}");
        }
        let mut lines = self.lines.lock();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

static MESSAGES: Lines = Lines::new();
static EVENTS: Lines = Lines::new();

/// Forgets earlier lines; from now on messages and events go to stderr too, or not.
pub(crate) fn start(messages_to_stderr: bool, events_to_stderr: bool) {
    MESSAGES.start(messages_to_stderr);
    EVENTS.start(events_to_stderr);
}

/// The last messages, oldest first, each with its line end.
pub(crate) fn last(count: usize) -> Vec<String> {
    let lines = MESSAGES.lines.lock();
    lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
}

/// What the driver of the last host traced, oldest first: `event=NAME FIELD=VALUE ...` and the
/// line's end. The host may be gone.
pub fn events() -> Vec<String> {
    EVENTS.lines.lock().iter().cloned().collect()
}

/// Keeps an event: `event=NAME FIELD=VALUE ...` and the line's end.
pub(crate) fn event(line: String) {
    EVENTS.push(line);
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
    if line.starts_with(EVENT) {
        EVENTS.push(line);
    } else {
        MESSAGES.push(line);
    }
    0
}
