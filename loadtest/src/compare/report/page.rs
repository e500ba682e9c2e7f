//! One self-contained HTML file: no script, nothing from elsewhere.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::compare::comparison::{Comparison, Metric, Row, Server, Verdict};
use crate::compare::report::figure;
use crate::compare::report::markdown::interval;
use crate::compare::report::plots::{SERIES, Screen, latency, throughput};

const STYLE: &str = include_str!("page.css");

/// The page of a comparison.
///
/// # Errors
/// A picture cannot be drawn.
pub fn page(comparison: &Comparison) -> Result<String> {
    let names: Vec<_> = comparison.servers.iter().map(|server| server.name.as_str()).collect();
    let title = format!("{}: {}", comparison.scenario, names.join(" and "));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(series_style())) }
            }
            body {
                h1 { (title) }
                p { (comparison.about) "." }
                p.faint {
                    (comparison.rounds) " of " (comparison.rounds_wanted) " rounds, "
                    (comparison.duration_s) " s for each server in each, in a new order each time."
                }
                @if let Some(stopped) = &comparison.stopped {
                    p.error { b { "Stopped early: " } (stopped) }
                }
                @for server in &comparison.servers { (troubles(server)) }
                (says(comparison))
                h2 { "Figures" }
                (figures(comparison))
                @if !comparison.rows.is_empty() {
                    h2 { "Ratios" }
                    (ratios(comparison))
                }
                h2 { "Throughput over time" }
                (key(&names))
                (pictures("Requests per second", |screen| throughput(comparison, screen))?)
                h2 { "Latency" }
                (key(&names))
                (pictures("Latency by percentile", |screen| latency(comparison, screen))?)
                h2 { "Where and how" }
                (environment(comparison))
            }
        }
    };
    Ok(page.into_string())
}

/// The colours of the series, in place of the pictures' own.
fn series_style() -> String {
    let of = |index| format!("svg [stroke=\"#03{index:02X}03\"]{{stroke:var(--s{index})}}\n");
    (0..SERIES).map(of).collect()
}

/// What went wrong, first of all.
fn troubles(server: &Server) -> Markup {
    html! {
        @if let Some(first) = &server.first_error {
            p.error { b { (server.name) ": " (server.errors) " errors" } ", the first: " (first) }
        }
        @if server.unsent > 0 {
            p.error { (server.name) ": " (server.unsent) " requests were to begin and did not" }
        }
        @if server.refused > 0 {
            p.faint { (server.name) " refused " (server.refused) " connections, as it may." }
        }
    }
}

/// The answer in one line for each server and figure that a reader looks for first.
fn says(comparison: &Comparison) -> Markup {
    let rows = comparison.rows.iter();
    let rows = rows.filter(|row| {
        matches!(row.metric, Metric::Throughput | Metric::CpuPerRequest | Metric::TailLatency)
    });
    html! {
        ul.says {
            @for row in rows {
                li {
                    span.faint { (row.metric.words()) }
                    @if row.verdict == Verdict::NoDifferenceShown || row.ratio.interval.is_none() {
                        strong.plain { (row.verdict.words()) }
                    } @else {
                        strong class=(class(row)) { (format!("{:.2}", row.ratio.ratio)) " ×" }
                    }
                    span.faint { (row.target) " beside " (row.baseline) }
                }
            }
        }
    }
}

fn class(row: &Row) -> &'static str {
    match row.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifferenceShown | Verdict::TooFewRounds => "faint",
    }
}

fn figures(comparison: &Comparison) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th { "server" }
                    @for metric in Metric::ALL { th { (metric.words()) } }
                    th { "answers" }
                    th { "errors" }
                }
            }
            tbody {
                @for server in &comparison.servers {
                    tr {
                        td { (server.name) }
                        @for (metric, median) in Metric::ALL.iter().zip(server.medians) {
                            td data-name=(metric.words()) {
                                span { (median.map_or_else(|| "-".to_owned(), figure)) }
                            }
                        }
                        td data-name="answers" { span { (grouped(server.answers)) } }
                        td data-name="errors" { span { (grouped(server.errors)) } }
                    }
                }
            }
        }
        p.faint { "Medians over the rounds; answers and errors are of all rounds." }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn grouped(count: u64) -> String {
    if count < 100 { count.to_string() } else { figure(count as f64) }
}

fn ratios(comparison: &Comparison) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th { "figure" } th { "ratio" } th { "95 % interval" } th.left { "" }
                }
            }
            tbody {
                @for row in &comparison.rows {
                    tr {
                        td { (row.metric.words()) ", " (row.target) " to " (row.baseline) }
                        td data-name="ratio" { span { (format!("{:.3}", row.ratio.ratio)) } }
                        td data-name="95 % interval" { span { (interval(row.ratio.interval)) } }
                        td.left data-name="" {
                            span class=(class(row)) { (row.verdict.words()) }
                        }
                    }
                }
            }
        }
        p.faint {
            "Geometric means of the ratios of the rounds, with bootstrap intervals over the "
            "rounds. Where the interval contains 1, no difference is shown, whatever the ratio."
        }
    }
}

fn key(names: &[&str]) -> Markup {
    html! {
        ul.key {
            @for (index, name) in names.iter().enumerate() {
                li {
                    span.dot style=(format!("background:var(--s{})", index % SERIES)) {}
                    (name)
                }
            }
        }
    }
}

/// A picture for each screen, of which the style shows one.
fn pictures(label: &str, draw: impl Fn(Screen) -> Result<String>) -> Result<Markup> {
    let mut both = String::new();
    for screen in Screen::ALL {
        let class = if screen == Screen::Wide { "wide" } else { "narrow" };
        let begin = format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{label}\" ");
        both.push_str(&draw(screen)?.replacen("<svg ", &begin, 1));
    }
    Ok(PreEscaped(both))
}

fn environment(comparison: &Comparison) -> Markup {
    html! {
        dl {
            @for (name, value) in comparison.environment.rows() {
                dt { (name) }
                dd { @if name == "command" { pre { code { (value) } } } @else { (value) } }
            }
            @for server in &comparison.servers {
                dt { (server.name) }
                dd {
                    @match &server.command {
                        Some(command) => pre { code { (command) } },
                        None => (server.base),
                    }
                }
            }
            dt { "seed" }
            dd { (comparison.seed) }
            @for load in &comparison.loads {
                dt { "load " (load.name) }
                dd {
                    (load.connections) " connections, " (load.threads) " thread(s), "
                    @if let Some(rate) = load.rate { (rate) " requests/s (open loop)" }
                    @else { "as answers come (closed loop)" }
                    @if load.pipeline.get() > 1 { ", " (load.pipeline) " in flight on each" }
                    "; "
                    @for (index, request) in load.requests.iter().enumerate() {
                        @if index > 0 { ", " }
                        code { (request.path) }
                        @if request.weight.get() > 1 { " × " (request.weight) }
                    }
                }
            }
            @for beside in &comparison.beside {
                dt { "every " (beside.every_ms) " ms" }
                dd { pre { code { (beside.command) } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone_and_names_are_escaped() {
        let comparison = Comparison::example(&[100; 20], &[(0.0, 10.0), (0.9, 20.0)]);
        let page = page(&comparison).expect("a page");
        assert!(page.contains("a&lt;b") && !page.contains("a<b"), "escaped");
        for foreign in ["<script", "<link", "<img", "url(", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("nothing shown"), "two rounds show nothing");
        assert!(page.contains("width=device-width"));
    }
}
