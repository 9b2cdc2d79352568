//! The life of a transfer, drawn to scale: a line for each thing that happened.

use ratatui::text::Line;

use super::detail::Subject;
use super::pen::{Pen, cut, padded};
use crate::columns::Tone;
use crate::model::{Outcome, Resent, Transfer};
use crate::text;

/// Ranges that were sent again, told one by one.
const RANGES: usize = 2;
/// Changes and retransmissions that are shown.
const MOST: usize = 20;
/// Columns of the time at the left, and of the name at the right.
const TIME: usize = 9;
const NAME: usize = 11;

/// Something that happened.
struct Moment {
    at: u64,
    /// It took until then.
    until: Option<u64>,
    name: String,
    means: String,
    tone: Tone,
}

fn moments(s: Subject<'_>) -> Vec<Moment> {
    let t = s.t();
    let mut all = Vec::new();
    let mut add = |at: Option<u64>, name: &str, means: String, tone: Tone| {
        if let Some(at) = at {
            all.push(Moment { at, until: None, name: name.into(), means, tone });
        }
    };
    add(Some(t.submit_ns), "submit", "the pages are lent from now on".into(), Tone::Title);
    let moved = t.moved().map_or_else(String::new, |n| format!("{n} bytes"));
    let told = if t.api.notifies() { "" } else { ", believed done" };
    add(t.return_ns, "return", format!("{moved}{told}"), Tone::Plain);
    add(t.first_xmit_ns, "first xmit", "handed to a device".into(), Tone::Plain);
    let acked =
        if s.item.is_open() { "acknowledged, as far as it was sent" } else { "the peer has the last byte" };
    add(t.ack_ns, "ack", acked.into(), Tone::Plain);
    let notify = match t.notify_copied {
        Some(true) => "told that it is done; copied",
        _ => "told that its memory is free",
    };
    add(t.notify_ns, "notify", notify.into(), Tone::Plain);
    all.extend(resent(t));
    for m in s.changes() {
        let means = format!("{} by {}", text::span(m.file.as_ref(), m.offset, m.len), text::writer(m));
        all.push(Moment {
            at: m.at_ns,
            until: m.end_ns,
            name: text::mutation(m.kind).into(),
            means,
            tone: Tone::Bad,
        });
    }
    all.sort_by_key(|m| m.at.max(t.submit_ns));
    // Of changes and retransmissions the first ones.
    let mut room = MOST;
    let many = all.len();
    all.retain(|m| {
        let one_of_many = matches!(m.tone, Tone::Bad | Tone::Warn);
        room = room.saturating_sub(usize::from(one_of_many));
        !one_of_many || room > 0
    });
    if let Some(left_out) = Some(many - all.len()).filter(|n| *n > 0) {
        let means = format!("changes and retransmissions, {left_out} more");
        all.push(Moment { at: s.until(), until: None, name: "…".into(), means, tone: Tone::Dim });
    }
    match (t.release_ns, s.item.is_open()) {
        (Some(at), _) => {
            let by = t.released_by.map_or("", text::released_by);
            all.push(Moment {
                at,
                until: None,
                name: "release".into(),
                means: format!("{by}: not read again"),
                tone: Tone::Good,
            });
        }
        (None, true) => all.push(Moment {
            at: s.p.now_ns,
            until: None,
            name: "now".into(),
            means: "still lent".into(),
            tone: Tone::Live,
        }),
        _ if t.outcome == Outcome::Held => all.push(Moment {
            at: s.until(),
            until: None,
            name: "end".into(),
            means: "still lent when the trace ended".into(),
            tone: Tone::Warn,
        }),
        _ => {}
    }
    all
}

/// What was sent again: a line for each range, or one for all.
fn resent(t: &Transfer) -> Vec<Moment> {
    let moment = |first, last, means| Moment {
        at: first,
        until: Some(last),
        name: "resent".into(),
        means,
        tone: Tone::Warn,
    };
    if t.resent.len() > RANGES {
        let first = t.resent.iter().map(|r| r.first).min().unwrap_or_default();
        let last = t.resent.iter().map(|r| r.at).max().unwrap_or_default();
        return vec![moment(first, last, format!("{} ranges, {} times", t.resent.len(), t.retransmits))];
    }
    let one = |r: &Resent| {
        let bytes = match r.len {
            u64::MAX => "some of it".into(),
            len => text::span(t.file.as_ref(), r.off, Some(len)),
        };
        let until = text::ns(r.at.saturating_sub(t.submit_ns));
        let times = if r.times > 1 { format!(", {} times until +{until}", r.times) } else { String::new() };
        moment(r.first, r.at, format!("{bytes}{times}"))
    };
    t.resent.iter().map(one).collect()
}

/// Appends it.
pub fn draw(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    let all = moments(s);
    let (start, end) = (s.t().submit_ns, s.until());
    let track = (w.saturating_sub(TIME + NAME + 2) * 2 / 5).clamp(10, 60);
    let column = |at: u64| place(at.saturating_sub(start), end.saturating_sub(start), track);
    lines.push(pen.line([
        (padded("since submit", TIME + 3, false), Tone::Dim),
        (format!("  to scale: {} across", text::ns(end.saturating_sub(start))), Tone::Dim),
    ]));
    for m in all {
        let (from, to) = (column(m.at), column(m.until.unwrap_or(m.at)));
        let before = "─".repeat(from);
        let mark = if to > from { "━".repeat(to - from) + "●" } else { "●".into() };
        let after = " ".repeat(track.saturating_sub(from + mark.chars().count()));
        let room = w.saturating_sub(TIME + NAME + track + 3);
        lines.push(pen.line([
            (padded(&text::ns(m.at.saturating_sub(start)), TIME, true), Tone::Plain),
            (format!(" {before}"), Tone::Dim),
            (mark, m.tone),
            (format!("{after} "), Tone::Plain),
            (padded(&m.name, NAME, false), m.tone),
            (cut(&m.means, room), Tone::Plain),
        ]));
    }
}

/// The column of a moment.
fn place(since: u64, whole: u64, track: usize) -> usize {
    if whole == 0 {
        return 0;
    }
    let last = track.saturating_sub(1) as u128;
    usize::try_from(u128::from(since.min(whole)) * last / u128::from(whole)).unwrap_or(0)
}
