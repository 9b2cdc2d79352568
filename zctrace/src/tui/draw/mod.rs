//! Draws the state. Nothing here changes it.

mod detail;
mod findings;
mod footer;
mod gap;
mod header;
mod help;
mod pagemap;
pub mod pen;
mod scrub;
mod table;
mod timeline;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use self::pen::Pen;
use super::listing::with_table;
use super::theme::to_ascii;
use super::ui::{Ui, View};
use crate::columns::{Head, Tone};

/// The smallest screen on which anything can be read.
const LEAST: (u16, u16) = (40, 10);

/// Where the parts are.
#[derive(Clone, Copy, Debug, Default)]
struct Areas {
    header: Rect,
    scrub: Rect,
    tabs: Rect,
    body: Rect,
    footer: Rect,
}

fn areas(ui: &Ui) -> Areas {
    let (width, height) = ui.size;
    let mut y = 0;
    let mut take = |lines: u16| {
        let lines = lines.min(height.saturating_sub(y));
        let area = Rect { x: 0, y, width, height: lines };
        y += lines;
        area
    };
    // On a low screen the first lines of the header have to do.
    let header = take(header::LINES.min(height / 4).max(1));
    let scrub = take(if ui.picture.cursor.is_some() { scrub::LINES } else { 0 });
    let tabs = take(1);
    let body = take(height.saturating_sub(header.height + scrub.height + tabs.height + footer::LINES));
    Areas { header, scrub, tabs, body, footer: take(footer::LINES) }
}

fn pen(ui: &Ui) -> Pen {
    Pen { theme: ui.theme }
}

/// Draws everything.
pub fn draw(ui: &Ui, frame: &mut Frame<'_>) {
    let cursor = paint(ui, frame.buffer_mut());
    if let Some(at) = cursor {
        frame.set_cursor_position(at);
    }
}

fn paint(ui: &Ui, buf: &mut Buffer) -> Option<Position> {
    let whole = buf.area;
    pen::fill(buf, whole, ui.theme.base());
    let cursor = paint_parts(ui, buf);
    if ui.setup.ascii {
        to_ascii(buf);
    }
    cursor
}

fn paint_parts(ui: &Ui, buf: &mut Buffer) -> Option<Position> {
    let pen = pen(ui);
    // The screen may have become smaller a moment ago.
    if buf.area.width < ui.size.0 || buf.area.height < ui.size.1 {
        return None;
    }
    if ui.size.0 < LEAST.0 || ui.size.1 < LEAST.1 {
        let text = format!("zctrace needs {} x {}", LEAST.0, LEAST.1);
        pen.put(
            buf,
            Rect { x: 0, y: 0, width: ui.size.0, height: ui.size.1.min(1) },
            &pen.line([(text, Tone::Warn)]),
        );
        return None;
    }
    let a = areas(ui);
    header::draw(ui, pen, a.header, buf);
    if let Some(cursor) = &ui.picture.cursor {
        scrub::draw(cursor, ui.picture.now_ns, pen, a.scrub, buf);
    }
    header::draw_tabs(ui, pen, a.tabs, buf);
    match (&ui.detail, ui.view) {
        (Some(_), _) => detail::draw(ui, pen, a.body, buf),
        (None, View::Gap) => gap::draw(ui, pen, a.body, buf),
        (None, View::Findings) => findings::draw(ui, pen, a.body, buf),
        (None, _) => table::draw(ui, pen, a.body, buf),
    }
    let cursor = footer::draw(ui, pen, a.footer, buf);
    help::draw(ui, pen, Rect { height: a.footer.y, y: 0, ..a.body }, buf);
    cursor
}

/// Rows that fit.
#[must_use]
pub fn rows_on(ui: &Ui) -> usize {
    let body = areas(ui).body.height;
    let lines = match ui.view {
        View::Gap => gap::table_lines(ui, body),
        View::Findings => findings::table_lines(body),
        _ => body,
    };
    usize::from(lines.saturating_sub(1))
}

/// Columns that fit, by number.
#[must_use]
pub fn columns_on(ui: &Ui) -> Vec<usize> {
    let heads = with_table(ui.view, ui.sockets, &ui.picture, |t| t.heads());
    table::places(&heads, ui.size.0).into_iter().map(|p| p.column).collect()
}

/// Lines of the help.
#[must_use]
pub fn help_lines(is_replay: bool) -> usize {
    help::lines(Pen { theme: super::theme::Theme::Mono }, is_replay).len()
}

/// Lines of the details that do not fit.
#[must_use]
pub fn detail_overflow(ui: &Ui) -> usize {
    detail::overflow(ui, pen(ui), areas(ui).body)
}

/// What is under the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The name of a view.
    View(View),
    /// The title of a column.
    Column(usize),
    /// A row, by its place in the order.
    Row(usize),
}

/// Which of them.
#[must_use]
pub fn under(ui: &Ui, x: u16, y: u16) -> Option<Spot> {
    let a = areas(ui);
    if y == a.tabs.y {
        return header::tabs(ui)
            .into_iter()
            .find(|(_, _, from, to)| (*from..*to).contains(&x))
            .map(|t| Spot::View(t.0));
    }
    if ui.detail.is_some() || !(a.body.y..a.footer.y).contains(&y) {
        return None;
    }
    if y == a.body.y {
        let heads = with_table(ui.view, ui.sockets, &ui.picture, |t| t.heads());
        let places = table::places(&heads, ui.size.0);
        return places
            .into_iter()
            .find(|p| (p.x..p.x + p.width).contains(&x))
            .map(|p| Spot::Column(p.column));
    }
    let line = usize::from(y - a.body.y - 1);
    let index = ui.tab().top + line;
    (line < rows_on(ui) && index < ui.order.len()).then_some(Spot::Row(index))
}

/// The selected row, or the details, as text.
#[must_use]
pub fn as_text(ui: &Ui) -> String {
    let area = Rect { x: 0, y: 0, width: 100, height: u16::MAX };
    if ui.detail.is_some() {
        return detail::as_text(ui, Pen { theme: ui.theme }, area);
    }
    let Some(row) = ui.row() else {
        return String::new();
    };
    with_table(ui.view, ui.sockets, &ui.picture, |t| {
        let heads = t.heads();
        let said = |(i, h): (usize, &&Head)| {
            let cell = t.cell(row, i);
            (cell.bar.is_none()).then(|| format!("{}: {}", h.title.to_lowercase(), cell.text))
        };
        let lines: Vec<String> = heads.iter().enumerate().filter_map(said).collect();
        lines.join("\n")
    })
}
