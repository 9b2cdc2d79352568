//! Columns of groups: files, peers, sockets, processes.

use super::transfers::{age_tone, source};
use super::{Behind, Cell, Column, Head, SortKey, Tone, number, quoted};
use crate::board::group::{Few, Key, Label, Peer};
use crate::board::{Picture, Row};
use crate::distribution::Distribution;
use crate::model::SockRef;
use crate::text;

type Cells = Column<Row>;

/// The name of the group.
const NAME: Cells = Cells {
    head: Head {
        title: "FILE",
        help: "what was lent: a file, or memory of a process",
        width: 20,
        flex: 4,
        right: false,
        rank: 0,
    },
    cell: |r, _| Cell::plain(name(&r.group.label)),
    key: |r, _| SortKey::Text(name(&r.group.label)),
    behind: |r, _| all(r),
};
const OPEN: Cells = number(
    "OPEN",
    "windows that are open now",
    6,
    1,
    |r, _| Cell::count(r.lent.windows, Tone::Live),
    |r, _| r.lent.windows.into(),
    |r, _| with(r, "state:open"),
);
const LENT: Cells = number(
    "LENT NOW",
    "bytes of the open windows",
    8,
    3,
    |r, _| Cell { tone: Tone::Live, ..Cell::bytes(r.lent.bytes) },
    |r, _| r.lent.bytes.into(),
    |r, _| with(r, "state:open"),
);
const OLDEST: Cells = number(
    "OLDEST",
    "age of the oldest open window",
    8,
    4,
    |r, p| {
        let age = oldest(r, p);
        Cell { tone: age.map_or(Tone::Dim, age_tone), ..Cell::ns(age) }
    },
    |r, p| oldest(r, p).into(),
    |r, _| with(r, "state:open"),
);
const TRANSFERS: Cells = number(
    "TRANSFERS",
    "transfers whose fate is known",
    9,
    2,
    |r, _| Cell::count(r.group.stats.transfers, Tone::Plain),
    |r, _| r.group.stats.transfers.into(),
    |r, _| all(r),
);
const BYTES: Cells = number(
    "BYTES",
    "that they moved",
    8,
    6,
    |r, _| Cell::bytes(r.group.stats.bytes),
    |r, _| r.group.stats.bytes.into(),
    |r, _| all(r),
);
const GAP: Cells = number(
    "GAP p50",
    "half of the gaps are no longer; to one digit",
    9,
    9,
    |r, _| quantile(&r.group.stats.gap, 0.5),
    |r, _| r.group.stats.gap.quantile(0.5).into(),
    |r, _| all(r),
);
const GAP99: Cells = number(
    "p99",
    "99 of 100 gaps are no longer; to one digit",
    9,
    5,
    |r, _| quantile(&r.group.stats.gap, 0.99),
    |r, _| r.group.stats.gap.quantile(0.99).into(),
    |r, _| all(r),
);
const GAP_MAX: Cells = number(
    "max",
    "the longest gap",
    8,
    10,
    |r, _| Cell::ns(r.group.stats.gap.max()),
    |r, _| r.group.stats.gap.max().into(),
    |r, _| all(r),
);
const EXPOSED: Cells = number(
    "EXPOSED p99",
    "99 of 100 were lent no longer than this after the application was told that they are done",
    11,
    11,
    |r, _| quantile(&r.group.stats.exposure, 0.99),
    |r, _| r.group.stats.exposure.quantile(0.99).into(),
    |r, _| all(r),
);
const MUTATED: Cells = number(
    "MUTATED",
    "transfers whose bytes could have changed while they were lent",
    7,
    1,
    |r, _| Cell::count(r.group.stats.mutated, Tone::Bad),
    |r, _| r.group.stats.mutated.into(),
    |r, _| with(r, "verdict:mutated"),
);
const CHANGED: Cells = number(
    "CHANGED",
    "open windows whose bytes were changed so far",
    7,
    8,
    |r, _| Cell::count(r.lent.changed, Tone::Bad),
    |r, _| r.lent.changed.into(),
    |r, _| with(r, "state:open changed:yes"),
);
const UNKNOWN: Cells = number(
    "UNKNOWN",
    "transfers of which it is not known whether their bytes changed",
    7,
    4,
    |r, _| Cell::count(r.group.stats.unknown, Tone::Warn),
    |r, _| r.group.stats.unknown.into(),
    |r, _| with(r, "verdict:unknown"),
);
const COPIED: Cells = number(
    "COPIED",
    "transfers that were no zero-copy: the kernel copied",
    7,
    12,
    |r, _| Cell::count(r.group.stats.copied, Tone::Warn),
    |r, _| r.group.stats.copied.into(),
    |r, _| with(r, "zerocopy:no"),
);
const RESENT: Cells = number(
    "RESENT",
    "retransmissions of their bytes",
    7,
    8,
    |r, _| Cell::count(r.group.stats.retransmits, Tone::Warn),
    |r, _| r.group.stats.retransmits.into(),
    |r, _| with(r, "retransmits>0"),
);
const WRITES: Cells = number(
    "CHANGES",
    "changes to lent bytes: of this file, or by this process",
    7,
    2,
    |r, _| Cell::count(r.group.stats.changes, Tone::Bad),
    |r, _| r.group.stats.changes.into(),
    |r, _| match &r.group.key {
        Key::Process(pid) => Behind::mutations(format!("pid={pid}")),
        Key::Source(crate::model::Source::File(id)) => {
            Behind::mutations(format!("ino={} dev:{}", id.ino, text::dev(id.dev)))
        }
        _ => None,
    },
);
const HITS: Cells = number(
    "HIT",
    "windows that its changes fell into",
    6,
    3,
    |r, _| Cell::count(r.group.stats.hits, Tone::Bad),
    |r, _| r.group.stats.hits.into(),
    |r, _| match &r.group.key {
        Key::Process(pid) => Behind::transfers(format!("writer:{pid}")),
        _ => with(r, "changed:yes"),
    },
);
const TO: Cells = Cells {
    head: Head {
        title: "LENT TO",
        help: "peers that its bytes went to",
        width: 14,
        flex: 2,
        right: false,
        rank: 7,
    },
    cell: |r, _| Cell::plain(few(&r.group.peers, peer)),
    key: |r, _| (r.group.peers.first.len() as u64).into(),
    behind: |r, _| all(r),
};
const SENT_FILES: Cells = number(
    "FILES",
    "how many files its bytes were of",
    5,
    9,
    |r, _| how_many(&r.group.files),
    |r, _| (r.group.files.first.len() as u64).into(),
    |r, _| all(r),
);
const SOCKETS_OF: Cells = number(
    "SOCKETS",
    "how many sockets its bytes went through",
    7,
    9,
    |r, _| how_many(&r.group.sockets),
    |r, _| (r.group.sockets.first.len() as u64).into(),
    |r, _| all(r),
);

