//! Columns of transfers.

use zctrace_common::kernel::proto;

use super::{Behind, Cell, Column, Head, SortKey, Tone, number};
use crate::board::{Item, Picture};
use crate::engine::Stage;
use crate::engine::rules::STUCK_NS;
use crate::model::{Api, Mutation, Outcome, Source, Verdict};
use crate::text;

/// Nanoseconds from which an open window is worth a second look.
const LONG_NS: u64 = 1_000_000_000;

type Cells = Column<Item>;

/// Every column of a transfer.
pub static TRANSFERS: &[Cells] = &[
    Cells {
        head: Head {
            title: "VERDICT",
            help: "open: lent now. clean, mutated, unknown: whether its bytes changed while they were lent",
            width: 7,
            flex: 0,
            right: false,
            rank: 0,
        },
        cell: |i, _| {
            let (text, tone) = verdict_of(i);
            Cell::new(text, tone)
        },
        key: |i, _| SortKey::Number(rank_of(i)),
        behind: |i, _| {
            Behind::transfers(if i.stage.is_some() {
                "state:open".into()
            } else {
                format!("verdict:{}", text::verdict(i.t.verdict))
            })
        },
    },
    Cells {
        head: Head {
            title: "PROCESS",
            help: "who sent: name and process",
            width: 12,
            flex: 1,
            right: false,
            rank: 2,
        },
        cell: |i, _| Cell::plain(format!("{}/{}", text::harmless(&i.t.comm), i.t.pid)),
        key: |i, _| SortKey::Text(format!("{}/{:010}", text::harmless(&i.t.comm), i.t.pid)),
        behind: |i, _| Behind::transfers(format!("pid:{}", i.t.pid)),
    },
    Cells {
        head: Head {
            title: "API",
            help: "the interface that lent the pages",
            width: 8,
            flex: 0,
            right: false,
            rank: 4,
        },
        cell: |i, _| Cell::plain(text::api(i.t.api)),
        key: |i, _| text::api(i.t.api).into(),
        behind: |i, _| Behind::transfers(format!("api:{}", text::api(i.t.api))),
    },
    Cells {
        head: Head {
            title: "FILE",
            help: "what was lent: a file, or memory of the process",
            width: 16,
            flex: 4,
            right: false,
            rank: 1,
        },
        cell: |i, _| Cell::plain(text::source(&i.t).into_owned()),
        key: |i, _| SortKey::Text(text::source(&i.t).into_owned()),
        behind: |i, _| source(i.t.source()),
    },
    number(
        "OFFSET",
        "of its first byte in the file; of memory, its address",
        11,
        10,
        |i, _| {
            let off = i.t.offset;
            Cell::plain(if i.t.file.is_some() { off.to_string() } else { format!("{off:#x}") })
        },
        |i, _| i.t.offset.into(),
        |_, _| None,
    ),
    number(
        "BYTES",
        "how many it lent; asked for, while its call runs",
        8,
        5,
        |i, _| Cell::bytes(i.t.moved().unwrap_or(i.t.requested)),
        |i, _| i.t.moved().unwrap_or(i.t.requested).into(),
        |_, _| None,
    ),
    Cells {
        head: Head {
            title: "PEER",
            help: "the other end of the socket",
            width: 14,
            flex: 3,
            right: false,
            rank: 3,
        },
        cell: |i, _| Cell::plain(peer(i)),
        key: |i, _| SortKey::Text(peer(i)),
        behind: |i, _| match &i.t.socket {
            Some(s) => Behind::transfers(format!("sock:{}", s.id)),
            None => None,
        },
    },
    number(
        "SUBMIT",
        "when it was submitted, since the trace began",
        10,
        9,
        |i, p| Cell::plain(text::ns(i.t.submit_ns.saturating_sub(p.start_ns()))),
        |i, _| i.t.submit_ns.into(),
        |_, _| None,
    ),
    number(
        "GAP",
        "from submit to release; of an open one, its age so far",
        8,
        1,
        |i, p| {
            let age = i.age_ns(p.now_ns);
            let tone = if i.is_open() { age.map_or(Tone::Live, age_tone) } else { Tone::Plain };
            Cell { tone, ..Cell::ns(age) }
        },
        |i, p| i.age_ns(p.now_ns).into(),
        |i, p| i.age_ns(p.now_ns).and_then(|ns| Behind::transfers(format!("age>={}us", ns / 1_000))),
    ),
    Cells {
        head: Head {
            title: "AGE",
            help: "the same as a bar, 1 µs to 100 s on a logarithmic scale",
            width: 8,
            flex: 1,
            right: false,
            rank: 7,
        },
        cell: |i, p| match i.age_ns(p.now_ns) {
            Some(ns) => {
                let tone = if i.is_open() { age_tone(ns) } else { Tone::Dim };
                Cell { tone, bar: Some(log_share(ns)), ..Cell::default() }
            }
            None => Cell::none(),
        },
        key: |i, p| i.age_ns(p.now_ns).into(),
        behind: |_, _| None,
    },
    number(
        "EXPOSED",
        "how long it was still lent after the application was told that it is done",
        8,
        6,
        |i, p| Cell::ns(exposed(i, p)),
        |i, p| exposed(i, p).into(),
        |i, p| exposed(i, p).and_then(|ns| Behind::transfers(format!("exposure>={}us", ns / 1_000))),
    ),
    Cells {
        head: Head {
            title: "ENDED/WAITS",
            help: "what ended the window; of an open one, what it waits for",
            width: 13,
            flex: 0,
            right: false,
            rank: 3,
        },
        cell: |i, _| end_of(i),
        key: |i, _| SortKey::Text(end_of(i).text.into_owned()),
        behind: |i, _| {
            i.t.released_by.and_then(|by| Behind::transfers(format!("by:{}", text::released_by(by))))
        },
    },
    number(
        "CHANGES",
        "changes to its bytes while they were lent",
        7,
        8,
        |i, _| Cell::count(changes(i), Tone::Bad),
        |i, _| changes(i).into(),
        |i, _| Behind::mutations(format!("transfer:{}", i.t.id)),
    ),
    number(
        "RESENT",
        "retransmissions that overlapped its bytes",
        6,
        11,
        |i, _| Cell::count(u64::from(i.t.retransmits), Tone::Warn),
        |i, _| u64::from(i.t.retransmits).into(),
        |_, _| Behind::transfers("retransmits>0"),
    ),
    Cells {
        head: Head {
            title: "COPIED",
            help: "why the kernel copied, where it did",
            width: 16,
            flex: 0,
            right: false,
            rank: 12,
        },
        cell: |i, _| {
            i.t.copied.map_or_else(
                || Cell::new("zero-copy", Tone::Dim),
                |c| Cell::new(text::copied(c).0, Tone::Warn),
            )
        },
        key: |i, _| i.t.copied.map_or("", |c| text::copied(c).0).into(),
        behind: |i, _| {
            Behind::transfers(
                i.t.copied.map_or("zerocopy:yes".into(), |c| format!("copied:{}", text::copied(c).0)),
            )
        },
    },
    Cells {
        head: Head {
            title: "CGROUP",
            help: "cgroup of the process",
            width: 12,
            flex: 2,
            right: false,
            rank: 14,
        },
        cell: |i, _| {
            i.t.cgroup
                .as_deref()
                .map_or_else(Cell::none, |c| Cell::plain(text::harmless(c.as_bytes()).into_owned()))
        },
        key: |i, _| i.t.cgroup.as_deref().unwrap_or("").into(),
        behind: |i, _| {
            i.t.cgroup.as_deref().and_then(|c| Behind::transfers(format!("cgroup:{}", super::quoted(c))))
        },
    },
    Cells {
        head: Head {
            title: "ID",
            help: "its name in the trace; `zctrace explain FILE ID` tells every record behind it",
            width: 10,
            flex: 0,
            right: false,
            rank: 13,
        },
        cell: |i, _| Cell::new(i.t.id.to_string(), Tone::Dim),
        key: |i, _| SortKey::Text(format!("{:04}-{:020}", i.t.id.cpu, i.t.id.seq)),
        behind: |_, _| None,
    },
];

