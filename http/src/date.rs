//! HTTP dates (RFC 9110 section 5.6.7): three forms are read, IMF-fixdate is written.

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// Day 0 of the epoch was a Thursday.
const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const DAYS_LONG: [&[u8]; 7] =
    [b"Thursday", b"Friday", b"Saturday", b"Sunday", b"Monday", b"Tuesday", b"Wednesday"];

const SECONDS_PER_DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z, the last second that four digits of year can name.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;
/// A year of two digits is not read as one further in the future (RFC 9110 section 5.6.7).
const YEARS_AHEAD_MAX: u64 = 50;
/// From 1601-01-01, where NT time begins, to 1970-01-01.
pub const NT_EPOCH_SECONDS: u64 = 11_644_473_600;
const NT_TICKS_PER_SECOND: u64 = 10_000_000;
/// From 0000-03-01, where a 400-year era begins, to 1970-01-01.
const ERA_EPOCH_DAYS: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;

/// A date as `Sun, 06 Nov 1994 08:49:37 GMT`: always 29 octets of ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImfFixdate([u8; 29]);

impl ImfFixdate {
    /// The date of `seconds` since 1970-01-01; what lies beyond the year 9999 becomes its end.
    pub fn from_unix(seconds: u64) -> Self {
        let seconds = seconds.min(UNIX_SECONDS_MAX);
        let days = seconds / SECONDS_PER_DAY;
        let second = seconds % SECONDS_PER_DAY;
        let (year, month, day) = civil_from_days(days);
        let [d1, d2, d3] = *name_at(&DAYS, days % 7);
        let [m1, m2, m3] = *name_at(&MONTHS, month.saturating_sub(1));
        let (d, y1, y2) = (two_digits(day), two_digits(year / 100), two_digits(year % 100));
        let (hour, minute, sec) =
            (two_digits(second / 3600), two_digits(second % 3600 / 60), two_digits(second % 60));
        ImfFixdate([
            d1, d2, d3, b',', b' ', d[0], d[1], b' ', m1, m2, m3, b' ', y1[0], y1[1], y2[0], y2[1],
            b' ', hour[0], hour[1], b':', minute[0], minute[1], b':', sec[0], sec[1], b' ', b'G',
            b'M', b'T',
        ])
    }

    /// The date of `ticks` of 100 ns since 1601-01-01, the system time of NT; what lies before
    /// 1970 becomes its beginning.
    pub fn from_nt_ticks(ticks: u64) -> Self {
        Self::from_unix((ticks / NT_TICKS_PER_SECOND).saturating_sub(NT_EPOCH_SECONDS))
    }

    /// The 29 octets.
    pub const fn as_bytes(&self) -> &[u8; 29] {
        &self.0
    }
}

/// Reads an IMF-fixdate, an RFC 850 date or an asctime date as seconds since 1970-01-01.
///
/// `None` for anything else and for what lies before 1970. The day name has to be one, but need
/// not be the right one. `now`, in the same unit, gives two digits of year their century: the
/// latest that is not more than 50 years ahead.
pub fn parse(value: &[u8], now: u64) -> Option<u64> {
    let comma = memchr::memchr(b',', value);
    match comma {
        Some(3) => parse_imf_fixdate(value),
        Some(at) => parse_rfc850(value.get(..at)?, value.get(at..)?, now),
        None => parse_asctime(value),
    }
}

