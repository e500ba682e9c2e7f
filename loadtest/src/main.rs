//! The `loadtest` command. Exit code: 0 no error, 1 errors seen or it was cut short,
//! 2 it could not start.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use loadtest::cli::{Arguments, CompareArguments, ScenarioArguments, Task};
use loadtest::compare::report;
use loadtest::compare::report::markdown::markdown;
use loadtest::compare::rounds;
use loadtest::generator::churn::churn;
use loadtest::generator::hold::hold;
use loadtest::generator::run::run;
use loadtest::interrupt::Interrupt;
use loadtest::raw::raw;
use loadtest::scenario::play::play;
use loadtest::scenario::shipped::{self, SHIPPED};
use loadtest::soak::soak;
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

/// Does what was asked and prints the report; true when that is clean.
fn start(arguments: Arguments, json: bool) -> Result<bool> {
    if let Task::Raw(arguments) = &arguments.task {
        return raw(arguments.address, arguments.close).map(|()| true);
    }
    let interrupt = Interrupt::on_signals()?;
    let report = match arguments.task {
        Task::Run(arguments) => run(&arguments.plan(), &interrupt)?,
        Task::Hold(arguments) => hold(&arguments.plan(), &interrupt)?,
        Task::Churn(arguments) => churn(&arguments.plan(), &interrupt)?,
        Task::Scenario(arguments) => return scenario(arguments, &interrupt),
        Task::Compare(arguments) => return compare(&arguments, &interrupt),
        Task::Soak(arguments) => {
            let report = soak(&arguments.plan()?, &interrupt)?;
            print_report(&report, json)?;
            return Ok(report.is_clean());
        }
        Task::Raw(_) => unreachable!("answered above"),
    };
    print_report(&report, json)?;
    Ok(report.is_clean())
}

fn scenario(arguments: ScenarioArguments, interrupt: &Interrupt) -> Result<bool> {
    let (Some(name), Some(url)) = (arguments.name, arguments.url) else {
        for (name, _) in SHIPPED {
            println!("{name:18} {}", shipped::find(name)?.about);
        }
        return Ok(true);
    };
    let mut scenario = shipped::find(&name)?;
    scenario.duration = arguments.duration.unwrap_or(scenario.duration);
    let played = play(&scenario, &url, true, interrupt)?;
    print_report(&played, arguments.json)?;
    Ok(played.is_clean())
}

fn compare(arguments: &CompareArguments, interrupt: &Interrupt) -> Result<bool> {
    let plan = arguments.plan()?;
    let mut targets = arguments.targets()?;
    let comparison = rounds::compare(&plan, &mut targets, interrupt)?;
    report::write(&comparison, &arguments.out)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&comparison)?);
    } else {
        print!("{}", markdown(&comparison));
        println!("\nreport: {}", arguments.out.join("report.html").display());
    }
    Ok(comparison.is_clean())
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
