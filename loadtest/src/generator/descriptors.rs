//! The limit on open files, raised to what a scenario needs.

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not connections: standard streams, polls, libraries' own.
const OTHERS: u64 = 64;

/// Makes room for `connections` sockets.
///
/// # Errors
/// The hard limit is lower and may not be raised.
pub fn reserve(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let is_below = |limit: Option<u64>| limit.is_some_and(|limit| limit < needed);
    if !is_below(limit.current) {
        return Ok(());
    }
    let maximum = if is_below(limit.maximum) { Some(needed) } else { limit.maximum };
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).with_context(|| {
        format!(
            "{connections} connections need {needed} open files; the hard limit is {}",
            limit.maximum.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
        )
    })
}
