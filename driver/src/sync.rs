//! What shared state is made of; a model checker puts its own in place of these.
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
pub use nt::{PoolArc, PoolSlice, Result, SpinLock, Tag, Taken, TryCell, processor};
