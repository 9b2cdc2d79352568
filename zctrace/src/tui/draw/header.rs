//! What is always visible: where this comes from, what is lent now, how long, what changed, and what is missing.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::pen::{Pen, fit, sparkline, width};
use crate::board::Picture;
use crate::columns::{Tone, age_tone};
use crate::distribution::Distribution;
use crate::model::{Mode, Verdict};
use crate::text;
use crate::tui::ui::{Ui, View};

/// Its lines.
pub const LINES: u16 = 4;

type Parts = Vec<(String, Tone)>;

fn line(pen: Pen, parts: Parts) -> Line<'static> {
    Line::from(parts.into_iter().map(|(text, tone)| pen.span(text, tone)).collect::<Vec<Span<'static>>>())
}

fn length(parts: &Parts) -> usize {
    parts.iter().map(|(text, _)| width(text)).sum()
}

fn label(parts: &mut Parts, name: &str, value: String, tone: Tone) {
    if !parts.is_empty() {
        parts.push(("  ".into(), Tone::Plain));
    }
    parts.push((format!("{name} "), Tone::Dim));
    parts.push((value, tone));
}

/// Draws it.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let p = &ui.picture;
    let rows = [top(ui, area.width), now(p), distributions(p), truth(p)];
    let right = [state(ui), Vec::new(), rate(p, area.width), Vec::new()];
    for (i, (left, right)) in rows.into_iter().zip(right).enumerate() {
        let y = u16::try_from(i).unwrap_or(0);
        if y >= area.height {
            return;
        }
        let row = Rect { y: area.y + y, height: 1, ..area };
        let room = usize::from(area.width).saturating_sub(length(&right) + 3);
        pen.put(buf, Rect { x: row.x + 1, width: u16::try_from(room).unwrap_or(0), ..row }, &line(pen, left));
        let w = u16::try_from(length(&right)).unwrap_or(0).min(row.width);
        pen.put(
            buf,
            Rect { x: (row.x + row.width).saturating_sub(w + 1), width: w, ..row },
            &line(pen, right),
        );
    }
}

fn top(ui: &Ui, columns: u16) -> Parts {
    let p = &ui.picture;
    let filters = p.info.as_ref().map_or_else(String::new, |i| i.filters.join(" "));
    let source =
        if filters.is_empty() { ui.setup.source.clone() } else { format!("{} {filters}", ui.setup.source) };
    let content = match p.info.as_ref().map(|i| i.fingerprint.mode) {
        Some(Mode::Sample) => "  fingerprints of samples",
        Some(Mode::Full) => "  full fingerprints",
        _ => "",
    };
    let kernel = match &p.info {
        Some(i) if columns > 110 => format!("  Linux {}", text::harmless(i.kernel.as_bytes())),
        _ => String::new(),
    };
    let room = usize::from(columns).saturating_sub(44).max(16);
    vec![
        ("zctrace ".into(), Tone::Title),
        (fit(&text::harmless(source.trim().as_bytes()), room), Tone::Plain),
        (format!("{content}{kernel}"), Tone::Dim),
    ]
}

fn state(ui: &Ui) -> Parts {
    let p = &ui.picture;
    let mut parts = Parts::new();
    if let Some(cpu) = ui.cpu {
        label(&mut parts, "cpu", format!("{:.1}%", cpu * 100.0), Tone::Plain);
        parts.push(("  ".into(), Tone::Plain));
    }
    let (word, tone) = match (&p.cursor, &p.ended) {
        _ if ui.paused => ("PAUSED", Tone::Warn),
        (Some(c), _) if c.seeking => ("LOADING", Tone::Warn),
        (Some(c), _) if c.speed.is_some() => ("PLAYING", Tone::Live),
        (Some(_), _) => ("REPLAY", Tone::Title),
        (None, Some(_)) => ("ENDED", Tone::Warn),
        (None, None) if p.info.is_none() => ("STARTING", Tone::Warn),
        (None, None) => ("LIVE", Tone::Good),
    };
    if p.recording.is_some() {
        parts.push(("● REC  ".into(), Tone::Bad));
    }
    parts.push((word.into(), tone));
    let start = p.cursor.as_ref().map_or(p.start_ns(), |c| c.span.0);
    parts.push((format!(" {}", clock(p.now_ns.saturating_sub(start))), Tone::Plain));
    parts
}

/// `1:02:03.4`
#[must_use]
pub fn clock(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    let tenths = ns % 1_000_000_000 / 100_000_000;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}.{tenths}") } else { format!("{m:02}:{s:02}.{tenths}") }
}

