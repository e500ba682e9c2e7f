//! Ratios, and how sure they are.
//!
//! The servers of one round saw the same moment of the machine, so that figures are divided round
//! by round; the ratio is the geometric mean of these. Its interval is a bootstrap over the rounds:
//! they are drawn anew, with replacement, many times, and the middle 95 % of the means is what the
//! rounds allow to say. Of few rounds that is too narrow, as those drawn vary less than those that
//! might have been; it is expanded as Hesterberg has it (The American Statistician 69, 2015,
//! 371-386): by sqrt(n / (n - 1)), and by how much wider Student's distribution is than the normal.

use fastrand::Rng;
use serde::Serialize;

/// How often rounds are drawn anew.
const RESAMPLES: usize = 2_000;
/// The part of the means that lies within the interval.
const CONFIDENCE: f64 = 0.95;
/// With fewer rounds nothing is said.
pub const ROUNDS_MIN: usize = 5;

/// A ratio and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The geometric mean of the ratios of the rounds.
    pub ratio: f64,
    /// The interval, where there are rounds enough for one.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Of `ours` to `theirs`, round by round; `None` where a figure is not above 0.
    pub fn of(ours: &[f64], theirs: &[f64], seed: u64) -> Option<Self> {
        let pairs = ours.iter().zip(theirs);
        let logs = pairs
            .map(|(ours, theirs)| (*ours > 0.0 && *theirs > 0.0).then(|| (ours / theirs).ln()));
        let logs: Vec<_> = logs.collect::<Option<_>>()?;
        if logs.is_empty() {
            return None;
        }
        let ratio = mean(&logs).exp();
        let interval = (logs.len() >= ROUNDS_MIN).then(|| interval(&logs, seed));
        Some(Self { ratio, interval })
    }

    /// True when the interval does not contain 1.
    pub fn shows_difference(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0)
    }
}

#[allow(clippy::cast_precision_loss, reason = "few rounds")]
fn interval(logs: &[f64], seed: u64) -> (f64, f64) {
    let mut random = Rng::with_seed(seed);
    let middle = mean(logs);
    let mut draw = || {
        let drawn = (0..logs.len()).map(|_| logs[random.usize(..logs.len())]);
        drawn.sum::<f64>() / logs.len() as f64
    };
    let mut means: Vec<_> = (0..RESAMPLES).map(|_| draw()).collect();
    means.sort_by(f64::total_cmp);
    let widening = expansion(logs.len() as f64);
    let bound = |part| (middle + (quantile(&means, part) - middle) * widening).exp();
    let outside = (1.0 - CONFIDENCE) / 2.0;
    (bound(outside), bound(1.0 - outside))
}

/// How much wider the interval of `count` rounds has to be.
fn expansion(count: f64) -> f64 {
    let freedom = count - 1.0;
    let z: f64 = 1.96;
    // Cornish and Fisher's expansion of Student's quantile.
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let student = z + first / freedom + second / freedom.powi(2);
    (count / freedom).sqrt() * student / z
}

#[allow(clippy::cast_precision_loss, reason = "few rounds")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The median; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

/// Between the two values around it.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into few values"
)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds whose noise is about 3 %, of which all servers of a round share 10 %.
    fn rounds(random: &mut Rng, count: usize, factor: f64) -> (Vec<f64>, Vec<f64>) {
        let noise = |random: &mut Rng, size: f64| {
            1.0 + size * ((0..12).map(|_| random.f64()).sum::<f64>() - 6.0)
        };
        (0..count)
            .map(|_| {
                let moment = 1000.0 * noise(random, 0.1);
                let ours = factor * moment * noise(random, 0.03);
                (ours, moment * noise(random, 0.03))
            })
            .unzip()
    }

    fn shown(trials: u64, count: usize, factor: f64) -> u64 {
        let mut random = Rng::with_seed(1);
        let shows = |seed| {
            let (ours, theirs) = rounds(&mut random, count, factor);
            Ratio::of(&ours, &theirs, seed).expect("a ratio").shows_difference()
        };
        (0..trials).map(shows).filter(|shows| *shows).count() as u64
    }

    #[test]
    fn equal_servers_are_seldom_found_different_and_different_ones_nearly_always() {
        for count in [5, 11] {
            // 5 would be exact; 12 is three standard deviations more.
            let of_equal = shown(100, count, 1.0);
            assert!(of_equal <= 12, "{of_equal} of 100");
        }
        let of_better = shown(100, 11, 1.1);
        assert!(of_better >= 97, "{of_better} of 100");
    }

    #[test]
    fn the_expansion_is_that_of_the_tables() {
        // Student's quantiles for 0.975 are 2.776 at 4 degrees of freedom, 2.228 at 10.
        let of_tables = [(5.0, 2.776), (11.0, 2.228)];
        for (count, student) in of_tables {
            let right = (count / (count - 1.0_f64)).sqrt() * student / 1.96;
            assert!((expansion(count) - right).abs() < 0.03, "{count}");
        }
    }

    #[test]
    fn few_rounds_and_missing_figures_allow_nothing() {
        let few = Ratio::of(&[2.0; 4], &[1.0; 4], 1).expect("a ratio");
        assert_eq!((few.ratio, few.interval), (2.0, None));
        assert!(!few.shows_difference());
        let enough = Ratio::of(&[2.0; 5], &[1.0; 5], 1).expect("a ratio");
        assert_eq!(enough.interval, Some((2.0, 2.0)));
        assert!(enough.shows_difference());
        assert_eq!(Ratio::of(&[0.0], &[1.0], 1), None);
        assert_eq!(Ratio::of(&[], &[], 1), None);
    }

    #[test]
    fn medians_lie_between() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
