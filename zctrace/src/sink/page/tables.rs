//! The tables of the page.

use std::fmt::Write as _;
use std::sync::Arc;

use super::keep::{Keep, Kept};
use super::words::Clock;
use crate::board::group::{Group, Kind};
use crate::columns::{group_name, other_end};
use crate::html::{self, Head, Td, escaped, number, row};
use crate::model::{Mutation, Outcome, Transfer, Verdict};
use crate::sink::{Summary, Writer};
use crate::text;

/// Rows before `Show all`.
const SHOWN: usize = 25;

/// What stands above a table: what it is, how many rows, a filter.
fn begin(out: &mut String, id: &str, title: &str, about: &str, rows: usize, columns: &[Head<'_>]) {
    let _ = writeln!(
        out,
        "<section id=\"{id}-section\">\n<h2>{title} <span class=\"count\" data-count=\"{id}\">{rows}</span></h2>\n<p>{about}</p>"
    );
    if rows > 8 {
        let _ = writeln!(
            out,
            "<p class=\"js\"><input type=\"search\" data-filter=\"{id}\" aria-label=\"Only rows with these words\" \
             placeholder=\"Only rows with these words\"></p>"
        );
    }
    html::head(out, id, title, columns);
}

fn end(out: &mut String, id: &str, rows: usize) {
    out.push_str("</tbody></table></div>\n");
    if rows > SHOWN {
        let _ = writeln!(
            out,
            "<p class=\"js\"><button type=\"button\" class=\"tool\" data-more=\"{id}\" data-rows=\"{SHOWN}\">Show all {rows}</button></p>"
        );
    }
    out.push_str("</section>\n");
}

/// A column of hosts where there is more than one.
fn with_host<'a>(s: &Summary, columns: &[Head<'a>]) -> Vec<Head<'a>> {
    let mut all = columns.to_vec();
    if s.infos.len() > 1 {
        all.insert(1.min(all.len()), ("host", "the machine it was seen on", false));
    }
    all
}

fn insert_host(s: &Summary, part: u16, cells: &mut Vec<Td>) {
    if let Some(host) = s.host(part) {
        cells.insert(1.min(cells.len()), host.into());
    }
}

fn verdict(t: &Transfer) -> Td {
    let class = match t.verdict {
        Verdict::Clean => "v clean",
        Verdict::Mutated => "v mutated",
        Verdict::Unknown => "v unknown",
    };
    Td { words: text::verdict(t.verdict).into(), by: None, class }
}

const TRANSFERS: &[Head<'_>] = &[
    ("transfer", "its name in the trace; opens what is known of it", false),
    ("verdict", "whether its bytes changed while they were lent", false),
    ("gap", "from submit to release; ≥: still lent when the trace ended", true),
    ("exposure", "how long it was still lent after the application was told that it is done", true),
    ("interface", "the call that lent the pages", false),
    ("process", "who sent", false),
    ("file", "what was lent", false),
    ("range", "offset and bytes", false),
    ("peer", "the other end of the socket", false),
    ("ended by", "what ended the window", false),
    ("changes", "changes to its bytes while they were lent", true),
    ("resent", "retransmissions that overlapped its bytes", true),
    ("submit", "since the trace began", true),
];

pub(super) fn transfers(out: &mut String, s: &Summary, all: &[Arc<Kept<Transfer>>], clock: Clock) {
    let n = all.len() as u64;
    let about = if n == s.transfers() {
        "All of them, the gravest first, then the longest.".to_owned()
    } else {
        format!(
            "{n} of {} are on this page: those that are mutated, not known, still lent or the longest, each up to a bound, \
             and a sample of the others in which each had the same chance. <code>zctrace report FILE --json</code> has all.",
            s.transfers()
        )
    };
    begin(out, "transfers", "Transfers", &about, all.len(), &with_host(s, TRANSFERS));
    for kept in all {
        let t = &kept.it;
        let held = t.outcome == Outcome::Held;
        let lent = s.span.map(|(_, last)| last.saturating_sub(t.submit_ns)).filter(|_| held);
        let gap = match lent {
            Some(ns) => Td { words: format!("≥ {}", text::ns(ns)), by: Some(ns), class: "number held" },
            None => html::time(t.gap_ns()),
        };
        let by = t.released_by.map_or_else(|| text::outcome(t.outcome), text::released_by);
        let mut cells = vec![
            Td { words: t.id.to_string(), by: Some(order(t)), class: "id" },
            verdict(t),
            gap,
            html::time(t.exposure_ns()),
            text::api(t.api).into(),
            text::process(Some(t.pid), &t.comm).into(),
            Td { words: text::source(t).into_owned(), by: None, class: "path" },
            Td { words: text::span(t.file.as_ref(), t.offset, t.moved()), by: Some(t.offset), class: "" },
            t.socket.as_ref().map_or_else(|| "(pipe)".into(), |s| other_end(s)).into(),
            Td { words: by.into(), by: None, class: if held { "held" } else { "" } },
            number(kept.all as u64, "number bad"),
            number(u64::from(t.retransmits), "number"),
            html::time(Some(t.submit_ns.saturating_sub(clock.start_ns))),
        ];
        insert_host(s, t.id.part(), &mut cells);
        row(out, &format!(" id=\"t-{}\"", anchor(&t.id.to_string())), &cells);
    }
    end(out, "transfers", all.len());
}

