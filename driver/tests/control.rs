//! Who may ask the control device, and what it makes of what nobody here wrote.
mod machine;

use machine::{Machine, declared, number};
use nt::Status;
use nthost::Caller;
use response_cache::crc32;
use wskhttpd_abi::{
    Beat, Counter, DEVICE_LINK, DEVICE_NAME, Health, IOCTL_BEAT, IOCTL_LOAD_SITE,
    IOCTL_QUERY_COUNTERS, IOCTL_QUERY_HEALTH, IOCTL_QUERY_PARAMETERS, IOCTL_QUERY_STATE,
    IOCTL_SET_PARAMETER, IOCTL_SWITCH_HEALTH, LoadSite, OUTPUT_BYTES_MAX, Record, ServerState,
    SetParameter, Since, Switch, cut, decode, encode,
};

/// Repeatable: xorshift.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Changes a few octets, or how many there are.
    fn mutate(&mut self, octets: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let octet = self.next().to_le_bytes()[0];
            let at = self.below(octets.len() + 1);
            match self.below(6) {
                0 => octets.truncate(at),
                1 => octets.insert(at, octet),
                2 => octets.extend(std::iter::repeat_n(octet, self.below(64))),
                _ if octets.is_empty() => octets.push(octet),
                // Near the start, where the headers are.
                3 => {
                    let near = at % octets.len().min(256);
                    octets[near] = octet;
                }
                _ => {
                    let at = at.min(octets.len() - 1);
                    octets[at] ^= 1 << self.below(8);
                }
            }
        }
    }
}

