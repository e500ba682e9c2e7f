//! A site is replaced under load: every response is of one generation, and the old one goes.
mod machine;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use machine::{Client, Machine, PATIENCE, Response, number, text};
use nt::Status;
use response_cache::build;
use wskhttpd_abi::{DEVICE_NAME, IOCTL_LOAD_SITE, LoadSite, OUTPUT_BYTES_MAX, cut, encode};

const PATHS: [&str; 3] = ["/small", "/middle", "/large"];
/// Octets of `/huge`: more than what the kernel takes for a peer that does not read.
const HUGE: usize = 12_000_000;
/// The one generation that has it.
const WITH_HUGE: u8 = 3;
const MODES: [&str; 3] = ["conditional", "event", "irp"];

/// What a generation's files hold.
fn body(path: &str, generation: u8) -> Vec<u8> {
    let octets = match path {
        "/small" => 100,
        "/middle" => 9_000,
        // More than one send carries.
        "/large" => 300_000,
        _ => HUGE,
    };
    // Lengths differ, too.
    vec![b'a' + generation; octets + usize::from(generation)]
}

/// The image of generation 0, 1, 2 or [`WITH_HUGE`].
fn image(generation: u8) -> &'static [u8] {
    static IMAGES: [OnceLock<Vec<u8>>; 4] = [const { OnceLock::new() }; 4];
    IMAGES[usize::from(generation)].get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let huge = (generation == WITH_HUGE).then_some("/huge");
        for path in PATHS.into_iter().chain(huge) {
            std::fs::write(folder.path().join(&path[1..]), body(path, generation)).unwrap();
        }
        let error = [b'a' + generation; 50];
        std::fs::write(folder.path().join("405.html"), error).unwrap();
        let declared = "[defaults]\ncompress = false\n[errors]\n405 = \"405.html\"\n";
        std::fs::write(folder.path().join("site.toml"), declared).unwrap();
        build::build_folder(folder.path(), &build::Options::default()).unwrap().image
    })
}

fn publish(machine: &Machine, generation: u8) {
    let loaded = machine.load(image(generation));
    assert_eq!(loaded.refusal.as_str(), "");
    assert_eq!(loaded.image_bytes, image(generation).len() as u64);
    assert!(loaded.entries >= 3, "{}", loaded.entries);
}

/// The generation of a response, all of which is of one.
fn generation_of(path: &str, response: &Response) -> u8 {
    assert_eq!(response.status, 200, "{}", response.head);
    let generation = response.body[0] - b'a';
    assert_eq!(response.body.len(), body(path, generation).len(), "{path}");
    assert!(response.body.iter().all(|octet| *octet == response.body[0]), "{path}: mixed");
    let tag = response.field("etag").unwrap();
    assert_eq!(tag, tag_of(path, generation), "{path}");
    generation
}

/// The entity tag that the packer gave.
fn tag_of(path: &str, generation: u8) -> String {
    use response_cache::{Layout, Limits, Site};
    let layout = Layout::validate(image(generation), &Limits::DEFAULT).unwrap();
    let site = Site::new(image(generation), &layout);
    let entry = site.lookup(b"", path.as_bytes()).unwrap();
    let tag = site.entity_tag(site.response(entry, 0).unwrap());
    String::from_utf8(tag.to_vec()).unwrap()
}

