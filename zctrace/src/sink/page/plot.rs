//! Pictures as SVG: how gap and exposure are distributed, and over time. Colours are classes; places are attributes,
//! because the page's policy allows no style of an element.

use std::fmt::Write as _;

use crate::board::heat::{Heat, PER_DECADE, ROWS, floor_of};
use crate::distribution::Distribution;
use crate::html::escaped;
use crate::text;

/// Size of the plot of a distribution, in its own units.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 96.0;
/// Left and right of it.
const SIDE: f64 = 30.0;
/// Bars of a power of ten.
const BARS: u32 = 8;
/// Shades of a heat map.
const SHADES: u32 = 6;
/// Labels of a time axis at most.
const TICKS: u64 = 8;

/// Without zeros that say nothing: `2 s`, `500 µs`.
pub(super) fn short(ns: u64) -> String {
    if ns == 0 {
        return "0".into();
    }
    let text = text::ns(ns);
    match text.split_once(' ') {
        Some((n, unit)) if n.contains('.') => {
            format!("{} {unit}", n.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A range of whole powers of ten, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: u32,
    to: u32,
}

impl Scale {
    /// Over all of these.
    pub(super) fn over<'a>(all: impl Iterator<Item = &'a Distribution>) -> Self {
        let (mut from, mut to) = (u32::MAX, 0);
        for d in all {
            // What is shorter than a microsecond is as good as nothing.
            let least = d.quantile(0.001).unwrap_or(u64::MAX).max(1_000);
            from = from.min(least.ilog10());
            to = to.max(d.max().map_or(0, |max| max.max(1).ilog10() + 1));
        }
        let from = from.min(to.saturating_sub(1)).min(18);
        Self { from, to: to.clamp(from + 2, from.max(17) + 2) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn x(self, ns: u64) -> f64 {
        let span = f64::from(self.to - self.from);
        let at = ((ns.max(1) as f64).log10() - f64::from(self.from)) / span;
        SIDE + at.clamp(0.0, 1.0) * (WIDTH - 2.0 * SIDE)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a scale")]
fn edge(from: u32, bar: u32) -> u64 {
    10f64.powf(f64::from(from) + f64::from(bar) / f64::from(BARS)).round() as u64
}

/// Bars, and where the quantiles are.
#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
pub(super) fn distribution(out: &mut String, d: &Distribution, scale: Scale, label: &str) {
    let total = HEIGHT + 34.0;
    let _ = write!(
        out,
        "<svg class=\"dist\" viewBox=\"0 0 {WIDTH} {total}\" role=\"img\" aria-label=\"{}\">",
        escaped(label)
    );
    let n = (scale.to - scale.from) * BARS;
    // The first bar has everything shorter too, the last everything longer.
    let inner: Vec<u64> = (1..n).map(|bar| edge(scale.from, bar)).collect();
    let counts: Vec<(u64, u64, u64)> = (0..n)
        .zip(d.bins(&inner))
        .map(|(bar, count)| (edge(scale.from, bar), edge(scale.from, bar + 1), count))
        .collect();
    for decade in scale.from..=scale.to {
        let x = scale.x(10u64.saturating_pow(decade));
        let _ = write!(out, "<path class=\"grid\" d=\"M{x:.1} 18v{HEIGHT}\"/>");
        let _ = write!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            HEIGHT + 31.0,
            escaped(&short(10u64.saturating_pow(decade)))
        );
    }
    let most = counts.iter().map(|c| c.2).max().unwrap_or(0).max(1);
    for (low, high, n) in counts.iter().filter(|c| c.2 > 0) {
        let (x, to) = (scale.x(*low), scale.x(*high));
        let h = (*n as f64 / most as f64 * HEIGHT).max(1.5);
        let _ = write!(
            out,
            "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{h:.1}\"><title>{}</title></rect>",
            18.0 + HEIGHT - h,
            (to - x - 0.8).max(0.8),
            escaped(&format!("{} to {}: {}", text::ns(*low), text::ns(*high), text::transfers(*n)))
        );
    }
    marks(out, d, scale);
    out.push_str("</svg>\n");
}

/// Labels that would stand on each other are left out, the smaller quantile first.
fn marks(out: &mut String, d: &Distribution, scale: Scale) {
    let all =
        [(d.quantile(0.5), "p50"), (d.quantile(0.9), "p90"), (d.quantile(0.99), "p99"), (d.max(), "max")];
    let mut free_until = f64::INFINITY;
    for (ns, name) in all.iter().rev() {
        let Some(ns) = ns else { continue };
        let x = scale.x(*ns);
        let _ = write!(
            out,
            "<path class=\"mark\" d=\"M{x:.1} 15v{:.0}\"><title>{}</title></path>",
            HEIGHT + 3.0,
            escaped(&format!("{name} {}", text::ns(*ns)))
        );
        if x + 14.0 < free_until {
            let _ =
                write!(out, "<text class=\"q\" x=\"{x:.1}\" y=\"11\" text-anchor=\"middle\">{name}</text>");
            free_until = x - 14.0;
        }
    }
}

/// Round numbers of nanoseconds, so that there are few in `span`.
pub(super) fn step(span: u64) -> u64 {
    let mut ten = 1u64;
    loop {
        for n in [1, 2, 5] {
            let step = ten.saturating_mul(n);
            if span / step <= TICKS || step == u64::MAX {
                return step;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

/// Rows that have anything, widened to whole powers of ten: the first, and the one after the last.
fn rows(heat: &Heat) -> (usize, usize) {
    let sums = heat.rows();
    let first = sums.iter().position(|n| *n > 0).unwrap_or(0) / PER_DECADE * PER_DECADE;
    let last = sums.iter().rposition(|n| *n > 0).unwrap_or(0) / PER_DECADE * PER_DECADE + PER_DECADE;
    (first, last.min(ROWS))
}

/// Time to the right, duration upwards on a logarithmic scale; the darker, the more.
pub(super) fn heat(out: &mut String, heat: &Heat, label: &str) {
    let (first, last) = rows(heat);
    let (n, height) = (heat.columns().len().max(1), last - first);
    let (_, width_ns) = heat.time();
    let _ = write!(
        out,
        "<div class=\"heat\"><svg class=\"y\" aria-hidden=\"true\">{}</svg>\
         <svg class=\"map\" viewBox=\"0 0 {n} {height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        decades(first, last),
        escaped(label)
    );
    for row in (first..last).step_by(PER_DECADE) {
        let _ = write!(out, "<path class=\"grid\" d=\"M0 {}h{n}\"/>", last - row);
    }
    for (shade, path) in shades(heat, first, last).iter().enumerate() {
        if !path.is_empty() {
            let _ = write!(out, "<path class=\"s{}\" d=\"{path}\"/>", shade + 1);
        }
    }
    out.push_str("</svg><svg class=\"x\" aria-hidden=\"true\">");
    let span = width_ns.saturating_mul(n as u64);
    let step = step(span);
    for i in 0..=span / step {
        let at = i * step;
        let anchor = if i == 0 { "start" } else { "middle" };
        #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
        let x = at as f64 / span.max(1) as f64 * 100.0;
        if x < 97.0 {
            let _ = write!(
                out,
                "<text x=\"{x:.2}%\" y=\"14\" text-anchor=\"{anchor}\">{}</text>",
                escaped(&short(at))
            );
        }
    }
    out.push_str("</svg></div>\n");
}

/// Labels of the rows, from below.
fn decades(first: usize, last: usize) -> String {
    let mut out = String::new();
    for row in (first..=last).step_by(PER_DECADE) {
        #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
        let y = (last - row) as f64 / (last - first).max(1) as f64 * 100.0;
        let shift = if row == first {
            -3
        } else if row == last {
            11
        } else {
            4
        };
        let words = if row == 0 { "0".into() } else { short(floor_of(row)) };
        let _ = write!(
            out,
            "<text x=\"100%\" dx=\"-6\" y=\"{y:.2}%\" dy=\"{shift}\" text-anchor=\"end\">{}</text>",
            escaped(&words)
        );
    }
    out
}

/// One path for each shade: counts on a logarithmic scale, so that one transfer shows beside a million.
fn shades(heat: &Heat, first: usize, last: usize) -> Vec<String> {
    let most = heat.columns().iter().flatten().copied().max().unwrap_or(1).max(1);
    let mut paths = vec![String::new(); SHADES as usize];
    for (x, column) in heat.columns().iter().enumerate() {
        for (row, count) in column.iter().enumerate().take(last).skip(first) {
            if *count == 0 {
                continue;
            }
            let share = f64::from(*count).ln_1p() / f64::from(most).ln_1p();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "one of a few shades"
            )]
            let shade = (share * f64::from(SHADES)).ceil() as usize;
            if let Some(path) = paths.get_mut(shade.clamp(1, SHADES as usize) - 1) {
                let _ = write!(path, "M{x} {}h1v1h-1z", last - 1 - row);
            }
        }
    }
    paths
}

/// What the script needs to say what is under a pointer.
pub(super) fn heat_data(heat: &Heat) -> serde_json::Value {
    let (first, last) = rows(heat);
    let (_, width) = heat.time();
    let columns: Vec<Vec<(usize, u32)>> = heat
        .columns()
        .iter()
        .map(|c| c.iter().copied().enumerate().filter(|(_, n)| *n > 0).collect())
        .collect();
    let floors: Vec<String> = (0..=ROWS).map(|row| text::ns(floor_of(row))).collect();
    serde_json::json!({ "width": width, "first": first, "last": last, "columns": columns, "floors": floors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_round_ticks() {
        assert_eq!((step(20_000_000_000), step(7), step(0)), (5_000_000_000, 1, 1));
        assert!(u64::MAX / step(u64::MAX) <= TICKS);
        assert_eq!(
            (short(2_000_000_000), short(500), short(12_500)),
            ("2 s".into(), "500 ns".into(), "12.5 µs".into())
        );
    }

    #[test]
    fn every_transfer_is_in_a_bar() {
        let mut d = Distribution::default();
        for ns in [0, 1, 999, 1_000, 1_001, 5_000_000, 4_000_000_000_000] {
            d.add(ns);
        }
        let mut out = String::new();
        distribution(&mut out, &d, Scale::over([&d].into_iter()), "gap");
        let bars: u64 =
            out.split(" transfer").filter_map(|s| s.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        assert_eq!(bars, 7, "{out}");
        // Nothing at all is still a picture.
        distribution(&mut out, &Distribution::default(), Scale::over([].into_iter()), "none");
    }
}
