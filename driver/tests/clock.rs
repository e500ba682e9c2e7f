//! The Date and the deadlines of a clock.
use wskhttpd::clock::{Clock, TICK_MS, ticks_of};

/// 1994-11-06 08:49:37 UTC.
const NOW: u64 = (784_111_777 + 11_644_473_600) * 10_000_000;

#[test]
fn the_date_changes_with_the_second_and_not_before() {
    let clock = Clock::new(NOW);
    assert_eq!(&clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(clock.unix_seconds(), 784_111_777);
    assert_eq!(clock.advance(NOW + 9_999_999), 1);
    assert_eq!(&clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(clock.advance(NOW + 10_000_000), 2);
    assert_eq!(&clock.date(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    assert_eq!(clock.unix_seconds(), 784_111_778);
}

#[test]
fn eight_ticks_are_a_second_of_uptime() {
    let clock = Clock::new(NOW);
    for tick in 1..100 {
        assert_eq!(clock.advance(NOW), tick);
        assert_eq!(clock.uptime_s(), u64::from(tick / 8), "{tick}");
    }
}

#[test]
fn a_deadline_is_never_early() {
    assert_eq!(ticks_of(0), 0);
    assert_eq!(ticks_of(1), 1);
    assert_eq!(ticks_of(TICK_MS), 1);
    assert_eq!(ticks_of(TICK_MS + 1), 2);
    assert_eq!(ticks_of(u32::MAX), u32::MAX.div_ceil(TICK_MS));
}
