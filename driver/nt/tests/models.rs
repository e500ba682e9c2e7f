//! Every order in which a few threads can run through the protocols of a connection, by loom.
//!
//! Their sources are compiled a second time here, over loom's atomics in place of the kernel's.
//! loom takes SeqCst for AcqRel, so none of them asks for more.
#![allow(dead_code, unreachable_pub, missing_docs)]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
}

mod wsk {
    #[path = "../../src/wsk/owner.rs"]
    mod owner;
    #[path = "../../src/wsk/rundown.rs"]
    mod rundown;
    #[path = "../../src/wsk/stack.rs"]
    mod stack;

    /// What the stack takes from the slab.
    mod slab {
        pub(super) const NONE: u32 = u32::MAX;
    }

    mod models;
}
