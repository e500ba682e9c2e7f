//! The hash of a (host, path) key and the way from a hash to a slot.
//!
//! Unkeyed on purpose. A table that chains or probes needs a secret, or else a peer may pile its
//! keys onto one bucket. Here the table is built once and never grows, and every lookup, of a key
//! that is there or is not, takes the same two loads and at most one compare: there is no long
//! chain to aim at. The seed in the image only lets the builder try again.

const OVER_WORD: u64 = 0x9E37_79B9_7F4A_7C15;
const OVER_TAIL: u64 = 0xD1B5_4A32_D192_ED03;
const OVER_HOST: u64 = 0x8CB9_2BA7_2F3D_8DD7;
const OVER_DISPLACEMENT: u64 = 0xAEF1_7502_108E_F2D9;
const OVER_SLOT: u64 = 0xF135_7AEA_2E62_A9C5;

/// Hash of a key. Letters of `host` count without their case; an empty host means "any".
#[inline]
pub(crate) fn key(seed: u64, host: &[u8], path: &[u8]) -> u64 {
    let seed = if host.is_empty() { seed } else { absorb(seed ^ OVER_HOST, host, lower_case) };
    absorb(seed, path, |word| word)
}

/// Bucket of a hash, for a count of buckets that is `mask` + 1, a power of two.
#[inline]
pub(crate) fn bucket(hash: u64, mask: u32) -> u32 {
    high_half(hash) & mask
}

/// Slot of a hash in a bucket with this displacement, for `mask` + 1 slots, a power of two.
#[inline]
pub(crate) fn slot(hash: u64, displacement: u32, mask: u32) -> u32 {
    let moved = hash ^ u64::from(displacement).wrapping_mul(OVER_DISPLACEMENT);
    high_half(fold(moved, OVER_SLOT)) & mask
}

/// Takes in `bytes` by words of eight octets; the last word overlaps the one before it, so that
/// no octet is read by itself.
#[inline]
fn absorb(mut state: u64, bytes: &[u8], letters: impl Fn(u64) -> u64) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if after.is_empty() {
            break;
        }
        state = fold(state ^ letters(u64::from_le_bytes(*word)), OVER_WORD);
        rest = after;
    }
    fold(state ^ letters(last_word(bytes)), OVER_TAIL ^ length)
}

/// The last eight octets; of a shorter string all octets, some of them twice.
#[inline]
fn last_word(bytes: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    if let (Some(&[a, b, c, d]), Some(&[e, f, g, h])) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    }
    let octet = |at: usize| bytes.get(at).copied().unwrap_or(0);
    u64::from_le_bytes([octet(0), octet(1), octet(2), 0, 0, 0, 0, 0])
}

/// Both halves of a 128-bit product, one upon the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

#[inline]
const fn high_half(value: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// ASCII letters of all eight octets to lower case at once.
#[inline]
const fn lower_case(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const TOP: u64 = EACH.wrapping_mul(0x80);
    // Adding lifts the top bit of an octet exactly where it has reached the bound; the octets
    // have seven bits each, so that none carries into the next.
    let heptets = word & !TOP;
    let from_a = heptets.wrapping_add(EACH.wrapping_mul(0x80 - 0x41));
    let above_z = heptets.wrapping_add(EACH.wrapping_mul(0x80 - 0x5B));
    let upper = from_a & !above_z & !word & TOP;
    word | (upper >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_agrees_with_the_standard_library_for_every_octet_in_every_lane() {
        for octet in 0..=u8::MAX {
            for lane in 0..8 {
                for around in [0x00, 0x41, 0x5A, 0x7F, 0x80, 0xFF] {
                    let mut word = [around; 8];
                    word[lane] = octet;
                    let lower = word.to_ascii_lowercase();
                    assert_eq!(lower_case(u64::from_le_bytes(word)).to_le_bytes(), lower[..]);
                }
            }
        }
    }

    #[test]
    fn every_octet_and_the_length_count() {
        for length in 0..40 {
            let path = vec![b'a'; length];
            let hash = key(1, b"", &path);
            for at in 0..length {
                let mut other = path.clone();
                other[at] = b'b';
                assert_ne!(key(1, b"", &other), hash, "octet {at} of {length}");
            }
            assert_ne!(key(1, b"", &vec![b'a'; length + 1]), hash, "length {length}");
            assert_ne!(key(2, b"", &path), hash, "seed, length {length}");
            assert_ne!(key(1, b"h", &path), hash, "host, length {length}");
        }
    }

    /// Numbers of another implementation: with others, images that were packed before have their
    /// entries elsewhere.
    #[test]
    fn hashes_and_slots_are_those_of_the_format() {
        let rows = [
            (0, b"".as_slice(), b"/".as_slice(), 0x8048_9F54_79F9_8378, [27_076, 1_509, 64_758]),
            (1, b"example.org", b"/index.html", 0x991C_E0A4_D910_9276, [52_053, 63_109, 6_612]),
            (2, b"", b"/a", 0x8DFB_4C57_82A1_45B7, [19_469, 52_682, 7_883]),
        ];
        for (seed, host, path, hash, slots) in rows {
            assert_eq!(key(seed, host, path), hash);
            assert_eq!([0, 1, 0x1234].map(|displacement| slot(hash, displacement, 0xFFFF)), slots);
        }
    }

    #[test]
    fn the_case_of_a_host_does_not_count_and_that_of_a_path_does() {
        let host = key(7, b"WWW.Example.ORG", b"/a");
        assert_eq!(host, key(7, b"www.example.org", b"/a"));
        assert_ne!(host, key(7, b"www.example.org", b"/A"));
    }
}
