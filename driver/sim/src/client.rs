//! One client: what it does, and what it may expect.
use std::net::SocketAddr;
use std::time::Duration;

use nthost::sim::{Happening, Peer, Random, Read, fail, now};

use crate::door::Door;
use crate::history::History;
use crate::pause::Pause;
use crate::request::{Answer, Large, Request};
use crate::response::Reader;
use crate::scenario::IDLE_TIMEOUT;

/// Requests of most clients at most, of one that has much to ask, and of one that wants to keep a
/// callback busy: each of its answers fills a send.
const REQUESTS_MAX: u64 = 6;
const MANY_REQUESTS_MAX: u64 = 48;
const GREEDY_REQUESTS_MAX: u64 = 96;
/// Octets read at once by a client that is in no hurry.
const SIP_BYTES: usize = 700;

/// How long it takes part.
const SLOW_FOR: Duration = Duration::from_secs(20);

/// How the answer to a connection that is refused begins.
const LINE_503: &[u8] = b"HTTP/1.1 503 ";

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Conduct {
    /// Reads what comes, sends what it can, waits for the end of the connection.
    Polite,
    /// Ends its side behind its last request, and still wants every answer.
    EndsEarly,
    /// Sends the next request when the last one was answered, and waits to be sent away.
    Lingers,
    /// Reads a little now and then.
    Slow,
    /// Never reads.
    Deaf,
    /// Sends a part of its last request, and nothing more.
    Stops,
    /// Resets the connection after a while.
    Resets,
    /// Ends its side in the middle of a request.
    EndsMidway,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Refused,
    Connected,
    Ended,
    Reset,
}

/// One client.
pub(crate) struct Client {
    pub(crate) from: SocketAddr,
    /// When it asks for a connection.
    pub(crate) start: Duration,
    peer: Option<Peer>,
    conduct: Conduct,
    requests: Vec<Request>,
    /// Everything it sends, and where each request ends in it.
    octets: Vec<u8>,
    ends: Vec<usize>,
    sent: usize,
    /// When the first octet of each request was sent, of those that have begun.
    asked: Vec<Duration>,
    /// Octets that it will send at all.
    limit: usize,
    reader: Reader,
    state: State,
    ended: bool,
    patience: Duration,
    /// The first octets that came, while they may be those of a refusal.
    undecided: Option<Vec<u8>>,
    answered_503: bool,
    /// How long a connection has been idle at least that the driver ends to make a place.
    yields_after: Option<Duration>,
    pause: Option<Pause>,
    /// When the driver's ticks began.
    pub(crate) ticks_from: Duration,
    /// Of the site.
    history: History,
    /// When it read something last, or was connected; how much later it saw the end.
    heard: Duration,
    ended_after: Duration,
    random: Random,
}

impl Client {
    /// One as it comes.
    pub(crate) fn random(
        mut random: Random,
        from: SocketAddr,
        start: Duration,
        door: &Door,
        history: History,
    ) -> Client {
        // What is kept with the provider while there is no place is lost the easiest when the peer
        // ends meanwhile.
        let is_kept = door.holds() && random.fork(1).one_in(2);
        // Where places are wanted all the time, many are to be idle when the driver looks for some.
        let pauses = door.presses && random.fork(2).one_in(2);
        let conduct = match random.below(16) {
            _ if pauses => Conduct::Lingers,
            _ if is_kept => Conduct::EndsEarly,
            0..=4 => Conduct::Polite,
            5..=6 => Conduct::EndsEarly,
            7..=9 => Conduct::Lingers,
            10 => Conduct::Slow,
            11 => Conduct::Deaf,
            12 => Conduct::Stops,
            13..=14 => Conduct::Resets,
            _ => Conduct::EndsMidway,
        };
        let undecided = door.answers.then(Vec::new);
        let mut client = Client::new(random, from, start, conduct, history);
        if conduct == Conduct::Lingers {
            client.pause = Some(Pause::random(&mut client.random, client.requests.len(), door));
        }
        Client { undecided, yields_after: door.yields_after(), ..client }
    }

    /// One that behaves, and asks for what is small.
    pub(crate) fn probe(
        random: Random,
        from: SocketAddr,
        start: Duration,
        history: History,
    ) -> Client {
        Client::new(random, from, start, Conduct::Polite, history)
    }

