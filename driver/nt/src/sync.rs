//! What the protocols in `wsk` and [`TryCell`](crate::TryCell) are made of; a model checker puts
//! its own in place of these.
pub(crate) use core::cell::UnsafeCell;
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
