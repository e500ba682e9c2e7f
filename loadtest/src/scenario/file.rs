//! The file of a scenario, and what may be in it. What is wrong is named with its line.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::generator::churn::ChurnPlan;
use crate::generator::hold::HoldPlan;
use crate::generator::plan::{Ask, Plan, Refusals};
use crate::generator::response::CONTENTS_MAX;
use crate::generator::run::{Bound, Pace, Reuse, RunPlan};
use crate::generator::site::Site;

/// Connections of one load at most.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// Threads of one load at most; those of slow and rude clients are one each.
const CLIENTS_MAX: u32 = 2_000;

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, or its file's.
    pub name: String,
    /// One sentence on what it is for.
    pub about: String,
    /// How long it lasts, after the ramp.
    pub duration: Duration,
    /// The loads, side by side; the first is the one whose figures are compared.
    pub loads: Vec<Load>,
    /// Commands beside them.
    pub beside: Vec<Beside>,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    duration_ms: NonZeroU64,
    load: Vec<Spanned<Load>>,
    #[serde(default)]
    beside: Vec<Spanned<Beside>>,
}

/// How the clients of a load behave.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Many requests on each connection.
    #[default]
    KeepAlive,
    /// One request on each connection.
    Close,
    /// The same, but three of four leave in another way.
    Rude,
    /// One request on each connection, sent in pieces.
    SlowWriter,
    /// One request on each connection, its answer read in pieces.
    SlowReader,
    /// One request, and another one at the end; nothing between.
    Hold,
}

/// One load of a scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// What it is called in reports.
    pub name: String,
    /// How its clients behave.
    #[serde(default)]
    pub manner: Manner,
    /// Connections at a time.
    pub connections: NonZeroU32,
    /// Threads, where a thread has many connections.
    #[serde(default = "one")]
    pub threads: NonZeroU32,
    /// Requests in flight on one connection.
    #[serde(default = "one")]
    pub pipeline: NonZeroU32,
    /// Requests that begin per second, whatever the answers do. Without it, answers begin them.
    pub rate: Option<NonZeroU32>,
    /// How long the rate, or the number of connections, rises before it is measured.
    #[serde(default)]
    pub ramp_ms: u64,
    /// What slow clients wait after each piece.
    #[serde(default = "pace_ms")]
    pub pace_ms: NonZeroU64,
    /// Longest wait for a connection or an answer.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: NonZeroU64,
    /// Source addresses, 127.0.0.1 and on.
    pub sources: Option<NonZeroU8>,
    /// The one source address.
    pub source: Option<IpAddr>,
    /// A server may refuse these clients.
    #[serde(default)]
    pub refusals_allowed: bool,
    /// What is asked.
    pub requests: Vec<Request>,
}

/// One kind of request.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// From `/` on.
    pub path: String,
    /// Status the answer must have.
    #[serde(default = "ok")]
    pub status: u16,
    /// How often, beside the others.
    #[serde(default = "one")]
    pub weight: NonZeroU32,
    /// Contents the answer may have; without one, that of the first answer.
    #[serde(default)]
    pub contents: Vec<String>,
    /// The content that [`Scenario::learn`] found, where none is named.
    #[serde(skip)]
    pub learned: Option<Vec<u8>>,
}

impl Request {
    fn ask(&self, base: &str) -> Ask {
        let named = self.contents.iter().map(|text| text.clone().into_bytes());
        Ask {
            url: format!("{base}{}", self.path),
            status: self.status,
            weight: self.weight.get(),
            contents: named.chain(self.learned.clone()).collect(),
        }
    }
}

/// A command beside the loads.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// How often it is run; never twice at a time.
    pub every_ms: NonZeroU64,
    /// Its words; `{addr}` is the server's address and port, `{url}` its URL without a path.
    pub command: String,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn ok() -> u16 {
    200
}

fn pace_ms() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(19)
}

fn timeout_ms() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(4_999)
}

