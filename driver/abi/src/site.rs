//! Publishing another site image.
use crate::text::{Path, Sentence};
use crate::wire::{Reader, Record, Writer};

/// Which image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadSite {
    /// Opened with the caller's rights.
    pub path: Path,
}

impl Record for LoadSite {
    fn put(&self, out: &mut Writer<'_>) {
        self.path.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Option<LoadSite> {
        Some(LoadSite { path: Record::take(input)? })
    }
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// Why the image was refused, and the one before is served on; empty when it was published.
    pub refusal: Sentence,
    /// Generation of what is served now.
    pub generation: u64,
    /// Octets of it.
    pub image_bytes: u64,
    /// Its entries.
    pub entries: u32,
}

impl Record for Loaded {
    fn put(&self, out: &mut Writer<'_>) {
        self.refusal.put(out);
        out.u64(self.generation);
        out.u64(self.image_bytes);
        out.u32(self.entries);
    }

    fn take(input: &mut Reader<'_>) -> Option<Loaded> {
        Some(Loaded {
            refusal: Record::take(input)?,
            generation: input.u64()?,
            image_bytes: input.u64()?,
            entries: input.u32()?,
        })
    }
}