    fn new(
        mut random: Random,
        from: SocketAddr,
        start: Duration,
        conduct: Conduct,
        history: History,
    ) -> Client {
        let (most, large) = match random.below(16) {
            0 => (GREEDY_REQUESTS_MAX, Large::All),
            1..=3 => (MANY_REQUESTS_MAX, Large::Half),
            _ => (REQUESTS_MAX, Large::Few),
        };
        let count = random.within(1, most);
        let health = history.asks_health;
        let mut requests: Vec<Request> = Vec::new();
        for number in 1..=count {
            let last = number == count && conduct == Conduct::Polite;
            let request = Request::random(&mut random, last, large, health);
            let closes = request.answer.closes;
            requests.push(request);
            if closes {
                break;
            }
        }
        let octets: Vec<u8> = requests.iter().flat_map(|request| request.octets.clone()).collect();
        let ends = requests.iter().scan(0, |at, request| {
            *at += request.octets.len();
            Some(*at)
        });
        let ends: Vec<usize> = ends.collect();
        let limit = match conduct {
            Conduct::Stops | Conduct::EndsMidway | Conduct::Resets => {
                random.below(octets.len() + 1)
            }
            _ => octets.len(),
        };
        let patience = Duration::from_millis(random.within(0, 400));
        let (reader, state) = (Reader::default(), State::Waiting);
        Client {
            from,
            start,
            peer: None,
            conduct,
            requests,
            octets,
            ends,
            sent: 0,
            asked: Vec::new(),
            limit,
            reader,
            state,
            ended: false,
            patience,
            undecided: None,
            answered_503: false,
            yields_after: None,
            pause: None,
            ticks_from: Duration::ZERO,
            history,
            heard: start,
            ended_after: Duration::ZERO,
            random,
        }
    }

    /// Asks for its connection.
    pub(crate) fn connect(&mut self) -> Peer {
        let peer = Peer::connect(self.from);
        self.peer = Some(peer);
        if self.conduct == Conduct::Resets {
            peer.wake_in(self.patience);
        }
        peer
    }

