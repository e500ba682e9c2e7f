//! Walking received data.
use nt_sys::mm::{self, MDL, MdlMappingNoExecute, NormalPagePriority};
use nt_sys::wsk::{WSK_BUF, WSK_DATA_INDICATION};

/// What a receive event brought, not looked at yet. V1 holds for `'i`.
#[derive(Clone, Copy)]
pub struct Arrival<'i> {
    head: &'i WSK_DATA_INDICATION,
    octets: usize,
}

impl<'i> Arrival<'i> {
    /// # Safety
    /// As of [`Indication::new`].
    #[inline]
    pub(crate) unsafe fn new(head: &'i WSK_DATA_INDICATION, octets: usize) -> Arrival<'i> {
        Arrival { head, octets }
    }

    /// Octets indicated.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// To be walked.
    pub(crate) fn walk(self) -> Indication<'i> {
        // SAFETY: V1.
        unsafe { Indication::new(self.head, self.octets) }
    }

    /// All of it, if it lies in one MDL that is mapped already.
    #[inline]
    pub fn whole(&self) -> Option<&'i [u8]> {
        let WSK_BUF { Mdl, Offset, Length } = self.head.Buffer;
        if Length != self.octets || Mdl.is_null() {
            return None;
        }
        // SAFETY: V1.
        let mdl = unsafe { &*Mdl };
        let base = mm::mapped_system_va(mdl)?;
        let end = (Offset as usize).checked_add(Length)?;
        if end > mdl.ByteCount as usize {
            return None;
        }
        let first = base.as_ptr().cast::<u8>().wrapping_add(Offset as usize);
        // SAFETY: V1: `ByteCount` octets are mapped at `base`, and no more are taken.
        Some(unsafe { core::slice::from_raw_parts(first, Length) })
    }
}

/// The octets of one receive event, in segments that are contiguous in memory.
///
/// V1: the list and its MDLs are the provider's and valid until the callback returns, which the
/// lifetime stands for. V2: read only. A client consumes from the front; what it leaves, the
/// provider keeps.
pub struct Indication<'i> {
    /// What is left of the current segment.
    segment: &'i [u8],
    /// Null when the octets are in memory of our own, in place of a list.
    node: *const WSK_DATA_INDICATION,
    /// The MDL behind the current segment.
    mdl: *mut MDL,
    /// Octets to skip from there.
    skip: usize,
    /// Octets of the current node behind the current segment.
    behind: usize,
    /// Octets not consumed, the current segment's included.
    left: usize,
    total: usize,
}

impl<'i> Indication<'i> {
    /// # Safety
    /// V1 holds for `'i`, during which nobody else maps the MDLs; `total` is the sum of the
    /// nodes' lengths.
    #[inline]
    pub(crate) unsafe fn new(head: *const WSK_DATA_INDICATION, total: usize) -> Indication<'i> {
        let mut indication = Indication {
            segment: &[],
            node: head,
            mdl: core::ptr::null_mut(),
            skip: 0,
            behind: 0,
            left: total,
            total,
        };
        indication.enter_node();
        indication
    }

    /// Octets that a receive by IRP put into our memory, which needs no mapping.
    pub(crate) fn of(octets: &'i [u8]) -> Indication<'i> {
        Indication {
            segment: octets,
            node: core::ptr::null(),
            mdl: core::ptr::null_mut(),
            skip: 0,
            behind: 0,
            left: octets.len(),
            total: octets.len(),
        }
    }

    #[inline]
    fn enter_node(&mut self) {
        // SAFETY: V1; not null, as every caller sees to.
        let WSK_BUF { Mdl, Offset, Length } = unsafe { &(*self.node).Buffer };
        self.mdl = *Mdl;
        self.skip = *Offset as usize;
        self.behind = *Length;
        self.enter_segment();
    }

    /// Makes what the MDL has of the node the current segment, unless that is nothing.
    #[inline]
    fn enter_segment(&mut self) {
        if self.mdl.is_null() {
            return;
        }
        // SAFETY: V1.
        let count = unsafe { (*self.mdl).ByteCount } as usize;
        let octets = count.saturating_sub(self.skip).min(self.behind);
        if octets == 0 {
            return;
        }
        let priority = NormalPagePriority | MdlMappingNoExecute;
        // SAFETY: V1; nobody else maps it (see `new`).
        let base = unsafe { mm::MmGetSystemAddressForMdlSafe(self.mdl, priority) };
        if base.is_null() {
            return;
        }
        let first = base.cast::<u8>().wrapping_add(self.skip);
        // SAFETY: V1: `ByteCount` octets are mapped at `base`; `skip + octets <= count`.
        self.segment = unsafe { core::slice::from_raw_parts(first, octets) };
        self.skip = 0;
        self.behind -= octets;
        // SAFETY: V1.
        self.mdl = unsafe { (*self.mdl).Next };
    }

    /// Octets consumed so far.
    #[inline]
    pub fn consumed(&self) -> usize {
        self.total - self.left
    }

    /// Octets indicated.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Octets not consumed.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next octets, never empty; `None` at the end, or when memory cannot be mapped (then
    /// `left() > 0`).
    #[inline]
    pub fn segment(&mut self) -> Option<&'i [u8]> {
        if self.segment.is_empty() {
            self.advance();
        }
        (!self.segment.is_empty()).then_some(self.segment)
    }

    /// Enters the next segment, if there is one and it can be mapped.
    #[cold]
    #[inline(never)]
    fn advance(&mut self) {
        while self.segment.is_empty() && self.left > 0 {
            if self.behind == 0 {
                // SAFETY: V1: the list is not over while octets are left.
                let next = unsafe { (*self.node).Next };
                if next.is_null() {
                    return;
                }
                self.node = next;
                self.enter_node();
                continue;
            }
            if self.mdl.is_null() {
                return;
            }
            // SAFETY: V1.
            let count = unsafe { (*self.mdl).ByteCount } as usize;
            if count <= self.skip {
                self.skip -= count;
                // SAFETY: V1.
                self.mdl = unsafe { (*self.mdl).Next };
                continue;
            }
            self.enter_segment();
            if self.segment.is_empty() {
                // It cannot be mapped.
                return;
            }
        }
    }

    /// Consumes the current segment but for its end, `rest`.
    #[inline]
    pub fn consume_to(&mut self, rest: &'i [u8]) {
        self.left -= self.segment.len().saturating_sub(rest.len());
        self.segment = rest;
    }
}

