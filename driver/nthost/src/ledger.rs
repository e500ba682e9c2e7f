//! What the driver holds: pool by tag, and every other kind of object.
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;

use crate::verifier::Site;

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Objects now.
    pub count: usize,
    /// Octets now; 0 where octets mean nothing.
    pub octets: usize,
    /// Most octets, or objects where octets mean nothing, at any time.
    pub peak: usize,
    /// Where some of what is left came from.
    pub sites: Vec<String>,
}

/// A snapshot. Displayed it is what an unloaded driver left; `{:#}` shows what a running one has.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Rows by name: `pool WhCn`, `sockets`, `IRPs in flight`, ...
    pub items: BTreeMap<String, Item>,
}

impl Ledger {
    /// Octets of pool, now and at most: the most is the sum of what each tag had at most.
    pub fn pool_octets(&self) -> (usize, usize) {
        let pool = self.items.iter().filter(|(name, _)| name.starts_with("pool "));
        pool.fold((0, 0), |(now, peak), (_, item)| (now + item.octets, peak + item.peak))
    }

    /// True when nothing is held.
    pub fn is_zero(&self) -> bool {
        self.items.values().all(|item| item.count == 0)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = f.alternate();
        for (name, item) in &self.items {
            writeln!(
                f,
                "{name:24} {:>8} held {:>12} octets, peak {:>12}",
                item.count, item.octets, item.peak
            )?;
            for site in item.sites.iter().filter(|_| !running) {
                writeln!(f, "    left by {site}")?;
            }
        }
        if running {
            return Ok(());
        }
        let verdict = if self.is_zero() { "all zero" } else { "NOT zero" };
        write!(f, "ledger: {verdict}")
    }
}

/// Objects of one kind, by address.
pub(crate) struct Register {
    name: &'static str,
    objects: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: BTreeMap<usize, Site>,
    peak: usize,
}

impl Register {
    pub(crate) const fn new(name: &'static str) -> Register {
        let state = State { live: BTreeMap::new(), peak: 0 };
        Register { name, objects: Mutex::new(state) }
    }

    /// Adds an object; the earlier one when the address is taken.
    pub(crate) fn add(&self, address: usize, site: Site) -> Option<Site> {
        let mut state = self.objects.lock();
        let earlier = state.live.insert(address, site);
        state.peak = state.peak.max(state.live.len());
        earlier
    }

    /// Removes an object; where it came from, `None` when it is not there.
    pub(crate) fn remove(&self, address: usize) -> Option<Site> {
        self.objects.lock().live.remove(&address)
    }

    /// An object inside `from..to`.
    pub(crate) fn inside(&self, from: usize, to: usize) -> Option<(usize, Site)> {
        self.objects.lock().live.range(from..to).next().map(|(at, site)| (*at, *site))
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        self.objects.lock().live.contains_key(&address)
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.lock().live.len()
    }

    pub(crate) fn clear(&self) {
        *self.objects.lock() = State::default();
    }

    pub(crate) fn enter(&self, ledger: &mut Ledger) {
        let state = self.objects.lock();
        let sites = state.live.values().take(4).map(Site::to_string).collect();
        let item = Item { count: state.live.len(), octets: 0, peak: state.peak, sites };
        ledger.items.insert(self.name.to_owned(), item);
    }
}
