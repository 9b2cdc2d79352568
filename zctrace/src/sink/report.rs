//! What happened, for a person with ten seconds: findings first, then distributions, then who.

use std::io::{self, Write};

use super::summary::{Distribution, Group, Summary};
use crate::model::{LossWhat, ProbeState, Reason, SockAddr, Transfer};
use crate::text;

const BAR: usize = 32;
const FILES_SHOWN: usize = 8;

struct Paint(bool);

impl Paint {
    fn with<'a>(&self, code: &str, s: &'a str) -> std::borrow::Cow<'a, str> {
        if self.0 { format!("\x1b[{code}m{s}\x1b[0m").into() } else { s.into() }
    }
    fn red<'a>(&self, s: &'a str) -> std::borrow::Cow<'a, str> {
        self.with("1;31", s)
    }
    fn bold<'a>(&self, s: &'a str) -> std::borrow::Cow<'a, str> {
        self.with("1", s)
    }
}

/// Writes the report. `colours`: with ANSI colour codes.
///
/// # Errors
/// When it cannot be written.
pub fn report(to: &mut impl Write, s: &Summary, colours: bool) -> io::Result<()> {
    let paint = Paint(colours);
    header(to, s)?;
    problems(to, s, &paint)?;
    findings(to, s, &paint)?;
    if s.transfers() == 0 {
        writeln!(to, "\nNothing that lends pages was seen. Was the traced process sending with sendfile() or splice()?")?;
        return Ok(());
    }
    distributions(to, s, &paint)?;
    worst(to, s, &paint)?;
    files(to, s, &paint)
}

fn header(to: &mut impl Write, s: &Summary) -> io::Result<()> {
    let Some(info) = &s.info else {
        return writeln!(to, "This recording has no header: its first block is missing.");
    };
    let filters = if info.filters.is_empty() { "everything".into() } else { info.filters.join(" ") };
    let (tool, kernel) = (text::harmless(info.tool.as_bytes()), text::harmless(info.kernel.as_bytes()));
    writeln!(to, "{tool} on Linux {kernel}, traced: {}", text::harmless(filters.as_bytes()))
}

fn problems(to: &mut impl Write, s: &Summary, paint: &Paint) -> io::Result<()> {
    for (what, n) in &s.losses {
        let line = match what {
            LossWhat::Ring => format!("LOST {n} records: transfers open at that time are `unknown`"),
            LossWhat::LearnMiss => format!("{n} probe runs SKIPPED by the kernel: transfers open at that time are `unknown`"),
            LossWhat::FreeMiss => format!("{n} free-watching probe runs skipped: some windows may seem open too long"),
            LossWhat::MapFull => format!("a kernel map was FULL {n} times: transfers open at that time are `unknown`"),
        };
        writeln!(to, "{}", paint.red(&line))?;
    }
    let probes = s.info.iter().flat_map(|i| &i.probes).filter(|p| p.state == ProbeState::Missing);
    for p in probes {
        let why = text::harmless(p.reason.as_deref().unwrap_or_default().as_bytes()).into_owned();
        writeln!(to, "{}", paint.red(&format!("MISSING probe {}: {why}", text::harmless(p.name.as_bytes()))))?;
    }
    Ok(())
}

fn findings(to: &mut impl Write, s: &Summary, paint: &Paint) -> io::Result<()> {
    let n = format!("{} transfers, {}", s.transfers(), text::bytes(s.all.bytes));
    writeln!(to, "\n{}", paint.bold(&n))?;
    let by: Vec<String> = s.released_by.iter().map(|(by, n)| format!("{n} {}", text::released_by(*by))).collect();
    writeln!(to, "  released {:>9}   {}", s.released(), by.join(", "))?;
    if s.held() > 0 {
        writeln!(to, "  {}   still lent when the trace ended", paint.red(&format!("held     {:>9}", s.held())))?;
    }
    if s.unknown() > 0 {
        writeln!(to, "  {}   step 2 could not be known:", paint.red(&format!("unknown  {:>9}", s.unknown())))?;
        for (reason, n) in s.reasons.iter().filter(|(r, _)| **r != Reason::MutationsUnwatched) {
            writeln!(to, "           {n:>9}     {}", text::reason(*reason).1)?;
        }
    }
    if s.reasons.contains_key(&Reason::MutationsUnwatched) {
        writeln!(to, "  No verdict on the bytes: {}.", text::reason(Reason::MutationsUnwatched).1)?;
    }
    Ok(())
}

