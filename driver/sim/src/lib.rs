//! The driver on simulated machines: clients that know what must come, checks that know nothing of
//! the driver's insides, and sweeps over everything that can fail.
//!
//! One [`Case`] is one machine from its start to its end, and its seed decides everything; see
//! [`nthost::sim`]. A check that fails ends the process with a report and the command that repeats
//! the run, and so does a broken rule of the kernel.
#![forbid(unsafe_code)]

mod client;
mod crowd;
mod door;
mod health;
mod history;
mod operator;
mod pause;
mod reload;
mod request;
mod response;
mod scenario;
mod site;
mod sweep;

pub use scenario::{Case, Mode, Report, run};
pub use sweep::{Sweep, sweep};
