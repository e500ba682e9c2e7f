//! Commands that only look.
use std::process::Stdio;

use prometheus_parse::{Scrape, Value};

use crate::program::command;
use crate::server::{Server, eventually};

#[test]
fn status_says_what_is_served_where() {
    let server = Server::start(&[]);
    server.get("/hello.txt");
    let status = server.json(&["status"]);
    assert_eq!(status["listen"], server.address().to_string());
    assert_eq!(status["entries"], 3);
    assert_eq!(status["accept_mode"], "conditional");
    assert_eq!(status["sites_published"], 1);
    assert_eq!(status["health"].as_array().unwrap().len(), 2);
    let text = server.ctl(&["status"]).ok();
    assert!(text.contains(&server.address().to_string()), "{text}");
    assert!(text.contains("health main") && text.contains("3 paths"), "{text}");
    let loaded = server.json(&["load", &server.path("site")]);
    let status = server.json(&["status"]);
    assert_eq!(status["generation"], loaded["generation"]);
    assert_eq!(status["sites_published"], 2);
}

#[test]
fn stats_counts_what_happened() {
    let server = Server::start(&[]);
    for _ in 0..5 {
        server.get("/hello.txt");
    }
    server.get("/nothing");
    let stats = server.json(&["stats"]);
    assert_eq!(stats["counters"]["requests"], 6);
    assert_eq!(stats["counters"]["responses_4xx"], 1);
    assert_eq!(stats["counters"]["connections_accepted"], 6);
    assert!(stats["service_time"]["measured"].as_u64() <= Some(6));
    let text = server.ctl(&["stats"]).ok();
    let line = text.lines().find(|line| line.trim_start().starts_with("requests ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["requests", "6"]);
    assert!(text.contains("service time: "), "{text}");
}

#[test]
fn stats_goes_on_with_rates_until_it_is_told_to_stop() {
    let server = Server::start(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let arguments = ["stats", "--watch", "--every", "50ms", "--json"];
    let mut child = command(&arguments)
        .env("XDG_RUNTIME_DIR", server.runtime.path())
        .stdout(Stdio::from(file.reopen().unwrap()))
        .spawn()
        .unwrap();
    let lines = || std::fs::read_to_string(file.path()).unwrap().lines().count();
    eventually("three looks", || lines() >= 3);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_parser_of_prometheus_reads_the_counters() {
    let server = Server::start(&[]);
    for _ in 0..3 {
        server.get("/hello.txt");
    }
    server.send("GET / HTTP/1.1\r\n\r\n");
    let page = server.ctl(&["stats", "--prometheus"]).ok();
    let scrape = Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let value = |name: &str, label: Option<(&str, &str)>| {
        let found = scrape.samples.iter().find(|sample| {
            sample.metric == name
                && label.is_none_or(|(label, value)| sample.labels.get(label) == Some(value))
        });
        found.unwrap_or_else(|| panic!("no {name}: {page}")).value.clone()
    };
    assert_eq!(value("wskhttpd_requests_total", None), Value::Counter(4.0));
    assert_eq!(value("wskhttpd_responses_total", Some(("class", "2xx"))), Value::Counter(3.0));
    assert_eq!(value("wskhttpd_refused_total", Some(("reason", "Hostname"))), Value::Counter(1.0));
    let up = value("wskhttpd_health_answered", Some(("state", "up")));
    assert_eq!(up, Value::Gauge(1.0));
    let Value::Histogram(buckets) = value("wskhttpd_service_time_seconds", None) else {
        panic!("no histogram: {page}");
    };
    assert!(buckets.len() > 20);
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_exported() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../../../loadtest/grafana.json")).unwrap();
    let server = Server::start(&[]);
    let page = server.ctl(&["stats", "--prometheus"]).ok();
    let exported = |name: &str| {
        let mut samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.any(|line| line.split(['{', ' ']).next() == Some(name))
    };
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut names = 0;
    for expression in targets.map(|target| target["expr"].as_str().unwrap()) {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("wskhttpd_")) {
            assert!(exported(name), "{name} in {expression}");
            names += 1;
        }
    }
    assert!(names > 20, "{names}");
}

#[test]
fn top_shows_one_screen_as_text_picture_or_json() {
    let server = Server::start(&[]);
    server.get("/hello.txt");
    let once = ["top", "--once", "--every", "50ms"];
    let text = server.ctl(&once).ok();
    let address = server.address().to_string();
    for expected in [&address[..], "requests/s", "service time", "refused", "p99.9", "main"] {
        assert!(text.contains(expected), "no {expected}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let file = server.path("top.svg");
    server.ctl(&[&once[..], &["--looks", "3", "--svg", &file]].concat()).ok();
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains(&address), "{picture}");
    let value = server.json(&once);
    assert_eq!(value["state"]["listen"], address);
    assert_eq!(value["per_second"]["requests"], 0);
}

#[test]
fn the_addresses_with_connections_are_named() {
    let server = Server::start(&[]);
    let _held = std::net::TcpStream::connect(server.address()).unwrap();
    eventually("the connection counts", || {
        let value = server.json(&["top", "--once", "--every", "10ms"]);
        let holders = value["addresses"].as_array().unwrap();
        holders.iter().any(|holder| {
            holder["address"] == "127.0.0.1" && holder["connections"].as_u64() >= Some(1)
        })
    });
}

#[test]
fn rejects_show_who_sent_what() {
    let server = Server::start(&[]);
    assert_eq!(server.ctl(&["rejects"]).ok(), "");
    server.send("GET / HTTP/1.1\r\n\r\n");
    server.send("GET /\x1B HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = server.ctl(&["rejects"]).ok();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("127.0.0.1:") && lines[0].contains(" Hostname "), "{text}");
    assert!(lines[1].contains("GET /\\x1b HTTP/1.1\\r\\n"), "{text}");
    let json = server.ctl(&["rejects", "--json"]).ok();
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["reason"], &first["status"]), (&"Hostname".into(), &400.into()));
}

#[test]
fn rejects_can_be_followed() {
    let server = Server::start(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut child = command(&["rejects", "--follow"])
        .env("XDG_RUNTIME_DIR", server.runtime.path())
        .stdout(Stdio::from(file.reopen().unwrap()))
        .spawn()
        .unwrap();
    let lines = || std::fs::read_to_string(file.path()).unwrap().lines().count();
    server.send("GET / HTTP/1.1\r\n\r\n");
    eventually("one", || lines() == 1);
    server.send("GET / HTTP/1.1\r\n\r\n");
    eventually("another", || lines() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_access_log_has_every_request_in_w3c_format() {
    let server = Server::start(&[("AccessLog", 1)]);
    server.get("/hello.txt?a=b");
    server.get("/nothing");
    let text = server.ctl(&["log"]).ok();
    let fields = text.lines().find_map(|line| line.strip_prefix("#Fields: ")).unwrap();
    let rows: Vec<Vec<_>> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(rows.len(), 2, "{text}");
    let column = |name: &str| fields.split(' ').position(|field| field == name).unwrap();
    assert!(rows.iter().all(|row| row.len() == fields.split(' ').count()), "{text}");
    assert_eq!(rows[0][column("cs-uri-stem")], "/hello.txt");
    assert_eq!(rows[0][column("cs-uri-query")], "a=b");
    assert_eq!(rows[0][column("c-ip")], "127.0.0.1");
    assert_eq!(rows[1][column("sc-status")], "404");
    assert_eq!(rows[1][column("cs-method")], "GET");
    let json = server.ctl(&["log", "--json"]).ok();
    assert_eq!(json.lines().count(), 2, "{json}");
    let file = server.path("access.log");
    server.ctl(&["log", "--w3c", &file]).ok();
    server.ctl(&["log", "--w3c", &file]).ok();
    let written = std::fs::read_to_string(&file).unwrap();
    let requests = written.lines().filter(|line| !line.starts_with('#')).count();
    // Appended, each time with a head of its own.
    assert_eq!((requests, written.matches("#Version: 1.0\n").count()), (4, 2), "{written}");
}

#[test]
fn what_the_log_lost_is_a_remark() {
    let server = Server::start(&[("AccessLog", 1)]);
    let request = "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    let last = "GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for _ in 0..40 {
        server.send(&(request.clone() + last));
    }
    let text = server.ctl(&["log"]).ok();
    let remark = text.lines().find_map(|line| line.strip_prefix("#Remark: ")).expect("a remark");
    let missing: usize = remark.split(' ').next().unwrap().parse().unwrap();
    let kept = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(missing + kept, 40 * 501, "{remark}");
}

#[test]
fn a_log_that_is_off_says_so() {
    let server = Server::start(&[]);
    server.get("/hello.txt");
    let run = server.ctl(&["log"]);
    assert!(run.said.contains("AccessLog"), "{run:?}");
    assert!(run.ok().lines().all(|line| line.starts_with('#')));
}

#[test]
fn limits_are_those_in_force_with_their_defaults() {
    let server = Server::start(&[("IdleTimeoutMs", 7000)]);
    let limits = server.json(&["limits"]);
    let limits = limits.as_array().unwrap();
    let find = |name: &str| limits.iter().find(|limit| limit["name"] == name).unwrap();
    assert_eq!(find("IdleTimeoutMs")["value"], "7000");
    assert_eq!(find("IdleTimeoutMs")["default"], "120000");
    assert_eq!(find("AcceptMode")["is_changeable"], false);
    for limit in limits {
        assert!(limit["default"].is_string(), "{limit}");
    }
    let text = server.ctl(&["limits"]).ok();
    let line = text.lines().find(|line| line.contains("IdleTimeoutMs")).unwrap();
    assert!(line.contains("7000") && line.contains(" * ") && line.contains("120000"), "{line}");
}

#[test]
fn a_parameter_is_set_or_refused() {
    let server = Server::start(&[]);
    assert_eq!(server.ctl(&["set", "IdleTimeoutMs", "7000"]).ok(), "");
    let limits = server.json(&["limits"]);
    let limits = limits.as_array().unwrap();
    let idle = limits.iter().find(|limit| limit["name"] == "IdleTimeoutMs").unwrap();
    assert_eq!(idle["value"], "7000");
    server.ctl(&["set", "IdleTimeoutMs", "1"]).fails(1, "IdleTimeoutMs");
    server.ctl(&["set", "IdleTimeout", "7000"]).fails(1, "IdleTimeout");
    server.ctl(&["set", "AcceptMode", "irp"]).fails(1, "restart");
    server.ctl(&["set", "MaxConnections", "-1"]).fails(1, "MaxConnections");
}
