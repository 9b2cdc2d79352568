//! The tables of the report: who changed, who sent, which transfers and files are worth a look.

use std::io::{self, Write};

use super::Style;
use crate::model::{SockAddr, Transfer};
use crate::sink::summary::{Count, FILES, Summary, Writer};
use crate::text;

/// Files, senders, writers.
const SHOWN: usize = 8;
/// Processes that send.
const SENDERS: usize = 5;

fn peer(t: &Transfer) -> String {
    match &t.socket {
        None => "in a pipe".into(),
        Some(s) if s.remote == SockAddr::None => {
            text::addr(&s.local).unwrap_or_else(|| format!("{} socket", text::family(s.family)))
        }
        Some(s) => text::addr(&s.remote).unwrap_or_default(),
    }
}

fn title(to: &mut impl Write, style: Style, text: &str) -> io::Result<()> {
    writeln!(to, "\n{}", style.bold(text))
}

/// `on HOST` where there are several.
fn on(s: &Summary, part: u16) -> String {
    s.host(part).map_or_else(String::new, |host| format!(" on {host}"))
}

fn row(to: &mut impl Write, first: &str, t: &Transfer, last: &str) -> io::Result<()> {
    let (file, peer) = (text::shorten(&text::source(t), 23), text::shorten(&peer(t), 21));
    let id = text::shorten(&t.id.to_string(), 10);
    writeln!(to, "  {first:>7} {id:<10} {file:<23} {peer:<21} {last}")
}

pub(super) fn writers(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let all = Writer::sorted(&s.people);
    if all.is_empty() {
        return Ok(());
    }
    title(to, style, "Who changed lent bytes: changes, windows hit, who, how")?;
    for ((part, pid), w) in all.iter().take(SHOWN) {
        let who = format!("{}{}", text::process(*pid, &w.comm), on(s, *part));
        let kinds: Vec<_> =
            w.kinds.iter().map(|(kind, n)| format!("{n} {}", text::mutation(*kind))).collect();
        let how = text::shorten(&kinds.join(", "), 30);
        writeln!(to, "  {:>9}  {:>9}  {:<24}  {how}", w.mutations, w.hits, text::shorten(&who, 24))?;
    }
    let rest = all.get(SHOWN..).unwrap_or_default();
    let (mutations, hits) = s.people.other_writers;
    let sum =
        rest.iter().fold((mutations, hits), |(m, h), (_, w)| (m + w.mutations, h.saturating_add(w.hits)));
    if sum.0 > 0 {
        writeln!(to, "  {:>9}  {:>9}  others", sum.0, sum.1)?;
    }
    Ok(())
}

pub(super) fn mutations(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    if s.mutations.is_empty() {
        return Ok(());
    }
    title(to, style, "First changes to lent bytes: id, who, how, file, range, windows hit")?;
    for m in &s.mutations {
        let (who, file) = (text::shorten(&text::writer(m), 18), text::shorten(&text::changed(m), 18));
        let range = text::shorten(&text::span(m.file.as_ref(), m.offset, m.len), 14);
        writeln!(
            to,
            "  {:<4} {who:<18} {:<13} {file:<18} {range:<14} {:>4}",
            m.id.to_string(),
            text::mutation(m.kind),
            m.hits.len()
        )?;
    }
    Ok(())
}

pub(super) fn held(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    if s.stuck.is_empty() {
        return Ok(());
    }
    title(to, style, "Still lent, oldest first: for at least, id, file, to, bytes")?;
    for t in &s.stuck {
        let age = s.age_ns(t).map_or_else(|| "-".into(), text::ns);
        let bytes = t.moved().map_or_else(|| "-".into(), text::bytes);
        row(to, &age, t, &bytes)?;
    }
    Ok(())
}

pub(super) fn worst(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    if s.worst.is_empty() {
        return Ok(());
    }
    title(to, style, "Longest gaps: gap, id, file, to, ended by")?;
    for t in &s.worst {
        let gap = t.gap_ns().map_or_else(|| "-".into(), text::ns);
        row(to, &gap, t, t.released_by.map_or("-", text::released_by))?;
    }
    Ok(())
}

/// Bytes, transfers, mutated, what.
fn lent(to: &mut impl Write, count: Count, what: &str, width: usize) -> io::Result<()> {
    let mutated = if count.mutated == 0 { "-".into() } else { count.mutated.to_string() };
    let (bytes, what) = (text::bytes(count.bytes), text::shorten(what, width));
    writeln!(to, "  {bytes:>9}  {:>9}  {mutated:>7}  {what}", count.transfers)
}

pub(super) fn senders(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let mut all: Vec<_> = s.people.senders.iter().collect();
    if all.len() < 2 && s.people.other_senders.transfers == 0 {
        // One sender is who was traced: the header and every transfer say so.
        return Ok(());
    }
    all.sort_by_key(|(_, sender)| std::cmp::Reverse((sender.count.bytes, sender.count.transfers)));
    title(to, style, "Senders by bytes lent: bytes, transfers, mutated, who, longest gap")?;
    for ((part, pid), sender) in all.iter().take(SENDERS) {
        let who = text::shorten(&format!("{}{}", text::process(Some(*pid), &sender.comm), on(s, *part)), 34);
        let gap = sender.gap_max.map_or_else(|| "-".into(), text::ns);
        lent(to, sender.count, &format!("{who:<34} {gap:>9}"), 45)?;
    }
    let rest = all.get(SENDERS..).unwrap_or_default();
    let sum = rest.iter().fold(s.people.other_senders, |sum, (_, sender)| sum.and(sender.count));
    if sum.transfers == 0 {
        return Ok(());
    }
    let what = if s.people.other_senders.transfers == 0 {
        format!("{} more processes", rest.len())
    } else {
        format!("other processes (only the first {FILES} are told apart)")
    };
    lent(to, sum, &what, 47)
}

pub(super) fn files(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let mut files: Vec<_> = s.files.iter().collect();
    files.sort_by_key(|(_, count)| std::cmp::Reverse((count.bytes, count.transfers)));
    title(to, style, "Files by bytes lent: bytes, transfers, mutated, file")?;
    for ((part, file), count) in files.iter().take(SHOWN) {
        let file = file.as_ref().map_or_else(|| "memory of processes".into(), text::file);
        lent(to, **count, &format!("{file}{}", on(s, *part)), 47)?;
    }
    let rest = files.get(SHOWN..).unwrap_or_default();
    let sum = rest.iter().fold(s.others, |sum, (_, count)| sum.and(**count));
    if sum.transfers == 0 {
        return Ok(());
    }
    let what = if s.others.transfers == 0 {
        format!("{} more files", rest.len())
    } else {
        format!("other files (only the first {FILES} are told apart)")
    };
    lent(to, sum, &what, 47)
}
