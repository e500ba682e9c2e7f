//! IRQL as a parameter.
use core::marker::PhantomData;

/// Proof that the code runs at PASSIVE_LEVEL, where it may wait, read the registry and files.
///
/// Minted only by entry points that the kernel calls at PASSIVE_LEVEL: the driver's entry, unload
/// and the dispatch routines of its control device. Not `Send`: it says something of this thread.
pub struct Passive {
    _this_thread: PhantomData<*const ()>,
}

impl Passive {
    /// # Safety
    /// The caller runs at PASSIVE_LEVEL for as long as the token lives.
    pub(crate) const unsafe fn mint() -> Passive {
        Passive { _this_thread: PhantomData }
    }
}
