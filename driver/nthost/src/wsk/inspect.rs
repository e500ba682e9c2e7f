//! Conditional accept: requests are inspected, and may be pended, decided and aborted.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use nt_sys::ntdef::STATUS_SUCCESS;
use nt_sys::wsk::{SOCKADDR, WSK_INSPECT_ID, WskInspectAccept, WskInspectPend, WskInspectReject};
use rustix::event::epoll::EventFlags;

use super::listener::{self, Listener};
use crate::host::state;
use crate::processor::{self, Task};
use crate::sim::freedom::Freedom;
use crate::sim::{self, work, world};
use crate::transport::Stream;
use crate::verifier::{Rule, violation};

/// Aborted requests that are remembered: a decision that came too late is not one for nobody.
const ABORTED_MAX: usize = 1_024;

/// Tells requests apart.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// A request that is not established yet.
pub(crate) struct Request {
    id: WSK_INSPECT_ID,
    stream: Stream,
    remote: SocketAddr,
    /// The processor that accepted it, and watches it while it is pended.
    home: usize,
}

impl Request {
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }
}

/// The requests of a listener that are not established yet.
#[derive(Default)]
pub(super) struct Requests {
    /// Those whose callback is running, with the decision if the client has completed it already.
    inspecting: Vec<(WSK_INSPECT_ID, Option<bool>)>,
    pended: Vec<Request>,
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
            pended.stream.reset_on_close();
        }
    }

    /// A decision on it that comes too late is no mistake.
    fn remember_aborted(&mut self, id: WSK_INSPECT_ID) {
        if self.aborted.len() == ABORTED_MAX {
            self.aborted.pop_front();
        }
        self.aborted.push_back(id);
    }
}

impl Listener {
    /// A connection is requested. On a processor.
    pub(super) fn request(&'static self, home: usize, stream: Stream, remote: SocketAddr) {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        // The key says nothing; on a simulated machine it is the same in every run.
        let key = if world::is_on() { 0x1000 } else { self.address() };
        let id = WSK_INSPECT_ID { Key: key, SerialNumber: serial };
        self.shared.lock().requests.inspecting.push((id, None));
        work::asks(&stream);
        let action = self.inspect(remote, id);
        work::answered(&stream, action != WskInspectReject);
        let mut shared = self.shared.lock();
        let early = shared.requests.inspected(id);
        let request = Request { id, stream, remote, home };
        match (action, early) {
            (WskInspectPend, None) => {
                if let Stream::Live(file) = &request.stream
                    && let Err(error) = state().processor(home).watch_pended(serial, file)
                {
                    eprintln!("nthost: a pended request cannot be watched: {error}");
                }
                shared.requests.pended.push(request);
                drop(shared);
                if world::is_on() {
                    // Its peer may have given up while the client was being asked.
                    self.abort_ended();
                    work::pended(self, id);
                }
            }
            (WskInspectPend, Some(accept)) => {
                drop(shared);
                self.decided(request, accept);
            }
            (WskInspectAccept, None) => {
                drop(shared);
                self.admitted(request);
            }
            (WskInspectReject, None) => {
                work::refused(&request.stream);
                request.stream.reset_on_close();
            }
            (WskInspectAccept | WskInspectReject, Some(_)) => {
                let detail = "completed without having been pended";
                violation(Rule::Inspect, "WskInspectEvent", format!("{id:?}"), detail, None)
            }
            (other, _) => violation(Rule::Flags, "WskInspectEvent", "its result", other, None),
        }
    }

    /// The client wants it. Over live sockets the handshake is long complete.
    fn admitted(&'static self, request: Request) {
        if world::is_on() {
            work::admit(self, request);
        } else {
            self.establish_request(request.home, request);
        }
    }

    fn inspect(&self, remote: SocketAddr, mut id: WSK_INSPECT_ID) -> i32 {
        let mut remote = self.sockaddr(remote);
        self.call_inspect(&raw mut remote, &raw mut id)
    }

    /// The listener is dead, which this event says by having no ID (rule 8).
    pub(crate) fn inspect_lost(&self) {
        let mut remote = SOCKADDR::default();
        self.call_inspect(&raw mut remote, core::ptr::null_mut());
    }

