//! Health endpoints: what is said of each name, and whether its beats come.
//!
//! A state belongs to a name, whatever site has it, so it outlives reloads. What is answered now is
//! a word that turns read; everything else is behind a lock and changes seldom.
use nt::{PoolSlice, Result, SpinLock, Status, Tag};
use response_cache::{HEALTH_NAMES_MAX, Site};
use wskhttpd_abi::{Health, HealthEndpoint, Name, cut};

use crate::clock::{TICK_MS, ticks_of};
use crate::sync::{AtomicU32, Ordering};

/// Names that are kept: those of the site that is served and of the one before it, which a turn may
/// still be answering from.
const KEPT: usize = 2 * HEALTH_NAMES_MAX;
/// Milliseconds that a beat may ask for.
const TIMEOUT_MS: core::ops::RangeInclusive<u32> = TICK_MS..=3_600_000;

/// Where the names of one site are kept, by their numbers in it.
pub type Places = [u8; HEALTH_NAMES_MAX];

/// One name.
struct Kept {
    /// Empty while there is none.
    name: Name,
    health: Health,
    timeout_ms: u32,
    /// Tick of the last beat.
    beat: u32,
    /// The last beat is too long ago.
    is_missing: bool,
    missed: u64,
    /// Number of the last site that had it.
    site: u64,
}

impl Kept {
    fn answered(&self) -> Health {
        if self.is_missing { Health::Down } else { self.health }
    }
}

/// All names. Every call but `adopt`: IRQL <= DISPATCH, any thread.
pub struct HealthTable {
    kept: SpinLock<Names>,
    /// What each answers, by number.
    answered: PoolSlice<AtomicU32>,
    /// How many expect beats.
    beating: AtomicU32,
}

struct Names {
    all: PoolSlice<Kept>,
    /// Number of the site that is served.
    served: u64,
}

