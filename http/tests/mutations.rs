//! Ten requests of real clients: every prefix, every cut, and 100,000 seeded mutations.
#![allow(missing_docs)]

mod feed;
mod random;

use feed::{Event, Feed, feed_cut, feed_octets};
use http1::{Framing, Limits};
use random::{Random, mutate};

const REQUESTS: [(&str, &[u8]); 10] = [
    ("wrk", include_bytes!("requests/wrk.http")),
    ("curl", include_bytes!("requests/curl.http")),
    ("firefox", include_bytes!("requests/firefox.http")),
    ("chrome", include_bytes!("requests/chrome.http")),
    ("safari", include_bytes!("requests/safari.http")),
    ("kube-probe", include_bytes!("requests/kube-probe.http")),
    ("elb-health-checker", include_bytes!("requests/elb-health-checker.http")),
    ("google-hc", include_bytes!("requests/google-hc.http")),
    ("haproxy", include_bytes!("requests/haproxy.http")),
    ("azure-lb", include_bytes!("requests/azure-lb.http")),
];

const MUTATIONS: u32 = 100_000;

/// Content ends only behind a request that announced it, and nothing is behind a rejection: each
/// request has one outcome.
fn check_order(events: &[Event], stream: &[u8]) {
    let mut content = false;
    for (index, event) in events.iter().enumerate() {
        let stream = stream.escape_ascii();
        match event {
            Event::Request(asked) => {
                assert!(!content, "a request inside of content: {stream}");
                content = asked.framing != Framing::None;
            }
            Event::ContentEnd => {
                assert!(content, "the end of no content: {stream}");
                content = false;
            }
            Event::Reject(_) => {
                assert_eq!(index + 1, events.len(), "a step behind the last: {stream}");
            }
        }
    }
}

#[test]
fn requests_end_with_an_empty_line() {
    for (name, octets) in REQUESTS {
        assert!(octets.ends_with(b"\r\n\r\n"), "{name}: line ends were not preserved");
    }
}

#[test]
fn requests_of_real_clients_are_read_the_quick_way() {
    for (name, octets) in REQUESTS {
        let mut feed = Feed::new(Limits::DEFAULT);
        feed.push(octets);
        assert_eq!((feed.events.len(), feed.usual), (1, 1), "{name}");
    }
}

#[test]
fn every_prefix_is_an_unfinished_request() {
    for (name, octets) in REQUESTS {
        for end in 0..octets.len() {
            let mut feed = Feed::new(Limits::DEFAULT);
            feed.push(&octets[..end]);
            assert_eq!(feed.events, [], "{name} {end}");
            assert_eq!(feed.pending, octets[..end], "{name} {end}");
            assert_eq!(feed.connection.is_idle(), end == 0, "{name} {end}");
        }
    }
}

#[test]
fn every_cut_gives_the_same_request() {
    for (name, octets) in REQUESTS {
        let whole = feed_cut(Limits::DEFAULT, octets, &[]);
        assert!(matches!(whole.as_slice(), [Event::Request(_)]), "{name}: {whole:?}");
        for cut in 0..=octets.len() {
            assert_eq!(feed_cut(Limits::DEFAULT, octets, &[cut]), whole, "{name} {cut}");
        }
        assert_eq!(feed_octets(Limits::DEFAULT, octets), whole, "{name}");
    }
}

#[test]
fn every_mutation_has_one_outcome_however_it_is_cut() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let narrow = Limits {
        head_bytes_max: 300,
        target_bytes_max: 12,
        field_line_bytes_max: 90,
        content_bytes_max: 2,
    };
    let (mut accepted, mut rejected) = (0, 0);
    for round in 0..MUTATIONS {
        let mut stream = REQUESTS[random.below(REQUESTS.len())].1.to_vec();
        if random.below(3) == 0 {
            stream.extend_from_slice(REQUESTS[random.below(REQUESTS.len())].1);
        }
        for _ in 0..=random.below(4) {
            mutate(&mut random, &mut stream);
        }
        let limits = if random.below(4) == 0 { narrow } else { Limits::DEFAULT };
        let whole = feed_cut(limits, &stream, &[]);
        check_order(&whole, &stream);
        let mut cuts: Vec<usize> =
            (0..random.below(6)).map(|_| random.below(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let split = feed_cut(limits, &stream, &cuts);
        assert_eq!(split, whole, "{round} {cuts:?} {}", stream.escape_ascii());
        if round % 16 == 0 {
            let octets = feed_octets(limits, &stream);
            assert_eq!(octets, whole, "{round} {}", stream.escape_ascii());
        }
        match whole.last() {
            Some(Event::Reject(_)) => rejected += 1,
            Some(_) => accepted += 1,
            None => {}
        }
    }
    assert!(accepted > MUTATIONS / 10 && rejected > MUTATIONS / 10, "{accepted} {rejected}");
}

#[test]
fn noise_never_panics() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let length = random.below(200);
        let stream: Vec<u8> = (0..length)
            .map(|_| match random.below(3) {
                0 => random.next().to_le_bytes()[7],
                1 => b"\r\n :/GETHPost.10"[random.below(16)],
                _ => b' ' + random.next().to_le_bytes()[7] % 95,
            })
            .collect();
        let whole = feed_cut(Limits::DEFAULT, &stream, &[]);
        check_order(&whole, &stream);
        assert_eq!(feed_octets(Limits::DEFAULT, &stream), whole);
    }
}
