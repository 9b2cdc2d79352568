//! Columns of changes.

use std::sync::Arc;

use super::transfers::{is_new, source};
use super::{Behind, Cell, Column, Head, SortKey, Tone, number};
use crate::board::{Item, Picture};
use crate::model::{Mutation, Phase, Source};
use crate::text;

type Cells = Column<Arc<Mutation>>;

/// Every column of a change.
pub static CHANGES: &[Cells] = &[
    Cells {
        head: Head {
            title: "ID",
            help: "its name in the trace; new: the transfers it hit are not over",
            width: 5,
            flex: 0,
            right: false,
            rank: 6,
        },
        cell: |m, _| {
            if is_new(m) { Cell::new("new", Tone::Live) } else { Cell::new(m.id.to_string(), Tone::Dim) }
        },
        key: |m, _| if is_new(m) { u64::MAX.into() } else { m.id.0.into() },
        behind: |m, _| hits(m),
    },
    number(
        "WHEN",
        "when it began, since the trace began",
        8,
        2,
        |m, p| Cell::plain(text::ns(m.at_ns.saturating_sub(p.start_ns()))),
        |m, _| m.at_ns.into(),
        |m, _| hits(m),
    ),
    Cells {
        head: Head {
            title: "WHO",
            help: "which process changed the bytes",
            width: 14,
            flex: 1,
            right: false,
            rank: 0,
        },
        cell: |m, _| Cell::plain(text::writer(m)),
        key: |m, _| SortKey::Text(text::writer(m)),
        behind: |m, _| m.pid.and_then(|pid| Behind::mutations(format!("pid={pid}"))),
    },
    Cells {
        head: Head { title: "HOW", help: "the kind of change", width: 8, flex: 0, right: false, rank: 1 },
        cell: |m, _| Cell::new(text::mutation(m.kind), Tone::Bad),
        key: |m, _| text::mutation(m.kind).into(),
        behind: |m, _| Behind::mutations(format!("kind:{}", text::mutation(m.kind))),
    },
    Cells {
        head: Head {
            title: "FILE",
            help: "what was changed: a file, or memory of the process that had lent it",
            width: 14,
            flex: 3,
            right: false,
            rank: 1,
        },
        cell: |m, _| Cell::plain(text::changed(m).into_owned()),
        key: |m, _| SortKey::Text(text::changed(m).into_owned()),
        behind: |m, _| match &m.file {
            Some(f) => source(Source::File(f.id)),
            None => None,
        },
    },
    Cells {
        head: Head {
            title: "OFFSET+BYTES",
            help: "which bytes; in memory, from which address",
            width: 13,
            flex: 1,
            right: false,
            rank: 3,
        },
        cell: |m, _| Cell::plain(text::span(m.file.as_ref(), m.offset, m.len)),
        key: |m, _| m.offset.into(),
        behind: |_, _| None,
    },
    number(
        "HIT",
        "how many windows it fell into",
        4,
        2,
        |m, _| {
            if is_new(m) { Cell::new("…", Tone::Live) } else { Cell::count(m.hits.len() as u64, Tone::Bad) }
        },
        |m, _| (m.hits.len() as u64).into(),
        |m, _| hits(m),
    ),
    number(
        "AFTER SUBMIT",
        "how long after the first transfer it hit was submitted",
        12,
        7,
        |m, p| at_least(m, p, Cell::ns(after_submit(m, p))),
        |m, p| after_submit(m, p).into(),
        |m, _| hits(m),
    ),
    number(
        "EARLY BY",
        "how long it should have waited for the windows it hit to be closed; of open ones, so far; ≥: not all of them are kept",
        9,
        4,
        |m, p| so_far(m, p, Cell { tone: Tone::Warn, ..Cell::ns(margin(m, p)) }),
        |m, p| margin(m, p).into(),
        |m, _| hits(m),
    ),
    Cells {
        head: Head {
            title: "PHASE",
            help: "how far the transfers were when it began: before_xmit, in_flight, after_ack; the worst of them",
            width: 11,
            flex: 0,
            right: false,
            rank: 6,
        },
        cell: |m, _| phase(m).map_or_else(Cell::none, |p| Cell::plain(text::phase(p))),
        key: |m, _| phase(m).map_or("", text::phase).into(),
        behind: |m, _| hits(m),
    },
    number(
        "TOOK",
        "from its begin to its end",
        8,
        9,
        |m, _| Cell::ns(m.end_ns.map(|end| end.saturating_sub(m.at_ns))),
        |m, _| m.end_ns.map(|end| end.saturating_sub(m.at_ns)).into(),
        |_, _| None,
    ),
    Cells {
        head: Head {
            title: "SEEN BY",
            help: "what showed it: a system call, a tracepoint, or the content itself",
            width: 11,
            flex: 0,
            right: false,
            rank: 8,
        },
        cell: |m, _| Cell::plain(text::seen_by(m.seen_by)),
        key: |m, _| text::seen_by(m.seen_by).into(),
        behind: |m, _| Behind::mutations(format!("seen:{}", text::seen_by(m.seen_by))),
    },
];

fn hits(m: &Mutation) -> Option<Behind> {
    if !is_new(m) {
        return Behind::transfers(format!("hit:{}", m.id));
    }
    let Some(file) = &m.file else {
        return Behind::transfers("changed:yes state:open");
    };
    Behind::transfers(format!("changed:yes state:open ino={} dev:{}", file.id.ino, text::dev(file.id.dev)))
}

/// Transfers it hit that are looked at.
const HITS: usize = 4096;

/// Of the transfers it hit, those that are kept: or the open ones that have it on record.
fn of_hits<'a>(m: &'a Mutation, p: &'a Picture) -> impl Iterator<Item = &'a Item> {
    let same = |s: &&Mutation| (s.at_ns, s.offset, s.pid) == (m.at_ns, m.offset, m.pid);
    let open = p.open.iter().filter(move |i| i.so_far.iter().any(|s| same(&s)));
    open.chain(m.hits.iter().take(HITS).filter_map(|h| p.item(h.transfer)))
}

/// Some of the transfers it hit are not kept: what is said of all of them may be more.
fn is_partial(m: &Mutation, p: &Picture) -> bool {
    m.hits.len() > HITS || m.hits.iter().any(|h| p.item(h.transfer).is_none())
}

fn at_least(m: &Mutation, p: &Picture, cell: Cell) -> Cell {
    match is_partial(m, p) {
        true if !matches!(cell.text.as_ref(), "-") => {
            Cell { text: format!("≥{}", cell.text).into(), ..cell }
        }
        _ => cell,
    }
}

/// Of windows that are open the end is not known.
fn so_far(m: &Mutation, p: &Picture, cell: Cell) -> Cell {
    if is_new(m) { Cell { text: format!("≥{}", cell.text).into(), ..cell } } else { at_least(m, p, cell) }
}

fn after_submit(m: &Mutation, p: &Picture) -> Option<u64> {
    of_hits(m, p).map(|i| m.at_ns.saturating_sub(i.t.submit_ns)).max()
}

fn margin(m: &Mutation, p: &Picture) -> Option<u64> {
    let until = |i: &Item| if i.is_open() { Some(p.now_ns) } else { i.t.release_ns };
    of_hits(m, p).filter_map(until).map(|until| until.saturating_sub(m.at_ns)).max()
}

fn phase(m: &Mutation) -> Option<Phase> {
    m.hits.iter().map(|h| h.phase).min()
}
