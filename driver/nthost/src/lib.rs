//! A user-mode host of NT and WSK: the exports that drivers link against, over real sockets, or on
//! a simulated machine.
//!
//! It defines every symbol that `nt-sys` declares, runs a driver's callbacks on threads that stand
//! for processors, and ends the process with a report when the driver breaks a rule of the kernel
//! ([`verifier`]). It knows nothing of what the driver speaks.
//!
//! | room | what is in it |
//! |---|---|
//! | `host` | starting, loading a driver, unloading, the ledger |
//! | `loader` | images of drivers: checked, mapped, bound to the exports |
//! | `processor` | threads as processors: IRQL, mailbox, event loop |
//! | [`verifier`] | the rules, and the report of a broken one |
//! | `nt` | `Ex*`, `Io*`, `Ke*`, `Mm*`, `Zw*` |
//! | `wsk` | registration, sockets, callbacks: the object state, apart from the transport |
//! | `transport` | what is under a socket: one of the next two |
//! | `live` | this machine's sockets |
//! | [`sim`] | a machine whose every choice follows from one seed |
#![allow(non_snake_case)] // exports have their C names
#![allow(non_upper_case_globals)] // so have constants, also in patterns
#![allow(unreachable_pub)] // exports are public by their symbol
#![allow(clippy::cast_possible_truncation)] // 64-bit machines only, see below

const _: () = assert!(usize::BITS == 64);

mod control;
pub mod exports;
mod host;
mod ledger;
mod live;
mod loader;
mod log;
mod nt;
mod processor;
pub mod sim;
mod transport;
pub mod verifier;
mod wsk;

pub use host::{DriverEntry, Host, LoadFailure, Options, Value};
pub use ledger::{Item, Ledger};
pub use loader::LoadError;
pub use log::events;
pub use nt::security::Caller;
