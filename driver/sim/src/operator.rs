//! What an operator asks of the driver in the middle of a run, through its control device.
use std::collections::HashSet;
use std::time::Duration;

use nthost::Host;
use nthost::sim::{Random, fail};
use wskhttpd_abi::{
    Beat, COUNTERS_BYTES, DEVICE_NAME, Health, IOCTL_BEAT, IOCTL_QUERY_COUNTERS,
    IOCTL_QUERY_HEALTH, IOCTL_QUERY_HOLDERS, IOCTL_QUERY_LATENCY, IOCTL_QUERY_PARAMETERS,
    IOCTL_QUERY_REJECTS, IOCTL_QUERY_STATE, IOCTL_READ_LOG, IOCTL_SET_PARAMETER,
    IOCTL_SWITCH_HEALTH, List, OUTPUT_BYTES_MAX, Record, Reject, Sentence, SetParameter, Since,
    Switch, cut, decode, encode,
};

use crate::health::HealthHistory;
use crate::scenario::TIMEOUTS;
use crate::site::HEALTH_NAME;

/// What is read from a position on.
const LISTS: [u32; 4] =
    [IOCTL_QUERY_HEALTH, IOCTL_QUERY_PARAMETERS, IOCTL_QUERY_REJECTS, IOCTL_READ_LOG];
/// What is read whole.
const RECORDS: [u32; 3] = [IOCTL_QUERY_STATE, IOCTL_QUERY_LATENCY, IOCTL_QUERY_HOLDERS];

/// One request; its output, or the status that it failed with.
pub(crate) fn request<R: Record>(host: &Host, code: u32, record: &R) -> Result<Vec<u8>, i32> {
    let mut input = [0; 2_048];
    let octets = encode(record, &mut input).expect("room for any input");
    host.device_control(DEVICE_NAME, code, &input[..octets], OUTPUT_BYTES_MAX)
}

/// Who asks, now and then.
pub(crate) struct Operator {
    random: Random,
    health: HealthHistory,
    /// One look in so many comes with a request; 0 = none does.
    one_in: usize,
}

impl Operator {
    pub(crate) fn new(random: &Random, health: HealthHistory) -> Operator {
        let mut random = random.fork(13);
        let one_in = [0, 2, 8][random.below(3)];
        Operator { random, health, one_in }
    }

    /// A moment at which there may be a request. `may_fail`: calls of the driver fail.
    pub(crate) fn look(&mut self, host: &Host, may_fail: bool) {
        if self.one_in == 0 || !self.random.one_in(self.one_in) {
            return;
        }
        if may_fail && !has_device(host) {
            // Who may open it could not be set, so there is none.
            return;
        }
        match self.random.below(8) {
            0..=1 => self.switch(host),
            2..=3 => self.beat(host),
            4 => self.set(host, may_fail),
            5 => self.set_wrong(host),
            6 => query(host, RECORDS[self.random.below(RECORDS.len())]),
            _ => self.read(host),
        }
    }

    fn switch(&mut self, host: &Host) {
        let health = Health::ALL[self.random.below(Health::ALL.len())];
        self.health.begin(health, None);
        let switch = Switch { name: cut(HEALTH_NAME), health };
        expect(IOCTL_SWITCH_HEALTH, &request(host, IOCTL_SWITCH_HEALTH, &switch));
        self.health.end();
    }

    fn beat(&mut self, host: &Host) {
        let timeout_ms = [0, 125, 500, 60_000][self.random.below(4)];
        let timeout = Duration::from_millis(timeout_ms.into());
        self.health.begin(self.health.said(), Some(timeout).filter(|_| timeout_ms != 0));
        let beat = Beat { name: cut(HEALTH_NAME), timeout_ms };
        expect(IOCTL_BEAT, &request(host, IOCTL_BEAT, &beat));
        self.health.end();
    }

    /// A parameter, to what it is.
    fn set(&mut self, host: &Host, may_fail: bool) {
        let (name, value) = TIMEOUTS[self.random.below(TIMEOUTS.len())];
        if let Some(refusal) = set(host, name, &value.to_string()).filter(|_| !may_fail) {
            fail(&format!("{name} is not set: {refusal}"));
        }
    }

    fn set_wrong(&mut self, host: &Host) {
        let wrong = [("HeadTimeoutMs", "x"), ("NoSuchThing", "1"), ("DenyList", "10.0.0.0/99")];
        let (name, value) = wrong[self.random.below(wrong.len())];
        if set(host, name, value).is_none() {
            fail(&format!("{name} is set to {value}"));
        }
    }

    fn read(&mut self, host: &Host) {
        let code = LISTS[self.random.below(LISTS.len())];
        let from = if self.random.one_in(4) { self.random.draw() } else { 0 };
        expect(code, &request(host, code, &Since(from)));
    }
}

/// False where the driver serves without being told anything.
pub(crate) fn has_device(host: &Host) -> bool {
    host.device_control(DEVICE_NAME, IOCTL_QUERY_COUNTERS, &[], COUNTERS_BYTES).is_ok()
}

/// What ends a connection ends it once: no peer is refused twice for the same reason.
pub(crate) fn check_rejects(host: &Host) {
    let (mut since, mut seen) = (0, HashSet::new());
    loop {
        let output = request(host, IOCTL_QUERY_REJECTS, &Since(since));
        expect(IOCTL_QUERY_REJECTS, &output);
        let output = output.unwrap_or_default();
        let Some(list) = List::new(&output) else { fail("the list of refusals is malformed") };
        for reject in list.items::<Reject>() {
            let Some(Reject { address, port, reason, .. }) = reject else {
                fail("a refusal is malformed")
            };
            let is_known = port != 0;
            if is_known && !seen.insert((address, port, reason.word())) {
                fail(&format!("{address}:{port} is refused twice, for {}", reason.word()));
            }
        }
        if list.next.0 == since {
            return;
        }
        since = list.next.0;
    }
}

/// One without an input.
fn query(host: &Host, code: u32) {
    expect(code, &host.device_control(DEVICE_NAME, code, &[], OUTPUT_BYTES_MAX));
}

/// What the driver says against it; `None` when nothing.
fn set(host: &Host, name: &str, value: &str) -> Option<Sentence> {
    let set = SetParameter { name: cut(name), value: cut(value) };
    match request(host, IOCTL_SET_PARAMETER, &set).map(|output| decode::<Sentence>(&output)) {
        Ok(Some(refusal)) => Some(refusal).filter(|refusal| !refusal.is_empty()),
        other => fail(&format!("{name} = {value}: {other:?}")),
    }
}

fn expect(code: u32, output: &Result<Vec<u8>, i32>) {
    if let Err(status) = output {
        fail(&format!("the request {code:#x} failed: {status:#x}"));
    }
}