fn now(p: &Picture) -> Parts {
    let mut parts = Parts::new();
    let n = p.lent.windows;
    label(&mut parts, "open", n.to_string(), if n > 0 { Tone::Live } else { Tone::Plain });
    if p.lent.changed > 0 {
        let more = if p.unseen { "+" } else { "" };
        parts.push((format!(" ({}{more} CHANGED)", p.lent.changed), Tone::Bad));
    }
    if p.all.stats.held > 0 {
        label(&mut parts, "held", p.all.stats.held.to_string(), Tone::Warn);
    }
    let most = if p.lent_at_most { "≤" } else { "" };
    let lent = format!("{most}{} in {} pages", text::bytes(p.lent.bytes), p.lent.pages);
    label(&mut parts, "lent now", lent, Tone::Plain);
    match p.lent.oldest_ns.map(|at| p.now_ns.saturating_sub(at)) {
        Some(age) => {
            let tone = if age_tone(age) == Tone::Live { Tone::Plain } else { age_tone(age) };
            label(&mut parts, "oldest", text::ns(age), tone);
        }
        None => label(&mut parts, "oldest", "-".into(), Tone::Dim),
    }
    parts
}

fn rate(p: &Picture, columns: u16) -> Parts {
    let mut parts = Parts::new();
    let room = if columns >= 120 {
        40
    } else if columns >= 90 {
        12
    } else {
        0
    };
    let full = p.seconds.len().saturating_sub(1);
    let last = p.seconds.iter().take(full).skip(full.saturating_sub(room)).copied();
    if room > 0 {
        parts.push((sparkline(last), Tone::Live));
        parts.push((" ".into(), Tone::Plain));
    }
    let rate =
        p.rate().map_or_else(|| "-".into(), |r| if r < 10.0 { format!("{r:.1}") } else { format!("{r:.0}") });
    parts.push((rate, Tone::Title));
    parts.push((" transfers/s".into(), Tone::Dim));
    parts
}

fn distributions(p: &Picture) -> Parts {
    let mut parts = Parts::new();
    for (name, d) in [("gap", &p.all.stats.gap), ("exposure", &p.all.stats.exposure)] {
        let at = |d: &Distribution, q| d.quantile(q).map_or_else(|| "-".into(), text::ns);
        if !parts.is_empty() {
            parts.push(("   ".into(), Tone::Plain));
        }
        parts.push((format!("{name} p50 "), Tone::Dim));
        parts.push((at(d, 0.5), Tone::Plain));
        parts.push((" p99 ".into(), Tone::Dim));
        parts.push((at(d, 0.99), Tone::Plain));
    }
    parts
}

fn truth(p: &Picture) -> Parts {
    let mut parts = Parts::new();
    let s = &p.all.stats;
    let count = |n: u64, bad: Tone| if n > 0 { bad } else { Tone::Good };
    label(&mut parts, "transfers", s.transfers.to_string(), Tone::Plain);
    label(&mut parts, "mutated", s.mutated.to_string(), count(s.mutated, Tone::Bad));
    let unknown = p.verdicts(Verdict::Unknown);
    label(&mut parts, "unknown", unknown.to_string(), count(unknown, Tone::Warn));
    let lost: u64 = p.losses.values().fold(0, |a, b| a.saturating_add(*b));
    if lost > 0 {
        parts.push((format!("  LOST {lost}"), Tone::Bad));
    } else {
        label(&mut parts, "lost", "0".into(), Tone::Good);
    }
    let missing = p.info.iter().flat_map(|i| text::missing(i)).count();
    if missing > 0 {
        parts.push((format!("  {missing} probe{} MISSING", if missing == 1 { "" } else { "s" }), Tone::Bad));
    } else if p.info.is_some() {
        label(&mut parts, "probes", "ok".into(), Tone::Good);
    }
    parts
}

/// Names of the views, and where each stands: first and last column.
#[must_use]
pub fn tabs(ui: &Ui) -> Vec<(View, String, u16, u16)> {
    let mut x = 1u16;
    let mut all = Vec::new();
    for (i, view) in View::ALL.into_iter().enumerate() {
        let name = format!("{} {}", i + 1, view.name(ui.sockets));
        let w = u16::try_from(name.len()).unwrap_or(0);
        all.push((view, name, x, x + w));
        x += w + if ui.size.0 >= 90 { 3 } else { 2 };
    }
    all
}

/// Draws the names of the views.
pub fn draw_tabs(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    for (view, name, from, to) in tabs(ui) {
        if to > area.width {
            return;
        }
        let style = if view == ui.view {
            pen.theme.selected().patch(pen.theme.tone(Tone::Title))
        } else {
            pen.theme.tone(Tone::Dim)
        };
        buf.set_stringn(area.x + from, area.y, &name, usize::from(to - from), style);
    }
}
