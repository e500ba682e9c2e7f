//! Every command of `wskhttpctl`, as a program of its own.
#![forbid(unsafe_code)]

mod files;
mod program;
mod server;
mod sites;
mod unreachable;
