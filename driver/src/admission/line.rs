//! Who waits for a place, oldest first, in fixed memory.
use crate::sync::{AtomicU32, Ordering, PoolSlice, Result, SpinLock, Tag};

/// No node.
const NONE: u32 = u32::MAX;

/// A place in the line: a node, and the use of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    node: u32,
    number: u32,
}

struct Node<W> {
    waiter: Option<W>,
    /// Tells uses of a node apart.
    number: u32,
    deadline: u32,
    before: u32,
    /// The next free node while this one is free.
    behind: u32,
}

/// L1: the nodes from `first` along `behind` to `last` have a waiter and are those that wait, in
/// the order of their coming; all others are linked from `free`.
struct Nodes<W> {
    all: PoolSlice<Node<W>>,
    first: u32,
    last: u32,
    free: u32,
}

/// The line. Every call: IRQL <= DISPATCH, a few steps under one lock.
pub struct Line<W> {
    nodes: SpinLock<Nodes<W>>,
    /// How many wait; changed under the lock, read without it.
    waiting: AtomicU32,
}

impl<W: Copy> Line<W> {
    /// Room for `waiters_max` waiters.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(waiters_max: u32) -> Result<Line<W>> {
        let count = usize::try_from(waiters_max).unwrap_or(0);
        let all = PoolSlice::from_fn(Tag::Server, count, |at| {
            let next = u32::try_from(at).unwrap_or(NONE).saturating_add(1);
            let behind = if next < waiters_max { next } else { NONE };
            Node { waiter: None, number: 0, deadline: 0, before: NONE, behind }
        })?;
        let free = if waiters_max == 0 { NONE } else { 0 };
        let nodes = SpinLock::new(Nodes { all, first: NONE, last: NONE, free });
        Ok(Line { nodes, waiting: AtomicU32::new(0) })
    }

    /// Joins the end of the line until the tick `deadline`; `None` when the line is full.
    /// Deadlines are to come in order.
    pub fn join(&self, waiter: W, deadline: u32) -> Option<Place> {
        self.nodes.with(|line| {
            let node = line.free;
            let last = line.last;
            let free = line.get(node)?;
            let next_free = free.behind;
            let number = free.number.wrapping_add(1);
            *free = Node { waiter: Some(waiter), number, deadline, before: last, behind: NONE };
            line.free = next_free;
            match line.get(last) {
                Some(last) => last.behind = node,
                None => line.first = node,
            }
            line.last = node;
            self.waiting.fetch_add(1, Ordering::SeqCst);
            Some(Place { node, number })
        })
    }

    /// Leaves the line; false when somebody has taken the waiter out of it before.
    pub fn leave(&self, place: Place) -> bool {
        self.nodes.with(|line| line.is_taken(place) && self.take_out(line, place.node).is_some())
    }

    /// True while the waiter is in the line.
    pub fn has(&self, place: Place) -> bool {
        self.nodes.with(|line| line.is_taken(place))
    }

    /// Takes the first waiter out of the line if `may`, given it and its deadline, says so. `may`
    /// runs under the lock.
    pub fn pop_if(&self, may: impl FnOnce(&W, u32) -> bool) -> Option<W> {
        self.nodes.with(|line| {
            let first = line.first;
            let node = line.get(first)?;
            if node.waiter.as_ref().is_some_and(|waiter| may(waiter, node.deadline)) {
                self.take_out(line, first)
            } else {
                None
            }
        })
    }

    fn take_out(&self, line: &mut Nodes<W>, node: u32) -> Option<W> {
        let waiter = line.take_out(node)?;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(waiter)
    }

    /// How many wait.
    pub fn len(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<W: Copy> Nodes<W> {
    fn get(&mut self, node: u32) -> Option<&mut Node<W>> {
        self.all.get_mut(usize::try_from(node).ok()?)
    }

    fn is_taken(&mut self, place: Place) -> bool {
        let node = self.get(place.node);
        node.is_some_and(|node| node.number == place.number && node.waiter.is_some())
    }

    fn take_out(&mut self, at: u32) -> Option<W> {
        let free = self.free;
        let node = self.get(at)?;
        let waiter = node.waiter.take()?;
        let (before, behind) = (node.before, core::mem::replace(&mut node.behind, free));
        self.free = at;
        match self.get(before) {
            Some(before) => before.behind = behind,
            None => self.first = behind,
        }
        match self.get(behind) {
            Some(behind) => behind.before = before,
            None => self.last = before,
        }
        Some(waiter)
    }
}
