//! The verdict as a picture: what a query costs each server, in units of the reflector, as bars from zero.
//!
//! Text and lines take their colour from the reader's scheme, so that it is legible on light and on dark ground.

use std::fmt::{self, Write as _};

use super::{Row, Spread, Verdict};

/// Width of the picture.
const WIDTH: f64 = 760.0;
/// Where bars begin.
const LEFT: f64 = 170.0;
/// Room right of the longest bar.
const RIGHT: f64 = 110.0;
/// Room for title and legend.
const TOP: f64 = 74.0;
/// Height of a bar.
const BAR: f64 = 16.0;
/// Room between groups of bars.
const GAP: f64 = 16.0;
/// Room for the axis.
const BOTTOM: f64 = 44.0;
/// Who is shown: name in the records, name in the legend, class of its bars.
const SHOWN: [(&str, &str, &str); 5] = [
    ("petrel", "Petrel", "petrel"),
    ("petrel-xdp", "Petrel, AF_XDP", "petrel-xdp"),
    ("knot", "Knot DNS", "knot"),
    ("knot-xdp", "Knot DNS, AF_XDP", "knot-xdp"),
    ("nsd", "NSD", "nsd"),
];
/// Colours, with enough contrast on white and on black.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:16px;font-weight:600}\
    .small{font-size:11px}.axis{stroke:#8c959f;stroke-width:1}.unit{stroke:#8c959f;stroke-dasharray:3 3}\
    .spread{stroke:#57606a;stroke-width:1.5}.petrel{fill:#0a84d6}.petrel-xdp{fill:#5e5ce6}.knot{fill:#d9822b}\
    .knot-xdp{fill:#b8860b}.nsd{fill:#6e9c45}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.spread{stroke:#c9d1d9}}";

/// One bar.
struct Bar {
    /// The class of its colour.
    class: &'static str,
    /// What it shows.
    spread: Spread,
}

impl Verdict {
    /// An SVG document. Rows without a comparison with the reflector are left out.
    #[must_use]
    pub fn chart(&self) -> String {
        let groups: Vec<(&str, Vec<Bar>)> =
            self.rows.iter().map(|row| (row.name.as_str(), bars(row))).filter(|(_, bars)| !bars.is_empty()).collect();
        let mut svg = String::new();
        // Writing to a string cannot fail.
        self.draw(&groups, &mut svg).unwrap_or(());
        svg
    }

    /// Draws all.
    fn draw(&self, groups: &[(&str, Vec<Bar>)], svg: &mut String) -> fmt::Result {
        let bars: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
        let body = count(bars) * BAR + count(groups.len()) * GAP;
        let height = TOP + body + BOTTOM;
        let longest = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.spread.max).fold(1.0, f64::max);
        let scale = (WIDTH - LEFT - RIGHT) / longest;
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-label=\"CPU time per query of DNS servers\">\n<style>{STYLE}</style>"
        )?;
        writeln!(
            svg,
            "<text class=\"title\" x=\"12\" y=\"24\">CPU time per query, in units of a do-nothing reflector</text>"
        )?;
        draw_legend(groups, svg)?;
        let mut y = TOP;
        for (name, bars) in groups {
            let middle = y + count(bars.len()) * BAR / 2.0 + 4.0;
            // The run may say what its rows are.
            let label = self.about.get(&format!("row {name}")).and_then(|label| label.as_str()).unwrap_or(name);
            let label = escaped(label);
            writeln!(svg, "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 10.0)?;
            for bar in bars {
                draw_bar(bar, y, scale, svg)?;
                y += BAR;
            }
            y += GAP;
        }
        draw_axis(y - GAP / 2.0, scale, longest, svg)?;
        let date = self.about.get("date").and_then(|date| date.as_str()).unwrap_or_default();
        let machine = self.about.get("machine").and_then(|machine| machine.as_str()).unwrap_or_default();
        let note = format!("one worker on one core; medians with least and most; shorter is better; {machine}, {date}");
        writeln!(svg, "<text class=\"small\" x=\"12\" y=\"{}\">{}</text>", height - 6.0, escaped(&note))?;
        writeln!(svg, "</svg>")
    }
}

/// The bars of a row.
fn bars(row: &Row) -> Vec<Bar> {
    let bar = |(name, _, class): (&str, &str, &'static str)| {
        let server = row.servers.iter().find(|known| known.name == name)?;
        Some(Bar { class, spread: server.spread("cpu_to_R")? })
    };
    SHOWN.into_iter().filter_map(bar).collect()
}

/// A square and a name for each server that has a bar.
fn draw_legend(groups: &[(&str, Vec<Bar>)], svg: &mut String) -> fmt::Result {
    let mut x = 12.0;
    for (_, name, class) in SHOWN {
        if !groups.iter().flat_map(|(_, bars)| bars).any(|bar| bar.class == class) {
            continue;
        }
        writeln!(svg, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"40\" width=\"12\" height=\"12\" rx=\"2\"/>")?;
        writeln!(svg, "<text x=\"{:.1}\" y=\"51\">{name}</text>", x + 18.0)?;
        x += 40.0 + 7.2 * count(name.len());
    }
    Ok(())
}

/// A bar with its value and, across its end, the spread.
fn draw_bar(bar: &Bar, y: f64, scale: f64, svg: &mut String) -> fmt::Result {
    let Spread { median, min, max } = bar.spread;
    let (width, middle) = (median * scale, y + BAR / 2.0);
    let class = bar.class;
    writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\"/>",
        y + 1.0,
        BAR - 2.0
    )?;
    let (from, to) = (LEFT + min * scale, LEFT + max * scale);
    writeln!(svg, "<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>")?;
    writeln!(svg, "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{median:.2}</text>", to + 6.0, middle + 4.0)
}

/// Ticks of half a unit, and a line at the reflector's own cost.
fn draw_axis(y: f64, scale: f64, longest: f64, svg: &mut String) -> fmt::Result {
    writeln!(svg, "<path class=\"axis\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", LEFT + longest * scale)?;
    let mut at = 0.0;
    while at <= longest {
        let x = LEFT + at * scale;
        writeln!(svg, "<path class=\"axis\" d=\"M{x:.1} {y:.1}v4\"/>")?;
        writeln!(svg, "<text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at} R</text>", y + 16.0)?;
        at += 0.5;
    }
    writeln!(svg, "<path class=\"unit\" d=\"M{:.1} {}V{y:.1}\"/>", LEFT + scale, TOP - 6.0)
}

/// A count as a length.
#[expect(clippy::cast_precision_loss, reason = "there are a few bars")]
fn count(items: usize) -> f64 {
    items as f64
}

/// Text as XML wants it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
