//! Parameters of the running driver: told, and changed.
use core::fmt::{Arguments, Write as _};

use nt::{PoolArc, PoolSlice, Result, SpinLock, Tag, TryCell};
use wskhttpd_abi::{Parameter, Sentence, cut};

use super::{BOUNDS, CHOICES, LIST_NAMES, Number, Parameters, list_of, list_of_mut};
use crate::admission::prefixes::{PREFIXES_MAX, Prefix};
use crate::server::Server;

/// What was made to fit these at the start, or is counted by them: a restart changes them.
const FIXED: [&str; 10] = [
    "SiteImage",
    "ListenAddress",
    "ListenPort",
    "AcceptMode",
    "MaxHandshakes",
    "AddressPrefixV4",
    "AddressPrefixV6",
    "PreallocatedConnections",
    "MemoHeads",
    "HashSeed",
];
/// There is memory for as many as the driver was started with.
const BOUND_BY_START: [&str; 2] = ["MaxConnections", "HoldMax"];

/// The parameters in force.
pub struct InForce {
    current: SpinLock<PoolArc<Parameters>>,
    /// Taken by who changes one: one at a time.
    changing: TryCell<()>,
    /// Of [`BOUND_BY_START`].
    started: [u32; BOUND_BY_START.len()],
}

impl InForce {
    /// Those of the start.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    #[inline(never)]
    pub fn new(parameters: Parameters) -> Result<InForce> {
        let started = [parameters.max_connections, parameters.hold_max];
        let current = SpinLock::new(PoolArc::new(Tag::Server, parameters)?);
        Ok(InForce { current, changing: TryCell::new(()), started })
    }

    fn current(&self) -> PoolArc<Parameters> {
        self.current.with(|current| current.clone())
    }

    /// The parameter at a position; `None` behind the last one. For those who run at
    /// PASSIVE_LEVEL.
    #[inline(never)]
    pub fn at(&self, at: usize) -> Option<Parameter> {
        let current = self.current();
        let mut value = Sentence::new();
        let mut show = |shown: Arguments<'_>| _ = value.write_fmt(shown);
        let name = match at {
            0 => {
                show(format_args!("{}", current.site_image));
                "SiteImage"
            }
            1 => {
                show(format_args!("{}", current.listen.ip()));
                "ListenAddress"
            }
            2 => {
                show(format_args!("{}", current.listen.port()));
                "ListenPort"
            }
            _ => current.rest_at(at.saturating_sub(3), &mut value)?,
        };
        Some(Parameter { name: cut(name), value, is_changeable: !FIXED.contains(&name) })
    }

    /// Changes one, as if the driver had been started so; `None`, and the reason in `why`, when
    /// that cannot be, and nothing has changed. `why` is empty before. At PASSIVE_LEVEL.
    #[inline(never)]
    pub fn change(
        &self,
        server: &Server,
        name: &str,
        value: &str,
        why: &mut Sentence,
    ) -> Option<()> {
        let refuse = |reason, why: &mut Sentence| {
            *why = cut(reason);
            None
        };
        let Some(_one) = self.changing.try_take() else {
            return refuse("another parameter is being changed", why);
        };
        if FIXED.contains(&name) {
            return refuse("this parameter needs a restart of the driver", why);
        }
        let next = self.changed(name, value, why);
        if why.is_empty() && next.and_then(|next| self.put(server, next)).is_err() {
            *why = cut("no memory for it");
        }
        why.is_empty().then_some(())
    }

    /// What would be in force, if `why` stays empty.
    #[inline(never)]
    fn changed(&self, name: &str, value: &str, why: &mut Sentence) -> Result<PoolArc<Parameters>> {
        let mut next = self.current().copy()?;
        if next.set(name, value, self.started, why).is_some() {
            next.check(why);
        }
        PoolArc::new(Tag::Server, next)
    }

    #[inline(never)]
    fn put(&self, server: &Server, next: PoolArc<Parameters>) -> Result<()> {
        server.change(&next, next.lists.copy()?)?;
        let before = self.current.with(|current| core::mem::replace(current, next));
        drop(before);
        Ok(())
    }
}

impl Parameters {
    fn copy(&self) -> Result<Parameters> {
        let lists = self.lists.copy()?;
        Ok(self.with_lists(lists))
    }

    /// Numbers, then choices, then lists: the name, and its value in `value`.
    fn rest_at(&self, at: usize, value: &mut Sentence) -> Option<&'static str> {
        if let Some(number) = BOUNDS.get(at) {
            let _ = write!(value, "{}", self.numbers().get(at)?);
            return Some(number.name);
        }
        let at = at.saturating_sub(BOUNDS.len());
        if let Some((name, word)) = self.words().get(at) {
            *value = cut(word);
            return Some(name);
        }
        let at = at.saturating_sub(CHOICES.len());
        let name = LIST_NAMES.get(at)?;
        for prefix in list_of(&self.lists, at)?.iter() {
            let comma = if value.is_empty() { "" } else { "," };
            if write!(value, "{comma}{prefix}").is_err() {
                break;
            }
        }
        Some(name)
    }

    #[inline(never)]
    fn set(
        &mut self,
        name: &str,
        value: &str,
        started: [u32; BOUND_BY_START.len()],
        why: &mut Sentence,
    ) -> Option<()> {
        if let Some(at) = BOUNDS.iter().position(|number| number.name == name) {
            let bound = BOUND_BY_START.iter().zip(started).find(|(bound, _)| **bound == name);
            let number = number_in(BOUNDS.get(at)?, bound.map(|(_, started)| started), value, why)?;
            **self.numbers_mut().get_mut(at)? = number;
            return Some(());
        }
        if let Some(at) = LIST_NAMES.iter().position(|known| *known == name) {
            let list = prefixes(name, value, why)?;
            *list_of_mut(&mut self.lists, at)? = list;
            return Some(());
        }
        match self.choose(name, value) {
            Some(true) => return Some(()),
            Some(false) => _ = write!(why, "{name}: {value} is none of its words"),
            None => _ = write!(why, "there is no parameter {name}"),
        }
        None
    }
}

#[inline(never)]
fn number_in(
    number: &Number,
    started: Option<u32>,
    value: &str,
    why: &mut Sentence,
) -> Option<u32> {
    let Number { name, min, max, .. } = *number;
    let max = started.unwrap_or(max);
    let parsed = value.parse::<u32>().ok().filter(|number| (min..=max).contains(number));
    if parsed.is_none() {
        let start =
            if started.is_some() { ", where the driver was started with the last" } else { "" };
        let _ = write!(why, "{name}: {value} is not in {min}..={max}{start}");
    }
    parsed
}

/// Prefixes with commas between; nothing is the empty list.
#[inline(never)]
fn prefixes(name: &str, value: &str, why: &mut Sentence) -> Option<PoolSlice<Prefix>> {
    let texts = || value.split(',').filter(|_| !value.is_empty());
    let count = texts().count();
    if count > PREFIXES_MAX {
        let _ = write!(why, "{name}: {count} entries, {PREFIXES_MAX} allowed");
        return None;
    }
    for text in texts() {
        if let Err(error) = text.parse::<Prefix>() {
            let _ = write!(why, "{name}: {text} {error}");
            return None;
        }
    }
    let mut parsed = texts().map(|text| text.parse().unwrap_or_default());
    let list = PoolSlice::from_fn(Tag::Server, count, |_| parsed.next().unwrap_or_default());
    list.map_err(|_| *why = cut("no memory for it")).ok()
}
