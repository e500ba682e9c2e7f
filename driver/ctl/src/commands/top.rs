//! `top`: the driver at a glance, on the terminal.
mod picture;
mod sample;
mod screen;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::style::{Color, Style};
use signal_hook::consts::SIGTERM;

use crate::arguments::Top;
use crate::driver::Driver;
use crate::failure::Failure;
use crate::output;

use sample::{History, Sample};

/// Columns and rows of a screen that is no terminal's.
const ONCE: (u16, u16) = (100, 30);

/// Until `q`; or once.
pub(crate) fn run(driver: &Driver, top: &Top, json: bool) -> Result<()> {
    if !top.once && !json && !io::stdout().is_terminal() {
        return Err(Failure::Usage("stdout is no terminal: say --once or --json".into()).into());
    }
    let mut history = History::new(Sample::take(driver)?);
    if top.once {
        for _ in 1..top.looks {
            thread::sleep(top.every);
            history.push(Sample::take(driver)?);
        }
        return once(&history, top, json);
    }
    if json {
        loop {
            thread::sleep(top.every);
            history.push(Sample::take(driver)?);
            output::json(&history.to_json())?;
        }
    }
    // Also sets a hook, so that a panic leaves the terminal as it was.
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let result = watch(driver, &mut terminal, &mut history, top.every);
    ratatui::restore();
    result
}

fn once(history: &History, top: &Top, json: bool) -> Result<()> {
    if json {
        return Ok(output::json(&history.to_json())?);
    }
    let screen = frame(history, ONCE)?;
    match &top.svg {
        Some(file) => {
            let name = || file.display().to_string();
            std::fs::write(file, picture::svg(&screen)).with_context(name)
        }
        None => Ok(output::text(&text(&screen))?),
    }
}

fn watch(
    driver: &Driver,
    terminal: &mut ratatui::DefaultTerminal,
    history: &mut History,
    every: Duration,
) -> Result<()> {
    let terminated: Arc<AtomicBool> = Arc::default();
    signal_hook::flag::register(SIGTERM, Arc::clone(&terminated))
        .context("signals cannot be handled")?;
    // https://no-color.org
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut next = Instant::now() + every;
    loop {
        terminal.draw(|frame| {
            screen::draw(frame, history);
            if is_plain {
                let area = frame.area();
                frame.buffer_mut().set_style(area, Style::new().fg(Color::Reset));
            }
        })?;
        // A signal ends the wait with an error of that kind, or lets it go on.
        match event::poll(next.saturating_duration_since(Instant::now())) {
            Ok(true) if asks_for_the_end(&event::read()?) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if terminated.load(Ordering::Relaxed) {
            return Ok(());
        }
        if Instant::now() >= next {
            history.push(Sample::take(driver)?);
            next = Instant::now() + every;
        }
    }
}

/// `q`, Escape or Ctrl-C.
fn asks_for_the_end(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        return false;
    };
    matches!(code, KeyCode::Char('q') | KeyCode::Esc)
        || (*code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL))
}

/// One screen without a terminal.
fn frame(history: &History, (columns, rows): (u16, u16)) -> Result<Buffer> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows))?;
    terminal.draw(|frame| screen::draw(frame, history))?;
    Ok(terminal.backend().buffer().clone())
}

/// Its rows as lines.
fn text(screen: &Buffer) -> String {
    let columns = usize::from(screen.area.width.max(1));
    let rows = screen.content.chunks(columns);
    let line = |row: &[ratatui::buffer::Cell]| {
        let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", row.trim_end())
    };
    rows.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_ctrl_c_end_it() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        for (code, modifiers, ends) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, true),
            (KeyCode::Esc, KeyModifiers::NONE, true),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            (KeyCode::Char('c'), KeyModifiers::NONE, false),
            (KeyCode::Char('x'), KeyModifiers::NONE, false),
        ] {
            assert_eq!(asks_for_the_end(&key(code, modifiers)), ends, "{code:?} {modifiers:?}");
        }
        assert!(!asks_for_the_end(&Event::Resize(80, 24)));
    }

    #[test]
    fn a_screen_of_any_size_is_drawn() {
        let history = sample::example();
        for size in [(1, 1), (20, 5), (40, 12), (80, 24), (100, 30), (250, 80)] {
            let screen = frame(&history, size).unwrap();
            assert_eq!(text(&screen).lines().count(), usize::from(size.1));
        }
    }

    #[test]
    fn a_screen_shows_rates_times_refusals_and_addresses() {
        let shown = text(&frame(&sample::example(), ONCE).unwrap());
        for expected in [
            "127.0.0.1:8080",
            "requests/s",
            "12,000",
            "p99.9",
            "1.04 ms",
            "AddressLimit",
            "10.0.0.7",
            "main",
            "drain",
        ] {
            assert!(shown.contains(expected), "no {expected}:\n{shown}");
        }
    }
}