/// Ids of a merged recording have a colon.
fn anchor(id: &str) -> String {
    id.replace(':', "-")
}

/// By CPU and number.
fn order(t: &Transfer) -> u64 {
    u64::from(t.id.cpu) << 44 | (t.id.seq & ((1 << 44) - 1))
}

const MUTATIONS: &[Head<'_>] = &[
    ("change", "its name in the trace", false),
    ("when", "since the trace began", true),
    ("who", "which process changed the bytes", false),
    ("how", "the kind of change", false),
    ("file", "what was changed", false),
    ("range", "offset and bytes; in memory, the address", false),
    ("windows hit", "transfers that had lent these bytes", true),
    ("transfers", "the first of them", false),
    ("seen by", "what showed it", false),
];

pub(super) fn mutations(out: &mut String, s: &Summary, keep: &Keep, clock: Clock) {
    let n = keep.mutations.len();
    if n == 0 {
        return;
    }
    let about = if n as u64 == keep.mutations_seen {
        "Every change to bytes while they were lent.".to_owned()
    } else {
        format!("The first {n} of {} changes to bytes while they were lent.", keep.mutations_seen)
    };
    begin(out, "mutations", "Changes to lent bytes", &about, n, &with_host(s, MUTATIONS));
    for kept in &keep.mutations {
        mutation(out, s, kept, clock);
    }
    end(out, "mutations", n);
}

fn mutation(out: &mut String, s: &Summary, kept: &Kept<Mutation>, clock: Clock) {
    let m = &kept.it;
    let first = m.hits.iter().take(3).map(|h| format!("{} ({})", h.transfer, text::phase(h.phase)));
    let more = if kept.all > 3 { format!(" and {} more", kept.all - 3) } else { String::new() };
    let mut cells = vec![
        Td { words: m.id.to_string(), by: Some(m.id.0), class: "id" },
        html::time(Some(m.at_ns.saturating_sub(clock.start_ns))),
        text::writer(m).into(),
        text::mutation(m.kind).into(),
        Td { words: text::changed(m).into_owned(), by: None, class: "path" },
        Td { words: text::span(m.file.as_ref(), m.offset, m.len), by: Some(m.offset), class: "" },
        number(kept.all as u64, "number bad"),
        format!("{}{more}", first.collect::<Vec<_>>().join(", ")).into(),
        text::seen_by(m.seen_by).into(),
    ];
    insert_host(s, m.id.part(), &mut cells);
    row(out, &format!(" id=\"m-{}\"", anchor(&m.id.to_string())), &cells);
}

pub(super) fn writers(out: &mut String, s: &Summary) {
    let all = Writer::sorted(&s.people);
    if all.is_empty() {
        return;
    }
    let columns = with_host(
        s,
        &[
            ("writer", "who changed bytes while they were lent", false),
            ("changes", "how many", true),
            ("windows hit", "one that two changes fell into counts twice", true),
            ("how", "kinds of changes", false),
            ("first", "its first change", false),
        ],
    );
    let others = s.people.other_writers.0;
    let about = if others == 0 {
        "Who changed bytes while they were lent.".to_owned()
    } else {
        format!("Who changed bytes while they were lent; {others} changes by others are not told apart.")
    };
    // Those that hit most: the others are in the totals.
    let all: Vec<_> = all.into_iter().take(1_000).collect();
    begin(out, "writers", "Writers", &about, all.len(), &columns);
    for ((part, pid), w) in &all {
        let kinds: Vec<_> = w.kinds.iter().map(|(k, n)| format!("{n} {}", text::mutation(*k))).collect();
        let mut cells = vec![
            text::process(*pid, &w.comm).into(),
            number(w.mutations, "number"),
            number(w.hits, "number bad"),
            kinds.join(", ").into(),
            w.first.to_string().into(),
        ];
        insert_host(s, *part, &mut cells);
        row(out, "", &cells);
    }
    end(out, "writers", all.len());
}

