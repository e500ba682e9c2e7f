//! CRC-32 (the reflected polynomial 0xEDB88320, as in Ethernet and zip), four octets at a step.
//!
//! It finds a truncated copy or a flipped bit. It is no signature: an image is as trustworthy as
//! whoever may hand one over, and the validator does not rely on the checksum for anything.

/// Table `n` advances an octet by `n` further zero octets.
static TABLES: [[u32; 256]; 4] = tables();

/// The checksum of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let (steps, rest) = bytes.as_chunks::<4>();
    for step in steps {
        let [a, b, c, d] = (crc ^ u32::from_le_bytes(*step)).to_le_bytes();
        crc = advance(3, a) ^ advance(2, b) ^ advance(1, c) ^ advance(0, d);
    }
    for &octet in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ advance(0, low ^ octet);
    }
    !crc
}

#[inline]
fn advance(table: usize, octet: u8) -> u32 {
    TABLES.get(table).and_then(|t| t.get(usize::from(octet))).copied().unwrap_or(0)
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, where a wrong index or a wrap does not compile"
)]
const fn tables() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][octet] = crc;
        octet += 1;
    }
    let mut table = 1;
    while table < 4 {
        let mut octet = 0;
        while octet < 256 {
            let crc = tables[table - 1][octet];
            tables[table][octet] = (crc >> 8) ^ tables[0][(crc & 0xFF) as usize];
            octet += 1;
        }
        table += 1;
    }
    tables
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