    fn call_inspect(&self, remote: *mut SOCKADDR, id: *mut WSK_INSPECT_ID) -> i32 {
        let export = "WskInspectEvent";
        let Some(event) = self.client().WskInspectEvent else {
            violation(Rule::AcceptOutputs, export, "its callback", "none", None);
        };
        let mut local = self.local();
        sim::event_begins(self.address(), export, 0);
        let action = processor::run_event(export, |_| {
            // SAFETY: the client's callback with its context; what is passed is valid for the call.
            unsafe { event(self.context(), &raw mut local, remote, id) }
        });
        sim::event_ends(self.address());
        action
    }

    /// WskInspectComplete: the client decided on a request that it pends.
    pub(super) fn inspect_completed(&'static self, id: WSK_INSPECT_ID, accept: bool) {
        let mut shared = self.shared.lock();
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

    fn decided(&'static self, request: Request, accept: bool) {
        if let Stream::Live(file) = &request.stream {
            state().processor(request.home).forget_pended(file);
        }
        if !accept {
            work::answered(&request.stream, false);
            work::refused(&request.stream);
            request.stream.reset_on_close();
        } else if world::is_on() {
            self.admitted(request);
        } else {
            // Not in the call that decided: the accept event is the processor's, like all others.
            state().processor(request.home).post(Task::Establish(self, request));
        }
    }

    /// A request that the client wants is established. On a processor.
    pub(crate) fn establish_request(&'static self, processor: usize, request: Request) {
        self.establish(processor, request.stream, request.remote, Some(request.id));
    }

    /// True when the request is this listener's.
    fn abort_if_gone(&'static self, serial: u32, flags: EventFlags) -> bool {
        let mut shared = self.shared.lock();
        let requests = &mut shared.requests;
        let mut pended = requests.pended.iter();
        let Some(at) = pended.position(|pended| pended.id.SerialNumber == serial) else {
            return false;
        };
        // A peer that sent something and ended its side still wants an answer.
        let dead = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        if dead || requests.pended[at].stream.is_at_end() {
            let request = requests.pended.remove(at);
            requests.remember_aborted(request.id);
            drop(shared);
            self.abort(request);
        }
        true
    }

    /// Aborts the pended requests whose peers have given up. On a simulated processor.
    pub(crate) fn abort_ended(&self) {
        loop {
            let mut shared = self.shared.lock();
            let requests = &mut shared.requests;
            let mut pended = requests.pended.iter();
            let Some(at) = pended.position(|pended| pended.stream.is_at_end()) else { return };
            let request = requests.pended.remove(at);
            requests.remember_aborted(request.id);
            drop(shared);
            self.abort(request);
        }
    }

    /// Aborts a request if it is still pended.
    pub(crate) fn abort_pended(&self, id: WSK_INSPECT_ID) {
        let mut shared = self.shared.lock();
        let requests = &mut shared.requests;
        let Some(at) = requests.pended.iter().position(|pended| pended.id == id) else { return };
        let request = requests.pended.remove(at);
        requests.remember_aborted(id);
        drop(shared);
        self.abort(request);
    }

    /// A request that the client wanted, or had pended, dies.
    pub(crate) fn abort_admitted(&self, request: Request) {
        self.shared.lock().requests.remember_aborted(request.id);
        self.abort(request);
    }

    /// The listener closes: requests that are pended die, with or without a word. True when there
    /// were any, or a WskAccept.
    pub(crate) fn cancel_requests(&self) -> bool {
        let mut shared = self.shared.lock();
        let pended = core::mem::take(&mut shared.requests.pended);
        let accepts = !shared.accepts.is_empty() || !shared.backlog.is_empty();
        drop(shared);
        self.cancel_accepts();
        let any = accepts || !pended.is_empty();
        for request in pended {
            if !sim::takes(Freedom::SilentDrop) {
                self.abort_admitted(request);
            }
        }
        any
    }

    fn abort(&self, mut request: Request) {
        let export = "WskAbortEvent";
        let Some(event) = self.client().WskAbortEvent else {
            violation(Rule::AcceptOutputs, export, "its callback", "none", None);
        };
        sim::event_begins(self.address(), export, 0);
        let status = processor::run_event(export, |_| {
            // SAFETY: the client's callback with its context; the ID is valid for the call.
            unsafe { event(self.context(), &raw mut request.id) }
        });
        sim::event_ends(self.address());
        work::answered(&request.stream, false);
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

pub(super) fn reset() {
    SERIAL.store(1, Ordering::Relaxed);
}
