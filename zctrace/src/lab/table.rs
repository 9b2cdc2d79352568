//! The lab's result for a terminal of 100 columns.

use std::io::{self, Write};

use super::conclude::{Atlas, Row, Share};
use super::judge::Done;
use super::words;
use crate::sink::Style;
use crate::text;

/// Lines of what is not known.
const UNKNOWN: usize = 20;

/// Writes it.
///
/// # Errors
/// When it cannot be written.
pub fn table(to: &mut impl Write, atlas: &Atlas, style: impl Into<Style>) -> io::Result<()> {
    let style = style.into();
    let head = line(["", "", "", "really safe:", "", "exposure", "change after"]);
    writeln!(to, "{}", style.bold(&head))?;
    let head = line(["bytes in", "over", "pages", "a receiver that stalls", "median", "max", "done arrived"]);
    writeln!(to, "{}", style.bold(&head))?;
    let mut api = None;
    let mut said = Vec::new();
    for row in &atlas.rows {
        if api != Some(row.api) {
            api = Some(row.api);
            said.clear();
            title(to, row, style)?;
        }
        one(to, row, style)?;
        // What holds for several rows is said once.
        for note in words::notes(row) {
            if !said.contains(&note) {
                writeln!(to, "      {note}")?;
                said.push(note);
            }
        }
    }
    writeln!(to)?;
    let (wrong, unknown) = words::doubts(atlas);
    for sentence in words::totals(atlas) {
        let bad = !wrong.is_empty() && sentence.starts_with("THE TRACE");
        writeln!(to, "{}", if bad { style.red(&sentence) } else { sentence })?;
        if bad {
            for what in &wrong {
                writeln!(to, "  {}", style.red(what))?;
            }
        }
    }
    for what in unknown.iter().take(UNKNOWN) {
        writeln!(to, "  {what}")?;
    }
    if unknown.len() > UNKNOWN {
        writeln!(to, "  and {} more", unknown.len() - UNKNOWN)?;
    }
    Ok(())
}

fn line(columns: [&str; 7]) -> String {
    let [memory, over, pages, safe, median, max, arrived] = columns;
    format!("  {memory:<17} {over:<17} {pages:<6} {safe:<25} {median:>7} {max:>7} {arrived}")
        .trim_end()
        .to_owned()
}

fn title(to: &mut impl Write, row: &Row, style: Style) -> io::Result<()> {
    let done = match row.conclusion.done {
        Done::Return => "done at return",
        Done::Notify => "done at the notification",
        Done::Complete => "done at its completion",
    };
    let took = row.took_ns.map_or_else(String::new, |ns| format!(", after {}", text::ns(ns)));
    writeln!(to, "{}  {done}{took}", style.bold(row.api.name()))
}

fn one(to: &mut impl Write, row: &Row, style: Style) -> io::Result<()> {
    let c = &row.conclusion;
    let (memory, over) = (words::memory(row), words::transports(&row.transports));
    if c.skipped.is_some() {
        writeln!(to, "{}", line([&memory, &over, "-", "-", "-", "-", "-"]))?;
    } else {
        let safe = words::really_safe(c);
        let at_done = c.is_safe_at_done();
        let (median, max) =
            (words::time(row.exposure_ns.map(|e| e.0)), words::time(row.exposure_ns.map(|e| e.1)));
        let left = line([&memory, &over, words::pages(c.pages), "", "", "", ""]);
        let middle = format!("{safe:<25}");
        let right = format!("{median:>7} {max:>7}");
        let arrived = words::reached(&row.after, c.after);
        let arrived = match c.after {
            Share::Some | Share::All => style.red(&arrived),
            Share::None if at_done => style.green(&arrived),
            _ => arrived,
        };
        let middle = if at_done { style.green(&middle) } else { middle };
        writeln!(to, "{left:<44} {middle} {right} {arrived}")?;
    }
    Ok(())
}