impl HealthTable {
    /// No names.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new() -> Result<HealthTable> {
        let empty = |_| Kept {
            name: Name::new_const(),
            health: Health::Up,
            timeout_ms: 0,
            beat: 0,
            is_missing: false,
            missed: 0,
            site: 0,
        };
        let all = PoolSlice::from_fn(Tag::Server, KEPT, empty)?;
        Ok(HealthTable {
            kept: SpinLock::new(Names { all, served: 0 }),
            answered: PoolSlice::from_fn(Tag::Server, KEPT, |_| AtomicU32::new(0))?,
            beating: AtomicU32::new(0),
        })
    }

    /// What is answered for a number of a site's names.
    pub fn answered(&self, places: &Places, number: usize) -> Health {
        let at = places.get(number).map_or(usize::MAX, |at| usize::from(*at));
        let word = self.answered.get(at).map_or(0, |word| word.load(Ordering::Relaxed));
        u8::try_from(word).ok().and_then(Health::from_number).unwrap_or_default()
    }

    /// Finds or makes a place for each name of a site that is to be served next. One caller at a
    /// time; [`HealthTable::adopted`] is to be called when it is.
    #[inline(never)]
    pub fn adopt(&self, site: Site<'_>) -> Places {
        let mut names: [&[u8]; HEALTH_NAMES_MAX] = [&[]; HEALTH_NAMES_MAX];
        for entry in site.entries() {
            let place = site.health_number(entry).and_then(|number| names.get_mut(number));
            if let Some((place, name)) = place.zip(site.health_name(entry)) {
                *place = name;
            }
        }
        let mut places = [0; HEALTH_NAMES_MAX];
        self.kept.with(|kept| {
            for (name, place) in names.iter().zip(&mut places) {
                let name = core::str::from_utf8(name).unwrap_or_default();
                if !name.is_empty() {
                    *place = u8::try_from(self.adopt_name(kept, name)).unwrap_or(0);
                }
            }
        });
        places
    }

    /// The site that was adopted last is served now.
    pub fn adopted(&self) {
        self.kept.with(|kept| kept.served = kept.served.saturating_add(1));
    }

    fn adopt_name(&self, kept: &mut Names, name: &str) -> usize {
        let served = kept.served;
        let known = kept.all.iter().position(|kept| kept.name.as_str() == name);
        // One that the site that is served does not have: with two sites' room there is one.
        let is_free = |kept: &Kept| kept.name.is_empty() || kept.site < served;
        let at = known.or_else(|| kept.all.iter().position(is_free)).unwrap_or(0);
        let Some(place) = kept.all.get_mut(at) else { return 0 };
        if known.is_none() {
            if place.timeout_ms != 0 {
                self.beating.fetch_sub(1, Ordering::Relaxed);
            }
            let (name, health) = (cut(name), Health::Up);
            *place = Kept {
                name,
                health,
                timeout_ms: 0,
                beat: 0,
                is_missing: false,
                missed: 0,
                site: 0,
            };
        }
        place.site = served.saturating_add(1);
        self.answer(at, place.answered());
        at
    }

    /// True when that is another answer than before.
    fn answer(&self, at: usize, health: Health) -> bool {
        let word = u32::from(health.number());
        self.answered.get(at).is_some_and(|place| place.swap(word, Ordering::Release) != word)
    }

    /// Changes a name of the site that is served; true when another answer is given now.
    fn change(&self, name: &str, change: impl FnOnce(&mut Kept)) -> Result<bool> {
        self.kept.with(|kept| {
            let served = kept.served;
            let mut all = kept.all.iter_mut().enumerate();
            let found = all.find(|(_, kept)| kept.site >= served && kept.name.as_str() == name);
            let (at, kept) = found.ok_or(Status::NOT_FOUND)?;
            let was_beating = kept.timeout_ms != 0;
            change(kept);
            match (was_beating, kept.timeout_ms != 0) {
                (false, true) => _ = self.beating.fetch_add(1, Ordering::Relaxed),
                (true, false) => _ = self.beating.fetch_sub(1, Ordering::Relaxed),
                _ => {}
            }
            Ok(self.answer(at, kept.answered()))
        })
    }

    /// An operator's word, which ends the heartbeat; true when another answer is given now.
    ///
    /// # Errors
    /// `NOT_FOUND`: the site that is served has no such name.
    pub fn switch(&self, name: &str, health: Health) -> Result<bool> {
        self.change(name, |kept| {
            (kept.health, kept.timeout_ms, kept.is_missing) = (health, 0, false);
        })
    }

    /// A beat at tick `now`; without another one within `timeout_ms` the answer is down. 0 = no
    /// more are expected. True when another answer is given now.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for an impossible timeout; as [`HealthTable::switch`].
    pub fn beat(&self, name: &str, timeout_ms: u32, now: u32) -> Result<bool> {
        if timeout_ms != 0 && !TIMEOUT_MS.contains(&timeout_ms) {
            return Err(Status::INVALID_PARAMETER);
        }
        self.change(name, |kept| {
            (kept.timeout_ms, kept.beat, kept.is_missing) = (timeout_ms, now, false);
        })
    }

    /// Looks for beats that stayed away at tick `now`; for how many names they did.
    pub fn miss(&self, now: u32) -> u32 {
        if self.beating.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.kept.with(|kept| {
            let mut count: u32 = 0;
            for (at, kept) in kept.all.iter_mut().enumerate() {
                // The tick of the beat had begun before it: one more, so as not to be early.
                let passed = now.saturating_sub(kept.beat) > ticks_of(kept.timeout_ms);
                if kept.timeout_ms != 0 && passed && !kept.is_missing {
                    kept.is_missing = true;
                    kept.missed = kept.missed.saturating_add(1);
                    self.answer(at, Health::Down);
                    count = count.saturating_add(1);
                }
            }
            count
        })
    }

    /// The endpoint of the site that is served at a position or the next one, and the position
    /// behind it; `None` at the end.
    pub fn at(&self, from: usize, now: u32) -> Option<(HealthEndpoint, usize)> {
        self.kept.with(|kept| {
            let served = kept.served;
            let mut rest = kept.all.iter().enumerate().skip(from);
            let (at, kept) = rest.find(|(_, kept)| !kept.name.is_empty() && kept.site >= served)?;
            let since = now.saturating_sub(kept.beat).saturating_mul(TICK_MS);
            let endpoint = HealthEndpoint {
                name: kept.name,
                health: kept.health,
                answered: kept.answered(),
                timeout_ms: kept.timeout_ms,
                since_beat_ms: if kept.timeout_ms == 0 { 0 } else { since },
                missed: kept.missed,
            };
            Some((endpoint, at.saturating_add(1)))
        })
    }
}
