//! The lab's result as one page that needs nothing else: a map, the conclusions, every cell.

use std::fmt::Write as _;

use super::conclude::{Atlas, Row, Share};
use super::judge::{Judged, Safe};
use super::{Api, Receiver, words};
use crate::html::{self, Head, escaped};
use crate::text;

const CSS: &str = include_str!("page.css");

/// The page.
#[must_use]
pub fn page(atlas: &Atlas) -> String {
    let kernel = escaped(&atlas.kernel);
    let mut out = format!(
        "<h1>When may the bytes be changed?</h1>\n\
         <p class=\"lead\">Every zero-copy API of Linux {kernel}, tried for real and traced by {}. \
         \u{201c}Done\u{201d} is what the API says; \u{201c}really safe\u{201d} is when nothing reads the bytes again.</p>\n",
        escaped(&atlas.tool)
    );
    sentences(&mut out, atlas);
    map(&mut out, atlas);
    conclusions(&mut out, atlas);
    cells(&mut out, atlas);
    html::page(&format!("zctrace lab: Linux {}", atlas.kernel), CSS, &out, "")
}

fn sentences(out: &mut String, atlas: &Atlas) {
    out.push_str("<ul class=\"totals\">\n");
    for sentence in words::totals(atlas) {
        let _ = writeln!(out, "<li>{}</li>", escaped(&sentence));
    }
    out.push_str("</ul>\n");
    let (wrong, unknown) = words::doubts(atlas);
    for (class, title, lines) in [("bad", "Contradictions", wrong), ("doubt", "To look into", unknown)] {
        if !lines.is_empty() {
            let _ = write!(out, "<details class=\"{class}\"><summary>{title}: {}</summary><ul>", lines.len());
            for line in lines {
                let _ = write!(out, "<li>{}</li>", escaped(&line));
            }
            out.push_str("</ul></details>\n");
        }
    }
}

