//! Texts and octets of bounded length.
use arrayvec::{ArrayString, ArrayVec};

use crate::wire::{Reader, Record, Writer};

/// A name: of a health endpoint, of a parameter.
pub type Name = ArrayString<64>;
/// A sentence for people; also the value of a parameter.
pub type Sentence = ArrayString<512>;
/// An NT path such as `\??\C:\site.img`.
pub type Path = ArrayString<1024>;
/// The first octets of what a peer sent.
pub type Octets = ArrayVec<u8, 48>;

/// As much of `text` as fits.
pub fn cut<const N: usize>(text: &str) -> ArrayString<N> {
    let mut all = ArrayString::new();
    for character in text.chars() {
        if all.try_push(character).is_err() {
            break;
        }
    }
    all
}

impl<const N: usize> Record for ArrayString<N> {
    fn put(&self, out: &mut Writer<'_>) {
        // No text here is longer than 1,024 octets.
        out.u16(u16::try_from(self.len()).unwrap_or(u16::MAX));
        out.octets(self.as_bytes());
    }

    fn take(input: &mut Reader<'_>) -> Option<Self> {
        let length = usize::from(input.u16()?);
        let text = core::str::from_utf8(input.octets(length)?).ok()?;
        ArrayString::from(text).ok()
    }
}

impl<const N: usize> Record for ArrayVec<u8, N> {
    fn put(&self, out: &mut Writer<'_>) {
        out.u16(u16::try_from(self.len()).unwrap_or(u16::MAX));
        out.octets(self);
    }

    fn take(input: &mut Reader<'_>) -> Option<Self> {
        let length = usize::from(input.u16()?);
        ArrayVec::try_from(input.octets(length)?).ok()
    }
}
