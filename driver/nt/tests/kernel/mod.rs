//! What stands in for the kernel under the models: a heap, locks that loom knows, and processors
//! that are its threads.
use std::cell::Cell;

use loom::sync::Mutex;

pub(crate) type Result<T> = core::result::Result<T, Status>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Status;

impl Status {
    pub(crate) const INSUFFICIENT_RESOURCES: Status = Status;
    pub(crate) const INVALID_PARAMETER: Status = Status;
}

pub(crate) struct SpinLock<T>(Mutex<T>);

impl<T> SpinLock<T> {
    pub(crate) fn new(value: T) -> SpinLock<T> {
        SpinLock(Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

pub(crate) mod processor {
    use super::Cell;

    loom::thread_local! {
        static CURRENT: Cell<usize> = Cell::new(0);
    }

    pub(crate) fn count() -> usize {
        2
    }

    pub(crate) fn current() -> usize {
        CURRENT.with(Cell::get)
    }

    /// This thread is processor `index` from now on.
    pub(crate) fn is(index: usize) {
        CURRENT.with(|current| current.set(index));
    }
}

pub(crate) mod pool {
    use core::ops::Deref;
    use core::ptr::NonNull;

    use super::Result;

    #[derive(Clone, Copy)]
    pub(crate) enum Tag {
        Connection,
    }

    pub(crate) struct PoolSlice<T>(Vec<T>);

    impl<T> PoolSlice<T> {
        pub(crate) fn from_fn(
            _tag: Tag,
            len: usize,
            make: impl FnMut(usize) -> T,
        ) -> Result<PoolSlice<T>> {
            Ok(PoolSlice((0..len).map(make).collect()))
        }
    }

    impl<T> Deref for PoolSlice<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    pub(crate) struct PoolBox<T>(Box<T>);

    impl<T> PoolBox<T> {
        pub(crate) fn new(_tag: Tag, value: T) -> Result<PoolBox<T>> {
            Ok(PoolBox(Box::new(value)))
        }

        pub(crate) fn into_raw(this: PoolBox<T>) -> (NonNull<T>, Tag) {
            (NonNull::from(Box::leak(this.0)), Tag::Connection)
        }

        /// # Safety
        /// From `into_raw`, once.
        pub(crate) unsafe fn from_raw(raw: NonNull<T>, _tag: Tag) -> PoolBox<T> {
            // SAFETY: the caller's.
            PoolBox(unsafe { Box::from_raw(raw.as_ptr()) })
        }
    }
}
