//! Help, made of the table of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Widget as _};

use super::pen::{Pen, padded};
use crate::board::filter::FIELDS;
use crate::columns::Tone;
use crate::tui::keymap::{KEYMAP, When, name};
use crate::tui::ui::Ui;

/// What the words mean.
const WORDS: &[(&str, &str)] = &[
    ("transfer", "one operation that lends pages to a socket or pipe"),
    ("window", "from submit to release: while it is open the bytes must not change"),
    ("release", "the kernel will not read the pages again, retransmission included"),
    ("gap", "release - submit"),
    ("exposure", "release - the moment the application was told that it is done"),
    ("MUTATED", "bytes changed before the last of them was released: the peer may have got other bytes"),
    ("unknown", "a change could have gone unseen; the details say why"),
    ("CHANGED", "still lent, and somebody has changed bytes of it already (filter: changed:yes)"),
    ("closing", "it seems to be over; what can be said of it is known a moment later"),
];

/// All lines.
#[must_use]
pub fn lines(pen: Pen, is_replay: bool) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for section in KEYMAP {
        lines.push(pen.line([(section.title.into(), Tone::Title)]));
        for b in section.keys {
            if matches!((b.when, is_replay), (When::Live, true) | (When::Replay, false)) {
                continue;
            }
            let keys: Vec<String> = b.keys.iter().map(|k| name(*k)).collect();
            lines.push(pen.line([
                (format!("  {}", padded(&keys.join(" "), 14, false)), Tone::Key),
                (b.help.into(), Tone::Plain),
            ]));
        }
        lines.push(Line::default());
    }
    lines.push(pen.line([("Words".into(), Tone::Title)]));
    for (word, meaning) in WORDS {
        lines.push(
            pen.line([
                (format!("  {}", padded(word, 14, false)), Tone::Key),
                ((*meaning).into(), Tone::Plain),
            ]),
        );
    }
    lines.push(Line::default());
    lines.push(pen.line([
        ("Filters".into(), Tone::Title),
        ("  words that all must hold; ! before one turns it round".into(), Tone::Dim),
    ]));
    for f in FIELDS {
        lines.push(pen.line([
            (format!("  {}", padded(f.example, 24, false)), Tone::Key),
            (f.meaning.into(), Tone::Plain),
        ]));
    }
    lines
}

/// Draws it over what is there.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let Some(scroll) = ui.help else {
        return;
    };
    let width = area.width.min(96);
    let frame = Rect { x: area.x + (area.width - width) / 2, width, ..area };
    Clear.render(frame, buf);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .title(" Help: ↑ ↓ scroll, ? or Esc closes ")
        .style(pen.theme.base());
    let inner = block.inner(frame);
    block.render(frame, buf);
    let lines = lines(pen, ui.setup.is_replay);
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, line) in (inner.y..inner.y + inner.height).zip(lines.iter().skip(scroll)) {
        pen.put(buf, Rect { x: inner.x + 1, y, height: 1, width: inner.width.saturating_sub(2) }, line);
    }
}
