//! Rows under their titles: the columns that have room, the most important first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::pen::{self, Pen, bar, cut, padded};
use crate::columns::{Head, Tone};
use crate::tui::listing::{Table, with_table};
use crate::tui::ui::Ui;

/// A column that has a place: which, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub column: usize,
    /// Where it begins.
    pub x: u16,
    /// Columns.
    pub width: u16,
}

/// Which columns fit, and where.
#[must_use]
pub fn places(heads: &[&Head], width: u16) -> Vec<Place> {
    let mut ranked: Vec<(usize, &Head)> = heads.iter().copied().enumerate().collect();
    ranked.sort_by_key(|(i, h)| (h.rank, *i));
    let mut used = 1u16;
    let mut chosen = Vec::new();
    for (i, head) in ranked {
        if used + head.width + 1 > width && !chosen.is_empty() {
            break;
        }
        used += head.width + 1;
        chosen.push((i, head));
    }
    chosen.sort_by_key(|(i, _)| *i);
    let shares: u16 = chosen.iter().map(|(_, h)| h.flex).sum();
    let spare = width.saturating_sub(used);
    let mut x = 1;
    let mut places = Vec::new();
    for (column, head) in chosen {
        let more = if shares == 0 {
            0
        } else {
            u16::try_from(u32::from(spare) * u32::from(head.flex) / u32::from(shares)).unwrap_or(0)
        };
        places.push(Place { column, x, width: (head.width + more).min(width.saturating_sub(x)) });
        x += head.width + more + 1;
    }
    places
}

/// Draws titles and rows.
pub fn draw(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer) {
    with_table(ui.view, ui.sockets, &ui.picture, |table| {
        let heads = table.heads();
        let places = places(&heads, area.width);
        titles(ui, pen, area, buf, &heads, &places);
        let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        draw_rows(ui, pen, rows, buf, table, &places);
    });
}

fn titles(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer, heads: &[&Head], places: &[Place]) {
    let tab = ui.tab();
    for place in places {
        let Some(head) = heads.get(place.column) else { continue };
        let sorted = tab.sort == Some(place.column);
        let down = head.right != tab.inverted;
        let mark = if !sorted {
            ""
        } else if down {
            "▼"
        } else {
            "▲"
        };
        let text = format!("{mark}{}", head.title);
        let mut style = pen.theme.tone(if sorted { Tone::Title } else { Tone::Dim });
        if tab.column == place.column {
            style = style.add_modifier(Modifier::UNDERLINED).remove_modifier(Modifier::DIM);
        }
        let width = usize::from(place.width);
        let text =
            if pen::width(&text) > width { cut(&text, width) } else { padded(&text, width, head.right) };
        buf.set_stringn(area.x + place.x, area.y, text, usize::from(place.width), style);
    }
}

fn draw_rows(ui: &Ui, pen: Pen, area: Rect, buf: &mut Buffer, table: &dyn Table, places: &[Place]) {
    let tab = ui.tab();
    let heads = table.heads();
    let shown = ui.order.iter().enumerate().skip(tab.top).take(usize::from(area.height));
    for (y, (index, row)) in (area.y..).zip(shown) {
        let selected = index == tab.index;
        for place in places {
            let right = heads.get(place.column).is_some_and(|h| h.right);
            let cell = table.cell(*row, place.column);
            let width = usize::from(place.width);
            let text = match cell.bar {
                Some(share) => padded(&bar(share, width), width, false),
                None if cell.prose => cut(&cell.text, width),
                None => padded(&cell.text, width, right),
            };
            buf.set_stringn(area.x + place.x, y, text, width, pen.theme.tone(cell.tone));
        }
        if selected {
            let line = Rect { y, height: 1, ..area };
            buf.set_style(line, pen.theme.selected());
            if let Some(place) = places.iter().find(|p| p.column == tab.column) {
                let cell = Rect { x: area.x + place.x, width: place.width, ..line };
                buf.set_style(
                    cell,
                    ratatui::style::Style::new().add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
                );
            }
        }
    }
    if ui.order.is_empty() {
        let text = empty(ui, table);
        pen.put(
            buf,
            Rect {
                x: area.x + 2,
                y: area.y + area.height.min(2),
                height: area.height.min(1),
                width: area.width.saturating_sub(2),
            },
            &pen.line([(text, Tone::Dim)]),
        );
    }
}

/// Why there is nothing.
fn empty(ui: &Ui, table: &dyn Table) -> String {
    let filter = &ui.tab().filter;
    if !table.is_empty() {
        return format!("none of {} rows passes the filter  {}   Esc clears it", table.len(), filter.text());
    }
    if ui.picture.info.is_none() && ui.picture.cursor.is_none() {
        return "attaching probes …".into();
    }
    match ui.view {
        crate::tui::ui::View::Mutations => "no change to lent bytes has been seen".into(),
        _ if ui.picture.info.as_ref().is_some_and(|i| !i.filters.is_empty() && ui.picture.cursor.is_none()) => {
            "nothing that passes the options has been seen yet: no sendfile(), splice(), vmsplice(), MSG_ZEROCOPY, io_uring".into()
        }
        _ if ui.picture.cursor.is_some() => "nothing has happened yet: Space plays, } goes to the end".into(),
        _ => "nothing that lends pages has been seen yet: sendfile(), splice(), vmsplice(), MSG_ZEROCOPY, io_uring".into(),
    }
}