fn distributions(to: &mut impl Write, s: &Summary, paint: &Paint) -> io::Result<()> {
    for (api, group) in &s.apis {
        writeln!(to, "\n{} ({} transfers)", paint.bold(text::api(*api)), group.transfers)?;
        quantiles(to, "gap", "submit to release", &group.gap)?;
        quantiles(to, "exposure", "return to release", &group.exposure)?;
        bars(to, group)?;
    }
    Ok(())
}

fn quantiles(to: &mut impl Write, name: &str, what: &str, d: &Distribution) -> io::Result<()> {
    let q = |q: f64| d.quantile(q).map_or_else(|| "-".into(), text::ns);
    writeln!(
        to,
        "  {name:<8}  p50 {:>8}  p90 {:>8}  p99 {:>8}  max {:>8}  {what}",
        q(0.5),
        q(0.9),
        q(0.99),
        d.max().map_or_else(|| "-".into(), text::ns)
    )
}

/// The gap in decades.
fn bars(to: &mut impl Write, group: &Group) -> io::Result<()> {
    let decades: Vec<(u64, u64)> = (3..12).map(|e| (10u64.pow(e), group.gap.between(10u64.pow(e), 10u64.pow(e + 1)))).collect();
    let most = decades.iter().map(|(_, n)| *n).max().unwrap_or(0);
    let first = decades.iter().position(|(_, n)| *n > 0).unwrap_or(0);
    let last = decades.iter().rposition(|(_, n)| *n > 0).unwrap_or(0);
    if most == 0 {
        return Ok(());
    }
    for (from, n) in decades.iter().skip(first).take(last + 1 - first) {
        let eighths = usize::try_from(u128::from(*n) * (BAR as u128 * 8) / u128::from(most)).unwrap_or(0).max(usize::from(*n > 0));
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied().unwrap_or_default();
        let bar = format!("{}{part}", "█".repeat(eighths / 8));
        writeln!(to, "    from {:>8}  {bar:<BAR$} {n}", text::ns(*from))?;
    }
    Ok(())
}

fn peer(t: &Transfer) -> String {
    match &t.socket {
        None => "in a pipe".into(),
        Some(s) if s.remote == SockAddr::None => {
            text::addr(&s.local).unwrap_or_else(|| format!("{} socket", text::family(s.family)))
        }
        Some(s) => text::addr(&s.remote).unwrap_or_default(),
    }
}

fn path(t: &Transfer) -> String {
    t.file.path.as_deref().map_or_else(|| format!("ino {} on {}", t.file.ino, text::dev(t.file.dev)), |p| text::harmless(p).into_owned())
}

fn worst(to: &mut impl Write, s: &Summary, paint: &Paint) -> io::Result<()> {
    if !s.stuck.is_empty() {
        writeln!(to, "\n{}", paint.bold("Still lent, oldest first"))?;
        for t in &s.stuck {
            writeln!(to, "  {:>10}  {} {} to {}", t.id.to_string(), text::bytes(t.bytes), text::shorten(&path(t), 36), peer(t))?;
        }
    }
    if s.worst.is_empty() {
        return Ok(());
    }
    writeln!(to, "\n{}", paint.bold("Longest gaps"))?;
    for t in &s.worst {
        writeln!(
            to,
            "  {:>8}  {:>9} {} to {}, {} by {}",
            t.gap_ns().map_or_else(|| "-".into(), text::ns),
            text::bytes(t.bytes),
            text::shorten(&path(t), 28),
            text::shorten(&peer(t), 21),
            t.released_by.map_or("-", text::released_by),
            text::shorten(&format!("{}/{}", text::harmless(&t.comm), t.pid), 18),
        )?;
    }
    Ok(())
}

fn files(to: &mut impl Write, s: &Summary, paint: &Paint) -> io::Result<()> {
    let mut files: Vec<_> = s.files.iter().collect();
    files.sort_by_key(|(_, (n, bytes))| std::cmp::Reverse((*bytes, *n)));
    writeln!(to, "\n{}", paint.bold("Files by bytes lent"))?;
    for (file, (n, bytes)) in files.iter().take(FILES_SHOWN) {
        let name = file.path.as_deref().map_or_else(|| format!("ino {} on {}", file.ino, text::dev(file.dev)), |p| text::harmless(p).into_owned());
        writeln!(to, "  {:>9} in {n:>7}  {}", text::bytes(*bytes), text::shorten(&name, 56))?;
    }
    let more = files.len().saturating_sub(FILES_SHOWN) as u64;
    if more + s.other_files > 0 {
        writeln!(to, "  and {more} more files")?;
    }
    Ok(())
}
