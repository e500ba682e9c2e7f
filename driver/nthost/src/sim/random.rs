//! Where every choice comes from: SplitMix64, seeded once.

/// Odds are given in this many parts.
pub(crate) const PARTS: u32 = 4_096;

/// A sequence of numbers that its seed decides.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A sequence of its own for each `purpose`, so that choices of one kind do not move those of
    /// another.
    #[must_use]
    pub fn fork(&self, purpose: u64) -> Random {
        let mut fork = Random(self.0 ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        fork.draw();
        fork
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.draw() % end as u64) as usize }
    }

    /// A number in `from..=to`.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.draw() % (to.saturating_sub(from) + 1)
    }

    /// True in `parts` of 4,096 cases.
    pub fn chance(&mut self, parts: u32) -> bool {
        parts > 0 && (self.draw() % u64::from(PARTS)) < u64::from(parts)
    }

    /// True in one of `cases`.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }
}
