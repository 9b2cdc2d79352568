//! The bytes of a transfer as a map of pages: lent, free again, changed.

use ratatui::text::{Line, Span};

use super::detail::Subject;
use super::pen::Pen;
use crate::board::picture::pages;
use crate::columns::Tone;
use crate::model::{Outcome, Verdict};
use crate::text;

const PAGE: u64 = 4096;
/// Lines of the map at most.
const LINES: usize = 4;

/// What is known of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not lent any more, and no change to it is on record.
    Free,
    Lent,
    /// Its release was not seen.
    Unsure,
    Changed,
    LentAndChanged,
}

impl State {
    fn sign(self) -> (&'static str, Tone) {
        match self {
            Self::Free => ("░", Tone::Dim),
            Self::Lent => ("█", Tone::Live),
            Self::Unsure => ("▒", Tone::Warn),
            Self::Changed => ("◆", Tone::Bad),
            Self::LentAndChanged => ("▓", Tone::Bad),
        }
    }
}

/// What can be said of pages that are not lent and have no change on record.
fn rest(s: Subject<'_>) -> &'static str {
    let t = s.t();
    let all_known = s.changes().len() >= t.mutations.len();
    match t.verdict {
        _ if s.item.is_open() => "free again",
        Verdict::Clean if s.item.stage.is_none() => "unchanged",
        Verdict::Mutated if all_known && t.reasons.is_empty() && s.item.stage.is_none() => "unchanged",
        _ => "no change on record",
    }
}

/// Whether any of the ranges overlaps.
fn any(ranges: &[(u64, u64)], from: u64, to: u64) -> bool {
    ranges.iter().any(|(off, len)| *off < to && off.saturating_add(*len) > from)
}

/// Appends it.
pub fn draw(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    let t = s.t();
    let bytes = t.moved().unwrap_or(t.requested);
    let count = pages(t.offset, bytes);
    if count == 0 {
        return;
    }
    let all = vec![(t.offset, bytes)];
    let focus = s.p.focus.as_ref().filter(|f| f.id == t.id);
    let lent = match (s.item.is_open(), focus) {
        (true, Some(f)) => f.lent.clone().unwrap_or_else(|| all.clone()),
        (true, None) => all.clone(),
        // What was not seen to be released may be lent.
        (false, _) if t.release_ns.is_none() => all.clone(),
        (false, _) => Vec::new(),
    };
    let held = if s.item.is_open() || t.outcome == Outcome::Held && s.item.stage.is_none() {
        State::Lent
    } else {
        State::Unsure
    };
    let changed: Vec<(u64, u64)> =
        s.changes().iter().map(|m| (m.offset, m.len.unwrap_or(u64::MAX))).collect();
    let room = (w.saturating_sub(2).max(8) * LINES) as u64;
    let per_cell = count.div_ceil(room).max(1);
    let first = t.offset / PAGE;
    let end = t.offset.saturating_add(bytes);
    let state = |cell: u64| {
        let from = first.saturating_add(cell * per_cell).saturating_mul(PAGE).max(t.offset);
        let to = first.saturating_add((cell + 1) * per_cell).saturating_mul(PAGE).min(end);
        match (any(&lent, from, to), any(&changed, from, to)) {
            (true, true) => State::LentAndChanged,
            (false, true) => State::Changed,
            (true, false) => held,
            (false, false) => State::Free,
        }
    };
    let cells: Vec<State> = (0..count.div_ceil(per_cell)).map(state).collect();
    let still = lent.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len));
    let scale = if per_cell == 1 { String::new() } else { format!(", {per_cell} a sign") };
    let mut legend =
        vec![pen.span(format!("{count} page{}{scale} ", if count == 1 { "" } else { "s" }), Tone::Dim)];
    if s.item.is_open() && still < bytes {
        legend.push(pen.span(format!(" {} still lent ", text::bytes(still)), Tone::Live));
    }
    for (state, name) in [
        (State::Lent, "lent"),
        (State::LentAndChanged, "lent and changed"),
        (State::Changed, "changed"),
        (State::Unsure, "may be lent"),
        (State::Free, rest(s)),
    ] {
        if cells.contains(&state) {
            let (sign, tone) = state.sign();
            legend.push(pen.span(format!(" {sign} "), tone));
            legend.push(pen.span(format!("{name} "), Tone::Dim));
        }
    }
    lines.push(Line::from(legend));
    for row in cells.chunks(w.saturating_sub(2).max(8)) {
        // Signs alike are one piece.
        let mut spans: Vec<Span<'static>> = vec![pen.span("  ", Tone::Plain)];
        for run in row.chunk_by(|a, b| a == b) {
            if let Some(state) = run.first() {
                let (sign, tone) = state.sign();
                spans.push(pen.span(sign.repeat(run.len()), tone));
            }
        }
        lines.push(Line::from(spans));
    }
}
