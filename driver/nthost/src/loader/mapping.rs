//! An image in memory.
use std::hash::{BuildHasher as _, RandomState};
use std::io;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::image::{Access, Image};
use crate::exports::EXPORTS;
use crate::host::DriverEntry;

/// A mapped image. It stays until [`Mapping::unmap`]: a host that is dropped without an unload does
/// not take the code away from its processors.
pub(crate) struct Mapping {
    base: *mut u8,
    size: usize,
    entry: usize,
}

// SAFETY: plain memory; who may run it is the host's concern.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps a checked image.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn new(image: &Image) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping wherever there is room.
        let base = unsafe {
            mmap_anonymous(core::ptr::null_mut(), image.size, protection, MapFlags::PRIVATE)
        }?;
        let mapping = Mapping { base: base.cast(), size: image.size, entry: image.entry };
        // SAFETY: the mapping's octets, ours alone until the driver's entry is called.
        let octets = unsafe { core::slice::from_raw_parts_mut(mapping.base, mapping.size) };
        fill(octets, image);
        relocate(octets, image, mapping.base.expose_provenance() as u64);
        for (at, export) in &image.imports {
            let address = (EXPORTS[*export].address)() as u64;
            octets[*at..at + 8].copy_from_slice(&address.to_le_bytes());
        }
        if let Some(at) = image.cookie {
            octets[at..at + 8].copy_from_slice(&cookie().to_le_bytes());
        }
        match mapping.protect(image) {
            Ok(()) => Ok(mapping),
            Err(error) => {
                mapping.unmap();
                Err(error)
            }
        }
    }

    /// Headers and read-only sections are read-only, code is code, data is data.
    fn protect(&self, image: &Image) -> io::Result<()> {
        let all = self.base.cast();
        // SAFETY: the whole mapping; nobody uses it yet.
        unsafe { mprotect(all, self.size, MprotectFlags::READ) }?;
        for section in &image.sections {
            let access = match section.access {
                Access::Read => MprotectFlags::READ,
                Access::Write => MprotectFlags::READ | MprotectFlags::WRITE,
                Access::Execute => MprotectFlags::READ | MprotectFlags::EXEC,
            };
            let base = self.base.wrapping_add(section.at).cast();
            // SAFETY: page-aligned and inside the mapping, as parsing checked.
            unsafe { mprotect(base, section.octets, access) }?;
        }
        Ok(())
    }

    /// The driver's entry.
    pub(crate) fn entry(&self) -> DriverEntry {
        let entry = self.base.wrapping_add(self.entry);
        // SAFETY: the entry point lies in code; that it is a `DriverEntry` is what a native image
        // of this subsystem promises.
        unsafe { core::mem::transmute::<*mut u8, DriverEntry>(entry) }
    }

    /// Unmaps it, when nothing of it runs any more.
    pub(crate) fn unmap(self) {
        // SAFETY: made in `new`; the driver in it has been unloaded, or was never called.
        let unmapped = unsafe { munmap(self.base.cast(), self.size) };
        debug_assert!(unmapped.is_ok());
    }

    /// Base and octets, for the driver object.
    pub(crate) fn range(&self) -> (*mut core::ffi::c_void, u32) {
        (self.base.cast(), u32::try_from(self.size).unwrap_or(u32::MAX))
    }
}

fn fill(octets: &mut [u8], image: &Image) {
    octets[..image.headers.len()].copy_from_slice(&image.headers);
    for section in &image.sections {
        octets[section.at..section.at + section.data.len()].copy_from_slice(&section.data);
    }
}

fn relocate(octets: &mut [u8], image: &Image, base: u64) {
    let delta = base.wrapping_sub(image.preferred_base);
    for at in &image.relocations {
        let place = &mut octets[*at..at + 8];
        let address = u64::from_le_bytes(place.try_into().unwrap_or_default());
        place.copy_from_slice(&address.wrapping_add(delta).to_le_bytes());
    }
}

/// A random stack cookie with the upper 16 bits clear, as Windows makes it; odd, so that it is
/// never the one that compilers put there.
fn cookie() -> u64 {
    RandomState::new().hash_one("cookie") & 0xFFFF_FFFF_FFFF | 1
}
