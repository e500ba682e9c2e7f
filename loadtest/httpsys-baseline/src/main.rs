//! A server over the HTTP Server API that answers one path with a small response, which http.sys
//! keeps in its cache: from the second request on nothing of this process runs.
//!
//! `httpsys-baseline [http://+:8081/hello.txt] [--uncached]`, as an administrator, or after
//! `netsh http add urlacl`. `--uncached`: http.sys asks this process each time.
//!
//! | module | what |
//! |---|---|
//! | `api` | the HTTP Server API, as far as it is needed, with its errors |
//! | `serve` | the one response |

#![deny(unsafe_code)]

#[cfg(windows)]
mod api;
#[cfg(windows)]
mod serve;

use std::process::ExitCode;

#[cfg(windows)]
fn main() -> ExitCode {
    let mut url = "http://+:8081/hello.txt".to_owned();
    let mut caching = serve::Caching::Kernel;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--uncached" => caching = serve::Caching::Off,
            other if other.starts_with("http://") => other.clone_into(&mut url),
            other => {
                eprintln!("httpsys-baseline: {other}: neither http://... nor --uncached");
                return ExitCode::from(2);
            }
        }
    }
    match serve::serve(&url, caching) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("httpsys-baseline: {failure}");
            ExitCode::from(1)
        }
    }
}

#[cfg(not(windows))]
fn main() -> ExitCode {
    eprintln!("httpsys-baseline: http.sys is part of Windows");
    ExitCode::from(2)
}
