//! What shared state is made of; a model checker puts its own in place of these.
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
pub use nt::{PoolSlice, Result, SpinLock, Tag};
