//! What is done, one file for each command.
mod follow;
mod health;
mod heartbeat;
mod inspect;
mod limits;
mod load;
mod log;
mod pack;
mod rejects;
mod stats;
mod status;
mod top;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;

use crate::arguments::{Arguments, Command};
use crate::driver::Driver;
use crate::output;

pub(crate) use heartbeat::{TIMEOUT_MAX, TIMEOUT_MIN};

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let json = arguments.json;
    let driver = || Driver::find(&arguments.target);
    match &arguments.command {
        Command::Pack(pack) => pack::run(pack, json)?,
        Command::Inspect { file } => inspect::run(file, json)?,
        Command::Load { site } => load::run(&driver()?, site, json)?,
        Command::Status => status::run(&driver()?, json)?,
        Command::Stats(stats) => stats::run(&driver()?, stats, json)?,
        Command::Top(top) => top::run(&driver()?, top, json)?,
        Command::Rejects { follow } => rejects::run(&driver()?, *follow, json)?,
        Command::Health { name: Some(name), state: Some(state) } => {
            health::switch(&driver()?, name, (*state).into(), json)?;
        }
        Command::Health { .. } => health::list(&driver()?, json)?,
        Command::Heartbeat(heartbeat) => {
            return heartbeat::run(&arguments.target, heartbeat, json);
        }
        Command::Set { name, value } => {
            driver()?.set(name, value)?;
            if json {
                output::json(&serde_json::json!({ "name": name, "value": value }))?;
            }
        }
        Command::Limits => limits::run(&driver()?, json)?,
        Command::Log { follow, w3c } => log::run(&driver()?, *follow, w3c.as_deref(), json)?,
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(*shell, &mut command, "wskhttpctl", &mut io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}
