//! Every order in which a few threads can run through the protocols of a connection, by loom.
//!
//! Their sources are compiled a second time here, over loom's atomics in place of the kernel's.
//! loom takes SeqCst for AcqRel, so none of them asks for more.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[allow(clippy::unnecessary_wraps)] // as the functions that it stands in for
mod kernel;

use kernel::{Result, SpinLock, Status, pool, processor};

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
}

mod wsk {
    #[path = "../../src/wsk/owner.rs"]
    mod owner;
    #[path = "../../src/wsk/restart.rs"]
    mod restart;
    #[path = "../../src/wsk/rundown.rs"]
    mod rundown;
    #[path = "../../src/wsk/slab.rs"]
    mod slab;
    #[path = "../../src/wsk/stack.rs"]
    mod stack;

    /// What the slab knows of a client.
    pub(crate) trait Client {}

    /// What it knows of a connection.
    mod endpoint {
        use crate::sync::AtomicU32;

        pub(super) struct Endpoint<C> {
            pub(super) index: u32,
            pub(super) next: AtomicU32,
            _of: core::marker::PhantomData<C>,
        }

        impl<C> Endpoint<C> {
            pub(super) fn new(index: u32, _provider: *const super::provider::Provider<C>) -> Self {
                Endpoint { index, next: AtomicU32::new(0), _of: core::marker::PhantomData }
            }
        }
    }

    /// What it knows of a provider.
    mod provider {
        pub(super) struct Provider<C>(core::marker::PhantomData<C>);
    }

    mod models;
    mod slots;
}