impl Scenario {
    /// Reads the text of the file `name`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let at = |offset: usize, what: &str| {
            let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
            anyhow!("{name}:{line}: {what}")
        };
        let file: File = toml::from_str(text)
            .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message()))?;
        for load in &file.load {
            load.get_ref().check().map_err(|what| at(load.span().start, &what))?;
        }
        for beside in &file.beside {
            if beside.get_ref().words("", "").is_none() {
                return Err(at(beside.span().start, "`command` has no words, or an open quote"));
            }
        }
        if file.load.is_empty() {
            return Err(at(0, "no [[load]]"));
        }
        Ok(Self {
            name: name.to_owned(),
            about: file.about,
            duration: Duration::from_millis(file.duration_ms.get()),
            loads: file.load.into_iter().map(Spanned::into_inner).collect(),
            beside: file.beside.into_iter().map(Spanned::into_inner).collect(),
        })
    }

    /// Takes what the server at `base` says for right, where no content is named: for whoever plays
    /// it several times, to one server or to several.
    ///
    /// # Errors
    /// It cannot be asked, or its answer is wrong in itself.
    pub fn learn(&mut self, base: &str) -> Result<()> {
        for load in &mut self.loads {
            let timeout = Duration::from_millis(load.timeout_ms.get());
            for request in load.requests.iter_mut().filter(|request| request.contents.is_empty()) {
                let mut site = Site::new(&[request.ask(base)])?;
                site.learn(timeout).with_context(|| request.path.clone())?;
                request.learned = site.expect(0).contents.first().cloned();
            }
        }
        Ok(())
    }
}

/// The plan of a load.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Over connections that a few threads share.
    Run(RunPlan),
    /// A thread for each client.
    Churn(ChurnPlan),
    /// Held connections.
    Hold(HoldPlan),
}

impl Load {
    /// What serde cannot know.
    fn check(&self) -> Result<(), String> {
        let is_run = matches!(self.manner, Manner::KeepAlive | Manner::Close);
        let max = if is_run || self.manner == Manner::Hold { CONNECTIONS_MAX } else { CLIENTS_MAX };
        if self.connections.get() > max {
            return Err(format!("`connections` over {max}"));
        }
        if self.threads.get() > CLIENTS_MAX {
            return Err(format!("`threads` over {CLIENTS_MAX}"));
        }
        if self.manner != Manner::KeepAlive && self.pipeline.get() > 1 {
            return Err("`pipeline` is for `manner = \"keep-alive\"`".to_owned());
        }
        if !is_run && (self.rate.is_some() || self.ramp_ms > 0 || self.threads.get() > 1) {
            let why = "`rate`, `ramp_ms` and `threads` are for `manner`s keep-alive and close";
            return Err(why.to_owned());
        }
        if self.sources.is_some() && self.source.is_some() {
            return Err("both `sources` and `source`".to_owned());
        }
        if self.requests.is_empty() {
            return Err("no `requests`".to_owned());
        }
        for Request { path, contents, .. } in &self.requests {
            let is_plain =
                path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_plain {
                return Err(format!("`path` {path:?} is not percent-encoded from `/` on"));
            }
            if contents.len() > CONTENTS_MAX {
                return Err(format!("more than {CONTENTS_MAX} `contents`"));
            }
        }
        Ok(())
    }

