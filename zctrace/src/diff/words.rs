//! The comparison for a person. Fits 80 columns.

use std::io::{self, Write};

use super::compare::{Change, Diff, Line, Section};
use super::side::Key;
use crate::sink::{Style, fold};
use crate::text;

/// Files or processes that are shown line by line.
const SHOWN: usize = 6;

/// What the intervals cover, and what they cannot.
pub(super) const NOISE: [&str; 3] = [
    "Noise: each recording is cut into 20 stretches, and how much these differ from each other says how far B/A could be \
     from 1 by chance. In 19 of 20 comparisons all intervals above hold at once.",
    "They cover noise within these two recordings only. From run to run caches, placement, load and clients differ too: \
     record each side more than once, and compare A with another A first.",
    "Of none seen among n transfers, up to 3/n could still be (where each came by itself).",
];

/// Writes the comparison of these two, named as they are to be called, harmless.
///
/// # Errors
/// When it cannot be written.
pub fn print(to: &mut impl Write, d: &Diff, names: &[String; 2], style: Style) -> io::Result<()> {
    for ((letter, name), head) in ["A", "B"].iter().zip(names).zip(&d.heads) {
        wrapped(to, &format!("{letter}  "), &format!("{}: {head}", text::shorten(name, 60)))?;
    }
    for warning in &d.warnings {
        for line in fold("! ", warning) {
            writeln!(to, "{}", style.red(&line))?;
        }
    }
    if !d.warnings.is_empty() {
        wrapped(to, "! ", "each of these alone can explain differences below")?;
    }
    writeln!(to)?;
    answer(to, d, style)?;
    let of = |kind: fn(&Key) -> bool| d.sections.iter().filter(move |s| kind(&s.key)).collect::<Vec<_>>();
    if d.sections.is_empty() {
        return Ok(());
    }
    for s in of(|k| matches!(k, Key::Api(_))) {
        table(to, s, style)?;
    }
    group(to, &of(|k| matches!(k, Key::File(_))), "file", "files", d.other_files, style)?;
    group(
        to,
        &of(|k| matches!(k, Key::Process(_))),
        "process name",
        "process names",
        d.other_processes,
        style,
    )?;
    writeln!(to)?;
    NOISE.iter().try_for_each(|sentence| wrapped(to, "", sentence))
}

fn wrapped(to: &mut impl Write, first: &str, rest: &str) -> io::Result<()> {
    fold(first, rest).iter().try_for_each(|line| writeln!(to, "{line}"))
}

/// What is worth knowing, in a sentence or two.
fn answer(to: &mut impl Write, d: &Diff, style: Style) -> io::Result<()> {
    let apis: Vec<&Section> = d.sections.iter().filter(|s| matches!(s.key, Key::Api(_))).collect();
    let list = |change: Change| {
        let all: Vec<String> = apis
            .iter()
            .flat_map(|s| s.lines.iter().filter(|l| l.change == change).map(|l| said(s, l)))
            .collect();
        all.join("; ")
    };
    let (worse, better) = (list(Change::Worse), list(Change::Better));
    let elsewhere = |change: Change| {
        let n = d.sections.iter().filter(|s| !matches!(s.key, Key::Api(_)) && s.change() == change).count();
        if n == 0 { String::new() } else { format!(" ({n} files or process names)") }
    };
    for (title, what, change) in [
        ("Worse in B, beyond noise", worse, Change::Worse),
        ("Better in B, beyond noise", better, Change::Better),
    ] {
        let elsewhere = elsewhere(change);
        if what.is_empty() && elsewhere.is_empty() {
            continue;
        }
        let what = if what.is_empty() { "no interface".into() } else { what };
        let line = format!("{title}: {what}{elsewhere}.");
        for line in fold("", &line) {
            writeln!(to, "{}", if change == Change::Worse { style.red(&line) } else { style.bold(&line) })?;
        }
    }
    let change = d.sections.iter().map(Section::change).max();
    if change <= Some(Change::Noise) {
        let what = match change {
            Some(Change::Noise) => "No difference beyond noise.",
            _ => "There is too little to compare.",
        };
        writeln!(to, "{}", style.bold(what))?;
    }
    let sum = apis.iter().fold([0u64; 2], |[a, b], s| [a + s.mutated[0], b + s.mutated[1]]);
    if sum[0] == 0 && sum[1] > 0 {
        let line = format!(
            "New in B: {} whose bytes could have changed while lent; none in A.",
            text::transfers(sum[1])
        );
        for line in fold("", &line) {
            writeln!(to, "{}", style.red(&line))?;
        }
    }
    Ok(())
}

