//! Counted UTF-16.
use nt_sys::ntdef::UNICODE_STRING;

/// Code units a [`WideString`] holds at most.
const UNITS_MAX: usize = 260;

/// A counted UTF-16 string of at most 260 code units, for names and paths.
///
/// U1: `units[..len]` is the string; it is not terminated. U2: lengths in a UNICODE_STRING made
/// from it are even and fit 16 bits.
#[derive(Clone)]
pub struct WideString {
    units: [u16; UNITS_MAX],
    len: usize,
}

impl Default for WideString {
    fn default() -> Self {
        WideString { units: [0; UNITS_MAX], len: 0 }
    }
}

impl WideString {
    /// `text` in UTF-16; `None` when it is too long.
    pub fn new(text: &str) -> Option<WideString> {
        let mut wide = WideString::default();
        wide.push_str(text).then_some(wide)
    }

    /// Appends; false (and unchanged) when it does not fit.
    pub fn push_str(&mut self, text: &str) -> bool {
        let len = self.len;
        for unit in text.encode_utf16() {
            if !self.push(unit) {
                self.len = len;
                return false;
            }
        }
        true
    }

    /// Appends one code unit; false when full.
    pub fn push(&mut self, unit: u16) -> bool {
        match self.units.get_mut(self.len) {
            Some(place) => {
                *place = unit;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The code units.
    pub fn units(&self) -> &[u16] {
        &self.units[..self.len]
    }

    /// Borrows as the kernel takes it; valid while `self` is neither moved nor changed.
    pub(crate) fn counted(&mut self) -> UNICODE_STRING {
        let octets = u16::try_from(self.len * 2).unwrap_or(0);
        UNICODE_STRING { Length: octets, MaximumLength: octets, Buffer: self.units.as_mut_ptr() }
    }

    /// Copies a counted string; `None` when it is too long.
    ///
    /// # Safety
    /// `counted` is a valid UNICODE_STRING.
    pub(crate) unsafe fn copy_from(counted: &UNICODE_STRING) -> Option<WideString> {
        let mut wide = WideString::default();
        for at in 0..usize::from(counted.Length / 2) {
            let unit = counted.Buffer.wrapping_add(at);
            // SAFETY: the caller's: `Length` octets are readable.
            let unit = unsafe { unit.read_unaligned() };
            if !wide.push(unit) {
                return None;
            }
        }
        Some(wide)
    }
}

impl core::fmt::Display for WideString {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use core::fmt::Write;
        char::decode_utf16(self.units().iter().copied())
            .try_for_each(|c| f.write_char(c.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}
