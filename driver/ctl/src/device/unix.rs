//! The host's socket, which stands for CreateFile, DeviceIoControl and CloseHandle; what goes over
//! it is told in `nthost`'s `control.rs`.
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use wskhttpd_abi::DEVICE_LINK;

use super::{DeviceError, access};

const STATUS_INVALID_DEVICE_REQUEST: u32 = 0xC000_0010;
const STATUS_ACCESS_DENIED: u32 = 0xC000_0022;
const STATUS_OBJECT_NAME_NOT_FOUND: u32 = 0xC000_0034;
const STATUS_REVISION_MISMATCH: u32 = 0xC000_0059;
const STATUS_NOT_FOUND: u32 = 0xC000_0225;

/// A server's socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) PathBuf);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Address {
    /// Opens the device, makes one request of at most `output_bytes` of output, closes it. Waits
    /// for the answer no longer than `patience`.
    pub(crate) fn control(
        &self,
        code: u32,
        input: &[u8],
        output_bytes: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, DeviceError> {
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => DeviceError::Denied,
            io::ErrorKind::WouldBlock => {
                let patience = humantime::format_duration(patience);
                DeviceError::Gone(format!("{self}: no answer within {patience}"))
            }
            io::ErrorKind::UnexpectedEof => DeviceError::Gone(format!("{self}: hung up")),
            _ => DeviceError::Gone(format!("{self}: {error}")),
        };
        let request = request(code, input, output_bytes);
        let (status, output) = self.exchange(&request, patience).map_err(gone)?;
        match status {
            0 => Ok(output),
            STATUS_INVALID_DEVICE_REQUEST => Err(DeviceError::Unknown),
            STATUS_ACCESS_DENIED => Err(DeviceError::Denied),
            // The socket is there before the driver, and for a moment after it.
            STATUS_OBJECT_NAME_NOT_FOUND => {
                Err(DeviceError::Gone(format!("{self}: no driver is loaded")))
            }
            STATUS_REVISION_MISMATCH => Err(DeviceError::OtherVersion),
            STATUS_NOT_FOUND => Err(DeviceError::NotFound),
            status => Err(DeviceError::Status(format!("status {status:#010x}"))),
        }
    }

    fn exchange(&self, request: &[u8], patience: Duration) -> io::Result<(u32, Vec<u8>)> {
        let mut stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(request)?;
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        let status = u32::from_le_bytes(word);
        stream.read_exact(&mut word)?;
        let mut output = vec![0; u32::from_le_bytes(word) as usize];
        stream.read_exact(&mut output)?;
        Ok((status, output))
    }
}

fn request(code: u32, input: &[u8], output_bytes: usize) -> Vec<u8> {
    let name = DEVICE_LINK.as_bytes();
    let mut rest = vec![access(code)];
    // Neither the name, the output nor a record comes near the bounds of these types.
    rest.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    rest.extend(name);
    rest.extend(code.to_le_bytes());
    rest.extend(u32::try_from(output_bytes).unwrap_or(u32::MAX).to_le_bytes());
    rest.extend(input);
    let mut request = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    request.extend(rest);
    request
}
