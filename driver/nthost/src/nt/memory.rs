//! The kernel's memory functions. No driver calls them by name: its compiler does.
//!
//! Short ranges are done here, without a call of a function of the host's own convention, which
//! would have ten registers saved; what is longer is left to the host's library.

/// Octets up to which a range is short.
const SHORT: usize = 512;

/// Copies octets that do not overlap; returns where to.
///
/// # Safety
/// `from` is readable and `to` writable for so many octets.
pub unsafe extern "win64" fn memcpy(to: *mut u8, from: *const u8, octets: usize) -> *mut u8 {
    match octets {
        16..=SHORT => {
            let last = octets - 16;
            let mut at = 0;
            while at < last {
                // SAFETY: the caller's: `at` is less than `octets - 16`.
                unsafe { copy::<u128>(to, from, at) };
                at += 16;
            }
            // SAFETY: as above: the last 16 octets, some of them perhaps once more.
            unsafe { copy::<u128>(to, from, last) };
        }
        8..16 => {
            // SAFETY: as above: the first 8.
            unsafe { copy::<u64>(to, from, 0) };
            // SAFETY: as above: the last 8.
            unsafe { copy::<u64>(to, from, octets - 8) };
        }
        // SAFETY: the caller's.
        _ => unsafe { copy_otherwise(to, from, octets) },
    }
    to
}

/// # Safety
/// A `T` can be read at `from + at` and written at `to + at`.
#[inline]
unsafe fn copy<T>(to: *mut u8, from: *const u8, at: usize) {
    // SAFETY: the caller's.
    let octets = unsafe { from.wrapping_add(at).cast::<T>().read_unaligned() };
    // SAFETY: the caller's.
    unsafe { to.wrapping_add(at).cast::<T>().write_unaligned(octets) };
}

nt_sys::kernel_fn! {
    #[inline(never)]
    unsafe fn copy_otherwise(to: *mut u8, from: *const u8, octets: usize) {
        // SAFETY: the caller's.
        unsafe { to.copy_from_nonoverlapping(from, octets) };
    }
}

/// Copies octets that may overlap; returns where to.
///
/// # Safety
/// `from` is readable and `to` writable for so many octets.
pub unsafe extern "win64" fn memmove(to: *mut u8, from: *const u8, octets: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { to.copy_from(from, octets) };
    to
}

/// Sets octets to the lowest eight bits of `value`; returns where.
///
/// # Safety
/// `to` is writable for so many octets.
pub unsafe extern "win64" fn memset(to: *mut u8, value: i32, octets: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { to.write_bytes(value.to_le_bytes()[0], octets) };
    to
}

/// Compares octets as numbers from 0 to 255: less than, equal to or greater than 0.
///
/// # Safety
/// Both are readable for so many octets.
pub unsafe extern "win64" fn memcmp(one: *const u8, other: *const u8, octets: usize) -> i32 {
    let mut at = 0;
    // What follows eight equal octets is what differs, if anything does.
    while octets - at >= 8 {
        // SAFETY: the caller's: eight octets are left.
        let a = unsafe { one.wrapping_add(at).cast::<u64>().read_unaligned() };
        // SAFETY: as above.
        let b = unsafe { other.wrapping_add(at).cast::<u64>().read_unaligned() };
        if a != b {
            return if a.swap_bytes() < b.swap_bytes() { -1 } else { 1 };
        }
        at += 8;
    }
    while at < octets {
        // SAFETY: the caller's: an octet is left.
        let a = unsafe { one.wrapping_add(at).read() };
        // SAFETY: as above.
        let b = unsafe { other.wrapping_add(at).read() };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
        at += 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many octets that differ from their neighbours, from `seed` on.
    fn pattern(octets: usize, seed: usize) -> Vec<u8> {
        (0..octets).map(|at| (at * 7 + seed) as u8).collect()
    }

    #[test]
    fn every_length_is_copied_and_no_more() {
        for octets in (0..80).chain([255, 511, 512, 513, 4_096]) {
            for skip in [0, 1, 7] {
                let from = pattern(octets + skip, 3);
                let mut to = pattern(octets + 2, 100);
                let mut wanted = to.clone();
                wanted[1..=octets].copy_from_slice(&from[skip..]);
                // SAFETY: both are longer by what is skipped.
                let end = unsafe { memcpy(to[1..].as_mut_ptr(), from[skip..].as_ptr(), octets) };
                assert_eq!((end.addr(), &to), (to.as_ptr().addr() + 1, &wanted), "{octets}");
            }
        }
    }

    #[test]
    fn overlapping_octets_are_moved_both_ways() {
        for (from, to) in [(0, 3), (3, 0)] {
            let mut octets = pattern(40, 9);
            let mut wanted = octets.clone();
            wanted.copy_within(from..from + 30, to);
            let start = octets.as_mut_ptr();
            // SAFETY: 33 octets of 40.
            unsafe { memmove(start.wrapping_add(to), start.wrapping_add(from), 30) };
            assert_eq!(octets, wanted);
        }
    }

    #[test]
    fn octets_are_set_to_eight_bits() {
        let mut octets = [1; 5];
        // SAFETY: three octets of five.
        unsafe { memset(octets[1..].as_mut_ptr(), 0x1FE, 3) };
        assert_eq!(octets, [1, 0xFE, 0xFE, 0xFE, 1]);
    }

    #[test]
    fn the_first_difference_decides_whatever_follows() {
        for octets in 0..40 {
            let one = vec![5_u8; octets];
            // SAFETY: both are as long as is said.
            let compare = |other: &[u8]| unsafe { memcmp(one.as_ptr(), other.as_ptr(), octets) };
            assert_eq!(compare(&one), 0);
            for at in 0..octets {
                let mut other = vec![9_u8; octets];
                other[..at].fill(5);
                assert!(compare(&other) < 0, "{octets} {at}");
                other.fill(200);
                other[..at].fill(5);
                other[at] = 4;
                assert!(compare(&other) > 0, "{octets} {at}");
            }
        }
    }
}