/// Waits until one image is in memory.
fn expect_one(machine: &Machine, generation: u8) {
    let start = Instant::now();
    // Each is in an allocation with a few others of its kind; two images are much more.
    while machine.image_octets() > image(generation).len() + 4_096 {
        assert!(start.elapsed() < PATIENCE, "{}", machine.image_octets());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends batches of requests and checks every answer, until `ends`; how many answers there were.
fn ask_on(mut client: Client, ends: &AtomicBool, answers: &AtomicU64) -> u64 {
    let paths: Vec<&str> =
        (0..24).map(|n| PATHS[if n == 23 { 2 } else { usize::from(n % 5 == 4) }]).collect();
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let requests = paths.iter().map(request).collect::<Vec<_>>().concat();
    let mut count = 0;
    while !ends.load(Ordering::Relaxed) {
        client.send(&requests);
        for path in &paths {
            generation_of(path, &client.response(true));
        }
        count += paths.len() as u64;
        answers.fetch_add(paths.len() as u64, Ordering::Relaxed);
    }
    count
}

/// A desk is a [`nt::TryCell`].
#[test]
fn who_finds_a_desk_taken_does_not_give_it_away() {
    let cell = nt::TryCell::new(());
    let first = cell.try_take();
    assert!(first.is_some());
    for _ in 0..2 {
        assert!(cell.try_take().is_none());
    }
    drop(first);
    assert!(cell.try_take().is_some());
}

#[test]
fn every_response_under_load_is_of_one_generation() {
    for mode in MODES {
        let machine = Machine::start(vec![text("AcceptMode", mode)]);
        publish(&machine, 0);
        let (ends, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        let asked: u64 = std::thread::scope(|scope| {
            let clients = [(); 3].map(|()| machine.connect());
            let clients = clients.map(|client| scope.spawn(|| ask_on(client, &ends, &answers)));
            for round in 0..60 {
                let before = answers.load(Ordering::Relaxed);
                publish(&machine, round % 3);
                // Somebody sees this one, too.
                let start = Instant::now();
                while answers.load(Ordering::Relaxed) == before && start.elapsed() < PATIENCE {
                    std::thread::yield_now();
                }
            }
            ends.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert!(asked >= 60, "{asked} in {mode}");
        publish(&machine, 1);
        for path in PATHS {
            assert_eq!(generation_of(path, &machine.connect().get(path)), 1, "{mode}");
        }
        expect_one(&machine, 1);
        machine.stop();
    }
}

#[test]
fn a_large_body_on_its_way_keeps_its_generation() {
    for mode in MODES {
        let machine = Machine::start(vec![text("AcceptMode", mode)]);
        publish(&machine, WITH_HUGE);
        let mut slow = machine.connect();
        slow.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = slow.response(false);
        for round in 0..30 {
            publish(&machine, 1 + round % 2);
            let path = PATHS[usize::from(round) % 2];
            let response = machine.connect().get(path);
            assert_eq!(generation_of(path, &response), 1 + round % 2);
        }
        let octets = machine.image_octets();
        assert!(octets > HUGE + image(2).len(), "{octets}: not what is sent and what is served");
        assert_eq!(head.field("etag").unwrap(), tag_of("/huge", WITH_HUGE));
        assert!(slow.read(body("/huge", WITH_HUGE).len()).iter().all(|octet| *octet == b'd'));
        expect_one(&machine, 2);
        assert_eq!(generation_of("/small", &slow.get("/small")), 2);
        machine.stop();
    }
}

/// A request whose content is not there yet is answered by the site that decided on it.
#[test]
fn an_answer_that_waits_for_content_is_of_one_generation() {
    let machine = Machine::start(vec![]);
    publish(&machine, 0);
    let mut client = machine.connect();
    client.send("GET /middle HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    let mut other = machine.connect();
    other.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    // Both were read when a later one is answered on the same processors.
    std::thread::sleep(Duration::from_millis(300));
    publish(&machine, 1);
    assert!(machine.image_octets() > image(0).len() + image(1).len(), "both are needed");
    client.send("cdeGET /small HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(generation_of("/middle", &client.response(true)), 0);
    assert_eq!(generation_of("/small", &client.response(true)), 1);
    other.send("cde");
    let refused = other.response(true);
    assert_eq!((refused.status, refused.body), (405, vec![b'a'; 50]));
    assert_eq!(generation_of("/small", &other.get("/small")), 1);
    expect_one(&machine, 1);
    machine.stop();
}

#[test]
fn the_old_generation_goes_where_nobody_asks() {
    let machine = Machine::start(vec![number("MemoHeads", 0)]);
    // Every processor has served the first one.
    for _ in 0..8 {
        assert_eq!(machine.connect().get("/hello.txt").status, 200);
    }
    publish(&machine, 0);
    expect_one(&machine, 0);
    publish(&machine, 1);
    expect_one(&machine, 1);
    machine.stop();
}

fn round_robin(round: u32) -> u8 {
    u8::try_from(round % 3).unwrap()
}

#[test]
fn memory_is_flat_after_a_thousand_reloads() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let mut held = 0;
    for round in 0..1_000 {
        publish(&machine, round_robin(round));
        assert_eq!(generation_of("/small", &client.get("/small")), round_robin(round));
        if round == 8 {
            held = machine.ledger().pool_octets().0;
        }
    }
    let start = Instant::now();
    while machine.ledger().pool_octets().0 > held {
        assert!(start.elapsed() < PATIENCE, "{} more", machine.ledger().pool_octets().0 - held);
        std::thread::sleep(Duration::from_millis(5));
    }
    machine.stop();
}

#[test]
fn an_old_entity_tag_gets_the_new_representation() {
    let machine = Machine::start(vec![]);
    publish(&machine, 0);
    let mut client = machine.connect();
    let old = format!("If-None-Match: {}", tag_of("/small", 0));
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/small", &[&old]).status, 304);
    }
    publish(&machine, 1);
    let response = client.ask("GET", "/small", &[&old]);
    assert_eq!(generation_of("/small", &response), 1);
    let new = format!("If-None-Match: {}", tag_of("/small", 1));
    assert_eq!(client.ask("GET", "/small", &[&new]).status, 304);
    machine.stop();
}

#[test]
fn what_is_no_image_is_refused_with_a_reason_and_the_old_one_is_served_on() {
    let machine = Machine::start(vec![]);
    publish(&machine, 0);
    let good = image(1);
    let flipped = |at: usize| {
        let mut image = good.to_vec();
        image[at] ^= 0x10;
        image
    };
    let mut other_version = good.to_vec();
    other_version[8] = other_version[8].wrapping_add(1);
    let cases: [(&[u8], &str); 8] = [
        (&good[..good.len() - 1], "octets where there should be"),
        (&good[..64], "octets where there should be"),
        (&[], "0 octets are not an image"),
        (b"not an image", "octets where there should be"),
        (&flipped(0), "not a site image"),
        (&flipped(200), "checksum"),
        (&flipped(good.len() - 1), "checksum"),
        (&other_version, "format version"),
    ];
    for (image, reason) in cases {
        let loaded = machine.load(image);
        assert!(loaded.refusal.contains(reason), "{reason}: {}", loaded.refusal);
        assert_eq!(loaded.image_bytes, self::image(0).len() as u64);
        assert_eq!(generation_of("/small", &machine.connect().get("/small")), 0);
    }
    let output = machine.request(IOCTL_LOAD_SITE, &LoadSite { path: cut("\\??\\nowhere") });
    let loaded: wskhttpd_abi::Loaded = wskhttpd_abi::decode(&output.unwrap()).unwrap();
    assert!(loaded.refusal.contains("STATUS_OBJECT_NAME_NOT_FOUND"), "{}", loaded.refusal);
    expect_one(&machine, 0);
    machine.stop();
}

#[test]
fn a_request_that_is_malformed_or_not_allowed_loads_nothing() {
    let machine = Machine::start(vec![]);
    machine.host().put_file("\\??\\next.img", image(0).to_vec());
    let mut input = [0; 2_048];
    let octets = encode(&LoadSite { path: cut("\\??\\next.img") }, &mut input).unwrap();
    let input = &mut input[..octets];
    let host = machine.host();
    let load = |input: &[u8], room| host.device_control(DEVICE_NAME, IOCTL_LOAD_SITE, input, room);
    let query = host.device_query(DEVICE_NAME, IOCTL_LOAD_SITE, input, OUTPUT_BYTES_MAX);
    assert_eq!(query, Err(Status::ACCESS_DENIED.raw()));
    for length in 0..octets {
        let refused = load(&input[..length], OUTPUT_BYTES_MAX);
        assert_eq!(refused, Err(Status::INVALID_PARAMETER.raw()), "{length}");
    }
    assert_eq!(load(input, 64), Err(Status::BUFFER_TOO_SMALL.raw()));
    input[0] ^= 3;
    assert_eq!(load(input, OUTPUT_BYTES_MAX), Err(Status::REVISION_MISMATCH.raw()));
    assert_eq!(machine.connect().get("/small").status, 404, "still the first one");
    input[0] ^= 3;
    load(input, OUTPUT_BYTES_MAX).unwrap();
    assert_eq!(machine.connect().get("/small").status, 200);
    machine.stop();
}
