//! Every command of `wskhttpctl`, as a program of its own.
#![forbid(unsafe_code)]

mod files;
mod health;
mod program;
mod server;
mod sites;
mod terminal;
mod unreachable;
mod watching;