const GROUPS: &[Head<'_>] = &[
    ("transfers", "whose fate is known", true),
    ("bytes", "that they moved", true),
    ("mutated", "transfers whose bytes could have changed while they were lent", true),
    ("changes", "changes to lent bytes: of this file, or by this process", true),
    ("unknown", "transfers of which it is not known whether their bytes changed", true),
    ("held", "still lent when the trace ended", true),
    ("gap p50", "half of the gaps are no longer; to one digit", true),
    ("gap p99", "99 of 100 gaps are no longer; to one digit", true),
    ("gap max", "the longest gap", true),
    ("exposure p99", "99 of 100 exposures are no longer; to one digit", true),
    ("exposure max", "the longest exposure", true),
    ("resent", "retransmissions of their bytes", true),
    ("copied", "transfers that were no zero-copy", true),
];

/// Of one kind, those with the most bytes first.
pub(super) fn groups(out: &mut String, s: &Summary, keep: &Keep, kind: Kind) {
    let (id, title, name) = match kind {
        Kind::Sources => ("files", "Files", "file"),
        Kind::Peers => ("peers", "Peers", "peer"),
        Kind::Sockets => ("sockets", "Sockets", "socket"),
        Kind::Processes => ("processes", "Processes", "process"),
    };
    let of_kind = keep.groups.iter().flat_map(|(part, all)| {
        all.iter().filter(|g| g.kind() == kind).flat_map(move |g| g.iter().map(move |one| (*part, one)))
    });
    let mut all: Vec<(u16, &Arc<Group>)> = of_kind.collect();
    all.sort_by_key(|(_, g)| std::cmp::Reverse((g.stats.bytes, g.stats.transfers)));
    if all.is_empty() {
        return;
    }
    let forgotten: u64 =
        keep.groups.values().flatten().filter(|g| g.kind() == kind).map(|g| g.forgotten).sum();
    let mut about = match kind {
        Kind::Sources => "What was lent: files, and memory of processes.".to_owned(),
        Kind::Peers => "Whom it was lent to, whatever the port.".to_owned(),
        Kind::Sockets => "What it went through.".to_owned(),
        Kind::Processes => "Who sent, or changed what was lent.".to_owned(),
    };
    if forgotten > 0 {
        let _ = write!(about, " {forgotten} that were not heard of for longest are left out.");
    }
    if keep.elsewhere > 0 {
        let _ = write!(
            about,
            " Of {} on further hosts nothing is told apart here.",
            text::transfers(keep.elsewhere)
        );
    }
    let mut columns = vec![(name, "", false)];
    columns.extend(GROUPS);
    begin(out, id, title, &about, all.len(), &with_host(s, &columns));
    for (part, group) in &all {
        let g = &group.stats;
        let about = |ns: Option<u64>| {
            let td = html::time(ns);
            if ns.is_some_and(|ns| ns > 0) { Td { words: format!("~{}", td.words), ..td } } else { td }
        };
        let class = if matches!(kind, Kind::Sources) { "path" } else { "" };
        let mut cells = vec![
            Td { words: group_name(&group.label), by: None, class },
            number(g.transfers, "number"),
            match g.bytes {
                0 => number(0, "number"),
                n => Td { words: text::bytes(n), by: Some(n), class: "number" },
            },
            number(g.mutated, "number bad"),
            number(g.changes, "number bad"),
            number(g.unknown, "number doubt"),
            number(g.held, "number doubt"),
            about(g.gap.quantile(0.5)),
            about(g.gap.quantile(0.99)),
            html::time(g.gap.max()),
            about(g.exposure.quantile(0.99)),
            html::time(g.exposure.max()),
            number(g.retransmits, "number"),
            number(g.copied, "number"),
        ];
        insert_host(s, *part, &mut cells);
        row(out, "", &cells);
    }
    end(out, id, all.len());
}

/// Probes of every machine, those that are missing first.
pub(super) fn probes(out: &mut String, s: &Summary) {
    use crate::model::ProbeState;
    let mut all: Vec<_> = s.infos.iter().flat_map(|i| i.probes.iter().map(move |p| (i.part, p))).collect();
    all.sort_by_key(|(part, p)| (p.state != ProbeState::Missing, *part, p.name.clone()));
    if all.is_empty() {
        return;
    }
    let missing = all.iter().filter(|(_, p)| p.state == ProbeState::Missing).count();
    let _ = writeln!(
        out,
        "<details><summary>Probes: {} attached, {missing} missing</summary><ul>",
        all.len() - missing
    );
    for (part, probe) in all.iter().take(1_000) {
        let on = s.host(*part).map_or_else(String::new, |host| format!(" on {host}"));
        let (class, state) = match probe.state {
            ProbeState::Missing => (" class=\"bad\"", "missing"),
            ProbeState::Attached => ("", "attached"),
        };
        let why = probe.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let words = escaped(&format!("{}{on} {state}{why}", probe.name));
        let _ = writeln!(out, "<li{class}>{words}</li>");
    }
    out.push_str("</ul></details>\n");
}
