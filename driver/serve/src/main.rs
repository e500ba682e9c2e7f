//! The default binary: the driver in the user-mode host of NT and WSK, on this machine's sockets.
#![forbid(unsafe_code)]

mod arguments;
mod report;
mod serve;
mod sim;
mod site;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// What a person got wrong, or the machine lacks.
const EXIT_REFUSED: u8 = 2;
/// The driver left something behind when it unloaded.
const EXIT_LEAK: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Sim(sim)) => sim::run(&sim).map(|()| true),
        None => serve::run(&arguments.serve),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_LEAK),
        Err(error) => {
            eprintln!("wskhttpd: {error:#}");
            ExitCode::from(EXIT_REFUSED)
        }
    }
}
