//! The histogram of service times: from a turn's first octet to the completion of its send.
//!
//! Log-linear: times below 8 ns have a bucket each, longer ones four buckets for each power of two,
//! so that a bucket is at most a quarter of its lower bound wide.
use crate::wire::{Reader, Record, Writer};

/// Buckets: up to 2^39 ns, about 9 minutes; longer times are in the last one.
pub const BUCKETS: usize = 4 * 38;

/// Bucket of a time.
pub fn bucket_of(ns: u64) -> usize {
    if ns < 8 {
        return usize::try_from(ns).unwrap_or(0);
    }
    let power = ns.ilog2();
    let quarter = ns.wrapping_shr(power.saturating_sub(2)) & 3;
    let bucket = u64::from(power.saturating_sub(1)).saturating_mul(4).saturating_add(quarter);
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Largest time of a bucket, in nanoseconds.
pub fn upper_bound_ns(bucket: usize) -> u64 {
    let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
    if bucket < 8 {
        return bucket.into();
    }
    let shift = (bucket / 4).saturating_sub(1);
    let next = u64::from(bucket % 4).saturating_add(5).checked_shl(shift);
    next.unwrap_or(u64::MAX).saturating_sub(1)
}

/// Counts by bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    /// One of so many turns is measured.
    pub sampled: u32,
    /// Sum of the measured times, in nanoseconds.
    pub sum_ns: u64,
    /// Turns measured, by bucket.
    pub counts: [u64; BUCKETS],
}

impl Record for Latency {
    fn put(&self, out: &mut Writer<'_>) {
        out.u32(self.sampled);
        out.u64(self.sum_ns);
        for count in self.counts {
            out.u64(count);
        }
    }

    fn take(input: &mut Reader<'_>) -> Option<Latency> {
        let mut latency =
            Latency { sampled: input.u32()?, sum_ns: input.u64()?, counts: [0; BUCKETS] };
        for count in &mut latency.counts {
            *count = input.u64()?;
        }
        Some(latency)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, bucket_of, upper_bound_ns};

    #[test]
    fn buckets_are_ascending_and_each_time_is_in_the_one_whose_bound_it_does_not_pass() {
        for bucket in 0..BUCKETS - 1 {
            let bound = upper_bound_ns(bucket);
            assert_eq!(bucket_of(bound), bucket);
            assert_eq!(bucket_of(bound + 1), bucket + 1, "{bound}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_bucket_is_at_most_a_quarter_wide() {
        for bucket in 8..BUCKETS - 1 {
            let lowest = upper_bound_ns(bucket - 1) + 1;
            assert!((upper_bound_ns(bucket) + 1 - lowest) * 4 <= lowest, "{bucket}");
        }
    }
}
