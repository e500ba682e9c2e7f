//! The `loadtest` command. Exit code: 0 no error, 1 errors seen or the scenario was cut short,
//! 2 it could not start.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use loadtest::cli::{Arguments, Scenario};
use loadtest::interrupt::Interrupt;
use loadtest::report::Report;
use loadtest::{churn, hold, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json();
    match start(arguments) {
        Ok(report) => {
            if json {
                println!("{}", report.to_json());
            } else {
                print!("{report}");
            }
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: Arguments) -> Result<Report> {
    let interrupt = Interrupt::on_signals()?;
    match arguments.scenario {
        Scenario::Run(arguments) => run::run(&arguments.plan(), &interrupt),
        Scenario::Hold(arguments) => hold::hold(&arguments.plan(), &interrupt),
        Scenario::Churn(arguments) => churn::churn(&arguments.plan(), &interrupt),
    }
}
