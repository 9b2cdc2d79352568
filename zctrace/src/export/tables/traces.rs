//! The trace as a whole, and what it missed.

use super::{column, host, trace};
use crate::export::cell::Kind::{List, Ns, Text, Time, U32, U64};
use crate::export::cell::Null::{Never, Unknown};
use crate::export::cell::{Cell, Table};
use crate::model::{LossLine, Mode, ProbeState, TraceInfo};
use crate::text;

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Sample => "sample",
        Mode::Full => "full",
    }
}

/// Headers.
pub static TRACES: Table<TraceInfo> = Table {
    columns: &[
        trace(),
        host(),
        column("part", U32, Never, "which part of a merged recording; 0 in any other", |_, t| {
            Cell::Number(t.part.into())
        }),
        column("tool", Text, Never, "what recorded it", |_, t| Cell::hostile(Some(&t.tool))),
        column("kernel", Text, Never, "`uname -r`", |_, t| Cell::hostile(Some(&t.kernel))),
        column("start_time", Time, Unknown, "when it began", |o, t| Cell::time(o.wall(t.start_ns))),
        column("start_ns", Ns, Never, "the same, CLOCK_MONOTONIC", |_, t| Cell::ns(Some(t.start_ns))),
        column("start_realtime_ns", Ns, Never, "the same, CLOCK_REALTIME", |_, t| {
            Cell::ns(Some(t.start_realtime_ns))
        }),
        column("filters", List, Never, "filters, in words", |_, t| {
            Cell::list(t.filters.iter().map(|f| text::harmless(f.as_bytes())))
        }),
        column("fingerprint_mode", Text, Never, "`off`, `sample`, `full`", |_, t| {
            Cell::word(Some(mode(t.fingerprint.mode)))
        }),
        column("fingerprint_reason", Text, Unknown, "why not as asked for", |_, t| {
            Cell::hostile(t.fingerprint.reason.as_ref())
        }),
        column("probes_missing", List, Never, "probes that were not there", |_, t| {
            let missing = t.probes.iter().filter(|p| p.state == ProbeState::Missing);
            Cell::list(missing.map(|p| text::harmless(p.name.as_bytes())))
        }),
    ],
};

/// Losses.
pub static LOSSES: Table<LossLine> = Table {
    columns: &[
        trace(),
        host(),
        column("what", Text, Never, "`ring`, `learn_miss`, `free_miss`, `watch_miss`, `map_full`", |_, l| {
            Cell::word(Some(text::loss(l.what)))
        }),
        column("cpu", U32, Unknown, "CPU", |_, l| Cell::number(l.cpu)),
        column("from_time", Time, Unknown, "not before", |o, l| Cell::time(o.wall(l.from_ns))),
        column("from_ns", Ns, Never, "not before, CLOCK_MONOTONIC", |_, l| Cell::ns(Some(l.from_ns))),
        column("to_ns", Ns, Never, "not after, CLOCK_MONOTONIC", |_, l| Cell::ns(Some(l.to_ns))),
        column("records", U64, Never, "how many", |_, l| Cell::Number(l.records)),
    ],
};
