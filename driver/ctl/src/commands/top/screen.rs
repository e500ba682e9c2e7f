//! What `top` shows. Nothing is said by colour alone.
use std::cmp::Reverse;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Padding, Paragraph, Row, Sparkline, Table};
use wskhttpd_abi::{Counter, Health, Reason};

use super::super::{health, stats};
use super::sample::History;
use crate::prometheus::RESPONSES;
use crate::{histogram, output};

/// Rows for reasons, addresses and what stands above these.
const LOWER: u16 = 16;

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, history: &History) {
    let [head, rates, middle, lower, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(5),
        Constraint::Length(7),
        Constraint::Length(LOWER),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(history), head);
    requests(frame, history, rates);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle);
    responses(frame, history, left);
    service_times(frame, history, right);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(lower);
    refusals(frame, history, left);
    let endpoints = u16::try_from(history.now().health.len()).unwrap_or(4).min(4);
    let [connections, health, addresses] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Length(if endpoints > 0 { endpoints + 2 } else { 0 }),
        Constraint::Min(0),
    ])
    .areas(right);
    self::connections(frame, history, connections);
    self::health(frame, history, health);
    self::addresses(frame, history, addresses);
    frame.render_widget(Line::from(vec!["q".bold(), " quits".into()]), foot);
}

fn block(title: &str) -> Block<'_> {
    let title = Span::from(format!(" {title} ")).bold().cyan();
    let block = Block::bordered().border_type(BorderType::Rounded).title(title);
    block.border_style(Style::new().dim()).padding(Padding::horizontal(1))
}

fn title(history: &History) -> Line<'static> {
    let state = &history.now().state;
    let uptime = humantime::format_duration(Duration::from_secs(state.uptime_s));
    let [entries, bytes] = [state.entries.into(), state.image_bytes].map(output::grouped);
    Line::from(vec![
        Span::from(format!("wskhttpd {} ", state.version)).bold(),
        format!("at {}, up {uptime}; ", state.listen).into(),
        format!("site {:016x}, {entries} paths, {bytes} octets", state.generation).into(),
    ])
}

fn requests(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let rate = history.rate(Counter::Requests).map_or_else(|| "-".to_owned(), output::grouped);
    let most = history.rates.iter().max().copied().unwrap_or(0);
    let title = format!("requests/s: {rate} (top of the scale: {})", output::grouped(most));
    let block = block(&title);
    let columns = usize::from(block.inner(area).width);
    // The newest at the right.
    let missing = columns.saturating_sub(history.rates.len());
    let shown = history.rates.iter().skip(history.rates.len().saturating_sub(columns));
    let rates: Vec<u64> = std::iter::repeat_n(0, missing).chain(shown.copied()).collect();
    let sparkline = Sparkline::default().data(rates).max(most.max(1)).block(block);
    frame.render_widget(sparkline.style(Style::new().green()), area);
}

/// A table of counters: name, all, per second; what is going on is bold.
fn counters<'n>(
    history: &History,
    counters: impl Iterator<Item = (&'n str, Counter)>,
) -> Table<'n> {
    let number = |value| Line::from(output::grouped(value)).right_aligned();
    let row = |(name, counter): (&'n str, Counter)| {
        let rate = history.rate(counter).unwrap_or(0);
        let row = Row::new([Line::from(name), number(history.count(counter)), number(rate)]);
        if rate > 0 { row.bold() } else { row }
    };
    let right = |text: &'static str| Line::from(text).right_aligned();
    let head = Row::new([Line::from(""), right("all"), right("per second")]).dim();
    let widths = [Constraint::Fill(3), Constraint::Fill(2), Constraint::Fill(2)];
    Table::new(counters.map(row), widths).header(head)
}

fn responses(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let classes = RESPONSES.into_iter();
    frame.render_widget(counters(history, classes).block(block("responses")), area);
}

/// What is going on comes first, then what happened most.
fn refusals(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let reasons = Reason::ALL.iter().map(|reason| (reason.word(), reason.counter()));
    let mut reasons: Vec<_> = reasons.filter(|(_, counter)| history.count(*counter) > 0).collect();
    reasons.sort_by_key(|(_, counter)| Reverse((history.rate(*counter), history.count(*counter))));
    let table = counters(history, reasons.into_iter());
    frame.render_widget(table.block(block("refused or ended early, by reason")), area);
}

fn service_times(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let times = history.service_times();
    let mut lines: Vec<Line<'_>> = stats::PERCENTILES
        .iter()
        .map(|(name, permille)| {
            let time = histogram::permille(&times, *permille);
            let time = time.map_or_else(|| "-".to_owned(), output::time);
            Line::from(vec![format!("{name:<6}").into(), Span::from(format!("{time:>10}")).bold()])
        })
        .collect();
    let mean = histogram::mean(&times).map_or_else(|| "-".to_owned(), output::time);
    lines.push(format!("mean  {mean:>10}").into());
    frame.render_widget(Paragraph::new(lines).block(block("service time")), area);
}

fn connections(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let get = |counter| output::grouped(history.count(counter));
    let accepted = history.rate(Counter::ConnectionsAccepted).unwrap_or(0);
    let sent = history.rate(Counter::BytesSent).unwrap_or(0);
    let lines = vec![
        Line::from(vec![
            get(Counter::ConnectionsOpen).bold(),
            " open, ".into(),
            get(Counter::Waiting).bold(),
            " waiting for a place".into(),
        ]),
        Line::from(format!(
            "{}/s accepted, {}/s sent",
            output::grouped(accepted),
            output::octets(sent)
        )),
        Line::from(format!("{} slots of {} B", get(Counter::Slots), get(Counter::SlotBytes))),
    ];
    frame.render_widget(Paragraph::new(lines).block(block("connections")), area);
}

fn health(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let rows = history.now().health.iter().map(|endpoint| {
        let answered = Span::from(health::answered(endpoint));
        let answered = match endpoint.answered {
            Health::Up => answered.green(),
            Health::Drain => answered.yellow().bold(),
            Health::Down => answered.red().bold(),
        };
        Row::new([Span::from(endpoint.name.to_string()), answered])
    });
    let table = Table::new(rows, [Constraint::Fill(1), Constraint::Length(31)]);
    frame.render_widget(table.block(block("health")), area);
}

fn addresses(frame: &mut Frame<'_>, history: &History, area: Rect) {
    let rows = history.now().holders.iter().map(|holder| {
        let connections = output::grouped(holder.connections.into());
        let connections = Line::from(connections).right_aligned();
        Row::new([Line::from(holder.address.to_string()), connections])
    });
    let table = Table::new(rows, [Constraint::Fill(3), Constraint::Fill(1)]);
    frame.render_widget(table.block(block("addresses with most connections")), area);
}
