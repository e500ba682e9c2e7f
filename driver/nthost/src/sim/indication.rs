//! The memory of one indication, in any shape that the contract allows.
use core::ffi::c_void;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nt_sys::mm::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_SOURCE_IS_NONPAGED_POOL, MmInitializeMdl, PAGE_SIZE, mdl_size,
};
use nt_sys::wsk::{WSK_BUF, WSK_DATA_INDICATION};

use super::freedom::Freedom;
use super::pages::Pages;
use super::world::{World, is_on, try_with, with};
use crate::verifier::{Rule, violation};

/// Fills octets that a client may not look at.
const POISON: u8 = 0xDB;
/// Octets of poison before or behind what is indicated, at most.
const SLACK: usize = 40;
/// Indications that are over and still watched.
const WATCHED: usize = 8;

/// Pieces of one indication that have pages of their own, at most: each takes system calls.
const APART_MAX: usize = 8;

/// One MDL and its memory.
enum Piece {
    /// In the heap: what is done to it afterwards is seen when it is looked at.
    Kept {
        /// The MDL with its page frame numbers.
        mdl: Box<[u64]>,
        memory: Box<[u8]>,
    },
    /// In pages of its own, which are taken away afterwards.
    Apart { pages: Pages, octets: usize },
}

impl Piece {
    fn new(memory: Vec<u8>, mapped: bool, apart: bool) -> Piece {
        let octets = memory.len();
        let mdl_octets = mdl_size(octets / PAGE_SIZE + 2);
        let pages = apart.then(|| Pages::new(mdl_octets + octets)).flatten();
        let mut piece = if let Some(mut pages) = pages {
            pages.end(octets).copy_from_slice(&memory);
            Piece::Apart { pages, octets }
        } else {
            let mdl = vec![0; mdl_octets / 8].into_boxed_slice();
            Piece::Kept { mdl, memory: memory.into_boxed_slice() }
        };
        let (place, base) = (piece.mdl(), piece.memory().as_mut_ptr().cast());
        // SAFETY: room for an MDL of all pages that the memory can touch.
        unsafe { MmInitializeMdl(place, base, u32::try_from(octets).unwrap_or(0)) };
        // SAFETY: initialised just now.
        let fields = unsafe { &mut *place };
        if mapped {
            fields.MdlFlags = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL;
            fields.MappedSystemVa = base;
        }
        piece
    }

    fn mdl(&mut self) -> *mut MDL {
        match self {
            Piece::Kept { mdl, .. } => mdl.as_mut_ptr().cast(),
            Piece::Apart { pages, .. } => pages.base().cast(),
        }
    }

    /// Not of one that was taken away.
    fn memory(&mut self) -> &mut [u8] {
        match self {
            Piece::Kept { memory, .. } => memory,
            Piece::Apart { pages, octets } => pages.end(*octets),
        }
    }

    /// Nobody may look at it any more.
    fn over(&mut self) {
        match self {
            Piece::Kept { memory, .. } => memory.fill(POISON),
            Piece::Apart { pages, .. } => pages.take_away(),
        }
    }
}

/// Indicated octets: a list of nodes, each of a chain of MDLs.
pub(crate) struct Indication {
    pieces: Vec<Piece>,
    /// None is added once they are linked, so they stay in place.
    nodes: Vec<WSK_DATA_INDICATION>,
    /// What the pieces hold.
    fingerprint: u64,
    is_apart: bool,
    is_over: bool,
}

impl Indication {
    /// `octets`, which are not none, in a shape as it comes.
    pub(crate) fn new(octets: &[u8]) -> Indication {
        with(|world| {
            let mut indication = Indication {
                pieces: Vec::new(),
                nodes: Vec::new(),
                fingerprint: 0,
                is_apart: world.take(Freedom::TakenAway),
                is_over: false,
            };
            let mut rest = octets;
            while !rest.is_empty() {
                let node = part(world, rest, Freedom::SeveralNodes);
                indication.add_node(world, node);
                rest = &rest[node.len()..];
            }
            indication.link();
            indication.fingerprint = indication.hash();
            let mdls = indication.pieces.iter_mut().map(|piece| piece.mdl().addr());
            world.quarantine.indicated.extend(mdls);
            world.quarantine.apart.extend(indication.apart());
            indication
        })
    }

