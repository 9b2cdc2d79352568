//! How long pages are lent: numbers per interface, and of the selected one a map over time and a histogram.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::header::clock;
use super::pen::{Pen, bar, padded};
use super::table;
use crate::board::heat::{Heat, ROWS, floor_of};
use crate::columns::{Tone, interfaces};
use crate::text;
use crate::tui::ui::Ui;

/// Columns of the scale at the left.
const SCALE: u16 = 9;

/// Lines of the table above the map.
#[must_use]
pub fn table_lines(ui: &Ui, body: u16) -> u16 {
    let rows = u16::try_from(ui.picture.apis.len() + 2).unwrap_or(u16::MAX);
    rows.min((body / 2).max(2))
}

/// Draws all of it.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let lines = table_lines(ui, area.height);
    table::draw(ui, pen, Rect { height: lines, ..area }, buf);
    let rest = Rect { y: area.y + lines, height: area.height - lines, ..area };
    let all = interfaces(&ui.picture);
    let Some(chosen) = ui.row().and_then(|row| all.get(row)) else {
        return;
    };
    let heat = if ui.exposures { &chosen.stats.exposures } else { &chosen.stats.gaps };
    let what = if ui.exposures { "exposure" } else { "gap" };
    let name = chosen.api.map_or("all interfaces", text::api);
    let other = if ui.exposures { "gap" } else { "exposure" };
    let title = pen.line([
        (format!(" {what} of {name}"), Tone::Title),
        ("  over time, the longest at the top; x: ".into(), Tone::Dim),
        (other.into(), Tone::Dim),
    ]);
    if rest.height > 0 {
        pen.put(buf, rest, &title);
    }
    let map = Rect { y: rest.y + 1, height: rest.height.saturating_sub(1), ..rest };
    draw_heat(heat, ui, pen, map, buf);
}

/// Rows of the map that have something, lowest and one past the highest.
fn used(rows: &[u64; ROWS]) -> Option<(usize, usize)> {
    let first = rows.iter().position(|n| *n > 0)?;
    let last = rows.iter().rposition(|n| *n > 0)?;
    Some((first, last + 1))
}

fn draw_heat(heat: &Heat, ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let totals = heat.rows();
    let Some((low, high)) = used(&totals) else {
        if area.height > 1 {
            pen.put(
                buf,
                Rect { x: area.x + 2, y: area.y + 1, height: 1, width: area.width.saturating_sub(2) },
                &pen.line([("no transfer has been released yet".into(), Tone::Dim)]),
            );
        }
        return;
    };
    if area.height < 3 || area.width < 30 {
        return;
    }
    let lines = usize::from(area.height - 1);
    let per_line = (high - low).div_ceil(lines).max(1);
    let count = (high - low).div_ceil(per_line);
    let histogram = (area.width / 3).clamp(16, 44);
    let width = area.width - SCALE - histogram - 2;
    let columns = heat.columns();
    let (start, step) = heat.time();
    let cells = |x: u16| {
        let from = usize::from(x) * columns.len() / usize::from(width);
        let to = ((usize::from(x) + 1) * columns.len()).div_ceil(usize::from(width));
        columns.get(from..to.max(from + 1).min(columns.len())).unwrap_or_default()
    };
    let sum = |x: u16, rows: std::ops::Range<usize>| -> u64 {
        cells(x).iter().flat_map(|c| c.get(rows.clone()).unwrap_or_default()).map(|n| u64::from(*n)).sum()
    };
    let of_line = |line: usize| {
        let top = high - line * per_line;
        top.saturating_sub(per_line).max(low)..top
    };
    let most = (0..count)
        .flat_map(|l| (0..width).map(move |x| (l, x)))
        .map(|(l, x)| sum(x, of_line(l)))
        .max()
        .unwrap_or(1)
        .max(1);
    let row_total = |line: usize| -> u64 { totals.get(of_line(line)).unwrap_or_default().iter().sum() };
    let most_row = (0..count).map(row_total).max().unwrap_or(1).max(1);
    for line in 0..count {
        let y = area.y + u16::try_from(line).unwrap_or(0);
        let rows = of_line(line);
        let scale = padded(
            &format!(
                "{}{}",
                if rows.start == 0 { "<" } else { "≥" },
                if rows.start == 0 { text::ns(floor_of(1)) } else { text::ns(floor_of(rows.start)) }
            ),
            usize::from(SCALE) - 1,
            true,
        );
        buf.set_string(area.x, y, scale, pen.theme.tone(Tone::Dim));
        for x in 0..width {
            let n = sum(x, rows.clone());
            if n == 0 {
                continue;
            }
            let share = share(n, most);
            let sign = if share > 0.75 {
                "█"
            } else if share > 0.5 {
                "▓"
            } else if share > 0.25 {
                "▒"
            } else {
                "░"
            };
            buf.set_string(area.x + SCALE + x, y, sign, pen.theme.heat(share));
        }
        let total = row_total(line);
        let text = bar(share_linear(total, most_row), usize::from(histogram) - 10);
        let x = area.x + SCALE + width + 1;
        buf.set_string(x, y, "│", pen.theme.tone(Tone::Dim));
        buf.set_string(x + 1, y, text, pen.theme.tone(Tone::Live));
        if total > 0 {
            buf.set_string(
                x + histogram - 9,
                y,
                padded(&total.to_string(), 9, true),
                pen.theme.tone(Tone::Plain),
            );
        }
    }
    let y = area.y + u16::try_from(count).unwrap_or(0);
    if y < area.y + area.height {
        let begin = start.saturating_sub(ui.picture.start_ns());
        let end = begin.saturating_add(step.saturating_mul(columns.len() as u64));
        let (from, to) = (clock(begin), clock(end));
        buf.set_string(area.x + SCALE, y, &from, pen.theme.tone(Tone::Dim));
        let w = u16::try_from(to.len()).unwrap_or(0);
        if width > w * 2 {
            buf.set_string(area.x + SCALE + width - w, y, to, pen.theme.tone(Tone::Dim));
        }
        let how = "transfers";
        buf.set_string(area.x + SCALE + width + 1 + histogram - 9, y, how, pen.theme.tone(Tone::Dim));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a shade")]
fn share(n: u64, most: u64) -> f64 {
    (n as f64).ln_1p() / (most as f64).ln_1p()
}

#[expect(clippy::cast_precision_loss, reason = "a bar")]
fn share_linear(n: u64, most: u64) -> f64 {
    n as f64 / most as f64
}
