//! Development tasks. `cargo xtask tidy` checks what the compiler does not: which crate may
//! contain what, how long things are, that documents name files that exist.

#![forbid(unsafe_code)]

mod tidy;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Development tasks.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check the house rules; every finding names its file and line
    Tidy {
        /// Write the present number of unsafe blocks into driver/docs/unsafe-budget.md first
        #[arg(long)]
        bless: bool,
    },
}

fn main() -> ExitCode {
    let Task::Tidy { bless } = Arguments::parse().task;
    match repository().and_then(|root| tidy::tidy(&root, bless)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The nearest folder upwards whose Cargo.toml is a workspace.
fn repository() -> Result<PathBuf> {
    let here = env::current_dir()?;
    here.ancestors()
        .find(|folder| is_workspace(folder))
        .map(Path::to_path_buf)
        .context("not inside the repository")
}

fn is_workspace(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.contains("[workspace]"))
}
