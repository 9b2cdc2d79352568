//! What is worth knowing, and of the selected one all of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::pen::{Pen, wrap};
use super::table;
use crate::columns::{Tone, findings};
use crate::tui::ui::Ui;

/// Lines of the table above the text.
#[must_use]
pub fn table_lines(body: u16) -> u16 {
    body.saturating_sub((body / 3).min(8))
}

/// Draws both.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    let lines = table_lines(area.height);
    table::draw(ui, pen, Rect { height: lines, ..area }, buf);
    let all = findings(&ui.picture);
    let Some(chosen) = ui.row().and_then(|row| all.get(row)) else {
        return;
    };
    let rest = Rect {
        x: area.x + 1,
        y: area.y + lines,
        width: area.width.saturating_sub(2),
        height: area.height - lines,
    };
    let mut text = vec![pen.line([(format!("{} {}", chosen.kind, chosen.name), chosen.tone)])];
    for line in wrap(&chosen.means, usize::from(rest.width)) {
        text.push(pen.line([(line, Tone::Plain)]));
    }
    for (y, line) in (rest.y..rest.y + rest.height).zip(&text) {
        pen.put(buf, Rect { y, height: 1, ..rest }, line);
    }
}
