//! The fence: safe wrappers over NT and WSK, and the only driver code that names `nt_sys`.
//!
//! Having one of these types tells you something the kernel demands; each type's documentation
//! numbers those invariants and the SAFETY comments cite them. Calls that need PASSIVE_LEVEL take
//! a [`Passive`] token; everything else may be called at IRQL <= DISPATCH_LEVEL.
//!
//! - memory: [`PoolBox`], [`PoolSlice`], [`PoolArc`], [`Lookaside`], [`Pinned`]
//! - waiting and timing: [`SpinLock`], [`Event`], [`Timer`], [`SystemThread`], [`time`]
//! - the outside: [`RegistryKey`], [`File`], [`driver`], [`log()`],
//!   [`log_refusal`], [`trace`]
//! - the network: [`wsk`]
#![no_std]

mod arc;
mod bugcheck;
pub mod driver;
mod event;
mod event_log;
mod file;
mod irp;
mod irql;
mod log;
mod lookaside;
mod mdl;
mod pool;
pub mod processor;
pub mod random;
mod registry;
mod routines;
mod security;
mod spinlock;
mod status;
mod sync;
mod thread;
pub mod time;
mod timer;
pub mod trace;
mod try_cell;
mod unicode;
pub mod wsk;

pub use arc::PoolArc;
pub use bugcheck::bug_check;
pub use event::Event;
pub use event_log::log_refusal;
pub use file::{File, Rights};
pub use irql::Passive;
pub use log::log;
pub use lookaside::{Lookaside, LookasideBox};
pub use mdl::Pinned;
pub use pool::{PoolBox, PoolSlice, Tag};
pub use processor::PerProcessor;
pub use registry::{MultiString, RegistryKey, ValueError};
pub use spinlock::SpinLock;
pub use status::{Result, Status};
pub use thread::{SystemThread, ThreadRoutine};
pub use timer::{Timer, TimerRoutine};
pub use try_cell::{Taken, TryCell};
pub use unicode::WideString;