fn parse_imf_fixdate(value: &[u8]) -> Option<u64> {
    let &[
        d1,
        d2,
        d3,
        b',',
        b' ',
        day1,
        day2,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        y1,
        y2,
        y3,
        y4,
        b' ',
        ref time @ ..,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = value
    else {
        return None;
    };
    position(&DAYS, [d1, d2, d3])?;
    let year = number([y1, y2])?.checked_mul(100)?.checked_add(number([y3, y4])?)?;
    unix_seconds(year, position(&MONTHS, [m1, m2, m3])?, number([day1, day2])?, time_of_day(time)?)
}

fn parse_rfc850(day_name: &[u8], rest: &[u8], now: u64) -> Option<u64> {
    let &[
        b',',
        b' ',
        day1,
        day2,
        b'-',
        m1,
        m2,
        m3,
        b'-',
        y1,
        y2,
        b' ',
        ref time @ ..,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = rest
    else {
        return None;
    };
    DAYS_LONG.iter().find(|name| **name == day_name)?;
    let (month, day) = (position(&MONTHS, [m1, m2, m3])?, number([day1, day2])?);
    let second = time_of_day(time)?;
    let (year_now, month_now, day_now) =
        civil_from_days(now.min(UNIX_SECONDS_MAX) / SECONDS_PER_DAY);
    let year_max = year_now.checked_add(YEARS_AHEAD_MAX)?;
    let years_before_max = year_max.checked_sub(number([y1, y2])?)? % 100;
    let mut year = year_max.checked_sub(years_before_max)?;
    // In the last year of the 50, what comes after the hour it is now is out of their reach.
    let of_year = (month.checked_add(1)?, day, second);
    if years_before_max == 0 && of_year > (month_now, day_now, now % SECONDS_PER_DAY) {
        year = year.checked_sub(100)?;
    }
    unix_seconds(year, month, day, second)
}

fn parse_asctime(value: &[u8]) -> Option<u64> {
    let &[
        d1,
        d2,
        d3,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        day1,
        day2,
        b' ',
        ref time @ ..,
        b' ',
        y1,
        y2,
        y3,
        y4,
    ] = value
    else {
        return None;
    };
    position(&DAYS, [d1, d2, d3])?;
    let day = number([if day1 == b' ' { b'0' } else { day1 }, day2])?;
    let year = number([y1, y2])?.checked_mul(100)?.checked_add(number([y3, y4])?)?;
    unix_seconds(year, position(&MONTHS, [m1, m2, m3])?, day, time_of_day(time)?)
}

/// `HH:MM:SS` as seconds; second 60 is a leap second and counts as the first of the next minute.
fn time_of_day(time: &[u8]) -> Option<u64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (number([h1, h2])?, number([m1, m2])?, number([s1, s2])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)
}

/// `month` counts from 0.
fn unix_seconds(year: u64, month: u64, day: u64, second: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_in_month = match month {
        1 => 28_u64.saturating_add(u64::from(leap)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    if year < 1970 || day == 0 || day > days_in_month {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    days.checked_mul(SECONDS_PER_DAY)?.checked_add(second)
}

/// Years that begin in March have their leap day last, which makes both directions closed forms.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month < 2 {
        (year.checked_sub(1)?, month.checked_add(10)?)
    } else {
        (year, month.checked_sub(2)?)
    };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year =
        (month.checked_mul(153)?.checked_add(2)? / 5).checked_add(day.checked_sub(1)?)?;
    let day_of_era = year_of_era
        .checked_mul(365)?
        .checked_add(year_of_era / 4)?
        .checked_sub(year_of_era / 100)?
        .checked_add(day_of_year)?;
    era.checked_mul(DAYS_PER_ERA)?.checked_add(day_of_era)?.checked_sub(ERA_EPOCH_DAYS)
}

/// Year, month from 1, day from 1. `days` is at most the last day of the year 9999, so that no step
/// can wrap.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days.wrapping_add(ERA_EPOCH_DAYS);
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = day_of_era
        .wrapping_sub(day_of_era / 1460)
        .wrapping_add(day_of_era / 36_524)
        .wrapping_sub(day_of_era / 146_096)
        / 365;
    let day_of_year = day_of_era
        .wrapping_sub(year_of_era.wrapping_mul(365))
        .wrapping_sub(year_of_era / 4)
        .wrapping_add(year_of_era / 100);
    let march_month = day_of_year.wrapping_mul(5).wrapping_add(2) / 153;
    let first_day = march_month.wrapping_mul(153).wrapping_add(2) / 5;
    let day = day_of_year.wrapping_sub(first_day).wrapping_add(1);
    let year = era.wrapping_mul(400).wrapping_add(year_of_era);
    if march_month < 10 {
        (year, march_month.wrapping_add(3), day)
    } else {
        (year.wrapping_add(1), march_month.wrapping_sub(9), day)
    }
}

fn number(digits: [u8; 2]) -> Option<u64> {
    let [tens, ones] = digits.map(|digit| digit.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return None;
    }
    Some(u64::from(tens).wrapping_mul(10).wrapping_add(u64::from(ones)))
}

fn two_digits(value: u64) -> [u8; 2] {
    [digit(value / 10), digit(value % 10)]
}

/// The last decimal digit of `value`.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)] // At most 9.
const fn digit(value: u64) -> u8 {
    b'0'.wrapping_add((value % 10) as u8)
}

fn position(names: &[&[u8; 3]], name: [u8; 3]) -> Option<u64> {
    let index = names.iter().position(|candidate| **candidate == name)?;
    u64::try_from(index).ok()
}

/// `names[index]`; the fallback is unreachable because every caller reduces its index first.
fn name_at(names: &[&'static [u8; 3]], index: u64) -> &'static [u8; 3] {
    usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or(b"   ")
}