/// The filter for everything of one file or memory.
pub(super) fn source(source: Source) -> Option<Behind> {
    Behind::transfers(match source {
        Source::File(id) => format!("ino={} dev:{}", id.ino, text::dev(id.dev)),
        Source::Memory(pid) => format!("pid={pid} mem:anonymous,private_file,huge,unknown"),
    })
}

fn changes(i: &Item) -> u64 {
    i.so_far.len().max(i.t.mutations.len()) as u64
}

/// What is changed is worth a look first, then what is open, then what is not known.
fn rank_of(i: &Item) -> u64 {
    match (verdict_of(i).1, i.stage) {
        (Tone::Bad, _) => 3,
        (_, Some(Stage::Open)) => 2,
        _ => u64::from(i.t.verdict.gravity()).min(1),
    }
}

/// The verdict in a word; before there is one, how far it has come.
#[must_use]
pub fn verdict_of(i: &Item) -> (&'static str, Tone) {
    match (i.stage, i.t.verdict) {
        (Some(_), _) if !i.so_far.is_empty() => ("CHANGED", Tone::Bad),
        (Some(Stage::Open), _) => ("open", Tone::Live),
        (Some(Stage::Closing), _) => ("closing", Tone::Dim),
        (None, Verdict::Mutated) => ("MUTATED", Tone::Bad),
        (None, Verdict::Unknown) => ("unknown", Tone::Warn),
        (None, Verdict::Clean) => ("clean", Tone::Good),
    }
}

