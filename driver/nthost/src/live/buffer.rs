//! A processor's receive buffer, with the MDL and the list that indications are made of.
use nt_sys::mm::{MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_SOURCE_IS_NONPAGED_POOL, MmInitializeMdl};
use nt_sys::wsk::{WSK_BUF, WSK_DATA_INDICATION};

/// Octets received at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Fills octets that a client may not look at any more.
const POISON: u8 = 0xDB;

/// The memory of one indication at a time.
pub(crate) struct ReceiveBuffer {
    octets: Box<[u8]>,
    /// The MDL with its page frame numbers.
    mdl: Box<[u64]>,
    list: Box<WSK_DATA_INDICATION>,
}

impl ReceiveBuffer {
    pub(crate) fn new() -> ReceiveBuffer {
        let words = nt_sys::mm::mdl_size(BUFFER_BYTES / nt_sys::mm::PAGE_SIZE + 1) / 8;
        let mut octets = vec![0; BUFFER_BYTES].into_boxed_slice();
        let mut mdl = vec![0; words].into_boxed_slice();
        let base = octets.as_mut_ptr().cast();
        let described = mdl.as_mut_ptr().cast::<MDL>();
        // SAFETY: room for an MDL of the whole buffer.
        unsafe { MmInitializeMdl(described, base, u32::try_from(BUFFER_BYTES).unwrap_or(0)) };
        // SAFETY: initialised just now.
        let fields = unsafe { &mut *described };
        fields.MdlFlags = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL;
        fields.MappedSystemVa = base;
        ReceiveBuffer {
            octets,
            mdl,
            list: Box::new(WSK_DATA_INDICATION {
                Next: core::ptr::null_mut(),
                Buffer: WSK_BUF { Mdl: core::ptr::null_mut(), Offset: 0, Length: 0 },
            }),
        }
    }

    pub(crate) fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }

    pub(crate) fn octets(&self, octets: usize) -> &[u8] {
        &self.octets[..octets]
    }

    /// Copies from the front; how many octets fitted.
    pub(crate) fn fill(&mut self, octets: &[u8]) -> usize {
        let taken = octets.len().min(self.octets.len());
        self.octets[..taken].copy_from_slice(&octets[..taken]);
        taken
    }

    /// The list of an indication of the first `octets` octets.
    pub(crate) fn indication(&mut self, octets: usize) -> *mut WSK_DATA_INDICATION {
        let mdl = self.mdl.as_mut_ptr().cast::<MDL>();
        // SAFETY: initialised with the buffer; it is the provider's, and no client writes it.
        unsafe { (*mdl).ByteCount = octets.min(BUFFER_BYTES) as u32 };
        self.list.Buffer = WSK_BUF { Mdl: mdl, Offset: 0, Length: octets };
        &raw mut *self.list
    }

    /// The callback has returned: its octets are gone. Checked builds only; it costs a write of
    /// every octet received.
    pub(crate) fn poison(&mut self, octets: usize) {
        if cfg!(debug_assertions) {
            self.octets[..octets].fill(POISON);
        }
    }
}
