//! Files, read once and whole.
use nt_sys::ntdef::{
    HANDLE, IO_STATUS_BLOCK, LARGE_INTEGER, OBJ_FORCE_ACCESS_CHECK, io_information,
};
use nt_sys::zw::{self, FILE_STANDARD_INFORMATION};

use crate::registry::object_attributes;
use crate::{Passive, Result, Status, WideString};

/// Octets asked for by one read.
const READ_BYTES: u32 = 1 << 20;

/// Whose rights a file is opened with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// The driver's, which may open everything.
    Driver,
    /// Those of the thread whose request this is.
    Caller,
}

/// A file open for reading. F1: a kernel handle for synchronous I/O, closed once. F2: every call
/// at PASSIVE_LEVEL.
pub struct File(HANDLE);

impl File {
    /// Opens an existing file by its NT path (`\??\C:\site.img`).
    ///
    /// # Errors
    /// What `ZwCreateFile` returned.
    pub fn open(_passive: &Passive, path: &mut WideString, rights: Rights) -> Result<File> {
        let mut name = path.counted();
        let mut attributes = object_attributes(&mut name);
        if rights == Rights::Caller {
            attributes.Attributes |= OBJ_FORCE_ACCESS_CHECK;
        }
        let mut status = IO_STATUS_BLOCK::default();
        let mut file = core::ptr::null_mut();
        // SAFETY: F2; every pointer is valid for the call or null where null is allowed.
        let result = unsafe {
            zw::ZwCreateFile(
                &raw mut file,
                zw::FILE_GENERIC_READ,
                &raw mut attributes,
                &raw mut status,
                core::ptr::null_mut(),
                0,
                zw::FILE_SHARE_READ,
                zw::FILE_OPEN,
                zw::FILE_SYNCHRONOUS_PLAIN,
                core::ptr::null_mut(),
                0,
            )
        };
        Status::check(result)?;
        Ok(File(file))
    }

    /// Octets of the file.
    ///
    /// # Errors
    /// What `ZwQueryInformationFile` returned.
    pub fn len(&self, _passive: &Passive) -> Result<u64> {
        let mut status = IO_STATUS_BLOCK::default();
        // SAFETY: plain data, overwritten by the call.
        let mut standard: FILE_STANDARD_INFORMATION = unsafe { core::mem::zeroed() };
        let octets = u32::try_from(size_of::<FILE_STANDARD_INFORMATION>()).unwrap_or(0);
        // SAFETY: F1, F2; the buffer has the size that is said.
        let result = unsafe {
            zw::ZwQueryInformationFile(
                self.0,
                &raw mut status,
                (&raw mut standard).cast(),
                octets,
                zw::FileStandardInformation,
            )
        };
        Status::check(result)?;
        // SAFETY: every bit pattern of the union is an i64.
        let octets = unsafe { standard.EndOfFile.QuadPart };
        Ok(octets.max(0).cast_unsigned())
    }

    /// Fills `buffer` from the start of the file.
    ///
    /// # Errors
    /// What `ZwReadFile` returned; `FILE_CORRUPT_ERROR` when the file ends early.
    pub fn read(&self, _passive: &Passive, buffer: &mut [u8]) -> Result<()> {
        let mut at = 0;
        while at < buffer.len() {
            let rest = buffer.get_mut(at..).unwrap_or_default();
            let wanted = u32::try_from(rest.len()).unwrap_or(u32::MAX).min(READ_BYTES);
            let mut status = IO_STATUS_BLOCK::default();
            let mut offset = LARGE_INTEGER { QuadPart: i64::try_from(at).unwrap_or(i64::MAX) };
            // SAFETY: F1, F2; `rest` is writable for `wanted` octets.
            let result = unsafe {
                zw::ZwReadFile(
                    self.0,
                    core::ptr::null_mut(),
                    None,
                    core::ptr::null_mut(),
                    &raw mut status,
                    rest.as_mut_ptr().cast(),
                    wanted,
                    &raw mut offset,
                    core::ptr::null_mut(),
                )
            };
            Status::check(result)?;
            let octets = io_information(&status);
            if octets == 0 || octets > wanted as usize {
                return Err(Status::FILE_CORRUPT_ERROR);
            }
            at += octets;
        }
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: F1; files live only in code that holds a `Passive` (F2).
        let _ = unsafe { zw::ZwClose(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use nt_sys::kernel_fn;
    use nt_sys::ntdef::{NTSTATUS, PVOID, STATUS_SUCCESS};

    use super::*;

    extern crate std;

    std::thread_local! {
        /// What the next reads say that they have read.
        static SAID: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
    }

    // What stands in for the kernel: a file that says what it likes, as a filter driver may.
    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn ZwReadFile(
            _file: HANDLE, _event: HANDLE, _apc: PVOID, _context: PVOID,
            status: *mut IO_STATUS_BLOCK, _buffer: PVOID, _octets: u32,
            _offset: *mut LARGE_INTEGER, _key: *mut u32,
        ) -> NTSTATUS {
            let [now, next] = SAID.replace([0; 2]);
            SAID.set([next, 0]);
            // SAFETY: the caller's.
            unsafe { (*status).Information = now };
            STATUS_SUCCESS
        }
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn ZwClose(_file: HANDLE) -> NTSTATUS {
            STATUS_SUCCESS
        }
    }

    #[test]
    fn a_read_of_nothing_and_one_of_too_much_end_the_reading() {
        // SAFETY: there are no levels here.
        let passive = unsafe { Passive::mint() };
        let file = File(core::ptr::null_mut());
        for (said, is_read) in
            [([8, 0], true), ([3, 5], true), ([0, 8], false), ([3, 0], false), ([9, 0], false)]
        {
            SAID.set(said);
            assert_eq!(file.read(&passive, &mut [0; 8]).is_ok(), is_read, "{said:?}");
        }
    }
}
