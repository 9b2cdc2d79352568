//! What happened, for a person with ten seconds: findings first, then distributions, then who.
//! Fits 80 columns.

use std::io::{self, Write};

use super::summary::{FILES, Group, Summary};
use crate::distribution::Distribution;
use crate::model::{Mode, SockAddr, Transfer, Verdict};
use crate::text;

const WIDTH: usize = 80;
const BAR: usize = 40;
const FILES_SHOWN: usize = 8;

/// With ANSI colour codes, or without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not one escape sequence.
    Plain,
    /// Findings in red, titles in bold.
    Colours,
}

impl From<bool> for Style {
    fn from(colours: bool) -> Self {
        if colours { Self::Colours } else { Self::Plain }
    }
}

impl Style {
    fn with(self, code: &str, s: &str) -> String {
        match self {
            Self::Plain => s.into(),
            Self::Colours => format!("\x1b[{code}m{s}\x1b[0m"),
        }
    }
    pub(crate) fn red(self, s: &str) -> String {
        self.with("1;31", s)
    }
    #[cfg(feature = "live")]
    pub(crate) fn green(self, s: &str) -> String {
        self.with("32", s)
    }
    pub(crate) fn bold(self, s: &str) -> String {
        self.with("1", s)
    }
}

/// Writes the report.
///
/// # Errors
/// When it cannot be written.
pub fn report(to: &mut impl Write, s: &Summary, style: impl Into<Style>) -> io::Result<()> {
    let style = style.into();
    header(to, s)?;
    problems(to, s, style)?;
    findings(to, s, style)?;
    if s.transfers() == 0 {
        let why = if s.cut {
            "What is left of this recording has no transfer that came to its end."
        } else {
            "Nothing that lends pages was seen. Was the traced process sending with sendfile(), splice(), vmsplice(), MSG_ZEROCOPY or io_uring?"
        };
        return wrapped(to, "", why);
    }
    distributions(to, s, style)?;
    mutations(to, s, style)?;
    held(to, s, style)?;
    worst(to, s, style)?;
    files(to, s, style)
}

/// Breaks at spaces; lines after the first are indented like what follows `first`.
pub(super) fn wrapped(to: &mut impl Write, first: &str, rest: &str) -> io::Result<()> {
    for line in fold(first, rest) {
        writeln!(to, "{line}")?;
    }
    Ok(())
}

pub(super) fn fold(first: &str, rest: &str) -> Vec<String> {
    let indent = first.chars().count();
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in rest.split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        // A word longer than a line is hostile or a path: either way its ends tell most.
        line.push_str(&text::shorten(word, WIDTH.saturating_sub(indent)));
        empty = false;
    }
    lines.push(line);
    lines
}

fn header(to: &mut impl Write, s: &Summary) -> io::Result<()> {
    let Some(info) = &s.info else {
        return writeln!(to, "This recording has no header: its first block is missing.");
    };
    let filters = if info.filters.is_empty() { "everything".into() } else { info.filters.join(" ") };
    let seen = s.span.map_or_else(String::new, |(_, last)| {
        format!(", last event after {}", text::ns(last.saturating_sub(info.start_ns)))
    });
    let content = match info.fingerprint.mode {
        Mode::Off => "",
        Mode::Sample => ", fingerprints of samples",
        Mode::Full => ", full fingerprints",
    };
    let line = format!("{} on Linux {}{seen}{content}, traced: {filters}", info.tool, info.kernel);
    wrapped(to, "", &text::harmless(line.as_bytes()))
}

fn problems(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let losses = s.losses.iter().map(|(what, n)| text::loss_sentence(*what, *n));
    let missing = s.info.iter().flat_map(text::missing);
    for problem in losses.chain(missing) {
        for line in fold("! ", &problem) {
            writeln!(to, "{}", style.red(&line))?;
        }
    }
    Ok(())
}

fn findings(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let n = format!("{}, {}", text::transfers(s.transfers()), text::bytes(s.all.bytes));
    writeln!(to, "\n{}", style.bold(&n))?;
    if s.transfers() == 0 {
        return Ok(());
    }
    if s.mutated() > 0 {
        let count = style.red(&format!("MUTATED  {:>9}", s.mutated()));
        writeln!(to, "  {count}   their bytes could have changed while they were lent:")?;
        rules(to, s, Verdict::Mutated)?;
    }
    if s.clean() > 0 {
        writeln!(to, "  clean    {:>9}   no change to their bytes while they were lent", s.clean())?;
        rules(to, s, Verdict::Clean)?;
    }
    if s.unsure() > 0 {
        writeln!(to, "  unsure   {:>9}   whether their bytes changed is not known:", s.unsure())?;
        for (reason, n) in &s.reasons {
            wrapped(to, &format!("           {n:>9}     "), text::reason(*reason).1)?;
        }
        rules(to, s, Verdict::Unknown)?;
    }
    for (content, n) in &s.contents {
        let first = format!("  {:<8} {n:>9}   ", text::content(*content));
        wrapped(to, &first, text::content_sentence(*content))?;
    }
    let by: Vec<String> =
        s.released_by.iter().map(|(by, n)| format!("{n} {}", text::released_by(*by))).collect();
    wrapped(to, &format!("  released {:>9}   ", s.released()), &by.join(", "))?;
    if !s.copied.is_empty() {
        let n: u64 = s.copied.values().sum();
        writeln!(to, "  copied   {n:>9}   not zero-copy:")?;
        for (why, n) in &s.copied {
            wrapped(to, &format!("           {n:>9}     "), text::copied(*why).1)?;
        }
    }
    if s.held() > 0 {
        let count = style.red(&format!("held     {:>9}", s.held()));
        writeln!(to, "  {count}   still lent when the trace ended")?;
    }
    if s.unknown() > 0 {
        let count = style.red(&format!("unknown  {:>9}", s.unknown()));
        writeln!(to, "  {count}   whether they were released is not known")?;
    }
    Ok(())
}

