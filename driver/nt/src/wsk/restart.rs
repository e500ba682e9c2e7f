//! The restart of receive events: a call that is made by who is the runner no more.
//!
//! The provider may indicate octets before the call that restarts it returns. While the caller is
//! the runner, that event finds the connection busy, leaves its octets, and has to be restarted in
//! turn: where it always comes inside the call, for ever. So the runner rests first. The connection
//! goes on meanwhile, with whoever runs it: only the close has to wait for the call's return.
use crate::sync::{AtomicU32, Ordering};

/// The call has not returned.
const CALLING: u32 = 1;
/// Its IRP has not completed.
const PENDING: u32 = 1 << 1;
/// The IRP completed with an error.
const FAILED: u32 = 1 << 2;
/// Somebody wants to close the socket.
const CLOSING: u32 = 1 << 3;

/// How far a slot's restart has come.
///
/// R1: from [`Restart::begin`] until [`Restart::returned`] told nothing, or what it told was told
/// to the runner, the socket is not closed, so that slot and socket stay for the caller. R2:
/// `begin` is called again only behind the end of the last one, of which one of
/// [`Restart::completed`] and `returned` tells: the later of them; both may, where the close waits
/// for the call.
pub(super) struct Restart(AtomicU32);

/// What is to be told to the runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// Nothing yet.
    Nothing,
    /// The restart is over, or who wants to close has waited for it long enough.
    Over,
    /// It is over, and failed.
    Failed,
}

impl Told {
    const fn of(state: u32) -> Told {
        if state & FAILED == 0 { Told::Over } else { Told::Failed }
    }
}

impl Restart {
    pub(super) fn new() -> Restart {
        Restart(AtomicU32::new(0))
    }

    /// The call will be made. By the runner, before it rests.
    pub(super) fn begin(&self) {
        self.0.store(CALLING | PENDING, Ordering::Relaxed);
    }

    /// It will not be made: the runner could not rest. By the runner.
    pub(super) fn cancel(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The call returned. What is told is told to the slot, which stays until the runner that hears
    /// of it calls [`Restart::end`].
    pub(super) fn returned(&self) -> Told {
        let alone = |state| (state & (PENDING | CLOSING) == PENDING).then_some(state & !CALLING);
        // Where the completion is still to come, it tells.
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, alone) {
            Ok(_) => Told::Nothing,
            Err(state) => Told::of(state),
        }
    }

    /// The runner was told.
    pub(super) fn end(&self) {
        self.0.fetch_and(!CALLING, Ordering::AcqRel);
    }

    /// The IRP completed.
    pub(super) fn completed(&self, failed: bool) -> Told {
        let ends = if failed { PENDING | FAILED } else { PENDING };
        let state = self.0.fetch_xor(ends, Ordering::AcqRel) ^ ends;
        if state & CALLING == 0 { Told::of(state) } else { Told::Nothing }
    }

    /// True when the socket may be closed now; otherwise `returned` tells. By the runner, which
    /// asks again when it was told.
    pub(super) fn may_close(&self) -> bool {
        self.0.fetch_or(CLOSING, Ordering::AcqRel) & CALLING == 0
    }
}
