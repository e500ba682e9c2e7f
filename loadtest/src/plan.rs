//! What every scenario is given, and what is made ready before it starts.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use crate::descriptors;
use crate::site::{Site, Sources};

/// The part of a plan that all scenarios share.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `http://host[:port]/path`, all of one authority, asked in turn.
    pub urls: Vec<String>,
    /// Status every answer must have.
    pub status: u16,
    /// Whether contents are compared with the first answer's.
    pub check_content: bool,
    /// Connections, at least 1.
    pub connections: usize,
    /// Longest wait for a connection or an answer.
    pub timeout: Duration,
    /// Faults after which the scenario gives up.
    pub errors_max: u64,
    /// Number of source addresses; `None`: as many as the ports require.
    pub sources: Option<u8>,
    /// The one source address, in place of them.
    pub source: Option<IpAddr>,
}

impl Plan {
    /// Resolves the site, makes room for the sockets, and learns the right answers.
    ///
    /// # Errors
    /// One of these is not possible: the scenario cannot start.
    pub fn prepare(&self) -> Result<(Site, Sources)> {
        let mut site = Site::new(&self.urls, self.status)?;
        let sources = match self.source {
            Some(source) => Sources::one(source),
            None => Sources::new(site.address, self.connections, self.sources)?,
        };
        descriptors::reserve(self.connections)?;
        if self.check_content {
            site.learn(self.timeout)?;
        }
        Ok((site, sources))
    }
}
