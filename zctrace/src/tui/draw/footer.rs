//! The last two lines: what is asked for or was done, and the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::pen::{Pen, cut, width};
use crate::board::filter::Filter;
use crate::columns::Tone;
use crate::text;
use crate::tui::keymap::{self, name};
use crate::tui::listing::with_table;
use crate::tui::ui::{Prompt, Question, Ui, View};

/// Its lines.
pub const LINES: u16 = 2;

/// Draws it; answers where the text cursor stands.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) -> Option<Position> {
    let first = Rect { height: 1, ..area };
    let cursor = match &ui.prompt {
        Some(prompt) => ask(prompt, pen, first, buf),
        None => {
            status(ui, pen, first, buf);
            None
        }
    };
    if area.height > 1 {
        let second = Rect { y: area.y + 1, height: 1, ..area };
        match &ui.prompt {
            Some(prompt) => hint(prompt, pen, second, buf),
            None => keys(ui, pen, second, buf),
        }
    }
    cursor
}

#[expect(clippy::cast_possible_truncation, reason = "columns of a screen")]
fn ask(prompt: &Prompt, pen: Pen, area: Rect, buf: &mut Buffer) -> Option<Position> {
    let label = match prompt.question {
        Question::Filter => " / ",
        Question::Export => " write the listed transfers to: ",
        Question::Record => " record to: ",
    };
    let room = usize::from(area.width).saturating_sub(label.len() + 1);
    let scroll = prompt.input.visual_scroll(room);
    let shown: String = prompt.input.value().chars().skip(scroll).collect();
    let line = pen.line([(label.into(), Tone::Key), (shown, Tone::Plain)]);
    pen.put(buf, area, &line);
    let x = area.x + label.len() as u16 + prompt.input.visual_cursor().saturating_sub(scroll) as u16;
    Some(Position { x: x.min(area.x + area.width.saturating_sub(1)), y: area.y })
}

/// What is wrong with it, or what could be written.
fn hint(prompt: &Prompt, pen: Pen, area: Rect, buf: &mut Buffer) {
    let (text, tone) = match (&prompt.error, prompt.question) {
        (Some(error), _) => (error.as_str(), Tone::Bad),
        (None, Question::Filter) => {
            ("video  comm:nginx  gap>10ms  verdict:mutated  state:open  !port:443", Tone::Dim)
        }
        (None, Question::Export) => ("Enter writes JSON lines, Esc does not", Tone::Dim),
        (None, Question::Record) => {
            ("Enter attaches a second set of probes and records, Esc does not", Tone::Dim)
        }
    };
    pen.put(buf, area, &pen.line([(format!(" {text}"), tone)]));
}

fn status(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let mut spans: Vec<Span<'static>> = Vec::new();
    let tab = ui.tab();
    let p = &ui.picture;
    if let Some(status) = &ui.status {
        spans.push(pen.span(format!(" {}", status.text), status.tone));
        pen.put(buf, area, &Line::from(spans));
        return;
    }
    // What must not be overlooked has the right end.
    let problem = p.cursor.as_ref().and_then(|c| c.problem.as_deref());
    let notice = match (&p.recording, problem, &p.ended) {
        (Some(what), ..) => Some((format!("recording {what} "), Tone::Bad)),
        (None, Some(problem), _) => Some((format!("{} ", text::harmless(problem.as_bytes())), Tone::Bad)),
        (None, None, Some(why)) => Some((format!("{why} "), Tone::Warn)),
        _ => None,
    };
    let mut room = usize::from(area.width);
    if let Some((text, tone)) = notice {
        let text = cut(&text, room / 2);
        let w = u16::try_from(width(&text)).unwrap_or(0);
        room -= usize::from(w);
        pen.put(buf, Rect { x: area.x + area.width - w, width: w, ..area }, &pen.line([(text, tone)]));
    }
    let area = Rect { width: u16::try_from(room).unwrap_or(0), ..area };
    if ui.detail.is_some() {
        spans.push(pen.span(" Esc goes back", Tone::Dim));
    } else {
        if !tab.filter.is_empty() {
            spans.push(pen.span(" / ", Tone::Key));
            spans.push(pen.span(cut(tab.filter.text(), room / 3), Tone::Title));
        }
        let left = room.saturating_sub(spans.iter().map(|s| width(&s.content)).sum::<usize>() + 1);
        spans.push(pen.span(format!(" {}", cut(&counts(ui, &tab.filter), left)), Tone::Dim));
    }
    pen.put(buf, area, &Line::from(spans));
}

/// How many rows there are, and how many are not kept.
fn counts(ui: &Ui, filter: &Filter) -> String {
    let all = with_table(ui.view, ui.sockets, &ui.picture, |t| t.len());
    let n = ui.order.len();
    let mut text = if n == 0 { "no rows".into() } else { format!("row {} of {n}", ui.tab().index + 1) };
    if ui.tab().selected.is_none() && n > 0 {
        text.push_str(", follows the first");
    }
    if !filter.is_empty() {
        text.push_str(&format!(", {all} without the filter"));
    }
    let p = &ui.picture;
    let forgotten = |i: usize| p.forgotten.get(i).copied().unwrap_or(0);
    let gone = match ui.view {
        View::Transfers => p.all.stats.transfers.saturating_sub(p.closed.len() as u64),
        View::Mutations => p.mutations_gone,
        View::Files => forgotten(0),
        View::Peers => forgotten(if ui.sockets { 2 } else { 1 }),
        View::Processes => forgotten(3),
        View::Gap | View::Findings => 0,
    };
    if gone > 0 {
        text.push_str(&format!(", {gone} older ones not kept"));
    }
    if ui.view == View::Transfers && p.open_hidden > 0 {
        text.push_str(&format!(", {} younger open ones not listed", p.open_hidden));
    }
    text
}

fn keys(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let shown: Vec<(String, &str)> = keymap::bindings(ui.setup.is_replay)
        .filter(|b| !b.short.is_empty())
        .filter_map(|b| Some((name(*b.keys.first()?), b.short)))
        .collect();
    // How to learn the others has a place in any case.
    let (last, first): (Vec<_>, Vec<_>) =
        shown.into_iter().partition(|(_, what)| ["help", "quit"].contains(what));
    let long = |(key, what): &(String, &str)| width(key) + what.len() + 4;
    let mut room = usize::from(area.width).saturating_sub(last.iter().map(long).sum());
    let fitting = first.into_iter().take_while(|one| {
        let fits = long(one) <= room;
        room = room.saturating_sub(long(one));
        fits
    });
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (key, what) in fitting.chain(last) {
        spans.push(pen.span(format!(" {key}"), Tone::Key));
        spans.push(pen.span(format!(" {what}  "), Tone::Dim));
    }
    pen.put(buf, area, &Line::from(spans));
}