    /// The plan of this load against the server at `base` (a URL without a path).
    pub fn plan(&self, base: &str, duration: Duration) -> Kind {
        let plan = Plan {
            asks: self.requests.iter().map(|request| request.ask(base)).collect(),
            connections: self.connections.get() as usize,
            timeout: Duration::from_millis(self.timeout_ms.get()),
            refusals: if self.refusals_allowed { Refusals::Allowed } else { Refusals::Errors },
            sources: self.sources.map(NonZeroU8::get),
            source: self.source,
            ..Plan::default()
        };
        let bound = Bound::Duration(duration);
        let pace = Duration::from_millis(self.pace_ms.get());
        match self.manner {
            Manner::KeepAlive | Manner::Close => Kind::Run(RunPlan {
                threads: (self.threads.get() as usize).min(plan.connections),
                pipeline: self.pipeline.get() as usize,
                reuse: if self.manner == Manner::Close { Reuse::Close } else { Reuse::KeepAlive },
                pace: self.rate.map_or(Pace::Answers, |rate| Pace::PerSecond(rate.get().into())),
                ramp: Duration::from_millis(self.ramp_ms),
                bound,
                plan,
            }),
            Manner::Rude => Kind::Churn(ChurnPlan { rude: true, ..ChurnPlan::new(plan, bound) }),
            Manner::SlowWriter => {
                Kind::Churn(ChurnPlan { send_pace: pace, ..ChurnPlan::new(plan, bound) })
            }
            Manner::SlowReader => {
                Kind::Churn(ChurnPlan { read_pace: pace, ..ChurnPlan::new(plan, bound) })
            }
            Manner::Hold => Kind::Hold(HoldPlan { plan, hold: duration }),
        }
    }
}

impl Beside {
    /// The words of the command for a server; `None` when they are none.
    pub fn words(&self, base: &str, address: &str) -> Option<Vec<String>> {
        let words = shlex::split(&self.command)?;
        let filled = words.into_iter();
        let filled = filled.map(|word| word.replace("{addr}", address).replace("{url}", base));
        Some(filled.collect()).filter(|words: &Vec<String>| !words.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"about = "a"
duration_ms = 100
[[load]]
name = "a"
connections = 4
requests = [{ path = "/" }]
"#;

    fn error(text: &str) -> String {
        format!("{:#}", Scenario::parse("x.toml", text).expect_err("not a scenario"))
    }

    #[test]
    fn a_scenario_has_defaults() {
        let scenario = Scenario::parse("x.toml", GOOD).expect("a scenario");
        let Kind::Run(plan) = scenario.loads[0].plan("http://h", scenario.duration) else {
            panic!("another kind");
        };
        assert_eq!(plan.plan.asks, [Ask::get("http://h/")]);
        assert_eq!((plan.plan.connections, plan.threads, plan.pipeline), (4, 1, 1));
        assert_eq!((plan.pace, plan.reuse), (Pace::Answers, Reuse::KeepAlive));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, place) in [
            ("duration_ms = 100", "duration_ms = 0", "x.toml:2: "),
            ("duration_ms = 100", "duration_ms = ", "x.toml:2: "),
            ("connections = 4", "connections = -4", "x.toml:5: "),
            ("connections = 4", "conections = 4", "x.toml:5: "),
            ("connections = 4", "connections = 4\nmanner = \"odd\"", "x.toml:6: "),
            ("path = \"/\"", "path = \"/\", weight = 0", "x.toml:6: "),
            ("connections = 4", "connections = 4\npipeline = 2\nmanner = \"hold\"", "x.toml:3: "),
            ("path = \"/\"", "path = \"x\"", "x.toml:3: "),
            ("connections = 4", "connections = 2000000", "x.toml:3: "),
        ] {
            let wrong = GOOD.replace(from, to);
            assert_ne!(wrong, GOOD);
            assert!(error(&wrong).starts_with(place), "{to}: {}", error(&wrong));
        }
        let beside = format!("{GOOD}[[beside]]\nevery_ms = 5\ncommand = \"a 'b\"\n");
        assert!(error(&beside).starts_with("x.toml:7: "), "{}", error(&beside));
    }

    #[test]
    fn the_words_of_a_command_are_filled_in() {
        let every_ms = NonZeroU64::MIN;
        let beside = Beside { every_ms, command: "a 'b {addr}' {url}/x".to_owned() };
        let words = beside.words("http://h:1", "h:1").expect("words");
        assert_eq!(words, ["a", "b h:1", "http://h:1/x"]);
    }
}
