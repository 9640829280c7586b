//! Curves of a report, as SVG: units per second and the client's CPU time over the number of slots.

use std::path::Path;

use plotters::prelude::*;

use super::peers::{Peer, Phase};
use super::report::{Line, Report, as_f64};

const SIZE: (u32, u32) = (900, 560);

/// One colour for each curve, told apart by people who see no red or green (Okabe and Ito).
const COLOURS: &[RGBColor] = &[
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
];

/// A name and values by slots.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Draws both, as `STEM-speed.svg` and `STEM-cpu.svg`. With one number of slots there is no curve to draw.
pub(super) fn draw(report: &Report, dir: &Path, stem: &str) -> Result<(), String> {
    let mut slots: Vec<usize> = report.lines.iter().map(|line| line.slots).collect();
    slots.sort_unstable();
    slots.dedup();
    let (Some(least), Some(most)) = (slots.first(), slots.last()) else {
        return Ok(());
    };
    if least == most {
        return Ok(());
    }
    let units = as_f64(report.tree.built());
    let mut speed = curves(report, |line| {
        units / line.median(|it| it.wall().as_secs_f64())
    });
    speed.push(Curve {
        name: "bound".into(),
        points: slots
            .iter()
            .map(|slots| {
                (
                    as_f64(*slots),
                    units / report.tree.bound(*slots).as_secs_f64(),
                )
            })
            .collect(),
    });
    let cpu = curves(report, |line| {
        line.per_unit(report.tree.built(), |it| it.client)
    });
    let range = (as_f64(*least), as_f64(*most));
    let title = |text: &str| format!("{}: {text}", report.tree.name);
    chart(
        &dir.join(format!("{stem}-speed.svg")),
        &title("units per second, client side on one core"),
        "units per second",
        range,
        &speed,
    )?;
    chart(
        &dir.join(format!("{stem}-cpu.svg")),
        &title("client CPU per unit"),
        "milliseconds",
        range,
        &cpu,
    )
}

fn curves(report: &Report, value: impl Fn(&Line) -> f64) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    let is_drawn = |line: &&Line| {
        !matches!(line.peer, Peer::Nothing | Peer::Local) && line.phase != Phase::Unchanged
    };
    for line in report.lines.iter().filter(is_drawn) {
        let name = format!("{}, {}", line.peer.name(), line.phase.name());
        let point = (as_f64(line.slots), value(line));
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                name,
                points: vec![point],
            }),
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    curves
}

fn chart(
    path: &Path,
    title: &str,
    what: &str,
    slots: (f64, f64),
    curves: &[Curve],
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot draw {}: {error}", path.display());
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|it| it.1);
    let least = values().fold(f64::MAX, f64::min) / 1.3;
    let most = values().fold(0.0, f64::max) * 1.3;
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (slots.0..slots.1).log_scale().base(2.0),
            (least..most).log_scale(),
        )
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("slots")
        .y_desc(what)
        .x_label_formatter(&|slots| format!("{slots:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| failed(&error))?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style).point_size(3))
            .map_err(|error| failed(&error))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}
