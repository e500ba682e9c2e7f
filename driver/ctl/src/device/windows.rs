//! CreateFile and DeviceIoControl. Compiled and checked, but never run: nobody has had a Windows
//! machine so far.
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::path::PathBuf;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_INVALID_FUNCTION, ERROR_NOT_FOUND,
    ERROR_REVISION_MISMATCH,
};
use windows_sys::Win32::System::IO::DeviceIoControl;

use super::{DeviceError, access};

/// The driver's control device, such as `\\.\WskHttpd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) PathBuf);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Address {
    /// Opens the device, makes one request of at most `output_bytes` of output, closes it. A
    /// synchronous handle cannot wait with a bound, so `_patience` is the driver's: it completes
    /// every request within its dispatch routine.
    pub(crate) fn control(
        &self,
        code: u32,
        input: &[u8],
        output_bytes: usize,
        _patience: Duration,
    ) -> Result<Vec<u8>, DeviceError> {
        let access = access(code);
        let device = OpenOptions::new().read(access & 1 != 0).write(access & 2 != 0).open(&self.0);
        let device = device.map_err(|error| match code_of(&error) {
            ERROR_ACCESS_DENIED => DeviceError::Denied,
            ERROR_FILE_NOT_FOUND => DeviceError::Gone(format!("{self}: no driver is loaded")),
            _ => DeviceError::Gone(format!("{self}: {error}")),
        })?;
        let mut output = vec![0; output_bytes];
        match device_io_control(&device, code, input, &mut output) {
            Ok(used) => {
                output.truncate(used);
                Ok(output)
            }
            Err(error) => Err(match code_of(&error) {
                ERROR_INVALID_FUNCTION => DeviceError::Unknown,
                ERROR_ACCESS_DENIED => DeviceError::Denied,
                ERROR_REVISION_MISMATCH => DeviceError::OtherVersion,
                ERROR_NOT_FOUND => DeviceError::NotFound,
                _ => DeviceError::Status(error.to_string()),
            }),
        }
    }
}

fn code_of(error: &io::Error) -> u32 {
    error.raw_os_error().map_or(0, i32::cast_unsigned)
}

/// One request; octets of output that are used.
#[allow(unsafe_code)]
fn device_io_control(
    device: &File,
    code: u32,
    input: &[u8],
    output: &mut [u8],
) -> io::Result<usize> {
    // Records are far below 4 GiB.
    let input_bytes = u32::try_from(input.len()).unwrap_or(u32::MAX);
    let output_bytes = u32::try_from(output.len()).unwrap_or(u32::MAX);
    let mut used = 0;
    // SAFETY:
    // 1. the handle is open, and not for overlapped requests, so that the call returns when the
    //    request is complete;
    // 2. input and output are that long, and stay where they are until then;
    // 3. `used` is a place for the length, as there must be without an OVERLAPPED.
    let done = unsafe {
        DeviceIoControl(
            device.as_raw_handle(),
            code,
            input.as_ptr().cast(),
            input_bytes,
            output.as_mut_ptr().cast(),
            output_bytes,
            &raw mut used,
            core::ptr::null_mut(),
        )
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(used as usize) }
}
