//! What the protocols in `wsk` are made of; a model checker puts its own in place of these.
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
