//! CRC-32 (the reflected polynomial 0xEDB88320, as in Ethernet and zip), an octet at a step: a
//! larger table would be quicker, but it would be in the driver for good, and this runs at a load.
//!
//! It finds a truncated copy or a flipped bit. It is no signature: an image is as trustworthy as
//! whoever may hand one over, and the validator does not rely on the checksum for anything.

/// What an octet does.
static TABLE: [u32; 256] = table();

/// The checksum of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &octet in bytes {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ TABLE.get(usize::from(low ^ octet)).copied().unwrap_or(0);
    }
    !crc
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, where a wrong index or a wrap does not compile"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[octet] = crc;
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::crc32;

    fn bit_by_bit(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for &octet in bytes {
            crc ^= u32::from(octet);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn the_check_value_of_the_polynomial_is_met() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn eight_at_a_step_equals_bit_by_bit_at_every_length() {
        let bytes: Vec<u8> = (0..100_u8).map(|n| n.wrapping_mul(151) ^ 0x5A).collect();
        for end in 0..bytes.len() {
            assert_eq!(crc32(&bytes[..end]), bit_by_bit(&bytes[..end]), "length {end}");
        }
    }
}
