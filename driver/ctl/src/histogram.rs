//! Percentiles of service times.
use wskhttpd_abi::{BUCKETS, Latency, upper_bound_ns};

/// What was measured between two looks.
pub(crate) fn between(earlier: &Latency, later: &Latency) -> Latency {
    let mut between = *later;
    between.sum_ns = later.sum_ns.wrapping_sub(earlier.sum_ns);
    for (count, earlier) in between.counts.iter_mut().zip(&earlier.counts) {
        // The processors' counts are not read at one instant.
        *count = count.saturating_sub(*earlier);
    }
    between
}

/// Turns measured.
pub(crate) fn measured(latency: &Latency) -> u64 {
    latency.counts.iter().sum()
}

/// A time in nanoseconds that so many of a thousand turns did not take longer than, at most a
/// quarter too long; `None` when nothing was measured.
pub(crate) fn permille(latency: &Latency, permille: u64) -> Option<u64> {
    let all = measured(latency);
    let wanted = (all * permille).div_ceil(1000).max(1);
    let mut so_far = 0;
    let bucket = (0..BUCKETS).find(|bucket| {
        so_far += latency.counts[*bucket];
        so_far >= wanted
    })?;
    Some(upper_bound_ns(bucket))
}

/// Mean in nanoseconds.
pub(crate) fn mean(latency: &Latency) -> Option<u64> {
    latency.sum_ns.checked_div(measured(latency))
}

#[cfg(test)]
mod tests {
    use wskhttpd_abi::bucket_of;

    use super::*;

    fn latency(times: &[u64]) -> Latency {
        let mut latency = Latency { sampled: 1, sum_ns: times.iter().sum(), counts: [0; BUCKETS] };
        for time in times {
            latency.counts[bucket_of(*time)] += 1;
        }
        latency
    }

    #[test]
    fn percentiles_are_of_the_right_turn_and_at_most_a_quarter_too_long() {
        let times: Vec<u64> = (1..=1000).map(|n| n * 1000).collect();
        let latency = latency(&times);
        for permille in [1, 500, 900, 990, 999, 1000] {
            let exact = permille * 1000;
            let found = super::permille(&latency, permille).unwrap();
            assert!((exact..=exact * 5 / 4).contains(&found), "{permille}: {found}");
        }
        assert_eq!(mean(&latency), Some(500_500));
    }

    #[test]
    fn nothing_measured_has_no_percentiles() {
        assert_eq!((permille(&latency(&[]), 990), mean(&latency(&[]))), (None, None));
    }

    #[test]
    fn between_two_looks_only_what_came_counts() {
        let (earlier, later) = (latency(&[1_000_000]), latency(&[1_000_000, 2000, 2000]));
        let between = between(&earlier, &later);
        assert_eq!((measured(&between), mean(&between)), (2, Some(2000)));
    }
}
