//! Development tasks. `cargo xtask tidy` checks what the compiler does not: which crate may
//! contain what, how long things are, that documents name files that exist. `cargo xtask image`
//! builds the driver's image, `cargo xtask package` lays out what is installed, `cargo xtask perf`
//! counts instructions, and `cargo xtask mutants` sees whether the tests notice changes.

#![forbid(unsafe_code)]

mod check_image;
mod image;
mod mutants;
mod package;
mod perf;
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
    /// Build wskhttpd.sys into target/x86_64-pc-windows-msvc/release
    Image {
        /// With debug assertions, into .../debug
        #[arg(long)]
        debug: bool,
        /// Build nothing: check the crates of the image for aarch64-pc-windows-msvc
        #[arg(long, conflicts_with = "debug")]
        check_arm64: bool,
    },
    /// Check a driver image: imports, sections, frames, registers, checksum
    CheckImage {
        /// The image; without it the one that `cargo xtask image` builds
        file: Option<PathBuf>,
    },
    /// Count the driver's instructions per request (needs valgrind)
    Perf {
        /// Fail where a row is more than 2 % worse than driver/docs/perf-ratchet.toml
        #[arg(long)]
        check: bool,
        /// Write the present figures there
        #[arg(long, conflicts_with = "check")]
        bless: bool,
        /// Print how the cost grows with paths, connections and processors instead
        #[arg(long, conflicts_with_all = ["check", "bless"])]
        growth: bool,
        /// Compare the live host's CPU per request with nginx's and a raw epoll loop's instead
        #[arg(long, conflicts_with_all = ["check", "bless", "growth"])]
        live: bool,
        /// Count the live host's instructions, allocations and system calls per request instead
        #[arg(long, conflicts_with_all = ["check", "bless", "growth", "live"])]
        counts: bool,
        /// Fail where two processors write one cache line of the driver's instead
        #[arg(long, conflicts_with_all = ["check", "bless", "growth", "live", "counts"])]
        lines: bool,
    },
    /// Lay out what is installed in target/package; on Windows, check and test-sign it
    Package,
    /// Change the code in small ways and see that tests notice, by cargo-mutants
    Mutants {
        /// Crates: http1, response-cache, wskhttpd, nt; all of them unless named
        packages: Vec<String>,
        /// Only part K of N, as K/N, K from 0
        #[arg(long)]
        shard: Option<String>,
        /// Only the mutants in this file or glob
        #[arg(long)]
        file: Vec<String>,
    },
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    match repository().and_then(|root| run(&root, &task)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does a task; true when there is nothing to complain of.
fn run(root: &Path, task: &Task) -> Result<bool> {
    match *task {
        Task::Tidy { bless } => tidy::tidy(root, bless),
        Task::Image { debug, check_arm64 } => {
            let make = match (debug, check_arm64) {
                (_, true) => image::Make::CheckArm64,
                (true, false) => image::Make::Debug,
                (false, false) => image::Make::Release,
            };
            image::image(root, make).map(|()| true)
        }
        Task::CheckImage { ref file } => {
            let built = target(root)?.join("x86_64-pc-windows-msvc/release/wskhttpd.sys");
            check_image::check_image(root, file.as_ref().unwrap_or(&built))
        }
        Task::Perf { check, bless, growth, live, counts, lines } => {
            let asked = [
                (check, perf::Mode::Check),
                (bless, perf::Mode::Bless),
                (growth, perf::Mode::Growth),
                (live, perf::Mode::Live),
                (counts, perf::Mode::Counts),
                (lines, perf::Mode::Lines),
            ];
            let asked = asked.into_iter().find(|(is_asked, _)| *is_asked);
            let mode = asked.map_or(perf::Mode::Print, |(_, mode)| mode);
            perf::perf(root, &target(root)?, mode)
        }
        Task::Package => package::package(root, &target(root)?).map(|()| true),
        Task::Mutants { ref packages, ref shard, ref file } => {
            mutants::mutants(root, &target(root)?, packages, shard.as_deref(), file)
        }
    }
}

/// Where cargo puts what it makes.
fn target(root: &Path) -> Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(std::path::absolute(target)?)
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
