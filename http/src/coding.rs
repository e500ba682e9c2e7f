//! Content codings and what Accept-Encoding says of them (RFC 9110 sections 8.4.1 and 12.5.3).

use crate::fields::{members, trim};
use crate::selectors::{Selector, Selectors};

/// A content coding that a representation can have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// As it is.
    Identity,
    /// `gzip`, RFC 1952.
    Gzip,
    /// `br`, RFC 7932.
    Br,
}

/// What is not said of a coding.
const UNSAID: u16 = u16::MAX;
/// The weight that goes without saying, in thousandths.
const FULL: u16 = 1000;
/// Identity is acceptable unless it is excluded, but whoever names a coding would rather have that.
const LEAST: u16 = 1;

/// How much a client wants each coding: thousandths, 0 = not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    identity: u16,
    gzip: u16,
    br: u16,
}

impl Weights {
    /// The weight of a coding.
    pub const fn of(&self, coding: Coding) -> u16 {
        match coding {
            Coding::Identity => self.identity,
            Coding::Gzip => self.gzip,
            Coding::Br => self.br,
        }
    }
}

impl Selectors<'_> {
    /// True if the request says which codings it takes; without that it gets none.
    pub const fn has_accept_encoding(&self) -> bool {
        self.has(Selector::AcceptEncoding)
    }

    /// What all lines of Accept-Encoding together say. A member that is not one says nothing; of
    /// two for one coding the later counts.
    ///
    /// Nothing is collected: three numbers are all there is to a list of any length.
    pub fn weights(&self) -> Weights {
        let [mut identity, mut gzip, mut br, mut others] = [UNSAID; 4];
        for member in self.values(Selector::AcceptEncoding).flat_map(members) {
            let Some((coding, weight)) = split_weight(member) else { continue };
            let place = match coding.len() {
                1 if coding == b"*" => &mut others,
                2 if coding.eq_ignore_ascii_case(b"br") => &mut br,
                4 if coding.eq_ignore_ascii_case(b"gzip") => &mut gzip,
                6 if coding.eq_ignore_ascii_case(b"x-gzip") => &mut gzip,
                8 if coding.eq_ignore_ascii_case(b"identity") => &mut identity,
                _ => continue,
            };
            *place = weight;
        }
        let or = |said, unsaid| if said == UNSAID { unsaid } else { said };
        let unnamed = or(others, 0);
        Weights {
            identity: or(identity, or(others, LEAST)),
            gzip: or(gzip, unnamed),
            br: or(br, unnamed),
        }
    }
}

/// A coding and its weight (section 12.4.2).
fn split_weight(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = member.iter().position(|octet| *octet == b';') else {
        return Some((member, FULL));
    };
    let (coding, parameter) = member.split_at_checked(semicolon)?;
    let [b'q' | b'Q', b'=', value @ ..] = trim(parameter.get(1..)?) else { return None };
    Some((trim(coding), thousandths(value)?))
}

/// A qvalue: 0 to 1, with at most three digits behind the point.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0_u16,
        b'1' => FULL,
        _ => return None,
    };
    let mut unit = 100_u16;
    for octet in fraction {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 || unit == 0 {
            return None;
        }
        thousandths = thousandths.saturating_add(unit.saturating_mul(u16::from(digit)));
        unit /= 10;
    }
    (thousandths <= FULL).then_some(thousandths)
}
