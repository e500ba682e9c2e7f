//! When requests are to begin in an open loop: at a constant rate, whatever the answers do. Latency
//! counts from that moment, so that a server that stalls is not spared the requests that would
//! have come meanwhile (coordinated omission).

use std::time::{Duration, Instant};

/// The arrivals of one thread, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    started: Instant,
    /// Arrivals per second once the ramp is over; greater than 0.
    rate: f64,
    /// How long the rate rises from 0.
    ramp_s: f64,
    /// Where the arrivals of this thread lie between those of the others, from 0 to 1.
    phase: f64,
    /// Arrivals from this moment on do not take place.
    until: Instant,
    /// Number of the next one.
    next: u64,
    next_at: Instant,
}

impl Schedule {
    /// `rate` arrivals a second from `started` on, until `until`, after a rise over `ramp`.
    pub fn new(started: Instant, until: Instant, rate: f64, ramp: Duration, phase: f64) -> Self {
        let ramp_s = ramp.as_secs_f64();
        let mut schedule = Self { started, rate, ramp_s, phase, until, next: 0, next_at: started };
        schedule.next_at = schedule.at(0);
        schedule
    }

    /// Takes the next arrival if it is due.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        let at = self.next_at;
        if at > now || at >= self.until {
            return None;
        }
        self.next += 1;
        self.next_at = self.at(self.next);
        Some(at)
    }

    /// When the next one is due; `None` when no more will be.
    pub fn next_at(&self) -> Option<Instant> {
        (self.next_at < self.until).then_some(self.next_at)
    }

    /// How many are due and were not taken.
    pub fn overdue(&self, now: Instant) -> u64 {
        let mut rest = self.clone();
        let mut count = 0;
        while rest.take(now).is_some() {
            count += 1;
        }
        count
    }

    /// When number `number` is due. While the rate rises, t seconds bring rate * t^2 / (2 * ramp).
    #[allow(clippy::cast_precision_loss, reason = "numbers are far below 2^53")]
    fn at(&self, number: u64) -> Instant {
        let number = number as f64 + self.phase;
        let in_ramp = self.rate * self.ramp_s / 2.0;
        let seconds = if number < in_ramp {
            (2.0 * number * self.ramp_s / self.rate).sqrt()
        } else {
            self.ramp_s + (number - in_ramp) / self.rate
        };
        self.started + Duration::from_secs_f64(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_evenly_spaced_and_end() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut schedule = Schedule::new(start, start + second, 1000.0, Duration::ZERO, 0.5);
        assert_eq!(schedule.take(start), None);
        let first = schedule.next_at().expect("one");
        assert_eq!(first - start, Duration::from_micros(500));
        assert_eq!(schedule.take(first), Some(first));
        assert_eq!(schedule.overdue(start + second / 2), 499);
        let late = start + 10 * second;
        let rest: Vec<_> = std::iter::from_fn(|| schedule.take(late)).collect();
        assert_eq!(rest.len(), 999);
        assert!(rest.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_micros(999)));
        assert_eq!((schedule.next_at(), schedule.overdue(late)), (None, 0));
    }

    #[test]
    fn a_ramp_brings_half_and_ends_at_the_full_rate() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut schedule = Schedule::new(start, start + 2 * second, 1000.0, second, 0.0);
        let of_ramp = std::iter::from_fn(|| schedule.take(start + second)).count();
        assert!((499..=501).contains(&of_ramp), "{of_ramp}");
        let of_hold = std::iter::from_fn(|| schedule.take(start + 2 * second)).count();
        assert!((999..=1001).contains(&of_hold), "{of_hold}");
    }
}