const fn titled(title: &'static str, help: &'static str, column: Cells) -> Cells {
    Cells { head: Head { title, help, ..column.head }, ..column }
}

/// Every column of a file.
pub static FILES: &[Cells] = &[
    NAME, OPEN, LENT, OLDEST, CHANGED, TRANSFERS, BYTES, MUTATED, WRITES, HITS, UNKNOWN, TO, GAP, GAP99,
    GAP_MAX, EXPOSED, COPIED, RESENT,
];

/// Every column of a peer.
pub static PEERS: &[Cells] = &[
    titled("PEER", "the other end, whatever its port", NAME),
    OPEN,
    LENT,
    OLDEST,
    CHANGED,
    TRANSFERS,
    BYTES,
    GAP,
    GAP99,
    GAP_MAX,
    EXPOSED,
    MUTATED,
    UNKNOWN,
    RESENT,
    SOCKETS_OF,
    SENT_FILES,
    COPIED,
];

/// Every column of a socket.
pub static SOCKETS: &[Cells] = &[
    titled("SOCKET", "its protocol and both ends", NAME),
    OPEN,
    LENT,
    OLDEST,
    CHANGED,
    TRANSFERS,
    BYTES,
    GAP,
    GAP99,
    GAP_MAX,
    EXPOSED,
    MUTATED,
    UNKNOWN,
    RESENT,
    SENT_FILES,
    COPIED,
];

