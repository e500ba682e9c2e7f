//! Calls into a connection socket's functions.
use std::sync::atomic::{AtomicU32, Ordering};

use nt_sys::ntdef::DISPATCH_LEVEL;
use nt_sys::wsk::WSK_SOCKET;

use super::connection::Connection;
use crate::processor::{self, require_irql};
use crate::sim;
use crate::sim::freedom::Freedom;
use crate::verifier::{Rule, violation};

/// How many are running.
#[derive(Default)]
pub(super) struct Calls {
    /// On the home processor, which alone writes it: nearly all.
    at_home: AtomicU32,
    elsewhere: AtomicU32,
}

impl Calls {
    pub(super) fn count(&self) -> u32 {
        self.at_home.load(Ordering::Acquire) + self.elsewhere.load(Ordering::Acquire)
    }

    #[inline]
    fn begin(&self, at_home: bool) {
        if at_home {
            self.at_home.store(self.at_home.load(Ordering::Relaxed) + 1, Ordering::Release);
        } else {
            self.elsewhere.fetch_add(1, Ordering::Acquire);
        }
    }

    #[inline]
    fn end(&self, at_home: bool) {
        if at_home {
            self.at_home.store(self.at_home.load(Ordering::Relaxed) - 1, Ordering::Release);
        } else {
            self.elsewhere.fetch_sub(1, Ordering::Release);
        }
    }
}

/// A call; counts until dropped.
pub(super) struct Call(pub(super) &'static Connection, bool);

impl Drop for Call {
    fn drop(&mut self) {
        // Somebody else may go on while the call is still running.
        sim::actor::preempt(Freedom::PreemptedAtReturn);
        self.0.calls.end(self.1);
    }
}

/// The connection behind a socket, with the call counted and the socket's life checked.
pub(super) fn enter_call(export: &'static str, socket: *mut WSK_SOCKET) -> Call {
    require_irql(export, DISPATCH_LEVEL);
    if socket.is_null() {
        violation(Rule::CallDuringClose, export, "no socket", "null", None);
    }
    // SAFETY: connection objects are never freed, and the client gets no other sockets of this
    // category.
    let connection: &'static Connection = unsafe { &*socket.cast::<Connection>() };
    let at_home = processor::is(connection.home());
    connection.calls.begin(at_home);
    if !connection.is_open() {
        called_when_closed(export, connection);
    }
    Call(connection, at_home)
}

#[cold]
fn called_when_closed(export: &'static str, connection: &'static Connection) -> ! {
    let site = connection.lock().closed_at;
    let object = format!("connection socket {:p}", connection.pointer());
    let detail = format!("it is {:?}", connection.life());
    violation(Rule::CallDuringClose, export, object, detail, site)
}
