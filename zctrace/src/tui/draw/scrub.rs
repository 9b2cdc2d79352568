//! Where a replay stands in its recording, and what happened when.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::header::clock;
use super::pen::{Pen, width};
use crate::board::picture::{Cursor, Mark};
use crate::columns::Tone;

/// Its lines.
pub const LINES: u16 = 1;

/// Draws it.
pub fn draw(cursor: &Cursor, now: u64, pen: Pen, area: Rect, buf: &mut Buffer) {
    let (start, end) = cursor.span;
    let speed = match cursor.speed {
        Some(s) if s >= 1.0 => format!(" ▶ {s:.0}x "),
        Some(s) => format!(" ▶ 1/{:.0}x ", 1.0 / s),
        None if cursor.seeking => " … ".into(),
        None => " ■ ".into(),
    };
    let left = format!("{speed}{}", clock(now.saturating_sub(start)));
    let mut right = format!("{} ", clock(end.saturating_sub(start)));
    if cursor.known < 1.0 {
        right = format!("{right}{:.0}% read ", cursor.known * 100.0);
    }
    let columns = |text: &str| u16::try_from(width(text)).unwrap_or(u16::MAX).saturating_add(1);
    let (l, r) = (columns(&left), columns(&right));
    pen.put(buf, area, &pen.line([(left, Tone::Title)]));
    if area.width < l.saturating_add(r).saturating_add(10) {
        return;
    }
    let track = area.width - l - r;
    let at = |x: u16| -> Mark {
        let n = cursor.marks.len();
        let from = usize::from(x) * n / usize::from(track);
        let to = ((usize::from(x) + 1) * n).div_ceil(usize::from(track)).min(n);
        let mut sum = Mark::default();
        for m in cursor.marks.get(from..to).unwrap_or_default() {
            sum.transfers = sum.transfers.saturating_add(m.transfers);
            sum.mutated = sum.mutated.saturating_add(m.mutated);
            sum.unknown = sum.unknown.saturating_add(m.unknown);
            sum.losses = sum.losses.saturating_add(m.losses);
        }
        sum
    };
    let here = place(now.saturating_sub(start), end.saturating_sub(start), track);
    for x in 0..track {
        let m = at(x);
        let (sign, tone) = match m {
            Mark { losses: 1.., .. } => ("×", Tone::Bad),
            Mark { mutated: 1.., .. } => ("◆", Tone::Bad),
            Mark { unknown: 1.., .. } => ("?", Tone::Warn),
            Mark { transfers: 1.., .. } => ("─", Tone::Plain),
            _ => ("·", Tone::Dim),
        };
        let (sign, style) =
            if x == here { ("┃", pen.theme.selected()) } else { (sign, pen.theme.tone(tone)) };
        buf.set_string(area.x + l + x, area.y, sign, style);
    }
    let x = area.x + l + track;
    pen.put(buf, Rect { x: x + 1, width: r, ..area }, &pen.line([(right, Tone::Dim)]));
}

/// The column of a moment.
#[must_use]
pub fn place(since: u64, whole: u64, track: u16) -> u16 {
    if whole == 0 {
        return 0;
    }
    let x = u128::from(since.min(whole)) * u128::from(track) / u128::from(whole);
    u16::try_from(x).unwrap_or(0).min(track.saturating_sub(1))
}