    fn add_node(&mut self, world: &mut World, octets: &[u8]) {
        let offset =
            if world.take(Freedom::NonZeroOffset) { 1 + world.random.below(SLACK) } else { 0 };
        let first = self.pieces.len();
        let mut rest = octets;
        let mut before = offset;
        while !rest.is_empty() {
            if before == 0 && world.take(Freedom::EmptyMdl) {
                self.add_piece(world, Vec::new());
            }
            let taken = part(world, rest, Freedom::SeveralMdls);
            rest = &rest[taken.len()..];
            let mut memory = vec![POISON; before];
            memory.extend_from_slice(taken);
            if rest.is_empty() && world.take(Freedom::LongerChain) {
                memory.resize(memory.len() + world.random.below(SLACK), POISON);
            }
            self.add_piece(world, memory);
            before = 0;
        }
        if world.take(Freedom::LongerChain) {
            self.add_piece(world, vec![POISON; SLACK]);
        }
        // Chained here: the pieces of one node are the last ones.
        let mut next = core::ptr::null_mut();
        for piece in self.pieces[first..].iter_mut().rev() {
            let mdl = piece.mdl();
            // SAFETY: ours, initialised.
            unsafe { (*mdl).Next = next };
            next = mdl;
        }
        let offset = u32::try_from(offset).unwrap_or(0);
        self.nodes.push(WSK_DATA_INDICATION {
            Next: core::ptr::null_mut(),
            Buffer: WSK_BUF { Mdl: next, Offset: offset, Length: octets.len() },
        });
    }

    fn add_piece(&mut self, world: &mut World, memory: Vec<u8>) {
        let mapped = !world.take(Freedom::Unmapped);
        let apart = self.is_apart && self.pieces.len() < APART_MAX;
        self.pieces.push(Piece::new(memory, mapped, apart));
    }

    fn link(&mut self) {
        let mut next = core::ptr::null_mut();
        for node in self.nodes.iter_mut().rev() {
            node.Next = next;
            next = core::ptr::from_mut(node);
        }
    }

    /// Of what can be looked at.
    fn hash(&mut self) -> u64 {
        let over = self.is_over;
        let there = |piece: &&mut Piece| !over || matches!(piece, Piece::Kept { .. });
        let pieces = self.pieces.iter_mut().filter(there);
        let octets = pieces.flat_map(|piece| piece.memory().iter());
        octets.fold(7, |hash: u64, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01B3))
    }

    /// Where its pages are.
    fn apart(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Apart { pages, .. } => Some(pages.range()),
            Piece::Kept { .. } => None,
        })
    }

    /// The list to indicate.
    pub(crate) fn list(&mut self) -> *mut WSK_DATA_INDICATION {
        core::ptr::from_mut(self.nodes.first_mut().expect("a node for octets that are not none"))
    }

    /// The callback has returned: nothing of it may be looked at any more.
    pub(crate) fn over(mut self) {
        if self.hash() != self.fingerprint {
            let detail = "they belong to WSK and were changed";
            violation(Rule::ReceiveResult, "WskReceiveEvent", "indicated octets", detail, None);
        }
        let mdls: Vec<usize> = self.pieces.iter_mut().map(|piece| piece.mdl().addr()).collect();
        self.is_over = true;
        self.pieces.iter_mut().for_each(Piece::over);
        for node in &mut self.nodes {
            // A client that kept the list finds nothing in it that it can use.
            node.Buffer.Mdl = core::ptr::dangling_mut();
            node.Next = core::ptr::dangling_mut();
        }
        self.fingerprint = self.hash();
        let old = with(|world| {
            let quarantine = &mut world.quarantine;
            for mdl in mdls {
                quarantine.indicated.remove(&mdl);
            }
            quarantine.over.push_back(self);
            let full = quarantine.over.len() > WATCHED;
            let old = if full { quarantine.over.pop_front() } else { None };
            for (base, _) in old.iter().flat_map(Indication::apart) {
                quarantine.apart.remove(&base);
            }
            old
        });
        if old.is_some_and(|mut old| old.hash() != old.fingerprint) {
            let detail = "changed after its callback had returned";
            violation(Rule::ReceiveResult, "WskReceiveEvent", "an indication", detail, None);
        }
    }
}

/// Some of `octets` from the front: all, or as many as chance says.
fn part<'o>(world: &mut World, octets: &'o [u8], freedom: Freedom) -> &'o [u8] {
    if octets.len() > 1 && world.take(freedom) {
        &octets[..=world.random.below(octets.len() - 1)]
    } else {
        octets
    }
}

/// Indications that are under way, or over and still watched.
#[derive(Default)]
pub(crate) struct Quarantine {
    /// MDLs that a client may map now.
    indicated: BTreeSet<usize>,
    over: VecDeque<Indication>,
    /// Pages of those that have some: where they begin and end.
    apart: BTreeMap<usize, usize>,
}

/// What is wrong with touching an address that faults; `None` when it is not an indication's.
pub(super) fn wrong_with(address: *const c_void) -> Option<&'static str> {
    let at = address.addr();
    try_with(|world| {
        let quarantine = &world.quarantine;
        let (base, _) = quarantine.apart.range(..=at).next_back().filter(|(_, end)| at < **end)?;
        // Its MDL is at the beginning.
        let under_way = quarantine.indicated.contains(base);
        Some(if under_way { "touched behind its end" } else { "touched after its callback" })
    })
    .flatten()
}

/// True while a client may map the MDL at this address.
pub(crate) fn is_indicated(mdl: usize) -> bool {
    is_on() && with(|world| world.quarantine.indicated.contains(&mdl))
}