fn octets(record: &impl Record) -> Vec<u8> {
    let mut buffer = [0; 4_096];
    let length = encode(record, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn system_and_administrators_may_open_the_device_and_nobody_else() {
    let machine = Machine::start(vec![]);
    let host = machine.host();
    assert_eq!(host.device_sddl(DEVICE_NAME).unwrap(), "D:P(A;;GA;;;SY)(A;;GA;;;BA)");
    for name in [DEVICE_NAME, DEVICE_LINK] {
        for code in [IOCTL_QUERY_STATE, IOCTL_QUERY_COUNTERS] {
            let ask = |caller| host.device_control_by(caller, name, code, &[], OUTPUT_BYTES_MAX);
            assert!(ask(Caller::System).is_ok() && ask(Caller::Administrator).is_ok());
            assert_eq!(ask(Caller::User), Err(Status::ACCESS_DENIED.raw()));
        }
    }
    machine.stop();
}

#[test]
fn where_the_device_cannot_be_restricted_there_is_none() {
    for absent in ["ZwSetSecurityObject", "ObOpenObjectByPointer"] {
        let machine = Machine::start_as(vec![], |options| nthost::Options {
            absent: [options.absent, vec![absent.to_owned()]].concat(),
            ..options
        });
        assert_eq!(machine.connect().get("/hello.txt").status, 200);
        let asked = machine.host().device_control(DEVICE_LINK, IOCTL_QUERY_STATE, &[], 1_024);
        assert_eq!(asked, Err(Status::OBJECT_NAME_NOT_FOUND.raw()));
        assert!(machine.log().contains("no control device"), "{}", machine.log());
        machine.stop();
    }
}

#[test]
fn a_handle_for_reading_changes_nothing() {
    let machine = Machine::start(vec![]);
    let name = cut("main");
    let changes = [
        (IOCTL_LOAD_SITE, octets(&LoadSite { path: cut("\\??\\site.img") })),
        (IOCTL_SWITCH_HEALTH, octets(&Switch { name, health: Health::Down })),
        (IOCTL_BEAT, octets(&Beat { name, timeout_ms: 125 })),
        (IOCTL_SET_PARAMETER, octets(&SetParameter { name: cut("HoldMs"), value: cut("1") })),
    ];
    for (code, input) in changes {
        let host = machine.host();
        let refused = host.device_query(DEVICE_NAME, code, &input, OUTPUT_BYTES_MAX);
        assert_eq!(refused, Err(Status::ACCESS_DENIED.raw()), "{code:#x}");
        // The same function under a code that asks for no access, or for reading, is no code.
        for access in [0, 1] {
            let other = code & !(3 << 14) | access << 14;
            let refused = host.device_query(DEVICE_NAME, other, &input, OUTPUT_BYTES_MAX);
            assert_eq!(refused, Err(Status::INVALID_DEVICE_REQUEST.raw()), "{other:#x}");
        }
        assert!(host.device_control(DEVICE_NAME, code, &input, OUTPUT_BYTES_MAX).is_ok());
    }
    machine.stop();
}

#[test]
fn the_state_is_that_of_the_machine() {
    let machine = Machine::start(vec![number("PreallocatedConnections", 100)]);
    let output =
        machine.host().device_query(DEVICE_NAME, IOCTL_QUERY_STATE, &[], OUTPUT_BYTES_MAX).unwrap();
    let state: ServerState = decode(&output).unwrap();
    assert_eq!(state.version.as_str(), env!("CARGO_PKG_VERSION"));
    assert_eq!(state.listen, machine.address());
    assert!(state.listen.ip().is_loopback(), "{}", state.listen);
    assert_eq!(state.accept_mode.as_str(), "conditional");
    assert!(state.uptime_s <= machine::PATIENCE.as_secs(), "{}", state.uptime_s);
    assert_eq!((state.sites_published, state.sites_held), (1, 1));
    assert_eq!(state.image_bytes, machine::image().len() as u64);
    assert_eq!(state.entries, 11);
    assert!(machine.counter(Counter::Slots) >= 100);
    let octets = machine.counter(Counter::SlotBytes);
    assert!((512..4_096).contains(&octets), "{octets} octets for each");
    machine.stop();
}

#[test]
fn where_an_answer_may_not_fit_nothing_is_done() {
    // What the longest refusal takes, alone and with what is served.
    const SENTENCE: usize = 4 + 2 + 512;
    const LOADED: usize = SENTENCE + 8 + 8 + 4;
    let machine = Machine::start(vec![]);
    machine.host().put_file("\\??\\next.img", machine::image());
    let requests = [
        (IOCTL_LOAD_SITE, octets(&LoadSite { path: cut("\\??\\next.img") }), LOADED),
        (
            IOCTL_SET_PARAMETER,
            octets(&SetParameter { name: cut("HoldMs"), value: cut("7000") }),
            SENTENCE,
        ),
    ];
    let done = || {
        let state: ServerState = decode(&machine.query(IOCTL_QUERY_STATE)).unwrap();
        (state.sites_published, machine.log().contains("HoldMs is 7000"))
    };
    for (code, input, room) in &requests {
        let refused = machine.control(*code, input, room - 1);
        assert_eq!(refused, Err(Status::BUFFER_TOO_SMALL.raw()), "{code:#x}");
    }
    assert_eq!(done(), (1, false));
    for (code, input, room) in &requests {
        assert!(machine.control(*code, input, *room).is_ok(), "{code:#x}");
    }
    assert_eq!(done(), (2, true));
    machine.stop();
}

/// Whatever is asked for, the driver breaks no rule of the kernel (the host would end the process),
/// puts out no more than there is room for, and serves on.
#[test]
fn ten_thousand_mutated_requests() {
    let machine = Machine::start(vec![]);
    let name = cut("main");
    let parameter = |name, value| octets(&SetParameter { name: cut(name), value: cut(value) });
    let requests = [
        (IOCTL_QUERY_COUNTERS, Vec::new()),
        (IOCTL_QUERY_STATE, Vec::new()),
        (IOCTL_QUERY_HEALTH, octets(&Since(0))),
        (IOCTL_QUERY_PARAMETERS, octets(&Since(3))),
        (IOCTL_LOAD_SITE, octets(&LoadSite { path: cut("\\??\\site.img") })),
        (IOCTL_SWITCH_HEALTH, octets(&Switch { name, health: Health::Up })),
        (IOCTL_BEAT, octets(&Beat { name, timeout_ms: 0x1000 })),
        (IOCTL_SET_PARAMETER, parameter("IdleTimeoutMs", "120000")),
        (IOCTL_SET_PARAMETER, parameter("DenyList", "192.0.2.1,2001:db8::/32")),
        (IOCTL_SET_PARAMETER, parameter("OverloadPolicy", "hold")),
    ];
    let mut seeded = Seeded(0x5EED_0008);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..10_000 {
        let (mut code, mut input) = requests[seeded.below(requests.len())].clone();
        if round % 8 != 0 {
            seeded.mutate(&mut input);
        }
        if seeded.below(20) == 0 {
            code ^= 1 << seeded.below(32);
        }
        let room = match seeded.below(4) {
            0 => seeded.below(64),
            _ => seeded.below(OUTPUT_BYTES_MAX + 1),
        };
        match machine.host().device_control(DEVICE_NAME, code, &input, room) {
            Ok(output) => {
                assert!(output.len() <= room);
                accepted += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
    // A parameter may have another value now, but a new connection is served.
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
    machine.stop();
}

/// Each is refused, or served without harm. Every other one has its checksum put right, so that
/// what is behind it is looked at.
#[test]
fn a_hundred_thousand_mutated_images() {
    let machine = Machine::start(vec![]);
    let good = declared(
        "[[response]]\npath = '/a'\nhealth = 'a'\n\
         [[response]]\npath = '/b'\nhost = 'test'\nbody = 'b'\n",
    );
    assert!(good.len() < 16_384, "{} octets are not a small image", good.len());
    assert_eq!(machine.load(&good).refusal.as_str(), "");
    let mut client = machine.connect();
    let mut seeded = Seeded(0x5EED_0009);
    let mut served = 0;
    for round in 0..100_000 {
        let mut image = good.clone();
        seeded.mutate(&mut image);
        if round % 2 == 0
            && let Some((header, rest)) = image.split_at_mut_checked(16)
        {
            header[12..].copy_from_slice(&crc32(rest).to_le_bytes());
        }
        let loaded = machine.load(&image);
        if loaded.refusal.is_empty() {
            served += 1;
            for path in ["/a", "/b", "/none"] {
                // Heads are what they were in the image, and that was validated.
                assert!((200..600).contains(&client.get(path).status), "{path}");
            }
        }
    }
    // Octets of bodies and gaps are nobody's business: those images are valid.
    assert!(served > 100 && served < 60_000, "{served} served");
    assert_eq!(machine.load(&good).refusal.as_str(), "");
    assert_eq!(client.get("/a").body, b"ok\n");
    assert_eq!(machine.counter(Counter::Rejected), 0);
    machine.stop();
}
