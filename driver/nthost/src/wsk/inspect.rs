//! Conditional accept: requests are inspected, and may be pended, decided and aborted.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use nt_sys::ntdef::{DISPATCH_LEVEL, STATUS_SUCCESS};
use nt_sys::wsk::{SOCKADDR, WSK_INSPECT_ID, WskInspectAccept, WskInspectPend, WskInspectReject};
use rustix::event::epoll::EventFlags;

use super::listener::{self, Listener};
use crate::host::state;
use crate::live::stream;
use crate::nt::lock;
use crate::processor::{self, Task};
use crate::verifier::{Rule, violation};

/// Aborted requests that are remembered: a decision that came too late is not one for nobody.
const ABORTED_MAX: usize = 1_024;

/// Tells requests apart.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// A request that the client has not decided.
pub(crate) struct Pended {
    id: WSK_INSPECT_ID,
    file: OwnedFd,
    remote: SocketAddr,
    /// The processor that accepted it, and watches it.
    home: usize,
}

/// The requests of a listener that are not established yet.
#[derive(Default)]
pub(super) struct Requests {
    /// Those whose callback is running, with the decision if the client has completed it already.
    inspecting: Vec<(WSK_INSPECT_ID, Option<bool>)>,
    pended: Vec<Pended>,
    aborted: VecDeque<WSK_INSPECT_ID>,
}

impl Requests {
    /// The callback has returned: the decision that came meanwhile.
    fn inspected(&mut self, id: WSK_INSPECT_ID) -> Option<bool> {
        let at = self.inspecting.iter().position(|(known, _)| *known == id)?;
        self.inspecting.swap_remove(at).1
    }

    /// What is left when the listener closes.
    pub(super) fn cancel(self) {
        for pended in &self.pended {
            stream::reset_on_close(&pended.file);
        }
    }
}

impl Listener {
    /// A connection is requested. On a processor's thread.
    pub(super) fn request(&'static self, home: usize, file: OwnedFd, remote: SocketAddr) {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let id = WSK_INSPECT_ID { Key: self.pointer().addr(), SerialNumber: serial };
        let mut shared = lock(&self.shared);
        shared.requests.inspecting.push((id, None));
        let local = shared.local;
        drop(shared);
        let action = self.inspect(local, remote, id);
        let mut shared = lock(&self.shared);
        let early = shared.requests.inspected(id);
        let pended = Pended { id, file, remote, home };
        match (action, early) {
            (WskInspectPend, None) => {
                if let Err(error) = state().processor(home).watch_pended(serial, &pended.file) {
                    eprintln!("nthost: a pended request cannot be watched: {error}");
                }
                shared.requests.pended.push(pended);
            }
            (WskInspectPend, Some(accept)) => {
                drop(shared);
                self.decided(pended, accept);
            }
            (WskInspectAccept, None) => {
                drop(shared);
                self.establish(home, pended.file, remote, local, Some(id));
            }
            (WskInspectReject, None) => stream::reset_on_close(&pended.file),
            (WskInspectAccept | WskInspectReject, Some(_)) => {
                let detail = "completed without having been pended";
                violation(Rule::Inspect, "WskInspectEvent", format!("{id:?}"), detail, None)
            }
            (other, _) => violation(Rule::Flags, "WskInspectEvent", "its result", other, None),
        }
    }

    fn inspect(&self, local: SOCKADDR, remote: SocketAddr, mut id: WSK_INSPECT_ID) -> i32 {
        let Some(event) = self.client().WskInspectEvent else {
            violation(Rule::AcceptOutputs, "WskInspectEvent", "its callback", "none", None);
        };
        let (mut local, mut remote) = (local, self.sockaddr(remote));
        let _frame = processor::enter("WskInspectEvent", DISPATCH_LEVEL);
        // SAFETY: the client's callback with its context; what is passed is valid for the call.
        unsafe { event(self.context(), &raw mut local, &raw mut remote, &raw mut id) }
    }

    /// WskInspectComplete: the client decided on a request that it pends.
    pub(super) fn inspect_completed(&'static self, id: WSK_INSPECT_ID, accept: bool) {
        let mut shared = lock(&self.shared);
        let requests = &mut shared.requests;
        let mut running = requests.inspecting.iter_mut();
        if let Some((_, early)) = running.find(|(known, early)| *known == id && early.is_none()) {
            *early = Some(accept);
            return;
        }
        if let Some(at) = requests.pended.iter().position(|pended| pended.id == id) {
            let pended = requests.pended.remove(at);
            drop(shared);
            return self.decided(pended, accept);
        }
        if let Some(at) = requests.aborted.iter().position(|aborted| *aborted == id) {
            // It crossed the abort; nothing comes of it.
            requests.aborted.remove(at);
            return;
        }
        let detail = "unknown, or completed before";
        violation(Rule::Inspect, "WskInspectComplete", format!("{id:?}"), detail, None)
    }

    fn decided(&'static self, pended: Pended, accept: bool) {
        let home = state().processor(pended.home);
        home.forget_pended(&pended.file);
        if accept {
            // Not in the call that decided: the accept event is the processor's, like all others.
            home.post(Task::Establish(self, pended));
        } else {
            stream::reset_on_close(&pended.file);
        }
    }

    /// The client accepted a request that it had pended. On the processor that accepted it.
    pub(crate) fn establish_pended(&'static self, pended: Pended) {
        let local = lock(&self.shared).local;
        self.establish(pended.home, pended.file, pended.remote, local, Some(pended.id));
    }

    /// True when the request is this listener's.
    fn abort_if_gone(&'static self, serial: u32, flags: EventFlags) -> bool {
        let mut shared = lock(&self.shared);
        let requests = &mut shared.requests;
        let mut pended = requests.pended.iter();
        let Some(at) = pended.position(|pended| pended.id.SerialNumber == serial) else {
            return false;
        };
        // A peer that sent something and ended its side still wants an answer.
        let dead = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        if dead || stream::is_at_end(&requests.pended[at].file) {
            let mut id = requests.pended.remove(at).id;
            if requests.aborted.len() == ABORTED_MAX {
                requests.aborted.pop_front();
            }
            requests.aborted.push_back(id);
            drop(shared);
            self.abort(&mut id);
        }
        true
    }

    fn abort(&self, id: &mut WSK_INSPECT_ID) {
        let export = "WskAbortEvent";
        let Some(event) = self.client().WskAbortEvent else {
            violation(Rule::AcceptOutputs, export, "its callback", "none", None);
        };
        let frame = processor::enter(export, DISPATCH_LEVEL);
        // SAFETY: the client's callback with its context; the ID is valid for the call.
        let status = unsafe { event(self.context(), id) };
        drop(frame);
        if status != STATUS_SUCCESS {
            violation(Rule::AcceptResult, export, "its result", format!("{status:#x}"), None);
        }
    }
}

/// The peer of a pended request did something. On the processor that watches it; a request that
/// was decided meanwhile is not found.
pub(crate) fn pended_ready(serial: u32, flags: EventFlags) {
    for listener in listener::open() {
        if listener.abort_if_gone(serial, flags) {
            return;
        }
    }
}
