//! What every kind of load is given, and what is made ready before it starts.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use crate::generator::descriptors;
use crate::generator::site::{Site, Sources};

/// One kind of request, and what has to come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ask {
    /// `http://host[:port]/path`.
    pub url: String,
    /// Status the answer must have.
    pub status: u16,
    /// How often it is put, beside the weights of the others; at least 1.
    pub weight: u32,
    /// Contents the answer may have; empty: that of the first answer, which is learned.
    pub contents: Vec<Vec<u8>>,
}

impl Ask {
    /// Asks for `url`, once in turn, and wants 200.
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), status: 200, weight: 1, contents: Vec::new() }
    }
}

/// What a connection that is refused, reset, or not answered counts as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Refusals {
    /// An error.
    #[default]
    Errors,
    /// What the server is meant to do: counted apart, with no error.
    Allowed,
}

/// The part of a plan that all kinds of load share.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is asked, all of one authority.
    pub asks: Vec<Ask>,
    /// Whether contents are compared with what they have to be.
    pub check_content: bool,
    /// Connections, at least 1.
    pub connections: usize,
    /// Longest wait for a connection or an answer.
    pub timeout: Duration,
    /// Faults after which the load gives up.
    pub errors_max: u64,
    /// What a refused connection counts as.
    pub refusals: Refusals,
    /// Number of source addresses; `None`: as many as the ports require.
    pub sources: Option<u8>,
    /// The one source address, in place of them.
    pub source: Option<IpAddr>,
    /// Whether a bar shows how far it is (on a terminal).
    pub has_bar: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            asks: Vec::new(),
            check_content: true,
            connections: 64,
            timeout: Duration::from_secs(5),
            errors_max: 1000,
            refusals: Refusals::Errors,
            sources: None,
            source: None,
            has_bar: false,
        }
    }
}

impl Plan {
    /// Resolves the site, makes room for the sockets, and learns the right answers.
    ///
    /// # Errors
    /// One of these is not possible: the load cannot start.
    pub fn prepare(&self) -> Result<(Site, Sources)> {
        let mut site = Site::new(&self.asks)?;
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

    /// The URLs asked for.
    pub fn urls(&self) -> Vec<String> {
        self.asks.iter().map(|ask| ask.url.clone()).collect()
    }
}
