//! Changes to lent bytes, and whom they hit.

use super::{OfFile, column, file_dev, file_ino, file_path, host, trace};
use crate::export::cell::Kind::{Ns, Text, Time, U32, U64};
use crate::export::cell::Null::{Never, Unknown};
use crate::export::cell::{Cell, Table};
use crate::model::{FileRef, Hit, Mutation, MutationId};
use crate::text;

/// One transfer that one mutation hit.
#[derive(Clone, Copy, Debug)]
pub struct OneHit {
    /// Mutation.
    pub mutation: MutationId,
    /// When it began, nanoseconds.
    pub at_ns: u64,
    /// Transfer.
    pub hit: Hit,
}

/// Mutations.
pub static MUTATIONS: Table<Mutation> = Table {
    columns: &[
        trace(),
        host(),
        column("id", Text, Never, "unique in the trace", |_, m| Cell::word(Some(m.id.to_string()))),
        column("kind", Text, Never, "`write`, `mmap_store`, `truncate`, ..., `unattributed`", |_, m| {
            Cell::word(Some(text::mutation(m.kind)))
        }),
        column("pid", U32, Unknown, "process that changed it; null: nobody is on record", |_, m| {
            Cell::number(m.pid)
        }),
        column("tid", U32, Unknown, "its thread", |_, m| Cell::number(m.tid)),
        column("comm", Text, Unknown, "the thread's name", |_, m| Cell::hostile(m.pid.map(|_| &*m.comm))),
        file_dev("device of the file; null: memory of the process that lent it"),
        file_ino(),
        file_path(),
        column("offset", U64, Never, "first byte changed; without a file, its address", |_, m| {
            Cell::Number(m.offset)
        }),
        column("len", U64, Unknown, "bytes; null: all that follow", |_, m| Cell::number(m.len)),
        column("at_time", Time, Unknown, "when it began", |o, m| Cell::time(o.wall(m.at_ns))),
        column("at_ns", Ns, Never, "the same, CLOCK_MONOTONIC", |_, m| Cell::ns(Some(m.at_ns))),
        column("end_ns", Ns, Unknown, "when it ended, CLOCK_MONOTONIC", |_, m| Cell::ns(m.end_ns)),
        column("seen_by", Text, Never, "`syscall`, `tracepoint`, `fingerprint`", |_, m| {
            Cell::word(Some(text::seen_by(m.seen_by)))
        }),
    ],
};

/// Hits.
pub static HITS: Table<OneHit> = Table {
    columns: &[
        trace(),
        host(),
        column("mutation", Text, Never, "`id` of the mutation", |_, h| {
            Cell::word(Some(h.mutation.to_string()))
        }),
        column("transfer", Text, Never, "`id` of the transfer", |_, h| {
            Cell::word(Some(h.hit.transfer.to_string()))
        }),
        column(
            "phase",
            Text,
            Never,
            "`before_xmit`, `in_flight`, `after_ack`: where the transfer was",
            |_, h| Cell::word(Some(text::phase(h.hit.phase))),
        ),
        column("at_time", Time, Unknown, "when the mutation began", |o, h| Cell::time(o.wall(h.at_ns))),
        column("at_ns", Ns, Never, "the same, CLOCK_MONOTONIC", |_, h| Cell::ns(Some(h.at_ns))),
    ],
};

impl OfFile for Mutation {
    fn file(&self) -> Option<&FileRef> {
        self.file.as_ref()
    }
}
