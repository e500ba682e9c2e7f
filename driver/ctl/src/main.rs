//! `wskhttpctl`: packs sites, and asks and tells a running driver: on Windows by its control
//! device, elsewhere by the socket of the user-mode host, which stands for it.
//!
//! | room | what is in it |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`commands`] | what is done, one file for each |
//! | [`driver`] | questions and orders, as records of `wskhttpd-abi` |
//! | [`device`] | how a request gets there and back |
//! | [`find`] | which server is meant |
//! | [`inventory`] | what is in a site image |
//! | [`prometheus`], [`w3c`] | formats of others |
//! | [`histogram`] | percentiles of service times |
//! | [`output`] | how things are shown |
//! | [`failure`] | why a command failed, by exit code |
// The one call of DeviceIoControl, in device/windows.rs, is the exception.
#![cfg_attr(not(windows), forbid(unsafe_code))]
#![cfg_attr(windows, deny(unsafe_code))]

mod arguments;
mod commands;
mod device;
mod driver;
mod failure;
mod find;
mod histogram;
mod inventory;
mod output;
mod prometheus;
mod w3c;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(&arguments) {
        Ok(code) => code,
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if arguments.json {
                eprintln!("{}", failure::to_json(&error));
            } else {
                eprintln!("wskhttpctl: {error:#}");
            }
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
