//! The pictures of a page, as SVG. Colours are placeholders that the page's style replaces, so that
//! one picture serves on light and dark ground; each is drawn twice, for wide and narrow screens.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::compare::comparison::Comparison;
use crate::compare::report::figure;
use crate::generator::tally::INTERVAL;

/// Series that have a colour of their own; more begin anew.
pub const SERIES: usize = 6;
/// What the style replaces: text and axes, lines of the grid, series.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const SANS: &str = "system-ui, sans-serif";

/// The screen a picture is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Screen {
    /// A desk.
    Wide,
    /// A phone.
    Narrow,
}

impl Screen {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wide, Self::Narrow];

    fn size(self) -> (u32, u32) {
        match self {
            Self::Wide => (920, 340),
            Self::Narrow => (360, 260),
        }
    }

    fn font(self) -> u32 {
        match self {
            Self::Wide => 17,
            Self::Narrow => 15,
        }
    }

    /// Points of all lines together at most, or they are a tangle.
    fn points(self) -> usize {
        match self {
            Self::Wide => 300,
            Self::Narrow => 120,
        }
    }

    /// Labels along an axis.
    fn labels(self) -> usize {
        match self {
            Self::Wide => 10,
            Self::Narrow => 5,
        }
    }
}

/// The placeholder of a series.
fn series(index: usize) -> RGBColor {
    RGBColor(3, u8::try_from(index % SERIES).unwrap_or(0), 3)
}

fn drawing(
    screen: Screen,
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), String>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, screen.size()).into_drawing_area();
        draw(&area).map_err(|error| anyhow!("plot: {error}"))?;
        area.present().map_err(|error| anyhow!("plot: {error}"))?;
    }
    Ok(svg)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Answers per second over the time of the whole comparison, a line for each server and round.
pub fn throughput(comparison: &Comparison, screen: Screen) -> Result<String> {
    let rounds = || comparison.servers.iter().flat_map(|server| &server.rounds);
    let counts: usize = rounds().map(|round| round.timeline.len()).sum();
    let together = counts.div_ceil(screen.points()).max(1);
    let lines: Vec<Vec<Vec<(f64, f64)>>> = comparison
        .servers
        .iter()
        .map(|server| {
            let rounds = server.rounds.iter();
            rounds.map(|round| steps(round.started_s, &round.timeline, together)).collect()
        })
        .collect();
    let points = || lines.iter().flatten().flatten();
    let x_max = points().map(|point| point.0).fold(1.0, f64::max);
    let y_max = points().map(|point| point.1).fold(1.0, f64::max) * 1.05;
    drawing(screen, |area| {
        let mut chart =
            chart(area, screen).build_cartesian_2d(0.0..x_max, 0.0..y_max).map_err(words)?;
        mesh!(chart, screen, "seconds", "requests/s", |x: &f64| figure_of_axis(*x), |y: &f64| {
            figure_of_axis(*y)
        });
        for (index, rounds) in lines.iter().enumerate() {
            for round in rounds {
                let style = series(index).stroke_width(2);
                chart.draw_series(LineSeries::new(round.iter().copied(), style)).map_err(words)?;
            }
        }
        Ok(())
    })
}

/// The middle of so many intervals together and their rate. The last interval was not whole.
#[allow(clippy::cast_precision_loss, reason = "counts of tenths of a second")]
fn steps(started_s: f64, timeline: &[u64], together: usize) -> Vec<(f64, f64)> {
    let whole = timeline.len().saturating_sub(1).max(1).min(timeline.len());
    let mut at_s = started_s;
    let mut points = Vec::new();
    for counts in timeline[..whole].chunks(together) {
        let length_s = INTERVAL.as_secs_f64() * counts.len() as f64;
        points.push((at_s + length_s / 2.0, counts.iter().sum::<u64>() as f64 / length_s));
        at_s += length_s;
    }
    points
}

