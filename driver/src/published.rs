//! One value for all processors, replaced while it is in use.
//!
//! Each processor has a desk: a copy of the value as it was when somebody last looked, and what was
//! derived from it. A turn that finds its desk up to date reads one shared word and writes
//! none but those of its desk. What was replaced goes when the last desk and the last turn have let
//! go of it; desks that nobody comes to are swept.
use crate::sync::{
    AtomicBool, AtomicU64, Ordering, PoolArc, PoolSlice, Result, SpinLock, Tag, Taken, TryCell,
};

/// What is derived from a value, and of no meaning with another one.
pub trait Derived {
    /// Becomes empty.
    fn forget(&mut self);
}

impl Derived for () {
    fn forget(&mut self) {}
}

/// What a processor has.
pub struct Desk<T, D> {
    epoch: u64,
    /// Which one the value is.
    number: u64,
    value: PoolArc<T>,
    derived: D,
    /// Between what two processors write there is more than a cache line.
    _apart: [u64; 16],
}

impl<T, D> Desk<T, D> {
    /// What was derived from the value.
    #[inline]
    pub fn derived(&mut self) -> &mut D {
        &mut self.derived
    }
}

/// The value, and every processor's desk. Every call: IRQL <= DISPATCH, any thread.
pub struct Published<T, D> {
    current: SpinLock<PoolArc<T>>,
    /// Grows with each value, and when what was derived from it is no longer so.
    epoch: AtomicU64,
    /// How many there were: the number of the present one. Changes under the lock.
    count: AtomicU64,
    /// Makes a desk's own of a value.
    copy: fn(&PoolArc<T>) -> PoolArc<T>,
    /// A desk may have a value that was replaced.
    is_stale: AtomicBool,
    desks: PoolSlice<TryCell<Desk<T, D>>>,
}

impl<T, D: Derived> Published<T, D> {
    /// Publishes the first value to so many processors. `copy` makes what each has of it, which is
    /// to be a reference that is counted for this processor alone where turns count references;
    /// `derived` makes what each has beside it.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(
        value: PoolArc<T>,
        processors: usize,
        copy: fn(&PoolArc<T>) -> PoolArc<T>,
        derived: impl Fn() -> Result<D>,
    ) -> Result<Published<T, D>> {
        let desk = |_| {
            Ok(TryCell::new(Desk {
                epoch: 0,
                number: 1,
                value: copy(&value),
                derived: derived()?,
                _apart: [0; _],
            }))
        };
        Ok(Published {
            desks: PoolSlice::try_from_fn(Tag::Server, processors, desk)?,
            current: SpinLock::new(value),
            epoch: AtomicU64::new(0),
            count: AtomicU64::new(1),
            copy,
            is_stale: AtomicBool::new(false),
        })
    }

    /// The value as it is now.
    #[cold]
    #[inline(never)]
    pub fn current(&self) -> PoolArc<T> {
        self.current.with(|value| value.clone())
    }

    /// Begins a turn on a processor: one value until its end, whatever is published meanwhile.
    #[allow(clippy::inline_always, reason = "the way of every request, in the image too")]
    #[inline(always)]
    pub fn turn(&self, processor: usize) -> Turn<'_, T, D> {
        // One that came after the start has the first one's.
        let desk = self.desks.get(processor).or_else(|| self.desks.first());
        match desk.and_then(TryCell::try_take) {
            Some(mut desk) => {
                if desk.epoch != self.epoch.load(Ordering::Acquire) {
                    self.refresh(&mut desk);
                }
                Turn::Desk(desk)
            }
            // Somebody who was interrupted here, or moved away, is at the desk.
            None => Turn::Aside(self.current()),
        }
    }

    /// The processor's desk, if nobody is at it and it is up to date.
    #[inline]
    pub fn at_desk(&self, processor: usize) -> Option<Taken<'_, Desk<T, D>>> {
        let desk = self.desks.get(processor).and_then(TryCell::try_take)?;
        (desk.epoch == self.epoch.load(Ordering::Acquire)).then_some(desk)
    }

    /// Replaces the value; what was replaced stays while somebody uses it.
    pub fn publish(&self, value: PoolArc<T>) {
        let replaced = self.current.with(|current| {
            self.epoch.fetch_add(1, Ordering::Release);
            self.count.fetch_add(1, Ordering::Relaxed);
            core::mem::replace(current, value)
        });
        self.is_stale.store(true, Ordering::Release);
        drop(replaced);
        self.sweep();
    }

    /// Values published, the first one included.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What was derived is no longer so, though the value is the same.
    pub fn forget_derived(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// True while a desk may have a value that was replaced.
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Acquire)
    }

    /// Takes replaced values from desks that nobody is at.
    pub fn sweep(&self) {
        if !self.is_stale.swap(false, Ordering::AcqRel) {
            return;
        }
        for desk in self.desks.iter() {
            match desk.try_take() {
                Some(mut desk) => self.refresh(&mut desk),
                // Who is there may be the last for long.
                None => self.is_stale.store(true, Ordering::Release),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn refresh(&self, desk: &mut Desk<T, D>) {
        let (value, number, epoch) = self.current.with(|value| {
            let number = self.count.load(Ordering::Relaxed);
            (value.clone(), number, self.epoch.load(Ordering::Acquire))
        });
        if number != desk.number {
            // The lock is released before the old value is dropped, which may be its end.
            (desk.value, desk.number) = ((self.copy)(&value), number);
        }
        desk.epoch = epoch;
        desk.derived.forget();
    }
}

/// A turn: what it works with.
pub enum Turn<'p, T, D> {
    /// At its processor's desk.
    Desk(Taken<'p, Desk<T, D>>),
    /// With nothing but the value.
    Aside(PoolArc<T>),
}

impl<T, D> Turn<'_, T, D> {
    /// The value, and what was derived from it where somebody keeps that.
    #[inline]
    pub fn parts(&mut self) -> (&PoolArc<T>, Option<&mut D>) {
        match self {
            Turn::Desk(desk) => {
                let Desk { value, derived, .. } = &mut **desk;
                (value, Some(derived))
            }
            Turn::Aside(value) => (value, None),
        }
    }
}
