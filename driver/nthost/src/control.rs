//! Devices, for other processes: a Unix socket that stands for `CreateFile` and `DeviceIoControl`.
//!
//! A request is `{u32 length of the rest, u8 access, u16 length of the name, name, u32 code, u32
//! output length, input}`, little-endian, at most 64 KiB; the answer is `{i32 status, u32 length,
//! output}`. `access` is what the handle is opened for: 1 = reading, 2 = writing, 3 = both; a code
//! that needs more is answered STATUS_ACCESS_DENIED, as the I/O manager does. A malformed request
//! ends its connection.
//!
//! The socket has mode 0600, in a directory that is ours and that nobody else can write into; one
//! that is missing is made, with mode 0700. Who connects must be a process of the same user, who
//! counts as an administrator.
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::process::getuid;

use crate::nt::device::{self, ACCESS_BOTH};
use crate::nt::security::Caller;

/// Octets of a request or an answer at most.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take from one request to the next.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Clients at a time.
const CLIENTS_MAX: usize = 32;

/// The listening socket and its thread.
pub(crate) struct ControlSocket {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ControlSocket {
    pub(crate) fn start(path: PathBuf) -> io::Result<ControlSocket> {
        claim_directory(&path)?;
        remove_stale(&path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("control".to_owned());
        let thread = thread.spawn(move || accept(&listener, &stopped))?;
        Ok(ControlSocket { path, stop, thread })
    }

    /// Ends every client, too: no request is under way afterwards.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread; if it cannot be reached it has ended.
        if UnixStream::connect(&self.path).is_ok() {
            let _ = self.thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the socket's directory with mode 0700, or makes sure that nobody else can write into it:
/// he could put a socket of his own there.
fn claim_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    let is_ours = found.is_dir() && found.uid() == getuid().as_raw() && found.mode() & 0o022 == 0;
    if is_ours {
        return Ok(());
    }
    let directory = directory.display();
    let why = format!("{directory}: must be a directory of yours that nobody else can write into");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Removes a socket that a process left behind that is gone, and was ours.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let is_ours = found.file_type().is_socket() && found.uid() == getuid().as_raw();
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_ours && UnixStream::connect(path).as_ref().is_err_and(refused) {
        fs::remove_file(path)?;
    }
    // Otherwise binding says that it is in use.
    Ok(())
}

/// Serves clients, each on a thread, until told to stop.
fn accept(listener: &UnixListener, stop: &AtomicBool) {
    let mut clients: Vec<(UnixStream, JoinHandle<()>)> = Vec::new();
    for client in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        clients.retain(|(_, thread)| !thread.is_finished());
        if let Ok(client) = client
            && clients.len() < CLIENTS_MAX
            && is_our_own(&client)
            && let Ok(same) = client.try_clone()
        {
            let thread = std::thread::Builder::new().name("control client".to_owned());
            let serve = move || {
                // Any error ends this client only.
                let _ = serve(&client);
                // This thread has the socket, too: shut, it is closed for the client.
                let _ = client.shutdown(Shutdown::Both);
            };
            if let Ok(thread) = thread.spawn(serve) {
                clients.push((same, thread));
            }
        }
    }
    for (client, thread) in clients {
        let _ = client.shutdown(Shutdown::Both);
        let _ = thread.join();
    }
}

/// True when the process at the other end is of our user.
fn is_our_own(client: &UnixStream) -> bool {
    socket_peercred(client).is_ok_and(|peer| peer.uid == getuid())
}

fn serve(mut client: &UnixStream) -> io::Result<()> {
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
    let (status, output) =
        match device::control(Caller::Administrator, name, access, code, input, output) {
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