/// What `zctrace explain --rule NAME` says more of.
fn rules(to: &mut impl Write, s: &Summary, verdict: Verdict) -> io::Result<()> {
    for ((_, rule), n) in s.rules.iter().filter(|((v, _), _)| *v == verdict) {
        writeln!(to, "           {n:>9}     {rule}")?;
    }
    Ok(())
}

fn distributions(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    for (api, group) in &s.apis {
        let title = format!("{}, {}", text::api(*api), text::transfers(group.transfers));
        let row = row(&title, "p50", "p90", "p99", "max");
        writeln!(to, "\n{}", style.bold(&row))?;
        quantiles(to, "  gap       submit to release", &group.gap)?;
        quantiles(to, "  exposure  return to release", &group.exposure)?;
        bars(to, group)?;
    }
    Ok(())
}

fn row(title: &str, p50: &str, p90: &str, p99: &str, max: &str) -> String {
    format!("{title:<32} {p50:>9} {p90:>9} {p99:>9} {max:>9}")
}

fn quantiles(to: &mut impl Write, title: &str, d: &Distribution) -> io::Result<()> {
    let some = |ns: Option<u64>| ns.map_or_else(|| "-".into(), text::ns);
    let q = |q| some(d.quantile(q));
    writeln!(to, "{}", row(title, &q(0.5), &q(0.9), &q(0.99), &some(d.max())))
}

/// The gap in decades.
fn bars(to: &mut impl Write, group: &Group) -> io::Result<()> {
    let decades = group.gap.decades();
    let most = decades.iter().map(|(_, n)| *n).max().unwrap_or(0);
    for (from, n) in decades {
        writeln!(to, "  gap from {:>8}  {:<BAR$} {n}", text::ns(from), bar(n, most))?;
    }
    Ok(())
}

/// `n` of `most`, in eighths of a character; anything at all shows.
fn bar(n: u64, most: u64) -> String {
    let eighths = u128::from(n) * (BAR as u128 * 8) / u128::from(most.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(n > 0));
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied();
    format!("{}{}", "█".repeat(eighths / 8), part.unwrap_or_default())
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

fn who(to: &mut impl Write, first: &str, t: &Transfer, last: &str) -> io::Result<()> {
    let (file, peer) = (text::shorten(&text::source(t), 28), text::shorten(&peer(t), 21));
    writeln!(to, "  {first:>9}  {file:<28}  {peer:<21}  {last}")
}

fn mutations(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    if s.mutations.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "\n{}",
        style.bold("First changes to lent bytes: id, who, how, file, range, transfers hit")
    )?;
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

fn held(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let Some((_, last)) = s.span.filter(|_| !s.stuck.is_empty()) else {
        return Ok(());
    };
    writeln!(to, "\n{}", style.bold("Still lent, oldest first: for at least, file, to, bytes"))?;
    for t in &s.stuck {
        let age = text::ns(last.saturating_sub(t.submit_ns));
        let bytes = t.moved().map_or_else(|| "-".into(), text::bytes);
        who(to, &age, t, &bytes)?;
    }
    Ok(())
}

fn worst(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    if s.worst.is_empty() {
        return Ok(());
    }
    writeln!(to, "\n{}", style.bold("Longest gaps: gap, file, to, ended by"))?;
    for t in &s.worst {
        let gap = t.gap_ns().map_or_else(|| "-".into(), text::ns);
        who(to, &gap, t, t.released_by.map_or("-", text::released_by))?;
    }
    Ok(())
}

fn files(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let mut files: Vec<_> = s.files.iter().collect();
    files.sort_by_key(|(_, (n, bytes))| std::cmp::Reverse((*bytes, *n)));
    writeln!(to, "\n{}", style.bold("Files by bytes lent: bytes, transfers, file"))?;
    for (file, (n, bytes)) in files.iter().take(FILES_SHOWN) {
        let file = file.as_ref().map_or_else(|| "memory of processes".into(), text::file);
        writeln!(to, "  {:>9}  {n:>9}  {}", text::bytes(*bytes), text::shorten(&file, 56))?;
    }
    let rest = files.get(FILES_SHOWN..).unwrap_or_default();
    let (others, more) = (s.others, rest.len());
    if more == 0 && others.0 == 0 {
        return Ok(());
    }
    let (n, bytes) =
        rest.iter().fold(others, |(n, b), (_, (more, bytes))| (n + more, b.saturating_add(*bytes)));
    let what = if others.0 == 0 {
        format!("{more} more files")
    } else {
        format!("other files (only the first {FILES} are told apart)")
    };
    writeln!(to, "  {:>9}  {n:>9}  {what}", text::bytes(bytes))
}

#[cfg(test)]
mod tests;
