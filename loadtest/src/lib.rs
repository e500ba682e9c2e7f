//! A load generator that believes nothing, and a comparison that claims little: every answer is
//! checked, and a difference is named only where the measurement shows one.
//!
//! | module | what |
//! |---|---|
//! | [`generator`] | load: requests out, answers in, each checked and counted |
//! | [`scenario`] | loads side by side, as a file says |
//! | [`compare`] | a scenario against several servers in turn, and the report of it |
//! | [`soak`] | a scenario again and again, over several lives of a server |
//! | [`server`] | that server, as a process of one's own |
//! | [`raw`] | the bound of any server in user mode: answers a constant, parses nothing |
//! | [`interrupt`] | Ctrl-C |
//! | [`progress`] | the bar on a terminal |
//! | [`cli`] | arguments |
//!
//! A kind of load is a plan, a function from it to [`generator::report::Report`], and a subcommand
//! in [`cli`]; a scenario is a file.

#![forbid(unsafe_code)]

pub mod cli;
pub mod compare;
pub mod generator;
pub mod interrupt;
pub mod progress;
pub mod raw;
pub mod scenario;
pub mod server;
pub mod soak;
