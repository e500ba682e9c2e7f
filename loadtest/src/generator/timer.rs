//! Waking up from a poll at a moment. A poll's own timeout counts in milliseconds, which is longer
//! than most latencies.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Instant;

use anyhow::Result;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer that makes an event.
#[derive(Debug)]
pub struct Timer {
    descriptor: OwnedFd,
    set_to: Option<Instant>,
}

impl Timer {
    /// One whose events have this token.
    ///
    /// # Errors
    /// The system has none left.
    pub fn new(registry: &Registry, token: Token) -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { descriptor, set_to: None })
    }

    /// Makes an event at `at`, which is after `now`. Setting it anew takes back what was set.
    ///
    /// # Errors
    /// None in practice.
    pub fn set(&mut self, at: Instant, now: Instant) -> Result<()> {
        if self.set_to == Some(at) {
            return Ok(());
        }
        let left = at.saturating_duration_since(now);
        let it_value = Timespec {
            tv_sec: left.as_secs().try_into()?,
            // Zero would be never.
            tv_nsec: left.subsec_nanos().max(1).into(),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &value)?;
        self.set_to = Some(at);
        Ok(())
    }
}
