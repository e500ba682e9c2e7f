//! Packs a folder into a site image: `cargo run -p response-cache --features std --example pack --
//! FOLDER FILE`.
use std::path::Path;
use std::process::ExitCode;

use response_cache::build::{Options, build_folder};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, file] = &arguments[..] else {
        eprintln!("usage: pack FOLDER FILE");
        return ExitCode::from(2);
    };
    let built = match build_folder(Path::new(folder), &Options::default()) {
        Ok(built) => built,
        Err(error) => {
            eprintln!("pack: {error}");
            return ExitCode::FAILURE;
        }
    };
    for warning in &built.warnings {
        eprintln!("pack: warning: {warning}");
    }
    match std::fs::write(file, &built.image) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pack: {file}: {error}");
            ExitCode::FAILURE
        }
    }
}
