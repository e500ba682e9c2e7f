//! A connection's times: which deadline it has, and what happens when that has passed.
use nt::wsk::Socket;
use wskhttpd_abi::Reason;

use super::{Connection, Facts, LINGER_TICKS, OVERTAKEN_TICKS};
use crate::answer;
use crate::batch::Batch;
use crate::deadline::Timeouts;
use crate::server::Server;

impl Connection {
    /// A deadline may have passed; true when the connection was closed for it.
    pub(super) fn time_passed(&mut self, server: &Server, socket: &mut Socket<'_, Server>) -> bool {
        let now = server.clock.ticks();
        if !socket.mark().passed(now) {
            return false;
        }
        let overdue = |deadline: u32| deadline != 0 && deadline <= now;
        if server.stop_passed(now) {
            socket.close();
        } else if self.is_sending(socket) {
            // It may be another deadline that has passed: that of a restart.
            if self.send_deadline(&server.timeouts, socket) <= now {
                server.reject(self.peer, Reason::TimerSend, 0, &[]);
                socket.close();
            }
        } else if overdue(self.end_deadline) {
            socket.close();
        } else if overdue(self.request_deadline) {
            let reason = if self.in_content { Reason::TimerContent } else { Reason::TimerHead };
            let head = self.head.as_deref().unwrap_or_default();
            server.reject(self.peer, reason, http1::Status::RequestTimeout.code(), head);
            (self.held, self.held_by, self.asked) = (None, None, None);
            let mut batch = Batch::default();
            let site = server.sites.current();
            if let Some(answer) = answer::error(site.view(), http1::Status::RequestTimeout) {
                self.put_apart(server, &site, socket, &mut batch, &answer);
            }
            batch.submit(server, socket);
        } else if self.end_deadline == 0 && !socket.is_gated() {
            if !self.facts.has(Facts::OVERTAKEN) {
                server.reject(self.peer, Reason::TimerIdle, 0, &[]);
            }
            self.facts.note(Facts::LAST, true);
        }
        socket.is_closing()
    }

    /// Stores the deadline of a connection that is idle, and is as usual.
    #[inline]
    pub(super) fn set_idle_deadline(&mut self, server: &Server, socket: &Socket<'_, Server>) {
        (self.request_deadline, self.in_content, self.progress) = (0, false, 0);
        socket.mark().set_idle(server.idle_deadline());
    }

    /// Stores the deadline of the situation the connection is in now.
    pub(super) fn set_deadline(&mut self, server: &Server, socket: &Socket<'_, Server>) {
        let now = server.clock.ticks();
        let timeouts = &server.timeouts;
        self.set_request_deadline(timeouts, now);
        if self.facts.has(Facts::LINGERS) && socket.sends_in_flight() == 0 {
            self.end_deadline = self.end_deadline.min(now.saturating_add(LINGER_TICKS)).max(1);
        }
        let is_sending = self.is_sending(socket);
        self.progress = match self.progress {
            _ if !is_sending => 0,
            0 => now.max(1),
            progress => progress,
        };
        if is_sending && self.end_deadline != 0 {
            // The peer has all its time to read the last response, and then to end.
            self.end_deadline = now.saturating_add(timeouts.linger()).max(1);
        }
        let deadline = if is_sending {
            self.send_deadline(timeouts, socket)
        } else if self.end_deadline != 0 {
            self.end_deadline
        } else if self.request_deadline != 0 {
            self.request_deadline
        } else {
            now.saturating_add(if self.facts.has(Facts::OVERTAKEN) {
                OVERTAKEN_TICKS
            } else if self.facts.has(Facts::REFUSED) {
                timeouts.linger()
            } else {
                timeouts.idle()
            })
        };
        let is_waiting_for_octets = socket.is_gated() && self.may_answer(socket);
        if is_waiting_for_octets {
            // A restart that the provider took for one that was not needed is asked for again.
            socket.mark().set(deadline.min(now.saturating_add(1)).min(server.stop_deadline()));
        } else if is_sending || self.request_deadline != 0 || self.end_deadline != 0 {
            socket.mark().set(deadline.min(server.stop_deadline()));
        } else {
            socket.mark().set_idle(deadline.min(server.stop_deadline()));
        }
    }

    /// Tick by which the peer must have read some of what is being sent.
    pub(super) fn send_deadline(&self, timeouts: &Timeouts, socket: &Socket<'_, Server>) -> u32 {
        self.progress.saturating_add(timeouts.send(socket.octets_in_flight()))
    }

    pub(super) fn set_request_deadline(&mut self, timeouts: &Timeouts, now: u32) {
        let in_content = self.held.is_some();
        if self.http.is_idle() && !in_content {
            self.request_deadline = 0;
        } else if self.request_deadline == 0 {
            let timeout = if in_content { timeouts.content() } else { timeouts.head() };
            self.request_deadline = now.saturating_add(timeout).max(1);
        }
        self.in_content = in_content;
    }
}
