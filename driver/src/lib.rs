//! The driver: an HTTP/1.1 server that lives in the callbacks of Winsock Kernel.
//!
//! Everything here is decisions; octets come and go through `nt`, HTTP is `http1`'s, responses are
//! prepared in the image that `response-cache` describes.
//!
//! | room | what it decides |
//! |---|---|
//! | [`driver`] | the order of starting and stopping |
//! | [`parameters`] | what the registry may say |
//! | [`site`] | loading and validating the image |
//! | [`health`] | what health endpoints answer |
//! | [`published`] | one site for all processors, replaced while it is in use |
//! | [`control`] | what tools ask for |
//! | [`server`] | which connection gets in, what each event means |
//! | [`connection`] | one connection: octets to requests, requests to sends |
//! | [`answer`] | one request: which prepared response |
//! | [`memo`] | which heads need no parsing |
//! | [`batch`] | which responses leave in one send |
//! | [`stream`] | when the next part of a large body leaves |
//! | [`admission`] | who gets in |
//! | [`pressure`] | who goes to make a place |
//! | [`notices`] | which refusals are logged |
//! | [`deadline`] | when a connection has waited long enough |
//! | [`clock`] | the time, and the Date of responses |
//! | [`counters`] | what happened how often |
//! | [`latency`] | how long turns take |
//! | [`rejects`] | what was refused, and why |
//! | [`access_log`] | what was asked |
//! | `reports` | what tools are told of these |
//! | [`ring`] | the last of many things, for who reads in time |
//! | [`trace`] | what is told to who traces |
//! | [`sync`] | what shared state is made of |
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

pub mod access_log;
pub mod admission;
pub mod answer;
pub mod batch;
pub mod clock;
pub mod connection;
pub mod control;
pub mod counters;
pub mod deadline;
pub mod driver;
pub mod health;
pub mod latency;
pub mod memo;
pub mod notices;
pub mod parameters;
pub mod pressure;
pub mod published;
pub mod rejects;
mod reports;
pub mod ring;
pub mod server;
pub mod site;
pub mod stream;
pub mod sync;
pub mod trace;

pub use driver::WskHttpd;
