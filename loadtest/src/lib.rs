//! A load generator that believes nothing: every answer is framed by its Content-Length, its
//! status is compared, and its content is compared byte for byte with the first answer's.
//!
//! | module | what |
//! |---|---|
//! | [`plan`] | what every scenario is given |
//! | [`site`] | where to connect, what to ask, what the right answer is |
//! | [`run`] | scenario: closed loop over keep-alive connections |
//! | [`hold`] | scenario: many connections opened, held, and answered again |
//! | [`churn`] | scenario: a connection for each request, also of clients that leave rudely |
//! | [`soak`] | scenario: all of them at once, over several lives of a server |
//! | [`server`] | the server as a process of the scenario's own |
//! | [`response`] | one connection's incoming bytes, taken apart and checked |
//! | [`connection`] | one non-blocking keep-alive connection |
//! | [`fault`] | what can go wrong, by class |
//! | [`tally`] | what a scenario counts while it runs |
//! | [`report`] | what it prints at the end |
//! | [`descriptors`] | the limit on open files |
//! | [`interrupt`] | Ctrl-C |
//! | [`progress`] | the bar on a terminal |
//! | [`cli`] | arguments |
//!
//! A scenario is a plan (its arguments), a function from plan and [`site::Site`] to
//! [`report::Report`], and a subcommand in [`cli`]; [`connection::Connection`] and
//! [`tally::Tally`] are what scenarios share.

#![forbid(unsafe_code)]

pub mod churn;
pub mod cli;
pub mod connection;
pub mod descriptors;
pub mod fault;
pub mod hold;
pub mod interrupt;
pub mod plan;
pub mod progress;
pub mod report;
pub mod response;
pub mod run;
pub mod server;
pub mod site;
pub mod soak;
pub mod tally;
