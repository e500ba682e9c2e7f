//! A screen as a picture for documents: SVG, one text for each run of cells of one style. Bars and
//! frames are drawn, not written, because few fonts draw them without gaps.
use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Of a cell, in pixels.
const WIDTH: usize = 8;
const HEIGHT: usize = 17;
/// Of the letters, and from the top of a cell to the line that they stand on.
const FONT_SIZE: usize = 13;
const BASELINE: usize = 13;
const MARGIN: usize = 10;
const FONTS: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";
const DIM: &str = "#6b7280";
/// Eighths of a cell, from below.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The whole screen.
pub(super) fn svg(screen: &Buffer) -> String {
    let columns = usize::from(screen.area.width);
    let width = columns * WIDTH + 2 * MARGIN;
    let height = usize::from(screen.area.height) * HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-size=\"{FONT_SIZE}\" font-family=\"{FONTS}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#16181d\"/>\n"
    );
    let mut lines = String::new();
    for (row, cells) in screen.content.chunks(columns.max(1)).enumerate() {
        let mut column = 0;
        for run in cells.chunk_by(|a, b| kind(a) == kind(b) && style(a) == style(b)) {
            let (x, y) = (MARGIN + column * WIDTH, MARGIN + row * HEIGHT);
            match kind(&run[0]) {
                Kind::Text => text(&mut svg, run, x, y),
                Kind::Bar => bars(&mut svg, run, x, y),
                Kind::Frame => frame(&mut lines, run, x, y),
            }
            column += run.len();
        }
    }
    let _ = writeln!(svg, "<path d=\"{lines}\" fill=\"none\" stroke=\"{DIM}\"/>\n</svg>");
    svg
}

fn text(svg: &mut String, run: &[Cell], x: usize, y: usize) {
    let symbols: String = run.iter().map(Cell::symbol).collect();
    let escaped = symbols.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let without = escaped.trim_start();
    let x = x + (escaped.len() - without.len()) * WIDTH;
    let shown = without.trim_end();
    if shown.is_empty() {
        return;
    }
    let columns = symbols.trim().chars().count() * WIDTH;
    let (fill, weight) = style(&run[0]);
    let y = y + BASELINE;
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\"{weight} textLength=\"{columns}\" \
         xml:space=\"preserve\">{shown}</text>"
    );
}

fn bars(svg: &mut String, run: &[Cell], x: usize, y: usize) {
    let (fill, _) = style(&run[0]);
    for (at, cell) in run.iter().enumerate() {
        let eighths = 1 + BARS.iter().position(|bar| *bar == cell.symbol()).unwrap_or(0);
        let height = (HEIGHT * eighths).div_ceil(BARS.len());
        let (x, y) = (x + at * WIDTH, y + HEIGHT - height);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{height}\" fill=\"{fill}\"/>"
        );
    }
}

/// Through the middle of the cells.
fn frame(lines: &mut String, run: &[Cell], x: usize, y: usize) {
    let (half_width, half_height) = (WIDTH / 2, HEIGHT / 2);
    for (at, cell) in run.iter().enumerate() {
        let (left, middle) = (x + at * WIDTH, x + at * WIDTH + half_width);
        let (right, centre, bottom) = (left + WIDTH, y + half_height, y + HEIGHT);
        let _ = match cell.symbol() {
            "─" => write!(lines, "M{left} {centre}H{right}"),
            "│" => write!(lines, "M{middle} {y}V{bottom}"),
            "╭" => write!(lines, "M{middle} {bottom}Q{middle} {centre} {right} {centre}"),
            "╮" => write!(lines, "M{left} {centre}Q{middle} {centre} {middle} {bottom}"),
            "╰" => write!(lines, "M{middle} {y}Q{middle} {centre} {right} {centre}"),
            _ => write!(lines, "M{left} {centre}Q{middle} {centre} {middle} {y}"),
        };
    }
}

/// How a cell is drawn.
#[derive(PartialEq)]
enum Kind {
    Text,
    Bar,
    Frame,
}

fn kind(cell: &Cell) -> Kind {
    match cell.symbol() {
        symbol if BARS.contains(&symbol) => Kind::Bar,
        "─" | "│" | "╭" | "╮" | "╰" | "╯" => Kind::Frame,
        _ => Kind::Text,
    }
}

/// Colour, and an attribute for bold letters.
fn style(cell: &Cell) -> (&'static str, &'static str) {
    let fill = match cell.fg {
        Color::Cyan => "#6cc7d9",
        Color::Green => "#7fc97f",
        Color::Yellow => "#e5c07b",
        Color::Red => "#e06c75",
        _ if cell.modifier.contains(Modifier::DIM) => DIM,
        _ => "#d7dae0",
    };
    let is_bold = cell.modifier.contains(Modifier::BOLD);
    (fill, if is_bold { " font-weight=\"bold\"" } else { "" })
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn runs_become_texts_and_bars_become_rectangles() {
        let mut screen = Buffer::empty(Rect::new(0, 0, 12, 2));
        screen.set_string(1, 0, "a <b>", Style::new());
        screen.set_string(6, 0, "bold", Style::new().add_modifier(Modifier::BOLD));
        screen.set_string(2, 1, "╭─╯", Style::new());
        screen.set_string(0, 1, "▄█", Style::new().fg(Color::Green));
        let svg = svg(&screen);
        assert!(svg.contains("x=\"18\" y=\"23\""), "{svg}");
        assert!(svg.contains("textLength=\"40\" xml:space=\"preserve\">a &lt;b&gt;<"), "{svg}");
        assert!(svg.contains("font-weight=\"bold\" textLength=\"32\""), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2);
        assert!(svg.contains("y=\"35\" width=\"8\" height=\"9\" fill=\"#7fc97f\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3);
        let corner = "M30 44Q30 35 34 35";
        assert!(svg.contains(&format!("d=\"{corner}M34 35H42M42 35Q46 35 46 27\"")), "{svg}");
    }
}
