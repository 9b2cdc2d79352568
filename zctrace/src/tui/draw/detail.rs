//! One transfer: its life to scale, which bytes are lent and which changed, what that means, and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::pagemap;
use super::pen::{Pen, cut, fit, padded, width, wrap};
use super::timeline;
use crate::board::{Item, Picture};
use crate::columns::{Tone, Waits, other_end, socket, told, verdict_of, waits_for};
use crate::engine::rules;
use crate::model::{Mutation, Outcome, Reason, Transfer, Verdict};
use crate::text;
use crate::tui::ui::Ui;

/// From so many columns on, what it means stands beside the timeline.
const WIDE: u16 = 120;
/// Changes that are listed.
const CHANGES: usize = 12;

/// What is known of a transfer and its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The transfer.
    pub item: &'a Item,
    /// The moment.
    pub p: &'a Picture,
}

impl<'a> Subject<'a> {
    /// The transfer.
    #[must_use]
    pub fn t(self) -> &'a Transfer {
        &self.item.t
    }

    /// When its window ends: at the release, or not yet. Nanoseconds.
    #[must_use]
    pub fn until(self) -> u64 {
        let t = self.t();
        let last = t.return_ns.max(t.ack_ns).max(t.notify_ns).unwrap_or(t.submit_ns);
        match t.release_ns {
            Some(release) => release.max(last),
            None if self.item.stage.is_some() || t.outcome == Outcome::Held => self.p.now_ns.max(last),
            None => last.max(t.submit_ns),
        }
    }

    /// What changed its bytes: stated, or on record so far.
    #[must_use]
    pub fn changes(self) -> Vec<&'a Mutation> {
        let stated = self.t().mutations.iter().filter_map(|id| self.p.mutation(*id).map(AsRef::as_ref));
        let mut all: Vec<&Mutation> =
            if self.item.stage.is_some() { self.item.so_far.iter().collect() } else { stated.collect() };
        all.sort_by_key(|m| m.at_ns);
        all
    }
}

/// Draws it.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let Some(detail) = &ui.detail else {
        return;
    };
    let columns = split(area);
    let docs = docs(ui, pen, &columns);
    for (column, doc) in columns.iter().zip(&docs) {
        let most = doc.len().saturating_sub(usize::from(column.height));
        let scroll = detail.scroll.min(most);
        let more = scroll < most && column.height > 1;
        let shown = column.height - u16::from(more);
        for (y, line) in (column.y..column.y + shown).zip(doc.iter().skip(scroll)) {
            pen.put(buf, Rect { y, height: 1, ..*column }, line);
        }
        if more {
            let text = format!("↓ {} more lines", most - scroll + 1);
            let last = Rect { y: column.y + shown, height: 1, ..*column };
            pen.put(buf, last, &pen.line([(text, Tone::Key)]));
        }
    }
}

/// Lines that do not fit.
#[must_use]
pub fn overflow(ui: &Ui, pen: Pen, area: Rect) -> usize {
    let columns = split(area);
    let docs = docs(ui, pen, &columns);
    columns.iter().zip(&docs).map(|(c, d)| d.len().saturating_sub(usize::from(c.height))).max().unwrap_or(0)
}