/// API by receiver.
fn map(out: &mut String, atlas: &Atlas) {
    out.push_str(
        "<h2>Map</h2>\n<p class=\"key\"><span class=\"tile safe\">safe at done</span> \
         <span class=\"tile later\">still lent, nothing arrived</span> \
         <span class=\"tile arrived\">a change after done reached the peer</span></p>\n\
         <div class=\"wide\"><table class=\"map\">\n<thead><tr><th>API</th>",
    );
    for receiver in Receiver::ALL {
        let _ = write!(out, "<th>{receiver}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for api in Api::ALL {
        let own: Vec<&Judged> = atlas.cells.iter().filter(|c| c.cell().api == *api && c.played()).collect();
        if own.is_empty() {
            continue;
        }
        let _ = write!(out, "<tr><th>{api}</th>");
        for receiver in Receiver::ALL {
            let here: Vec<&Judged> = own.iter().copied().filter(|c| c.cell().receiver == *receiver).collect();
            tile(out, &here);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn tile(out: &mut String, cells: &[&Judged]) {
    if cells.is_empty() {
        out.push_str("<td class=\"tile\">\u{2013}</td>");
        return;
    }
    let arrived = cells.iter().filter(|c| c.reached()).count();
    let changed = cells.iter().filter(|c| c.changed_after_done()).count();
    let later = cells.iter().filter(|c| c.safe() != Safe::Done).count();
    let longest = cells.iter().filter_map(|c| c.exposure_ns()).max();
    let longest = longest.map_or_else(|| "not known".to_owned(), text::ns);
    let (class, words) = match (arrived, later) {
        (0, 0) => ("safe", "safe".to_owned()),
        (0, _) => ("later", format!("up to {longest}")),
        (n, _) => ("arrived", format!("{n} of {changed} arrived")),
    };
    let title = format!(
        "{} cells; lent after done in {later}; a change after done arrived in {arrived} of {changed}; longest exposure {longest}",
        cells.len()
    );
    let _ = write!(out, "<td class=\"tile {class}\" title=\"{}\">{}</td>", escaped(&title), escaped(&words));
}

fn head(out: &mut String, id: &str, caption: &str, columns: &[&str]) {
    let heads: Vec<Head<'_>> = columns.iter().map(|title| (*title, "", false)).collect();
    html::head(out, id, caption, &heads);
}

/// A cell of a table; what it is sorted by where that is not its text.
fn td(out: &mut String, class: &'static str, by: Option<u64>, words: &str) {
    html::td(out, &html::Td { words: words.into(), by, class });
}

fn time(out: &mut String, ns: Option<u64>) {
    html::td(out, &html::time(ns));
}

fn conclusions(out: &mut String, atlas: &Atlas) {
    out.push_str(
        "<h2>Conclusions</h2>\n<p>Times are those of receivers that stall. \u{201c}Arrived\u{201d}: of cells with a change after done \
         while nobody had read, those in which the peer got it.</p>\n",
    );
    let columns = [
        "API",
        "bytes in",
        "over",
        "done",
        "after",
        "pages",
        "really safe",
        "exposure",
        "at most",
        "arrived",
        "notes",
    ];
    head(out, "conclusions", "Conclusions", &columns);
    for row in &atlas.rows {
        conclusion(out, row);
    }
    out.push_str("</tbody></table></div>\n");
}

fn conclusion(out: &mut String, row: &Row) {
    let c = &row.conclusion;
    let played = c.skipped.is_none();
    let or_dash = |words: String| if played { words } else { "\u{2013}".to_owned() };
    out.push_str("<tr>");
    td(out, "name", None, row.api.name());
    td(out, "", None, &words::memory(row));
    td(out, "", None, &words::transports(&row.transports));
    td(out, "", None, c.done.name());
    time(out, row.took_ns);
    td(out, "", None, &or_dash(words::pages(c.pages).to_owned()));
    let at_done = c.is_safe_at_done();
    td(out, if at_done { "safe" } else { "" }, None, &or_dash(words::really_safe(c)));
    time(out, row.exposure_ns.map(|e| e.0));
    time(out, row.exposure_ns.map(|e| e.1));
    let class = match c.after {
        Share::Some | Share::All => "arrived",
        Share::None if at_done => "safe",
        _ => "",
    };
    td(out, class, Some(row.after.cells as u64), &or_dash(words::reached(&row.after, c.after)));
    td(out, "notes", None, &words::notes(row).join("; "));
    out.push_str("</tr>\n");
}

fn cells(out: &mut String, atlas: &Atlas) {
    out.push_str(
        "<h2>Cells</h2>\n<p><label>Only those with these words: \
         <input data-filter=\"cells\" type=\"search\" placeholder=\"sendfile tcp4 stalled\"></label> \
         <span data-count=\"cells\"></span></p>\n",
    );
    let columns = [
        "API",
        "bytes in",
        "over",
        "receiver",
        "writer",
        "done after",
        "really safe",
        "exposure",
        "new bytes arrived",
        "released by",
        "verdict",
        "why not certain",
        "transfer",
    ];
    head(out, "cells", "Cells", &columns);
    for c in &atlas.cells {
        cell(out, c);
    }
    out.push_str("</tbody></table></div>\n");
}

fn cell(out: &mut String, c: &Judged) {
    let cell = c.cell();
    let class = if c.contradictions.is_empty() { "" } else { " class=\"bad\"" };
    let _ = write!(out, "<tr{class}>");
    td(out, "name", None, cell.api.name());
    for word in [cell.memory.name(), cell.transport.name(), cell.receiver.name(), cell.writer.name()] {
        td(out, "", None, word);
    }
    let played = c.played();
    time(out, c.took_ns().filter(|_| played));
    let (safe, class) = match (played, c.safe()) {
        (false, _) => ("\u{2013}", ""),
        (true, Safe::Done) => ("done", "safe"),
        (true, other) => (other.name(), ""),
    };
    td(out, class, None, safe);
    time(out, c.exposure_ns().filter(|_| played));
    let new = c.seen.new_bytes;
    let (class, words) = match (new, c.reached()) {
        (0, _) => ("number", "0".to_owned()),
        (n, true) => ("number arrived", n.to_string()),
        (n, false) => ("number", format!("{n}, before done")),
    };
    td(out, class, Some(new), &words);
    let by: Vec<_> = c.released_by().into_iter().map(text::released_by).collect();
    td(out, "", None, &by.join(" "));
    td(out, "", None, c.verdict().map_or("\u{2013}", text::verdict));
    let mut why: Vec<String> = c.contradictions.iter().map(ToString::to_string).collect();
    why.extend(c.seen.skipped.clone());
    why.extend(c.reasons().into_iter().map(|r| text::reason(r).0.to_owned()));
    td(out, "notes", None, &why.join("; "));
    let ids: Vec<_> = c.transfers.iter().map(|t| t.id.to_string()).collect();
    td(out, "", None, &ids.join(" "));
    out.push_str("</tr>\n");
}
