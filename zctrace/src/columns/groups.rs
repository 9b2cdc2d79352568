//! Columns of groups: files, peers, sockets, processes.

use super::transfers::{age_tone, source};
use super::{Behind, Cell, Column, SortKey, Tone, quoted};
use crate::board::group::{Few, Key, Label, Peer};
use crate::board::{Picture, Row};
use crate::distribution::Distribution;
use crate::model::SockRef;
use crate::text;

type Cells = Column<Row>;

/// The name of the group.
const NAME: Cells = Cells {
    title: "FILE",
    help: "what was lent: a file, or memory of a process",
    width: 20,
    flex: 4,
    right: false,
    rank: 0,
    cell: |r, _| Cell::plain(name(&r.group.label)),
    key: |r, _| SortKey::Text(name(&r.group.label)),
    behind: |r, _| all(r),
};
const OPEN: Cells = Cells {
    title: "OPEN",
    help: "windows that are open now",
    width: 6,
    flex: 0,
    right: true,
    rank: 1,
    cell: |r, _| Cell::count(r.lent.windows, Tone::Live),
    key: |r, _| r.lent.windows.into(),
    behind: |r, _| with(r, "state:open"),
};
const LENT: Cells = Cells {
    title: "LENT NOW",
    help: "bytes of the open windows",
    width: 8,
    flex: 0,
    right: true,
    rank: 3,
    cell: |r, _| Cell { tone: Tone::Live, ..Cell::bytes(r.lent.bytes) },
    key: |r, _| r.lent.bytes.into(),
    behind: |r, _| with(r, "state:open"),
};
const OLDEST: Cells = Cells {
    title: "OLDEST",
    help: "age of the oldest open window",
    width: 8,
    flex: 0,
    right: true,
    rank: 4,
    cell: |r, p| {
        let age = oldest(r, p);
        Cell { tone: age.map_or(Tone::Dim, age_tone), ..Cell::ns(age) }
    },
    key: |r, p| oldest(r, p).into(),
    behind: |r, _| with(r, "state:open"),
};
const TRANSFERS: Cells = Cells {
    title: "TRANSFERS",
    help: "transfers whose fate is known",
    width: 9,
    flex: 0,
    right: true,
    rank: 2,
    cell: |r, _| Cell::count(r.group.stats.transfers, Tone::Plain),
    key: |r, _| r.group.stats.transfers.into(),
    behind: |r, _| all(r),
};
const BYTES: Cells = Cells {
    title: "BYTES",
    help: "that they moved",
    width: 8,
    flex: 0,
    right: true,
    rank: 6,
    cell: |r, _| Cell::bytes(r.group.stats.bytes),
    key: |r, _| r.group.stats.bytes.into(),
    behind: |r, _| all(r),
};
const GAP: Cells = Cells {
    title: "GAP p50",
    help: "half of the gaps are no longer; to one digit",
    width: 9,
    flex: 0,
    right: true,
    rank: 9,
    cell: |r, _| quantile(&r.group.stats.gap, 0.5),
    key: |r, _| r.group.stats.gap.quantile(0.5).into(),
    behind: |r, _| all(r),
};
const GAP99: Cells = Cells {
    title: "p99",
    help: "99 of 100 gaps are no longer; to one digit",
    width: 9,
    flex: 0,
    right: true,
    rank: 5,
    cell: |r, _| quantile(&r.group.stats.gap, 0.99),
    key: |r, _| r.group.stats.gap.quantile(0.99).into(),
    behind: |r, _| all(r),
};
const GAP_MAX: Cells = Cells {
    title: "max",
    help: "the longest gap",
    width: 8,
    flex: 0,
    right: true,
    rank: 10,
    cell: |r, _| Cell::ns(r.group.stats.gap.max()),
    key: |r, _| r.group.stats.gap.max().into(),
    behind: |r, _| all(r),
};
const EXPOSED: Cells = Cells {
    title: "EXPOSED p99",
    help: "99 of 100 were lent no longer than this after the application was told that they are done",
    width: 11,
    flex: 0,
    right: true,
    rank: 11,
    cell: |r, _| quantile(&r.group.stats.exposure, 0.99),
    key: |r, _| r.group.stats.exposure.quantile(0.99).into(),
    behind: |r, _| all(r),
};
const MUTATED: Cells = Cells {
    title: "MUTATED",
    help: "transfers whose bytes could have changed while they were lent",
    width: 7,
    flex: 0,
    right: true,
    rank: 1,
    cell: |r, _| Cell::count(r.group.stats.mutated, Tone::Bad),
    key: |r, _| r.group.stats.mutated.into(),
    behind: |r, _| with(r, "verdict:mutated"),
};
const CHANGED: Cells = Cells {
    title: "CHANGED",
    help: "open windows whose bytes were changed so far",
    width: 7,
    flex: 0,
    right: true,
    rank: 8,
    cell: |r, _| Cell::count(r.lent.changed, Tone::Bad),
    key: |r, _| r.lent.changed.into(),
    behind: |r, _| with(r, "state:open changed:yes"),
};
const UNKNOWN: Cells = Cells {
    title: "UNKNOWN",
    help: "transfers of which it is not known whether their bytes changed",
    width: 7,
    flex: 0,
    right: true,
    rank: 4,
    cell: |r, _| Cell::count(r.group.stats.unknown, Tone::Warn),
    key: |r, _| r.group.stats.unknown.into(),
    behind: |r, _| with(r, "verdict:unknown"),
};
const COPIED: Cells = Cells {
    title: "COPIED",
    help: "transfers that were no zero-copy: the kernel copied",
    width: 7,
    flex: 0,
    right: true,
    rank: 12,
    cell: |r, _| Cell::count(r.group.stats.copied, Tone::Warn),
    key: |r, _| r.group.stats.copied.into(),
    behind: |r, _| with(r, "zerocopy:no"),
};
const RESENT: Cells = Cells {
    title: "RESENT",
    help: "retransmissions of their bytes",
    width: 7,
    flex: 0,
    right: true,
    rank: 8,
    cell: |r, _| Cell::count(r.group.stats.retransmits, Tone::Warn),
    key: |r, _| r.group.stats.retransmits.into(),
    behind: |r, _| with(r, "retransmits>0"),
};
const WRITES: Cells = Cells {
    title: "CHANGES",
    help: "changes to lent bytes: of this file, or by this process",
    width: 7,
    flex: 0,
    right: true,
    rank: 2,
    cell: |r, _| Cell::count(r.group.stats.changes, Tone::Bad),
    key: |r, _| r.group.stats.changes.into(),
    behind: |r, _| match &r.group.key {
        Key::Process(pid) => Behind::mutations(format!("pid={pid}")),
        Key::Source(crate::model::Source::File(id)) => {
            Behind::mutations(format!("ino={} dev:{}", id.ino, text::dev(id.dev)))
        }
        _ => None,
    },
};
const HITS: Cells = Cells {
    title: "HIT",
    help: "windows that its changes fell into",
    width: 6,
    flex: 0,
    right: true,
    rank: 3,
    cell: |r, _| Cell::count(r.group.stats.hits, Tone::Bad),
    key: |r, _| r.group.stats.hits.into(),
    behind: |r, _| match &r.group.key {
        Key::Process(pid) => Behind::transfers(format!("writer:{pid}")),
        _ => with(r, "changed:yes"),
    },
};
const TO: Cells = Cells {
    title: "LENT TO",
    help: "peers that its bytes went to",
    width: 14,
    flex: 2,
    right: false,
    rank: 7,
    cell: |r, _| Cell::plain(few(&r.group.peers, peer)),
    key: |r, _| (r.group.peers.first.len() as u64).into(),
    behind: |r, _| all(r),
};
const SENT_FILES: Cells = Cells {
    title: "FILES",
    help: "how many files its bytes were of",
    width: 5,
    flex: 0,
    right: true,
    rank: 9,
    cell: |r, _| how_many(&r.group.files),
    key: |r, _| (r.group.files.first.len() as u64).into(),
    behind: |r, _| all(r),
};
const SOCKETS_OF: Cells = Cells {
    title: "SOCKETS",
    help: "how many sockets its bytes went through",
    width: 7,
    flex: 0,
    right: true,
    rank: 9,
    cell: |r, _| how_many(&r.group.sockets),
    key: |r, _| (r.group.sockets.first.len() as u64).into(),
    behind: |r, _| all(r),
};

const fn titled(title: &'static str, help: &'static str, column: Cells) -> Cells {
    Cells { title, help, ..column }
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
