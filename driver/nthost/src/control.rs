//! Devices, for other processes: a Unix socket that stands for `CreateFile` and `DeviceIoControl`.
//!
//! A request is `{u32 length of the rest, u8 access, u16 length of the name, name, u32 code, u32
//! output length, input}`, little-endian, at most 64 KiB; the answer is `{i32 status, u32 length,
//! output}`. `access` is what the handle is opened for: 1 = reading, 2 = writing, 3 = both; a code
//! that needs more is answered STATUS_ACCESS_DENIED, as the I/O manager does. A malformed request
//! ends its connection. The socket has mode 0600.
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::nt::device::{self, ACCESS_BOTH};

/// Octets of a request or an answer at most.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The listening socket and its thread.
pub(crate) struct ControlSocket {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ControlSocket {
    pub(crate) fn start(path: PathBuf) -> io::Result<ControlSocket> {
        if path.exists() && UnixStream::connect(&path).is_err() {
            // Left behind by a process that is gone.
            std::fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(client) = client {
                    // Any error ends this client only.
                    let _ = serve(client);
                }
            }
        })?;
        Ok(ControlSocket { path, stop, thread })
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread; if it cannot be reached it has ended.
        if UnixStream::connect(&self.path).is_ok() {
            let _ = self.thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(mut client: UnixStream) -> io::Result<()> {
    client.set_read_timeout(Some(TIMEOUT))?;
    client.set_write_timeout(Some(TIMEOUT))?;
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut request = vec![0; length];
        client.read_exact(&mut request)?;
        let answer = answer(&request).ok_or(io::ErrorKind::InvalidData)?;
        client.write_all(&answer)?;
    }
}

/// The answer to one request; `None` when it is malformed.
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let (access, rest) = request.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (code, rest) = rest.split_first_chunk()?;
    let (output, input) = rest.split_first_chunk()?;
    let output = u32::from_le_bytes(*output) as usize;
    if output > MESSAGE_BYTES_MAX {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    let (access, code) = (u32::from(*access), u32::from_le_bytes(*code));
    if access == 0 || access > ACCESS_BOTH {
        return None;
    }
    let (status, output) = match device::control(name, access, code, input, output) {
        Ok(output) => (0, output),
        Err(status) => (status, Vec::new()),
    };
    let mut answer = status.to_le_bytes().to_vec();
    answer.extend(u32::try_from(output.len()).ok()?.to_le_bytes());
    answer.extend(output);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn malformed_requests_have_no_answer() {
        let mut good = vec![1];
        good.extend(3_u16.to_le_bytes());
        good.extend(b"\\x\\");
        good.extend([1, 0, 0, 0, 8, 0, 0, 0]);
        assert!(answer(&good).is_some());
        for length in 0..good.len() {
            assert!(answer(&good[..length]).is_none(), "{length}");
        }
        for access in [0, 4, 0xFF] {
            good[0] = access;
            assert!(answer(&good).is_none());
        }
        good[0] = 3;
        let huge = good.len() - 1;
        good[huge] = 0xFF;
        assert!(answer(&good).is_none());
    }
}