/// Every column of a process.
pub static PROCESSES: &[Cells] = &[
    titled("PROCESS", "who sent, or changed what was lent", NAME),
    OPEN,
    LENT,
    OLDEST,
    CHANGED,
    TRANSFERS,
    BYTES,
    MUTATED,
    WRITES,
    HITS,
    UNKNOWN,
    GAP,
    GAP99,
    GAP_MAX,
    EXPOSED,
    SENT_FILES,
    TO,
    COPIED,
    RESENT,
];

fn oldest(r: &Row, p: &Picture) -> Option<u64> {
    r.lent.oldest_ns.map(|at| p.now_ns.saturating_sub(at))
}

/// To one digit, so about.
fn quantile(d: &Distribution, q: f64) -> Cell {
    d.quantile(q).map_or_else(Cell::none, |ns| Cell::plain(format!("~{}", text::ns(ns))))
}

/// What a group is called, harmless.
#[must_use]
pub fn name(label: &Label) -> String {
    match label {
        Label::File(file) => text::file(file).into_owned(),
        Label::Memory { pid, comm } => format!("memory of {}/{pid}", text::harmless(comm)),
        Label::Peer(p) => peer(p),
        Label::Socket(s) => socket(s),
        Label::Process { pid, comm, .. } => format!("{}/{pid}", text::harmless(comm)),
    }
}

fn peer(p: &Peer) -> String {
    match p {
        Peer::Ip(ip) => ip.to_string(),
        Peer::Unix(name) => text::addr(&crate::model::SockAddr::Unix(name.clone())).unwrap_or_default(),
        Peer::Unnamed(family) => format!("({} socket)", text::family(*family)),
        Peer::Pipe => "(pipe)".into(),
    }
}

/// Its protocol and both ends.
#[must_use]
pub fn socket(s: &SockRef) -> String {
    let proto = text::proto(s.proto).unwrap_or_else(|| text::family(s.family));
    let end = |addr| text::addr(addr).unwrap_or_else(|| "*".into());
    format!("{proto} {} → {}", end(&s.local), end(&s.remote))
}

/// The other end of a socket; where that has no name, this one, and says so.
#[must_use]
pub fn other_end(s: &SockRef) -> String {
    let here = || text::addr(&s.local).map(|addr| format!("(here {addr})"));
    let named = text::addr(&s.remote).or_else(here);
    named.unwrap_or_else(|| format!("({} socket)", text::family(s.family)))
}

fn few<T>(few: &Few<T>, name: impl Fn(&T) -> String) -> String {
    let Some(first) = few.first.first() else {
        return "-".into();
    };
    let others = few.first.len() - 1;
    let more = if few.more { "+" } else { "" };
    if others == 0 { name(first) } else { format!("{} +{others}{more}", name(first)) }
}

fn how_many<T>(few: &Few<T>) -> Cell {
    let n = few.first.len();
    Cell::plain(if few.more { format!("{n}+") } else { n.to_string() })
}

/// The filter for everything of the group.
fn all(r: &Row) -> Option<Behind> {
    match &r.group.key {
        Key::Source(s) => source(*s),
        Key::Peer(Peer::Ip(ip)) => Behind::transfers(format!("peer:{ip}")),
        Key::Peer(Peer::Unix(name)) => Behind::transfers(format!("peer:{}", quoted(&text::harmless(name)))),
        Key::Peer(Peer::Pipe) => Behind::transfers("peer:pipe"),
        Key::Peer(Peer::Unnamed(family)) => {
            Behind::transfers(format!("peer:\"{} socket\"", text::family(*family)))
        }
        Key::Socket(id) => Behind::transfers(format!("sock:{id}")),
        Key::Process(pid) => Behind::transfers(format!("pid={pid}")),
    }
}

fn with(r: &Row, more: &str) -> Option<Behind> {
    all(r).map(|b| Behind { filter: format!("{} {more}", b.filter), ..b })
}
