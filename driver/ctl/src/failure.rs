//! Why a command failed, by exit code.
use std::io;

use serde_json::{Value, json};

/// What scripts may want to tell apart; everything else has exit code 4.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The driver said no; or a folder or a file is no site.
    #[error("{0}")]
    Refused(String),
    /// What was said does not fit together.
    #[error("{0}")]
    Usage(String),
    /// No server, several of them, or one that does not answer.
    #[error("{0}")]
    NoServer(String),
}

/// That of the library that reads the command line.
const EXIT_USAGE: u8 = 2;

/// Exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done
  1  refused by the driver, or not a site; it says why
  2  the command line is wrong
  3  no server, several of them, or one that does not answer
  4  anything else, such as a file that cannot be written
`heartbeat NAME -- COMMAND` ends with the exit code of COMMAND; 128 + N if signal N ended it.";

/// Exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(Failure::Refused(_)) => 1,
        Some(Failure::Usage(_)) => EXIT_USAGE,
        Some(Failure::NoServer(_)) => 3,
        None => 4,
    }
}

/// An error as `--json` shows it, on stderr.
pub(crate) fn to_json(error: &anyhow::Error) -> Value {
    json!({ "error": format!("{error:#}"), "exit_code": exit_code(error) })
}

/// Whoever read the output, such as `head`, has gone: no reason to complain.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let root = error.root_cause().downcast_ref::<io::Error>();
    root.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_failure_keeps_its_exit_code_under_context() {
        let refused = Err::<(), _>(Failure::Refused("too large".to_owned()));
        let error = refused.context("site.img").unwrap_err();
        assert_eq!(exit_code(&error), 1);
        assert_eq!(to_json(&error)["error"], "site.img: too large");
        assert_eq!(exit_code(&Failure::NoServer(String::new()).into()), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("other")), 4);
    }

    #[test]
    fn only_a_reader_who_left_is_no_error() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::from(broken).context("writing")));
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::NotFound).into()));
    }
}
