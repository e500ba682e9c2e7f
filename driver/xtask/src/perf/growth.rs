//! wrk's request against how much there is of everything: the cost is to stay what it is.
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use plotters::prelude::*;

use super::{build, count};

/// How much more a request may cost where there is more of everything.
const GROWTH_MAX: f64 = 1.3;
/// Where the picture goes, from the top of the repository.
const PICTURE: &str = "driver/docs/growth.svg";
const SIZE: (u32, u32) = (720, 320);

/// What there is more and more of.
const SERIES: [(&str, &[u32]); 3] = [
    ("paths", &[10, 1_000, 100_000, 1_000_000]),
    ("connections", &[1, 100, 10_000, 100_000]),
    ("processors", &[1, 4, 16, 64]),
];
const MEMO: [(&str, &str); 2] = [("memo off", "memo=0"), ("memo on", "memo=16")];

/// How much there is, and instructions of a request, by [`MEMO`].
type Point = (u32, [f64; 2]);

/// Prints, draws, and returns false where a request costs too much more than with the fewest.
pub(super) fn growth(root: &Path, target: &Path) -> Result<bool> {
    let mut is_flat = true;
    let mut curves = Vec::new();
    for (what, numbers) in SERIES {
        println!("{what:12} memo off  memo on (instructions of wrk's request)");
        let mut points: Vec<Point> = Vec::new();
        for number in numbers {
            let costs = costs(root, target, what, *number)?;
            println!("{number:12} {:8.1} {:8.1}", costs[0], costs[1]);
            let fewest = points.first().map_or(costs, |(_, costs)| *costs);
            is_flat &= costs.iter().zip(fewest).all(|(cost, fewest)| *cost <= fewest * GROWTH_MAX);
            points.push((*number, costs));
        }
        curves.push((what, points));
    }
    let path = root.join(PICTURE);
    fs::write(&path, picture(&curves)?).with_context(|| format!("writing {PICTURE}"))?;
    println!("{PICTURE}");
    Ok(is_flat)
}

/// Instructions of a request where there is so much.
fn costs(root: &Path, target: &Path, what: &str, number: u32) -> Result<[f64; 2]> {
    // The site is built once, and not while every instruction is counted.
    let site = target.join("perf-growth.img");
    let paths = if what == "paths" { number } else { 10 };
    let program = build(root, target)?;
    let pack = Command::new(&program).arg("pack").arg(&site).arg(paths.to_string()).status()?;
    ensure!(pack.success(), "a site of {paths} paths cannot be packed");
    let (site_setting, setting) = (format!("site={}", site.display()), format!("{what}={number}"));
    let of = |memo| -> Result<f64> {
        let rows = count(root, target, &[&site_setting, &setting, memo, "only=wrk"])?;
        Ok(rows.get("wrk").context("the first row")?.instructions)
    };
    let costs = [of(MEMO[0].1)?, of(MEMO[1].1)?];
    // It may be nearly a gigabyte.
    fs::remove_file(&site)?;
    Ok(costs)
}

/// The curves as an SVG.
fn picture(curves: &[(&str, Vec<Point>)]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area, curves).map_err(|error| anyhow!("drawing: {error}"))?;
        area.present().map_err(|error| anyhow!("drawing: {error}"))?;
    }
    Ok(svg)
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    curves: &[(&str, Vec<Point>)],
) -> Drawn<'a> {
    const COLORS: [RGBColor; 2] = [RGBColor(31, 119, 180), RGBColor(214, 111, 26)];
    area.fill(&WHITE)?;
    let costs = curves.iter().flat_map(|(_, points)| points).flat_map(|(_, costs)| *costs);
    let top = costs.fold(0.0, f64::max) * 1.2;
    for (part, (what, points)) in area.split_evenly((1, curves.len().max(1))).iter().zip(curves) {
        let numbers = points.iter().map(|(number, _)| *number);
        let (least, most) = (numbers.clone().min().unwrap_or(1), numbers.max().unwrap_or(10));
        let mut chart = ChartBuilder::on(part)
            .caption(format!("instructions by {what}"), ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(44)
            .build_cartesian_2d((least..most.max(least + 1)).log_scale(), 0.0..top)?;
        chart.configure_mesh().x_labels(4).y_labels(6).light_line_style(WHITE).draw()?;
        for (at, ((name, _), color)) in MEMO.iter().zip(COLORS).enumerate() {
            let curve = points.iter().map(|(number, costs)| (*number, costs[at]));
            chart
                .draw_series(LineSeries::new(curve, color.stroke_width(2)).point_size(3))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
        }
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_every_curve() {
        let points = vec![(10, [1_100.0, 350.0]), (1_000_000, [1_150.0, 351.0])];
        let svg = picture(&[("paths", points.clone()), ("processors", points)]).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        let svg = svg.to_uppercase();
        // Each in both parts.
        for color in ["#1F77B4", "#D66F1A"] {
            assert!(svg.matches(color).count() >= 4, "{color}");
        }
    }
}
