//! The `loadtest` command. Exit code: 0 no error, 1 errors seen or the scenario was cut short,
//! 2 it could not start.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use loadtest::cli::{Arguments, Scenario};
use loadtest::interrupt::Interrupt;
use loadtest::{churn, hold, run, soak};
use serde::Serialize;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json();
    match start(arguments, json) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the scenario and prints its report; true when that is clean.
fn start(arguments: Arguments, json: bool) -> Result<bool> {
    let interrupt = Interrupt::on_signals()?;
    let report = match arguments.scenario {
        Scenario::Run(arguments) => run::run(&arguments.plan(), &interrupt)?,
        Scenario::Hold(arguments) => hold::hold(&arguments.plan(), &interrupt)?,
        Scenario::Churn(arguments) => churn::churn(&arguments.plan(), &interrupt)?,
        Scenario::Soak(arguments) => {
            let report = soak::soak(&arguments.plan(), &interrupt)?;
            print_report(&report, json)?;
            return Ok(report.is_clean());
        }
    };
    print_report(&report, json)?;
    Ok(report.is_clean())
}

/// As text, or as one line of JSON.
fn print_report<R: Serialize + Display>(report: &R, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