fn said(s: &Section, l: &Line) -> String {
    let name = text::shorten(s.key.name(), 30);
    match (l.ratio, l.values) {
        (Some((ratio, ..)), _) => format!("{name} {} ×{}", l.what, times(ratio)),
        (None, [Some(a), Some(b)]) => format!("{name} {} {a} to {b}", l.what),
        _ => format!("{name} {}", l.what),
    }
}

fn times(ratio: f64) -> String {
    if ratio >= 100.0 {
        format!("{ratio:.0}")
    } else if ratio >= 10.0 {
        format!("{ratio:.1}")
    } else {
        format!("{ratio:.2}")
    }
}

fn row(cells: [&str; 6]) -> String {
    let [what, a, b, ratio, interval, change] = cells;
    format!("{what:<24} {a:>10} {b:>10} {ratio:>7}  {interval:<15} {change}").trim_end().to_owned()
}

fn table(to: &mut impl Write, s: &Section, style: Style) -> io::Result<()> {
    let name = text::shorten(s.key.name(), 24);
    writeln!(to, "\n{}", style.bold(&row([&name, "A", "B", "B/A", "interval", ""])))?;
    let [a, b] = s.transfers.map(|n| n.to_string());
    writeln!(to, "{}", row(["  transfers", &a, &b, "", "", ""]))?;
    for l in &s.lines {
        line(to, l, style)?;
    }
    for (what, [a, b]) in [("  not certain", s.unknown), ("  still lent", s.held)] {
        if a + b > 0 {
            writeln!(to, "{}", row([what, &a.to_string(), &b.to_string(), "", "", ""]))?;
        }
    }
    Ok(())
}

fn line(to: &mut impl Write, l: &Line, style: Style) -> io::Result<()> {
    let counts = l.what == "mutated";
    let value = |v: Option<u64>| match v {
        None => "-".to_owned(),
        Some(n) if counts => n.to_string(),
        Some(ns) => text::ns(ns),
    };
    let ratio = l.ratio.map_or_else(String::new, |(r, ..)| times(r));
    let interval =
        l.ratio.map_or_else(String::new, |(_, low, high)| format!("{} to {}", times(low), times(high)));
    let change = match l.change {
        Change::TooFew => "too few",
        Change::Noise => "noise",
        Change::Better if counts => "FEWER",
        Change::Better => "SHORTER",
        Change::Worse if counts => "MORE",
        Change::Worse => "LONGER",
    };
    let what = format!("  {}", l.what);
    let text = row([&what, &value(l.values[0]), &value(l.values[1]), &ratio, &interval, change]);
    let text = match l.change {
        Change::Worse => style.red(&text),
        Change::Better => style.bold(&text),
        _ => text,
    };
    writeln!(to, "{text}")
}

/// Those that differ; the others are counted.
fn group(
    to: &mut impl Write,
    all: &[&Section],
    one: &str,
    many: &str,
    others: [u64; 2],
    style: Style,
) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let differ: Vec<_> = all.iter().filter(|s| s.change() >= Change::Better).collect();
    for s in differ.iter().take(SHOWN) {
        table(to, s, style)?;
    }
    let count = |is: &dyn Fn(&Section) -> bool| all.iter().filter(|s| is(s)).count();
    let mut rest = Vec::new();
    if differ.len() > SHOWN {
        rest.push(format!("{} more beyond noise", differ.len() - SHOWN));
    }
    let same = count(&|s| s.change() == Change::Noise && !s.is_of_one() && timed(s));
    let few = count(&|s| s.change() <= Change::Noise && !s.is_of_one() && !timed(s));
    for (n, what) in [(same, "within noise"), (few, "with too few transfers to say")] {
        if n > 0 {
            rest.push(format!("{n} {what}"));
        }
    }
    for (side, i) in [("A", 1), ("B", 0)] {
        let only: Vec<_> = all.iter().filter(|s| s.transfers.get(i) == Some(&0)).collect();
        if let Some(first) = only.first() {
            let more = if only.len() > 1 { format!(" and {} more", only.len() - 1) } else { String::new() };
            rest.push(format!("only in {side}: {}{more}", text::shorten(first.key.name(), 40)));
        }
    }
    if others != [0, 0] {
        rest.push(format!(
            "{} in A and {} in B not told apart",
            text::transfers(others[0]),
            text::transfers(others[1])
        ));
    }
    if rest.is_empty() {
        return Ok(());
    }
    let title = if all.len() == 1 { format!("1 {one}") } else { format!("{} {many}", all.len()) };
    writeln!(to)?;
    wrapped(to, &format!("{title}: "), &rest.join("; "))
}

/// Enough transfers to compare at least one time.
fn timed(s: &Section) -> bool {
    s.lines.iter().any(|l| l.ratio.is_some())
}
