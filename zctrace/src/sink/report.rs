//! What happened, for a person with ten seconds: the answer first, then what it rests on, distributions, and
//! who. Fits 80 columns.

use std::io::{self, Write};

use super::answer::{Answer, Mood, answer};
use super::summary::{Group, Summary};
use crate::distribution::Distribution;
use crate::model::{Mode, TraceInfo, Verdict};
use crate::text;

mod who;

const WIDTH: usize = 80;
const BAR: usize = 40;

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

/// Writes the report. `file`: the recording as an argument of a shell, harmless.
///
/// # Errors
/// When it cannot be written.
pub fn report(to: &mut impl Write, s: &Summary, style: impl Into<Style>, file: &str) -> io::Result<()> {
    let style = style.into();
    header(to, s)?;
    problems(to, s, style)?;
    says(to, &answer(s, file), style)?;
    if s.transfers() == 0 {
        return Ok(());
    }
    findings(to, s, style)?;
    distributions(to, s, style)?;
    who::writers(to, s, style)?;
    who::mutations(to, s, style)?;
    who::held(to, s, style)?;
    who::worst(to, s, style)?;
    who::senders(to, s, style)?;
    who::files(to, s, style)
}

/// Breaks at spaces; lines after the first are indented like what follows `first`.
pub(super) fn wrapped(to: &mut impl Write, first: &str, rest: &str) -> io::Result<()> {
    for line in fold(first, rest) {
        writeln!(to, "{line}")?;
    }
    Ok(())
}

pub(crate) fn fold(first: &str, rest: &str) -> Vec<String> {
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
    if s.infos.is_empty() {
        return writeln!(to, "This recording has no header: its first block is missing.");
    }
    for line in headers(s) {
        wrapped(to, "", &line)?;
    }
    Ok(())
}

/// Where the trace came from, a harmless line for each machine.
pub(crate) fn headers(s: &Summary) -> Vec<String> {
    s.infos.iter().map(|info| header_of(s, info)).collect()
}

fn header_of(s: &Summary, info: &TraceInfo) -> String {
    let filters = if info.filters.is_empty() { "everything".into() } else { info.filters.join(" ") };
    let host = if info.host.is_empty() { String::new() } else { format!(" ({})", info.host) };
    let seen = s.span.filter(|_| s.infos.len() == 1).map_or_else(String::new, |(_, last)| {
        format!(", last event after {}", text::ns(last.saturating_sub(info.start_ns)))
    });
    let content = match info.fingerprint.mode {
        Mode::Off => "",
        Mode::Sample => ", fingerprints of samples",
        Mode::Full => ", full fingerprints",
    };
    let part = if s.infos.len() > 1 { format!("{}: ", info.part) } else { String::new() };
    let line =
        format!("{part}{} on Linux {}{host}{seen}{content}, traced: {filters}", info.tool, info.kernel);
    text::harmless(line.as_bytes()).into_owned()
}

/// What was lost or is missing, a harmless sentence each.
pub(crate) fn troubles(s: &Summary) -> Vec<String> {
    let losses = s.losses.iter().map(|(what, n)| text::loss_sentence(*what, *n));
    let missing = s.infos.iter().flat_map(|info| {
        let host = s.host(info.part).map_or_else(String::new, |host| format!("{host}: "));
        text::missing(info).map(move |missing| format!("{host}{missing}"))
    });
    losses.chain(missing).collect()
}

fn problems(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let cut = s.cut.then(|| {
        "The recording goes on elsewhere, or its end is missing: what follows is not all.".to_owned()
    });
    for problem in cut.into_iter().chain(troubles(s)) {
        for line in fold("! ", &problem) {
            writeln!(to, "{}", style.red(&line))?;
        }
    }
    Ok(())
}

/// The answer, and what to type next.
fn says(to: &mut impl Write, a: &Answer, style: Style) -> io::Result<()> {
    writeln!(to)?;
    if a.mood != Mood::Empty {
        let short = a.short.to_uppercase();
        let short = if a.mood == Mood::Bad { style.red(&short) } else { style.bold(&short) };
        writeln!(to, "{} {short}", style.bold("Did anything change while it was lent?"))?;
    }
    let indent = if a.mood == Mood::Empty { "" } else { "  " };
    for sentence in &a.says {
        wrapped(to, indent, sentence)?;
    }
    for next in &a.next {
        let command = format!("  > {}", next.command);
        let used = command.chars().count();
        if used + 2 + next.why.chars().count() <= WIDTH {
            writeln!(to, "{}  {}", style.bold(&command), next.why)?;
        } else {
            writeln!(to, "{}", style.bold(&command))?;
            wrapped(to, "      ", &next.why)?;
        }
    }
    Ok(())
}

fn findings(to: &mut impl Write, s: &Summary, style: Style) -> io::Result<()> {
    let n = format!("{}, {}", text::transfers(s.transfers()), text::bytes(s.all.bytes));
    writeln!(to, "\n{}", style.bold(&n))?;
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

#[cfg(test)]
mod tests;