    /// Nothing will come of it any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Refused | State::Ended | State::Reset)
    }

    /// It was connected at some time.
    pub(crate) fn is_refused(&self) -> bool {
        self.state == State::Refused
    }

    pub(crate) fn happened(&mut self, happening: Happening) {
        let Some(peer) = self.peer else { return };
        match happening {
            Happening::Connected => {
                if self.state == State::Waiting {
                    self.state = State::Connected;
                    self.heard = now();
                }
                self.send(peer);
                self.read(peer);
            }
            Happening::Refused => self.state = State::Refused,
            Happening::Writable => self.send(peer),
            Happening::Woken if self.conduct == Conduct::Resets => {
                if !self.is_over() {
                    peer.reset();
                    self.state = State::Reset;
                }
            }
            Happening::Woken => {
                self.pause.iter_mut().for_each(Pause::end);
                self.read(peer);
            }
            Happening::Reset | Happening::Readable => self.read(peer),
        }
    }

    /// Octets that may be sent now: a client that lingers waits for its answers.
    fn allowed(&self) -> usize {
        let allowed = match self.conduct {
            Conduct::Lingers if self.is_pausing() => return self.sent,
            Conduct::Lingers => self.ends.get(self.reader.answers).copied(),
            _ => None,
        };
        allowed.unwrap_or(self.octets.len()).min(self.limit)
    }

    fn is_pausing(&self) -> bool {
        self.pause.is_some_and(|pause| pause.is_on())
    }

    fn send(&mut self, peer: Peer) {
        if self.state != State::Connected || self.ended {
            return;
        }
        let allowed = self.allowed();
        while self.sent < allowed {
            let piece = if self.random.one_in(3) { 1 + self.random.below(40) } else { usize::MAX };
            let to = self.sent.saturating_add(piece).min(allowed);
            let taken = peer.write(&self.octets[self.sent..to]);
            if taken == 0 {
                return;
            }
            self.sent += taken;
            let begun = self.ends.iter().take_while(|end| **end < self.sent).count() + 1;
            self.asked.resize(begun, now());
        }
        let ends = matches!(self.conduct, Conduct::EndsEarly | Conduct::EndsMidway);
        if ends && self.sent == self.limit {
            self.end(peer);
        }
    }

    fn end(&mut self, peer: Peer) {
        if !std::mem::replace(&mut self.ended, true) {
            peer.end();
        }
    }

    fn read(&mut self, peer: Peer) {
        if self.conduct == Conduct::Deaf || self.is_over() {
            if self.conduct == Conduct::Deaf && peer.is_reset() {
                self.state = State::Reset;
            }
            return;
        }
        let slow = self.conduct == Conduct::Slow;
        if slow && now() > self.start + SLOW_FOR {
            peer.reset();
            self.state = State::Reset;
            return;
        }
        loop {
            match peer.read(if slow { SIP_BYTES } else { usize::MAX }) {
                Read::Octets(octets) => {
                    self.heard = now();
                    self.take(&octets);
                    self.begin_pause(peer);
                }
                Read::Nothing => break,
                Read::End => {
                    self.state = State::Ended;
                    self.ended_after = now().saturating_sub(self.heard);
                    self.end(peer);
                    return;
                }
                Read::Reset => {
                    self.state = State::Reset;
                    return;
                }
            }
            if slow {
                peer.wake_in(self.patience);
                break;
            }
        }
        self.send(peer);
    }

    fn begin_pause(&mut self, peer: Peer) {
        let (answers, heard, ticks_from) = (self.reader.answers, self.heard, self.ticks_from);
        if let Some(pause) = &mut self.pause
            && let Some(time) = pause.begin(&mut self.random, answers, heard, ticks_from)
        {
            peer.wake_in(time);
        }
    }

    fn take(&mut self, octets: &[u8]) {
        let mut octets = octets.to_vec();
        if let Some(mut first) = self.undecided.take() {
            first.append(&mut octets);
            if first.len() < LINE_503.len() && LINE_503.starts_with(&first) {
                self.undecided = Some(first);
                return;
            }
            self.answered_503 = first.starts_with(LINE_503);
            octets = first;
        }
        if self.answered_503 {
            return;
        }
        // Answers to what was sent; one that was begun may be refused before it is complete.
        let answers = self.requests.iter().map(|request| &request.answer);
        let answers: Vec<(&Answer, Duration)> = answers.zip(self.asked.iter().copied()).collect();
        if let Err(complaint) = self.reader.take(&octets, &answers, &self.history, now()) {
            fail(&format!("{} got {complaint}", self.name()));
        }
    }

    /// Requests that were sent whole.
    fn complete(&self) -> usize {
        self.ends.iter().take_while(|end| **end <= self.sent).count()
    }

    fn name(&self) -> String {
        let Client { peer, conduct, state, sent, reader, .. } = self;
        let number = peer.map_or(usize::MAX, |peer| peer.0);
        format!(
            "client {number} from {} ({conduct:?}, {state:?}; {sent} of {} octets sent, {} of {} \
             answers read, {} octets of another) at {:?}",
            self.from,
            self.limit,
            reader.answers,
            self.requests.len(),
            reader.rest(),
            now(),
        )
    }

    /// What it can say at the end. `excused`: the machine stopped, or something failed. `crowded`:
    /// there are fewer places than clients, and who asks for nothing may have to make room.
    pub(crate) fn check(&self, excused: bool, crowded: bool) {
        let Some(peer) = self.peer else { return };
        if excused || peer.was_struck() || self.state == State::Refused || self.was_turned_away() {
            return;
        }
        if crowded && self.state == State::Reset {
            return;
        }
        let polite =
            matches!(self.conduct, Conduct::Polite | Conduct::EndsEarly | Conduct::Lingers);
        if !polite {
            return;
        }
        if !self.is_over() {
            fail(&format!("{} is left alone", self.name()));
        }
        if crowded && self.has_yielded() {
            return;
        }
        let crossed = self.has_crossed();
        let owed = self.complete().saturating_sub(usize::from(crossed));
        if self.reader.answers < owed || self.reader.rest() > 0 {
            fail(&format!("{} did not get every answer", self.name()));
        }
        // What is malformed may be refused before its end.
        if self.sent < self.limit && self.reader.answers < self.requests.len() && !crossed {
            fail(&format!("{} could not send everything", self.name()));
        }
        if self.was_cut_off() {
            fail(&format!("{} was sent away when it had just been answered", self.name()));
        }
        if self.state != State::Ended && self.conduct != Conduct::Lingers {
            fail(&format!("{} saw a reset", self.name()));
        }
    }

    /// A connection of which nothing was heard for long enough may have to make room, whatever is
    /// on its way.
    fn has_yielded(&self) -> bool {
        let was_idle = |least: Duration| self.ended_after >= least / 4;
        let has_ended = self.conduct != Conduct::Lingers && self.state == State::Ended;
        has_ended && self.yields_after.is_some_and(was_idle)
    }

    /// An idle connection may be ended while the next request is on its way.
    fn has_crossed(&self) -> bool {
        if self.conduct != Conduct::Lingers || self.state != State::Ended {
            return false;
        }
        let behind_pause = |pause: Pause| pause.was_behind(self.reader.answers);
        // Less than the driver's measure, which is in ticks and begins when it has sent.
        let was_idle = |least: Duration| self.ended_after >= least / 4;
        self.pause.is_some_and(behind_pause) || self.yields_after.is_some_and(was_idle)
    }

    /// The connection ended before it had been idle, behind an answer that did not say so.
    fn was_cut_off(&self) -> bool {
        let answer = self.reader.answers.checked_sub(1).and_then(|last| self.requests.get(last));
        let persists = answer.is_some_and(|request| !request.answer.closes);
        let least = self.yields_after.unwrap_or(IDLE_TIMEOUT);
        let lingers = self.conduct == Conduct::Lingers && self.state == State::Ended;
        lingers && persists && self.ended_after < least / 4
    }

    /// The driver wanted no connection after its handshake.
    fn was_turned_away(&self) -> bool {
        self.answered_503 || self.peer.is_some_and(Peer::was_refused)
    }
}
