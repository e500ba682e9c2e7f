//! Security descriptors, as far as devices have them: who is allowed what.
use std::fmt;

/// Who opens a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The system.
    System,
    /// A member of Administrators, elevated.
    Administrator,
    /// Anybody else.
    User,
}

impl Caller {
    /// SIDs in his token: himself (for a user, some user), his groups, Everyone.
    const fn sids(self) -> &'static [&'static str] {
        match self {
            Caller::System => &["S-1-5-18", "S-1-5-32-544", "S-1-1-0"],
            Caller::Administrator => &["S-1-5-21-1-2-3-500", "S-1-5-32-544", "S-1-1-0"],
            Caller::User => &["S-1-5-21-1-2-3-1001", "S-1-5-32-545", "S-1-1-0"],
        }
    }
}

/// `GENERIC_ALL`.
const GENERIC_ALL: u32 = 0x1000_0000;
/// `SE_SELF_RELATIVE`, `SE_DACL_PROTECTED` and `SE_DACL_PRESENT`.
const CONTROL: u16 = 0x9004;
/// Octets of a descriptor's head, and of a list's.
const HEAD_BYTES: usize = 20;
const LIST_HEAD_BYTES: usize = 8;

/// A protected list of allowed rights by SID.
pub(crate) struct Descriptor(Vec<(String, u32)>);

impl Descriptor {
    /// Reads a self-relative descriptor that has a protected discretionary list, whose entries all
    /// allow, and nothing else ([MS-DTYP] 2.4.6); `None` for others.
    ///
    /// # Safety
    /// `octets` is a valid self-relative SECURITY_DESCRIPTOR.
    pub(crate) unsafe fn read(octets: *const u8) -> Option<Descriptor> {
        if octets.is_null() || !octets.addr().is_multiple_of(4) {
            return None;
        }
        // SAFETY: the caller's: a descriptor has a head.
        let head = unsafe { core::slice::from_raw_parts(octets, HEAD_BYTES) };
        let list_at = usize::try_from(word(head, 16)?).ok().filter(|at| *at >= HEAD_BYTES)?;
        // SAFETY: the caller's: the list is where its head says.
        let list = unsafe { octets.add(list_at) };
        // SAFETY: the caller's: a list has a head.
        let list_head = unsafe { core::slice::from_raw_parts(list, LIST_HEAD_BYTES) };
        let length = usize::from(half(list_head, 2)?);
        // SAFETY: the caller's: a list has as many octets as it says.
        let list = unsafe { core::slice::from_raw_parts(list, length) };
        Self::decode(head, list)
    }

    fn decode(head: &[u8], list: &[u8]) -> Option<Descriptor> {
        let others = [4, 8, 12].map(|at| word(head, at));
        if head.first() != Some(&1) || half(head, 2)? != CONTROL || others != [Some(0); 3] {
            return None;
        }
        if half(list, 0)? != 2 || half(list, 6)? != 0 {
            return None;
        }
        let mut entries = Vec::new();
        let mut rest = list.get(LIST_HEAD_BYTES..)?;
        for _ in 0..half(list, 4)? {
            // ACCESS_ALLOWED_ACE without flags.
            let (entry, after) = rest.split_at_checked(usize::from(half(rest, 2)?))?;
            if half(entry, 0)? != 0 {
                return None;
            }
            entries.push((sid(entry.get(8..)?)?, word(entry, 4)?));
            rest = after;
        }
        rest.is_empty().then_some(Descriptor(entries))
    }

    /// True when `caller` may open the device.
    pub(crate) fn admits(&self, caller: Caller) -> bool {
        let is_his = |sid: &String| caller.sids().contains(&sid.as_str());
        self.0.iter().any(|(sid, mask)| *mask == GENERIC_ALL && is_his(sid))
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("D:P")?;
        for (sid, mask) in &self.0 {
            let sid = match sid.as_str() {
                "S-1-5-18" => "SY",
                "S-1-5-32-544" => "BA",
                "S-1-1-0" => "WD",
                other => other,
            };
            match *mask {
                GENERIC_ALL => write!(f, "(A;;GA;;;{sid})")?,
                mask => write!(f, "(A;;{mask:#x};;;{sid})")?,
            }
        }
        Ok(())
    }
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

/// A SID as text ([MS-DTYP] 2.4.2.1): all of `octets`.
fn sid(octets: &[u8]) -> Option<String> {
    let ([1, count, 0, 0, 0, 0, 0, authority], parts) = octets.split_first_chunk::<8>()? else {
        return None;
    };
    let (parts, rest) = parts.as_chunks::<4>();
    if parts.len() != usize::from(*count) || !rest.is_empty() {
        return None;
    }
    let parts = parts.iter().map(|part| format!("-{}", u32::from_le_bytes(*part)));
    Some(format!("S-1-{authority}{}", parts.collect::<Vec<_>>().concat()))
}

#[cfg(test)]
mod tests {
    use super::{Caller, Descriptor};

    const HEAD: [u8; 20] = [1, 0, 4, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0];
    /// Everyone may do everything.
    const LIST: [u8; 28] =
        [2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0x10, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

    #[test]
    fn descriptors_are_read_strictly() {
        let good = Descriptor::decode(&HEAD, &LIST).unwrap();
        assert_eq!(good.to_string(), "D:P(A;;GA;;;WD)");
        let callers = [Caller::System, Caller::Administrator, Caller::User];
        assert!(callers.into_iter().all(|caller| good.admits(caller)));
        for at in 0..HEAD.len() - 4 {
            let mut other = HEAD;
            other[at] ^= 0x40;
            assert_eq!(Descriptor::decode(&other, &LIST).is_some(), at == 1, "octet {at}");
        }
        for length in 0..LIST.len() {
            assert!(Descriptor::decode(&HEAD, &LIST[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn rights_of_one_are_not_those_of_another() {
        let mut system = LIST;
        system[23] = 5;
        system[24] = 18;
        let only = Descriptor::decode(&HEAD, &system).unwrap();
        assert_eq!(only.to_string(), "D:P(A;;GA;;;SY)");
        assert!(only.admits(Caller::System) && !only.admits(Caller::Administrator));
        assert!(!only.admits(Caller::User));
        let mut fewer = LIST;
        fewer[15] = 0;
        let fewer = Descriptor::decode(&HEAD, &fewer).unwrap();
        assert_eq!(fewer.to_string(), "D:P(A;;0x0;;;WD)");
        assert!(!fewer.admits(Caller::System));
    }
}
