//! Messages for a kernel debugger.
use core::fmt::{self, Write};

/// Octets of one message with its terminator; longer ones are cut.
const MESSAGE_BYTES_MAX: usize = 256;

struct Message {
    octets: [u8; MESSAGE_BYTES_MAX],
    used: usize,
}

impl Write for Message {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = MESSAGE_BYTES_MAX - 1 - self.used;
        let taken = s.len().min(room);
        self.octets[self.used..self.used + taken].copy_from_slice(&s.as_bytes()[..taken]);
        self.used += taken;
        Ok(())
    }
}

/// Prints one line, prefixed with the driver's name. IRQL <= DIRQL; never on the request path.
#[inline(never)]
pub fn log(message: fmt::Arguments<'_>) {
    print(format_args!("wskhttpd: {message}"));
}

/// Prints one line.
pub(crate) fn print(message: fmt::Arguments<'_>) {
    let mut line = Message { octets: [0; MESSAGE_BYTES_MAX], used: 0 };
    // Writing to `Message` never fails: it cuts.
    let _ = writeln!(line, "{message}");
    // SAFETY: the format takes one string and both are terminated (`used` stops short of the end).
    unsafe {
        nt_sys::io::DbgPrint(c"%s".as_ptr(), line.octets.as_ptr().cast::<core::ffi::c_char>())
    };
}