/// All of it, one line each.
#[must_use]
pub fn as_text(ui: &Ui, pen: Pen, area: Rect) -> String {
    let docs = docs(ui, pen, &split(area));
    let line = |l: &Line<'static>| l.spans.iter().map(|s| s.content.as_ref()).collect::<String>();
    docs.iter().flatten().map(|l| line(l).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn split(area: Rect) -> Vec<Rect> {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if area.width < WIDE {
        return vec![inner];
    }
    let left = inner.width / 5 * 3;
    let right = Rect { x: inner.x + left + 2, width: inner.width - left - 2, ..inner };
    vec![Rect { width: left, ..inner }, right]
}

fn docs(ui: &Ui, pen: Pen, columns: &[Rect]) -> Vec<Vec<Line<'static>>> {
    let Some(item) = ui.detail.as_ref().and_then(|d| d.item.as_ref()) else {
        return vec![vec![pen.line([("This transfer is not known any more.".into(), Tone::Dim)])]];
    };
    let s = Subject { item, p: &ui.picture };
    let w = |i: usize| columns.get(i).map_or(40, |c| usize::from(c.width));
    let mut left = title(s, pen, w(0));
    let mut right = Vec::new();
    let meaning = if columns.len() > 1 { &mut right } else { &mut left };
    verdict(s, pen, if columns.len() > 1 { w(1) } else { w(0) }, meaning);
    timeline::draw(s, pen, w(0), &mut left);
    pagemap::draw(s, pen, w(0), &mut left);
    changes(s, pen, w(0), &mut left);
    let (rest, room) = if columns.len() > 1 { (&mut right, w(1)) } else { (&mut left, w(0)) };
    advice(s, pen, room, rest);
    numbers(s, pen, room, rest);
    if columns.len() > 1 { vec![left, right] } else { vec![left] }
}

fn title(s: Subject<'_>, pen: Pen, w: usize) -> Vec<Line<'static>> {
    let t = s.t();
    let bytes = text::bytes(t.moved().unwrap_or(t.requested));
    let who = format!("{}/{}", text::harmless(&t.comm), t.pid);
    let to = t.socket.as_ref().map_or_else(|| "a pipe".into(), |s| other_end(s));
    let at = if t.file.is_some() { t.offset.to_string() } else { format!("{:#x}", t.offset) };
    let head = format!("{} {bytes} at {at}", text::api(t.api));
    let room = w.saturating_sub(width(&head) + 4 + t.id.to_string().len() + 2);
    vec![
        pen.line([
            (head, Tone::Title),
            (" of ".into(), Tone::Dim),
            (fit(&text::source(t), room), Tone::Title),
            (format!("  {}", t.id), Tone::Dim),
        ]),
        pen.line([
            ("by ".into(), Tone::Dim),
            (fit(&who, w / 3), Tone::Plain),
            (" to ".into(), Tone::Dim),
            (fit(&to, w.saturating_sub(w / 3 + 8)), Tone::Plain),
        ]),
    ]
}

fn heading(name: &str, pen: Pen, lines: &mut Vec<Line<'static>>) {
    lines.push(pen.line([(name.into(), Tone::Dim)]));
}

fn paragraph(text: &str, tone: Tone, indent: usize, w: usize, pen: Pen, lines: &mut Vec<Line<'static>>) {
    for line in wrap(text, w.saturating_sub(indent)) {
        lines.push(pen.line([(" ".repeat(indent), Tone::Plain), (line, tone)]));
    }
}

/// The verdict in a line or two.
fn verdict(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    let t = s.t();
    let (word, tone) = verdict_of(s.item);
    let mut spans: Vec<Span<'static>> = vec![pen.span(word, tone)];
    let mut add = |name: &str, value: String, tone| {
        spans.push(pen.span(format!("  {name} "), Tone::Dim));
        spans.push(pen.span(value, tone));
    };
    match (t.gap_ns(), s.item.is_open()) {
        (Some(gap), _) => add("gap", text::ns(gap), Tone::Plain),
        (None, true) => add("lent for", text::ns(s.p.now_ns.saturating_sub(t.submit_ns)), Tone::Live),
        (None, false) if s.item.stage.is_some() => {}
        (None, false) => add("outcome", text::outcome(t.outcome).into(), Tone::Warn),
    }
    match (t.exposure_ns(), told(s.item)) {
        (Some(exposure), _) => add("exposure", text::ns(exposure), Tone::Plain),
        (None, Some(told)) if s.item.is_open() => {
            add("exposed for", text::ns(s.p.now_ns.saturating_sub(told)), Tone::Live);
        }
        _ => {}
    }
    if let Some(by) = t.released_by {
        add("ended by", text::released_by(by).into(), Tone::Plain);
    }
    if let Some(content) = t.content {
        add("content", text::content(content).into(), Tone::Plain);
    }
    lines.push(Line::from(spans));
    paragraph(&sentence(s), Tone::Plain, 2, w, pen, lines);
    if !t.rules.is_empty() {
        let rules = cut(&t.rules.join(", "), w.saturating_sub(8));
        lines.push(pen.line([("  rules ".into(), Tone::Dim), (rules, Tone::Title)]));
    }
    // Of what is over, the picture comes first.
    if s.item.stage.is_some() {
        todo(s, pen, w, lines);
    }
}

fn todo(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    for (i, line) in wrap(what_to_do(s), w.saturating_sub(4)).into_iter().enumerate() {
        let arrow = if i == 0 { "  → " } else { "    " };
        lines.push(pen.line([(arrow.into(), Tone::Key), (line, Tone::Plain)]));
    }
}

/// What the verdict means, in a sentence.
fn sentence(s: Subject<'_>) -> String {
    let t = s.t();
    let n = s.changes().len().max(t.mutations.len());
    let changes = if n == 1 { "a change".into() } else { format!("{n} changes") };
    if s.item.is_open() {
        let waits = match waits_for(s.item) {
            Waits::Call => "its call has not returned",
            Waits::PipeReader => "its bytes are in a pipe that nobody has drained",
            Waits::PeerRead => "its bytes are in the queue of a UNIX socket that the peer has not read",
            Waits::FirstXmit => {
                "it has not been handed to a device: the socket's queue is full or corked, or the peer's window is closed"
            }
            Waits::Ack => "not all of it is acknowledged: the peer is slow, or packets are lost",
            Waits::Rest => {
                "parts of it are acknowledged; the others are not, or a packet or a pipe still holds them"
            }
            Waits::LastPacket => {
                "a packet still holds it: a receiver on this machine has not read it, or a device has not let go"
            }
        };
        let changed = if n == 0 {
            String::new()
        } else {
            format!(" On record: {changes} to its bytes: what is sent from then on may carry them.")
        };
        return format!("Still lent: {waits}.{changed}");
    }
    match (t.verdict, t.outcome) {
        _ if s.item.stage.is_some() => {
            "Nothing is known to hold the pages any more. Whether that is so, and whether they were changed, is being settled.".into()
        }
        (Verdict::Mutated, _) => format!("On record: {changes} to its bytes before the last of them was released. The peer could have got other bytes than those of the submit."),
        (Verdict::Clean, _) => {
            "Nobody changed its bytes while they were lent, and the evidence is complete.".into()
        }
        (Verdict::Unknown, Outcome::Held) => "Still lent when the trace ended: it could still change.".into(),
        (Verdict::Unknown, _) => "Whether its bytes changed while they were lent is not known.".into(),
    }
}

/// Rules and reasons, each with what to do.
fn advice(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    let t = s.t();
    if s.item.stage.is_none() {
        todo(s, pen, w, lines);
    }
    for name in &t.rules {
        lines.push(pen.line([("rule ".into(), Tone::Dim), ((*name).into(), Tone::Title)]));
        if let Some(rule) = rules::find(name) {
            paragraph(rule.help, Tone::Plain, 2, w, pen, lines);
        }
    }
    if s.item.stage.is_none() {
        for reason in &t.reasons {
            let (code, sentence) = text::reason(*reason);
            lines.push(pen.line([("reason ".into(), Tone::Dim), (code.into(), Tone::Warn)]));
            paragraph(sentence, Tone::Plain, 2, w, pen, lines);
        }
    }
}

fn what_to_do(s: Subject<'_>) -> &'static str {
    let t = s.t();
    if s.item.stage.is_some() {
        return match waits_for(s.item) {
            Waits::PipeReader => "Do not change these bytes. Whoever has the pipe must read it or close it.",
            Waits::Call => "Do not change these bytes: the call is still sending them.",
            _ => {
                "Do not change these bytes. `ss -tnmo` shows the socket's queues, the peer's window and its timers."
            }
        };
    }
    match (t.verdict, t.outcome) {
        (Verdict::Mutated, _) if t.memory.is_some() => {
            "Let the application wait for the notification, or for the release, before it uses that memory again."
        }
        (Verdict::Mutated, _) => {
            "Write a new file and rename() it over the old one: what is lent keeps the old pages."
        }
        (Verdict::Unknown, Outcome::Held) => "Trace longer, or look at why the peer does not read.",
        (Verdict::Unknown, _) => unsure(&t.reasons),
        (Verdict::Clean, _) => "",
    }
}

/// What would make it certain the next time.
fn unsure(reasons: &[Reason]) -> &'static str {
    let content =
        [Reason::WritableMapping, Reason::FileBusy, Reason::MemoryUnwatched, Reason::MemoryScattered];
    match reasons {
        _ if reasons.iter().all(|r| content.contains(r)) => {
            "Trace with `--fingerprint full`: it compares the content, which settles this."
        }
        _ if reasons.contains(&Reason::RecordingCut) => "Record until the trace ends in order.",
        _ if reasons.contains(&Reason::Loss) => {
            "Trace fewer senders at once (--pid, --file, --port), so that nothing is lost."
        }
        _ => "",
    }
}

fn changes(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    let t = s.t();
    let all = s.changes();
    let gone = t.mutations.len().saturating_sub(all.len());
    if gone > 0 && s.item.stage.is_none() {
        let what = if gone == 1 { "change is" } else { "changes are" };
        let text = format!("{gone} {what} not kept any more: `zctrace explain` has all");
        lines.push(pen.line([(text, Tone::Bad)]));
    }
    if all.is_empty() {
        return;
    }
    heading("changes", pen, lines);
    for m in all.iter().take(CHANGES) {
        let id = if m.id.0 == 0 { "new".into() } else { m.id.to_string() };
        let phase = m.hits.iter().find(|h| h.transfer == t.id).map(|h| format!(", {}", text::phase(h.phase)));
        let margin = match t.release_ns {
            Some(release) => format!(", {} too early", text::ns(release.saturating_sub(m.at_ns))),
            None => String::new(),
        };
        let text = format!(
            " {} {} by {}, +{}{}{margin}",
            text::mutation(m.kind),
            text::span(m.file.as_ref(), m.offset, m.len),
            text::writer(m),
            text::ns(m.at_ns.saturating_sub(t.submit_ns)),
            phase.unwrap_or_default(),
        );
        let room = w.saturating_sub(6);
        lines.push(pen.line([(padded(&id, 5, true), Tone::Dim), (fit(&text, room), Tone::Bad)]));
    }
    if all.len() > CHANGES {
        lines.push(pen.line([(format!("      and {} more", all.len() - CHANGES), Tone::Dim)]));
    }
}

fn numbers(s: Subject<'_>, pen: Pen, w: usize, lines: &mut Vec<Line<'static>>) {
    let t = s.t();
    heading("more", pen, lines);
    let mut say = |name: &str, value: String| {
        let value = fit(&value, w.saturating_sub(14));
        lines.push(pen.line([(format!("  {}", padded(name, 11, false)), Tone::Dim), (value, Tone::Plain)]));
    };
    say(
        "asked for",
        format!("{} bytes, moved {}", t.requested, t.moved().map_or_else(|| "?".into(), |n| n.to_string())),
    );
    match t.copied {
        Some(why) => say("zero-copy", format!("no: {} ({})", text::copied(why).1, text::copied(why).0)),
        None => say("zero-copy", "yes".into()),
    }
    if let Some(k) = &t.socket {
        let cookie = k.cookie.map_or_else(String::new, |c| format!(", cookie {c}"));
        say("socket", format!("{}{cookie}", socket(k)));
    }
    if let Some(by) = t.released_by {
        say("ended by", text::released_by_sentence(by).into());
    }
    say("resent", format!("{} time{}", t.retransmits, if t.retransmits == 1 { "" } else { "s" }));
    if let Some(content) = t.content {
        say("content", text::content_sentence(content).into());
    }
    if let Some(m) = &t.memory {
        say(
            "memory",
            format!(
                "{}, {} buffers{}",
                text::memory(m.kind),
                m.buffers,
                if m.registered { ", registered" } else { "" }
            ),
        );
    }
    if let Some(f) = &t.file {
        say("inode", format!("{} on {}", f.id.ino, text::dev(f.id.dev)));
    }
    say("thread", t.tid.to_string());
    if let Some(c) = &t.cgroup {
        say("cgroup", text::harmless(c.as_bytes()).into_owned());
    }
    say(
        "submitted",
        format!("{} into the trace{}", text::ns(t.submit_ns.saturating_sub(s.p.start_ns())), wall(s)),
    );
}

/// When that was by the clock on the wall.
fn wall(s: Subject<'_>) -> String {
    let real = s.p.info.as_ref().map_or(0, |i| i.start_realtime_ns);
    let at = real.saturating_add(s.t().submit_ns.saturating_sub(s.p.start_ns()));
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_nanos(at)).filter(|_| real > 0);
    time.map_or_else(String::new, |time| {
        let stamp = humantime::format_rfc3339_millis(time).to_string();
        format!(", {} UTC", stamp.get(11..23).unwrap_or_default())
    })
}