#[cfg(test)]
mod tests {
    use nt_sys::kernel_fn;
    use nt_sys::mm::{MDL_MAPPED_TO_SYSTEM_VA, MmInitializeMdl};
    use nt_sys::ntdef::PVOID;

    use super::*;

    extern crate std;
    use std::boxed::Box;
    use std::vec::Vec;

    // What stands in for the kernel: memory is where an MDL says that it begins, and one that
    // begins nowhere cannot be mapped.
    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn MmMapLockedPagesSpecifyCache(
            mdl: *mut MDL, _mode: i8, _cache: i32, _address: PVOID, bugcheck: u32, priority: u32,
        ) -> PVOID {
            assert_eq!((bugcheck, priority), (0, 16 | 0x4000_0000));
            // SAFETY: the caller's.
            unsafe { (*mdl).StartVa }
        }
    }

    /// A node: the lengths of its MDLs, and which of their octets are its.
    #[derive(Clone, Copy, Debug)]
    struct Shape {
        mdls: &'static [usize],
        offset: usize,
        length: usize,
        is_mapped: bool,
    }

    const fn shape(mdls: &'static [usize], offset: usize, length: usize, is_mapped: bool) -> Shape {
        Shape { mdls, offset, length, is_mapped }
    }

    const SHAPES: [Shape; 10] = [
        shape(&[3], 0, 3, true),
        shape(&[5], 2, 2, true),
        shape(&[5], 1, 4, false),
        shape(&[2, 0, 3], 1, 4, true),
        shape(&[0, 0, 4], 0, 3, false),
        shape(&[1, 1, 1, 9], 0, 3, true),
        // Offsets behind the first MDL, which no provider is known to give.
        shape(&[2, 3], 2, 3, true),
        shape(&[2, 1, 4], 4, 2, false),
        shape(&[4], 4, 0, true),
        shape(&[], 0, 0, true),
    ];

    /// MDLs over octets of which those of the node are numbered from `next`.
    fn mdls(shape: Shape, next: &mut u8) -> *mut MDL {
        let node = shape.offset..shape.offset + shape.length;
        let (mut end, mut octets): (usize, Vec<Vec<u8>>) = (0, Vec::new());
        for length in shape.mdls {
            let at = end..end + length;
            end += length;
            octets
                .push(at.map(|at| if node.contains(&at) { number(next) } else { b'?' }).collect());
        }
        octets.into_iter().rev().fold(core::ptr::null_mut(), |behind, octets| {
            let length = u32::try_from(octets.len()).unwrap();
            let base: PVOID = Box::leak(octets.into_boxed_slice()).as_mut_ptr().cast();
            // SAFETY: plain data for which zero is valid.
            let mdl: &mut MDL = Box::leak(Box::new(unsafe { core::mem::zeroed() }));
            // SAFETY: an MDL of which the page frames are never looked at.
            unsafe { MmInitializeMdl(mdl, base, length) };
            mdl.Next = behind;
            mdl.StartVa = base;
            if shape.is_mapped {
                mdl.MdlFlags = MDL_MAPPED_TO_SYSTEM_VA;
                mdl.MappedSystemVa = base;
            }
            mdl
        })
    }

    fn number(next: &mut u8) -> u8 {
        *next += 1;
        *next
    }

    /// What a provider indicates: nodes of these shapes.
    fn list(shapes: &[Shape]) -> &'static WSK_DATA_INDICATION {
        let mut next = 0;
        let made: Vec<*mut MDL> = shapes.iter().map(|shape| mdls(*shape, &mut next)).collect();
        let node = |behind, (shape, mdl): (&Shape, *mut MDL)| {
            let offset = u32::try_from(shape.offset).unwrap();
            let buffer = WSK_BUF { Mdl: mdl, Offset: offset, Length: shape.length };
            core::ptr::from_mut(Box::leak(Box::new(WSK_DATA_INDICATION {
                Next: behind,
                Buffer: buffer,
            })))
        };
        let all = shapes.iter().zip(made).rev().fold(core::ptr::null_mut(), node);
        // SAFETY: leaked above.
        unsafe { &*all }
    }

    /// The octets that are walked when `step` at most are taken at once, and how many are left.
    fn walked(head: &'static WSK_DATA_INDICATION, total: usize, step: usize) -> (Vec<u8>, usize) {
        // SAFETY: of this test, and leaked.
        let mut indication = unsafe { Indication::new(head, total) };
        let mut octets = Vec::new();
        while let Some(segment) = indication.segment() {
            let (taken, rest) = segment.split_at(step.min(segment.len()));
            assert!(!taken.is_empty());
            octets.extend_from_slice(taken);
            indication.consume_to(rest);
            assert_eq!((indication.consumed(), indication.total()), (octets.len(), total));
        }
        (octets, indication.left())
    }

    fn check(shapes: &[Shape]) {
        let total: usize = shapes.iter().map(|shape| shape.length).sum();
        if total == 0 {
            return;
        }
        let head = list(shapes);
        let expected: Vec<u8> = (1..=u8::try_from(total).unwrap()).collect();
        for step in [1, 2, usize::MAX] {
            assert_eq!(walked(head, total, step), (expected.clone(), 0), "{shapes:?} by {step}");
        }
        // SAFETY: as in `walked`.
        let arrival = unsafe { Arrival::new(head, total) };
        assert_eq!((arrival.octets(), arrival.walk().left()), (total, total));
        let Shape { mdls, offset, length, is_mapped } = shapes[0];
        let in_first = mdls.first().is_some_and(|first| offset + length <= *first);
        let whole = (is_mapped && in_first && length == total).then_some(&expected[..]);
        assert_eq!(arrival.whole(), whole, "{shapes:?}");
    }

    #[test]
    fn octets_come_in_order_however_they_lie_in_memory() {
        for one in SHAPES {
            check(&[one]);
            for two in SHAPES {
                check(&[one, two]);
                for three in SHAPES {
                    check(&[one, two, three]);
                }
            }
        }
        assert_eq!(Indication::of(b"abc").segment(), Some(&b"abc"[..]));
    }

    #[test]
    fn octets_that_are_not_there_or_cannot_be_mapped_are_left() {
        // A chain that is shorter than its node says, and a list than its sum.
        let short = list(&[shape(&[2, 1], 1, 7, true)]);
        assert_eq!(walked(short, 7, 2), (Vec::from([1, 2]), 5));
        assert_eq!(walked(list(&[SHAPES[0]]), 4, 9), (Vec::from([1, 2, 3]), 1));
        // SAFETY: as in `walked`.
        assert_eq!(unsafe { Arrival::new(list(&[shape(&[2], 1, 2, true)]), 2) }.whole(), None);
        let head = list(&[SHAPES[0], shape(&[2], 0, 2, false)]);
        // SAFETY: leaked: the second node.
        let second = unsafe { &*head.Next };
        // SAFETY: leaked, and nobody else's.
        let mdl = unsafe { &mut *second.Buffer.Mdl };
        mdl.StartVa = core::ptr::null_mut();
        assert_eq!(walked(head, 5, 9), (Vec::from([1, 2, 3]), 2));
    }
}
