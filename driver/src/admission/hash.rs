//! The keyed hash that spreads addresses and inspect IDs.
//!
//! Peers choose their addresses, so they must not be able to choose which ones collide: the hash
//! is SipHash-1-3 (Aumasson and Bernstein, 2012) under a key made at the driver's start.

/// A key, and the hash under it.
#[derive(Clone, Copy)]
pub struct HashKey([u64; 2]);

impl HashKey {
    /// A hash under `key`.
    pub const fn new(key: [u64; 2]) -> HashKey {
        HashKey(key)
    }

    /// The hash of two words.
    pub fn hash(self, words: [u64; 2]) -> u64 {
        let HashKey([k0, k1]) = self;
        let mut state = [
            k0 ^ 0x736F_6D65_7073_6575,
            k1 ^ 0x646F_7261_6E64_6F6D,
            k0 ^ 0x6C79_6765_6E65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        // The last word of a message holds its length in octets, and what is left of it.
        for word in words.into_iter().chain([16 << 56]) {
            state[3] ^= word;
            state = round(state);
            state[0] ^= word;
        }
        state[2] ^= 0xFF;
        let [a, b, c, d] = round(round(round(state)));
        a ^ b ^ c ^ d
    }
}

/// Words of any entropy as a key.
pub fn digest(words: &[u64]) -> [u64; 2] {
    let (pairs, _) = words.as_chunks::<2>();
    pairs.iter().fold([0, 0], |key, pair| {
        let [a, b] = *pair;
        [HashKey(key).hash([a, b]), HashKey(key).hash([b, !a])]
    })
}

fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    (a, b, c, d) = (a, b, c.rotate_left(32), d);
    [a, b, c, d]
}

/// The place of a hash among `places`: its high half, scaled, so that any number of places will do.
pub fn place(hash: u64, places: usize) -> usize {
    let high = u128::from(hash);
    let places = u128::try_from(places).unwrap_or(0);
    usize::try_from(high.wrapping_mul(places).wrapping_shr(64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_counts_in_a_digest() {
        let words = [1, 2, 3, 4];
        for at in 0..words.len() {
            let mut other = words;
            other[at] ^= 1 << 40;
            assert_ne!(digest(&words), digest(&other), "{at}");
        }
    }

    /// The standard library's hasher is SipHash-1-3 under a key of zeros.
    #[test]
    fn it_is_siphash_1_3() {
        #[allow(unused_extern_crates)] // of use in this crate, not in that of the models
        extern crate std;
        use core::hash::Hasher as _;
        use std::collections::hash_map::DefaultHasher;
        for words in [[0, 0], [1, 0], [0, 1], [u64::MAX, 7], [0x0123_4567_89AB_CDEF, u64::MAX]] {
            let mut hasher = DefaultHasher::new();
            hasher.write(&words[0].to_le_bytes());
            hasher.write(&words[1].to_le_bytes());
            assert_eq!(HashKey::new([0, 0]).hash(words), hasher.finish(), "{words:?}");
        }
        // Under other keys, by a program that gives the vector of the SipHash paper for 2-4.
        let key = [0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908];
        assert_eq!(HashKey::new(key).hash([1, 2]), 0x6C63_0018_434B_D4CC);
        assert_eq!(HashKey::new([u64::MAX; 2]).hash([1, 2]), 0x547E_0183_2343_45A4);
    }

    #[test]
    fn places_are_even_and_inside() {
        let key = HashKey::new([3, 4]);
        let mut counts = [0_u32; 7];
        for n in 0..7_000 {
            counts[place(key.hash([n, 0]), 7)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(place(u64::MAX, 7), 6);
        assert_eq!(place(u64::MAX, 0), 0);
    }
}
