//! The program, and what it printed.
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run of it came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) said: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            said: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// What it printed, if all went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The one value that it printed with `--json`.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Exit code `code`, nothing printed, one line on stderr with `why`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, why: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.said.contains(why) && self.said.lines().count() == 1, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
    }
}

/// The program, without anybody to talk to at the keyboard.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wskhttpctl"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Run {
    command(arguments).output().unwrap().into()
}

/// With the sockets of servers in this folder's `wskhttpd`.
pub(crate) fn run_in(runtime: &Path, arguments: &[&str]) -> Run {
    command(arguments).env("XDG_RUNTIME_DIR", runtime).output().unwrap().into()
}
