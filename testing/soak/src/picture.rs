//! The picture: one panel for each figure, over the same time.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::register_font;

use crate::Failure;
use crate::sample::Sample;

const SIZE: (u32, u32) = (1600, 1750);
const FONT: &str = "sans-serif";

type Figure = fn(&Sample) -> Option<f64>;

struct Panel {
    title: &'static str,
    is_logarithmic: bool,
    lines: &'static [(&'static str, RGBColor, Figure)],
}

const FIRST: RGBColor = RGBColor(31, 95, 168);
const SECOND: RGBColor = RGBColor(214, 108, 20);
const THIRD: RGBColor = RGBColor(40, 140, 70);
const FOURTH: RGBColor = RGBColor(140, 60, 150);

const PANELS: [Panel; 6] = [
    Panel {
        title: "memory of the server, MiB",
        is_logarithmic: false,
        lines: &[("resident", FIRST, |sample| Some(sample.level.rss_mib))],
    },
    Panel {
        title: "descriptors and threads of the server",
        is_logarithmic: false,
        lines: &[
            ("descriptors", FIRST, |sample| {
                Some(sample.level.descriptors)
            }),
            ("threads", SECOND, |sample| Some(sample.level.threads)),
        ],
    },
    Panel {
        title: "journal and all metadata, MiB",
        is_logarithmic: false,
        lines: &[
            ("journal", FIRST, |sample| Some(sample.level.journal_mib)),
            ("all metadata", SECOND, |sample| {
                Some(sample.level.metadata_mib)
            }),
        ],
    },
    Panel {
        title: "disk, MiB (with backups and what fills it)",
        is_logarithmic: false,
        lines: &[
            ("blobs", FIRST, |sample| Some(sample.level.blobs_mib)),
            ("in use", SECOND, |sample| Some(sample.level.disk_mib)),
        ],
    },
    Panel {
        title: "latency, ms",
        is_logarithmic: true,
        lines: &[
            ("write p50", FIRST, |sample| Some(sample.writes_ms?.0)),
            ("write p99", SECOND, |sample| Some(sample.writes_ms?.1)),
            ("read p50", THIRD, |sample| Some(sample.reads_ms?.0)),
            ("read p99", FOURTH, |sample| Some(sample.reads_ms?.1)),
        ],
    },
    Panel {
        title: "bodies in and out, MB/s",
        is_logarithmic: false,
        lines: &[("all clients", FIRST, |sample| Some(sample.mb_s))],
    },
];

/// What is marked by a line across all panels.
const EVENTS: [(&str, RGBColor); 4] = [
    ("kill", RGBColor(220, 60, 60)),
    ("stop", RGBColor(150, 150, 150)),
    ("full", RGBColor(230, 180, 40)),
    ("backup", RGBColor(110, 190, 110)),
];

pub fn draw(samples: &[Sample], path: &Path) -> Result<(), Failure> {
    register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| "the font cannot be read")?;
    let area = BitMapBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let caption = "partstore-server under load; lines across: red kill -9, grey SIGTERM, yellow full disk, green backup";
    let area = area.titled(caption, (FONT, 20))?;
    for (panel, area) in PANELS.iter().zip(area.split_evenly((PANELS.len(), 1))) {
        panel.draw(samples, &area)?;
    }
    area.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

impl Panel {
    fn draw(&self, samples: &[Sample], area: &Area<'_>) -> Result<(), Failure> {
        let end = samples.last().map_or(1.0, |sample| sample.seconds) / 60.0;
        let most = samples
            .iter()
            .flat_map(|sample| self.lines.iter().filter_map(|line| line.2(sample)))
            .fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area);
        chart
            .caption(self.title, (FONT, 18))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(64);
        // One scale has one type, so a logarithmic one is made of logarithms.
        let is_logarithmic = self.is_logarithmic;
        let at = move |value: f64| {
            if is_logarithmic {
                value.max(0.1).log10()
            } else {
                value
            }
        };
        let (bottom, top) = (at(0.0), at(most * 1.15));
        let mut chart = chart.build_cartesian_2d(0.0..end, bottom..top)?;
        chart
            .configure_mesh()
            .x_desc("minutes")
            .label_style((FONT, 13))
            .light_line_style(TRANSPARENT)
            .y_label_formatter(&|value| {
                let value = if is_logarithmic {
                    10_f64.powf(*value)
                } else {
                    *value
                };
                format!("{value:.1}")
            })
            .draw()?;
        for (minute, color) in events(samples) {
            let line = [(minute, bottom), (minute, top)];
            chart.draw_series(LineSeries::new(line, color.mix(0.35)))?;
        }
        for (name, color, figure) in self.lines {
            for (nth, line) in pieces(samples, *figure).into_iter().enumerate() {
                let line = line.into_iter().map(|(minute, value)| (minute, at(value)));
                let drawn = chart.draw_series(LineSeries::new(line, color))?;
                if nth == 0 {
                    drawn.label(*name).legend(|at| legend(at, *color));
                }
            }
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font((FONT, 13))
            .position(SeriesLabelPosition::UpperRight)
            .draw()?;
        Ok(())
    }
}

fn legend((x, y): (i32, i32), color: RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 16, y)], color)
}

/// A line for each server: what one had is not joined to what the next one has.
fn pieces(samples: &[Sample], figure: Figure) -> Vec<Vec<(f64, f64)>> {
    let servers = samples.chunk_by(|one, next| one.server == next.server);
    servers
        .map(|samples| {
            let point = |sample: &Sample| Some((sample.seconds / 60.0, figure(sample)?));
            samples.iter().filter_map(point).collect()
        })
        .collect()
}

fn events(samples: &[Sample]) -> Vec<(f64, RGBColor)> {
    let named = |name: &str| EVENTS.iter().find(|(known, _)| *known == name);
    let of = |sample: &Sample| {
        let minute = sample.seconds / 60.0;
        let colors = sample.events.iter().filter_map(|event| named(event));
        colors
            .map(|(_, color)| (minute, *color))
            .collect::<Vec<_>>()
    };
    samples.iter().flat_map(of).collect()
}
