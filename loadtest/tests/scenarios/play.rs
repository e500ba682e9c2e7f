//! Scenarios played, with commands beside the loads.

use crate::peer::{Peer, Wrong};
use loadtest::interrupt::Interrupt;
use loadtest::scenario::file::Scenario;
use loadtest::scenario::play::{Played, play};

fn played(peer: &Peer, more: &str) -> Played {
    let text = format!(
        r#"
about = "a test"
duration_ms = 500
[[load]]
name = "mixed"
connections = 2
pipeline = 4
requests = [{{ path = "/a", weight = 3 }}, {{ path = "/b" }}]
[[load]]
name = "probe"
manner = "hold"
connections = 2
requests = [{{ path = "/c" }}]
{more}"#
    );
    let scenario = Scenario::parse("test", &text).expect("a scenario");
    play(&scenario, &peer.url("/"), false, &Interrupt::default()).expect("a report")
}

#[test]
fn loads_run_side_by_side_and_commands_beside_them() {
    let peer = Peer::start(Wrong::Never, 0);
    let played =
        played(&peer, "[[beside]]\nevery_ms = 50\ncommand = \"test {url} = http://{addr}\"");
    assert!(played.is_clean(), "{played}");
    let names: Vec<_> = played.reports.iter().map(|report| &report.subject.load).collect();
    assert_eq!(names, ["mixed", "probe"]);
    assert_eq!(played.reports[1].answers, 4);
    assert!(played.beside[0].runs >= 1, "{played}");
}

#[test]
fn a_command_that_fails_is_named() {
    let peer = Peer::start(Wrong::Never, 0);
    let command = "sh -c 'echo no such site >&2; exit 7'";
    let played = played(&peer, &format!("[[beside]]\nevery_ms = 50\ncommand = \"{command}\""));
    assert!(!played.is_clean());
    assert_eq!(played.beside[0].failures, played.beside[0].runs);
    let first = played.beside[0].first.as_deref().expect("what it said");
    assert!(first.contains('7') && first.contains("no such site"), "{first}");
}

#[test]
fn contents_that_a_reload_changes_are_named_in_the_scenario() {
    let contents = |path: &str| path.bytes().cycle().take(3000).map(char::from).collect::<String>();
    let (right, other) = (contents("/a"), contents("/b"));
    let peer = Peer::start(Wrong::OtherPath, 20);
    let text = |contents: &str| {
        format!(
            r#"
about = "a test"
duration_ms = 100
[[load]]
name = "reloaded"
connections = 1
requests = [{{ path = "/a", contents = [{contents}] }}]
"#
        )
    };
    let play = |contents: &str| {
        let scenario = Scenario::parse("test", &text(contents)).expect("a scenario");
        play(&scenario, &peer.url(""), false, &Interrupt::default()).expect("a report")
    };
    let both = play(&format!("\"{right}\", \"{other}\""));
    assert!(both.is_clean(), "{both}");
    assert!(both.reports[0].answers > 20, "{both}");
}
