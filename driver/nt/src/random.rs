//! Words that a peer cannot guess.
//!
//! Kernel modules have `BCryptGenRandom` of cng.sys, which this driver does not import. What it
//! needs is a key that no peer can guess, once at its start: the processor's generator, where
//! there is one, and what differs from boot to boot.
use crate::pool::{PoolBox, Tag};
use crate::{Passive, Result, time};

/// Words of entropy.
pub const ENTROPY_WORDS: usize = 16;

/// Samples of the clock that go into one word.
const SAMPLES: u32 = 32;

/// Unpredictable words, to be hashed before use: all but two from the low bits of the clock, read
/// again and again, and from RDRAND where the processor has it; those two from where the kernel put
/// this stack and a new block of pool.
///
/// # Errors
/// `INSUFFICIENT_RESOURCES`.
pub fn entropy(_passive: &Passive) -> Result<[u64; ENTROPY_WORDS]> {
    let mut words = [0; ENTROPY_WORDS];
    let block = PoolBox::new(Tag::Object, 0_u64)?;
    let places = [core::ptr::from_ref(&words).addr(), block.as_ptr().addr()];
    let [hardware @ .., a, b] = &mut words;
    (*a, *b) = (places[0] as u64, places[1] as u64);
    for word in hardware {
        *word = processor_random().unwrap_or(0) ^ clock_samples();
    }
    Ok(words)
}

fn clock_samples() -> u64 {
    (0..SAMPLES).fold(0, |word: u64, _| {
        word.rotate_left(7).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ time::system_ticks()
    })
}

/// A word of the processor's generator; `None` without one, or when it is exhausted.
#[cfg(target_arch = "x86_64")]
fn processor_random() -> Option<u64> {
    use core::arch::x86_64::{__cpuid, _rdrand64_step};

    /// RDRAND in register C of CPUID's leaf 1.
    const HAS_RDRAND: u32 = 1 << 30;
    /// What Intel's manual advises before giving up.
    const TRIES: u32 = 10;

    #[target_feature(enable = "rdrand")]
    fn step() -> Option<u64> {
        let mut word = 0;
        (0..TRIES).any(|_| _rdrand64_step(&mut word) == 1).then_some(word)
    }

    if __cpuid(1).ecx & HAS_RDRAND == 0 {
        return None;
    }
    // SAFETY: the processor has the instruction.
    unsafe { step() }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_random() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicI64, Ordering};

    use nt_sys::kernel_fn;
    use nt_sys::ntdef::{LARGE_INTEGER, PVOID, UNICODE_STRING};

    use super::*;
    use crate::routines;

    extern crate std;
    use std::boxed::Box;
    use std::vec::Vec;

    // What stands in for the kernel: a clock that goes on whenever it is read, and a pool.
    static NOW: AtomicI64 = AtomicI64::new(1 << 56);
    static STEP: AtomicI64 = AtomicI64::new(1);

    kernel_fn! {
        unsafe fn system_time(now: *mut LARGE_INTEGER) {
            let step = STEP.load(Ordering::Relaxed);
            let ticks = LARGE_INTEGER { QuadPart: NOW.fetch_add(step, Ordering::Relaxed) };
            // SAFETY: the caller's.
            unsafe { now.write(ticks) };
        }
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn MmGetSystemRoutineAddress(name: *mut UNICODE_STRING) -> PVOID {
            // SAFETY: the caller's.
            let octets = usize::from(unsafe { (*name).Length });
            // The clock is the only name of this length.
            let is_clock = octets == 2 * "KeQuerySystemTime".len();
            if is_clock { system_time as *const () as PVOID } else { core::ptr::null_mut() }
        }
    }

    type Block = [u128; 64];

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn ExAllocatePoolWithTag(_pool: i32, octets: usize, _tag: u32) -> PVOID {
            assert!(octets <= size_of::<Block>(), "{octets}");
            let block: Block = [0; 64];
            Box::into_raw(Box::new(block)).cast()
        }
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn ExFreePoolWithTag(block: PVOID, _tag: u32) {
            // SAFETY: the caller's.
            drop(unsafe { Box::from_raw(block.cast::<Block>()) });
        }
    }

    #[test]
    fn no_word_is_that_of_another_or_of_another_start() {
        // SAFETY: there are no levels here.
        let passive = unsafe { Passive::mint() };
        routines::find(&passive);
        // Without the places at their end, which may be the same again.
        let words = |_| entropy(&passive).unwrap().into_iter().take(ENTROPY_WORDS - 2);
        let words: Vec<u64> = (0..2).flat_map(words).collect();
        let clock = [clock_samples(), clock_samples()];
        for word in clock {
            assert!((12..52).contains(&word.count_ones()), "{word:#x}");
        }
        // What was sampled before is not drowned by ones.
        STEP.store(0, Ordering::Relaxed);
        NOW.store(i64::MAX, Ordering::Relaxed);
        assert_ne!(clock_samples() | 1 << 63, u64::MAX);
        let words = [&words[..], &clock].concat();
        for (at, word) in words.iter().enumerate() {
            assert!(!words[..at].contains(word), "{at}: {words:x?}");
        }
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("rdrand") {
            let words = [processor_random().unwrap(), processor_random().unwrap()];
            assert_ne!(words[0], words[1]);
        }
    }
}