/// Latency by percentile: towards the right each nine is as wide as the one before, upwards each
/// power of ten as high.
pub fn latency(comparison: &Comparison, screen: Screen) -> Result<String> {
    let curves: Vec<Vec<(f64, f64)>> = comparison
        .servers
        .iter()
        .map(|server| {
            let points = server.latency_curve.iter();
            points.map(|(part, us)| (-(1.0 - part).log10(), us.max(0.1).log10())).collect()
        })
        .collect();
    let points = || curves.iter().flatten();
    let x_max = points().map(|point| point.0).fold(1.0, f64::max);
    let y_min = points().map(|point| point.1).fold(f64::MAX, f64::min).min(6.0).floor();
    let y_max = points().map(|point| point.1).fold(y_min + 1.0, f64::max).ceil();
    let (x_axis, y_axis) = (Powers(0.0..x_max), Powers(y_min..y_max));
    drawing(screen, |area| {
        let mut chart = chart(area, screen).build_cartesian_2d(x_axis, y_axis).map_err(words)?;
        let percentile = |x: &f64| percentile(*x);
        mesh!(chart, screen, "percentile", "latency", percentile, |y: &f64| time(*y));
        for (index, curve) in curves.iter().enumerate() {
            let style = series(index).stroke_width(2);
            chart.draw_series(LineSeries::new(curve.iter().copied(), style)).map_err(words)?;
        }
        Ok(())
    })
}

/// An axis of powers of ten, each of which has a line.
struct Powers(Range<f64>);

impl Ranged for Powers {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.0.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let powers = std::iter::successors(Some(self.0.start.ceil()), |power| Some(power + 1.0));
        powers.take_while(|power| *power <= self.0.end).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

fn chart<'a, 'b>(
    area: &'a DrawingArea<SVGBackend<'b>, Shift>,
    screen: Screen,
) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(8).margin_right(screen.font() * 2).x_label_area_size(screen.font() * 3);
    builder.y_label_area_size(screen.font() * 5);
    builder
}

/// Axes, labels and grid, of charts whose types differ.
macro_rules! mesh {
    ($chart:ident, $screen:ident, $x:expr, $y:expr, $of_x:expr, $of_y:expr) => {{
        let style = (SANS, $screen.font()).into_font().color(&INK);
        $chart
            .configure_mesh()
            .x_labels($screen.labels())
            .y_labels(6)
            .max_light_lines(0)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(style.clone())
            .axis_desc_style(style)
            .x_desc($x)
            .y_desc($y)
            .x_label_formatter(&$of_x)
            .y_label_formatter(&$of_y)
            .draw()
            .map_err(words)?;
    }};
}
use mesh;

fn figure_of_axis(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e4 => format!("{}k", value / 1e3),
        value if value.fract() == 0.0 => format!("{value}"),
        value => figure(value),
    }
}

/// 0, 90, 99, 99.9: as many nines as `x` says.
fn percentile(x: f64) -> String {
    match x {
        x if x < 0.5 => "0".to_owned(),
        x if x < 1.5 => "90".to_owned(),
        x if x < 2.5 => "99".to_owned(),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few nines")]
        x => format!("99.{}", "9".repeat(x.round() as usize - 2)),
    }
}

/// The power of ten in microseconds, in a unit that suits.
fn time(power: f64) -> String {
    let us = 10_f64.powf(power);
    match us {
        us if us >= 999_999.0 => format!("{:.0} s", us / 1e6),
        us if us >= 999.0 => format!("{:.0} ms", us / 1e3),
        us if us >= 0.99 => format!("{us:.0} µs"),
        us => format!("{us:.1} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_readable() {
        assert_eq!([0.0, 1.0, 2.0, 4.0].map(percentile), ["0", "90", "99", "99.99"]);
        assert_eq!([0.0, 2.0, 3.0, 6.0].map(time), ["1 µs", "100 µs", "1 ms", "1 s"]);
        assert_eq!([0.0, 0.5, 20000.0, 2e6].map(figure_of_axis), ["0", "0.50", "20k", "2M"]);
    }

    #[test]
    fn pictures_are_drawn_of_much_and_of_nothing() {
        for timeline in [&[][..], &[1000; 30]] {
            for curve in [&[][..], &[(0.0, 12.0), (0.9, 100.0), (0.99999, 3e6)]] {
                let comparison = Comparison::example(timeline, curve);
                for screen in Screen::ALL {
                    for svg in [throughput(&comparison, screen), latency(&comparison, screen)] {
                        let svg = svg.expect("a picture");
                        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_interval_is_left_out() {
        let rates = |together| steps(1.0, &[10, 20, 5], together);
        assert_eq!(rates(1).iter().map(|point| point.1).collect::<Vec<_>>(), [100.0, 200.0]);
        assert_eq!(rates(2), [(1.1, 150.0)]);
        assert_eq!(steps(1.0, &[], 1), []);
    }
}