/// What an open window waits for, as far as its times tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Its call has not returned.
    Call,
    /// Its bytes are in a pipe.
    PipeReader,
    /// Its bytes are in the queue of a UNIX socket.
    PeerRead,
    /// Nothing of it was handed to a device.
    FirstXmit,
    /// Not all of it is acknowledged.
    Ack,
    /// Parts of it are in several places.
    Rest,
    /// A packet still holds it.
    LastPacket,
}

impl Waits {
    fn word(self) -> &'static str {
        match self {
            Self::Call => "the call",
            Self::PipeReader => "pipe reader",
            Self::PeerRead => "peer's read",
            Self::FirstXmit => "first xmit",
            Self::Ack => "ack",
            Self::Rest => "the rest",
            Self::LastPacket => "last packet",
        }
    }
}

/// What an open window waits for.
#[must_use]
pub fn waits_for(i: &Item) -> Waits {
    let t = &i.t;
    // What goes through a pipe may be in several places; the kernel has no call.
    let parts = matches!(t.api, Api::Splice | Api::Vmsplice | Api::IoUringSplice | Api::Kernel);
    let in_call = t.return_ns.is_none() && t.notify_ns.is_none() && t.api != Api::Kernel;
    match &t.socket {
        _ if in_call => Waits::Call,
        None => Waits::PipeReader,
        Some(s) if s.proto == 0 => Waits::PeerRead,
        Some(_) if t.first_xmit_ns.is_none() => Waits::FirstXmit,
        Some(s) if t.ack_ns.is_none() && s.proto == proto::TCP => Waits::Ack,
        Some(_) if parts => Waits::Rest,
        Some(_) => Waits::LastPacket,
    }
}

/// What ended the window, or what it waits for.
fn end_of(i: &Item) -> Cell {
    match (i.stage, i.t.outcome, i.t.released_by) {
        (Some(Stage::Open), ..) => Cell::new(format!("…{}", waits_for(i).word()), Tone::Live),
        (Some(Stage::Closing), ..) => Cell::new("…settling", Tone::Dim),
        (_, _, Some(by)) => Cell::plain(text::released_by(by)),
        (_, Outcome::Held, _) => Cell::new("held", Tone::Warn),
        (_, outcome, _) => Cell::new(text::outcome(outcome), Tone::Warn),
    }
}

fn exposed(i: &Item, p: &Picture) -> Option<u64> {
    let t = &i.t;
    match told(i) {
        Some(told) if i.is_open() => Some(p.now_ns.saturating_sub(told)),
        _ => t.exposure_ns(),
    }
}

/// When the application was told that an open one is done: an API that notifies has not told by its return.
#[must_use]
pub fn told(i: &Item) -> Option<u64> {
    let by_return = if i.t.api.notifies() { None } else { i.t.return_ns };
    i.t.notify_ns.or(by_return)
}

fn peer(i: &Item) -> String {
    i.t.socket.as_ref().map_or_else(|| "(pipe)".into(), |s| super::groups::other_end(s))
}

/// How bad an age is.
#[must_use]
pub fn age_tone(ns: u64) -> Tone {
    match ns {
        STUCK_NS.. => Tone::Bad,
        LONG_NS.. => Tone::Warn,
        _ => Tone::Live,
    }
}

/// Where on a logarithmic scale from 1 µs to 100 s.
#[expect(clippy::cast_precision_loss, reason = "a scale")]
pub(super) fn log_share(ns: u64) -> f64 {
    ((ns.max(1) as f64 / 1e3).log10() / 8.0).clamp(0.02, 1.0)
}

/// A change that is on record for a transfer that is not over has no number yet.
pub(super) fn is_new(m: &Mutation) -> bool {
    m.id.0 == 0
}
