//! A comparison in few words. It is also what the command prints.

use std::fmt::Write as _;

use crate::compare::comparison::{Comparison, Metric, Row};
use crate::compare::report::figure;

/// The Markdown text.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = write_into(&mut text, comparison);
    text
}

fn write_into(text: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Comparison { scenario, about, duration_s, rounds, rounds_wanted, seed, .. } = comparison;
    writeln!(text, "# {scenario}\n\n{about}.\n")?;
    writeln!(
        text,
        "{rounds} of {rounds_wanted} rounds, {duration_s} s for each server in each, in an order \
         drawn from seed {seed}. Figures are medians over the rounds.\n"
    )?;
    if let Some(stopped) = &comparison.stopped {
        writeln!(text, "**Stopped early**: {stopped}\n")?;
    }
    let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.words()).collect();
    writeln!(text, "| server | {} | answers | errors |", names.join(" | "))?;
    writeln!(text, "|---|{}", "--:|".repeat(names.len() + 2))?;
    for server in &comparison.servers {
        let medians = server.medians.map(|median| median.map_or_else(|| "-".to_owned(), figure));
        let (name, answers, errors) = (&server.name, server.answers, server.errors);
        writeln!(text, "| {name} | {} | {answers} | {errors} |", medians.join(" | "))?;
    }
    for server in &comparison.servers {
        if let Some(first) = &server.first_error {
            writeln!(text, "\n**{}: {} errors**, the first: {first}", server.name, server.errors)?;
        }
        if server.unsent > 0 {
            let (name, unsent) = (&server.name, server.unsent);
            writeln!(text, "\n**{name}: {unsent} requests were to begin and did not**")?;
        }
        if server.refused > 0 {
            let (name, refused) = (&server.name, server.refused);
            writeln!(text, "\n{name} refused {refused} connections, as it may.")?;
        }
    }
    if !comparison.rows.is_empty() {
        writeln!(
            text,
            "\n| ratio | of | to | ratio | 95 % interval | |\n|---|---|---|--:|---|---|"
        )?;
    }
    for Row { metric, target, baseline, ratio, verdict } in &comparison.rows {
        let metric = metric.words();
        let words = verdict.words();
        let of = ratio.ratio;
        let interval = interval(ratio.interval);
        writeln!(text, "| {metric} | {target} | {baseline} | {of:.3} | {interval} | {words} |")?;
    }
    writeln!(text, "\n| where | |\n|---|---|")?;
    for (name, value) in comparison.environment.rows() {
        writeln!(text, "| {name} | {} |", value.replace('|', "\\|"))?;
    }
    for server in &comparison.servers {
        let from = server.command.as_ref().unwrap_or(&server.base).replace('|', "\\|");
        writeln!(text, "| {} | {from} |", server.name)?;
    }
    Ok(())
}

/// An interval in words.
pub(super) fn interval(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(|| "none".to_owned(), |(low, high)| format!("{low:.3} to {high:.3}"))
}
