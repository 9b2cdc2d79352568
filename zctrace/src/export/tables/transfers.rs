//! Transfers.

use super::{OfFile, column, file_dev, file_ino, file_path, host, trace};
use crate::export::cell::Kind::{Bool, List, Ns, Text, Time, U32, U64};
use crate::export::cell::Null::{Never, Unknown};
use crate::export::cell::{Cell, Table};
use crate::model::{FileRef, Transfer};
use crate::text;

/// Transfers: the columns are those of the JSON object, its objects `file`, `memory` and `socket` taken apart.
pub static TRANSFERS: Table<Transfer> = Table {
    columns: &[
        trace(),
        host(),
        column("id", Text, Never, "unique in the trace", |_, t| Cell::word(Some(t.id.to_string()))),
        column("api", Text, Never, "`sendfile`, `splice`, `msg_zerocopy`, ...", |_, t| {
            Cell::word(Some(text::api(t.api)))
        }),
        column("pid", U32, Never, "process that sent", |_, t| Cell::Number(t.pid.into())),
        column("tid", U32, Never, "its thread", |_, t| Cell::Number(t.tid.into())),
        column("comm", Text, Never, "the thread's name", |_, t| Cell::hostile(Some(&*t.comm))),
        column("cgroup", Text, Unknown, "its cgroup (v2)", |_, t| Cell::hostile(t.cgroup.as_deref())),
        file_dev("device of the file, `major:minor`; null: memory that is no file's"),
        file_ino(),
        file_path(),
        column("memory_kind", Text, Unknown, "what memory an API that lends memory was given", |_, t| {
            Cell::word(t.memory.map(|m| text::memory(m.kind)))
        }),
        column("memory_address", U64, Unknown, "its first byte, in the process", |_, t| {
            Cell::number(t.memory.map(|m| m.address))
        }),
        column("memory_buffers", U32, Unknown, "buffers it is in", |_, t| {
            Cell::number(t.memory.map(|m| m.buffers))
        }),
        column("memory_registered", Bool, Unknown, "registered with a ring", |_, t| {
            Cell::flag(t.memory.map(|m| m.registered))
        }),
        column("offset", U64, Unknown, "file offset of the first byte", |_, t| {
            Cell::number(t.file.as_ref().map(|_| t.offset))
        }),
        column("requested", U64, Never, "bytes asked for", |_, t| Cell::Number(t.requested)),
        column("bytes", U64, Unknown, "bytes lent; null: the call has not said", |_, t| {
            Cell::number(t.moved())
        }),
        column("socket_cookie", U64, Unknown, "the kernel's cookie of the socket (`ss -e`)", |_, t| {
            Cell::number(t.socket.as_ref().and_then(|s| s.cookie))
        }),
        column(
            "socket_id",
            U64,
            Unknown,
            "the trace's own number for it; null: the bytes stayed in a pipe",
            |_, t| Cell::number(t.socket.as_ref().map(|s| s.id)),
        ),
        column("socket_family", Text, Unknown, "`inet`, `inet6`, `unix`", |_, t| {
            Cell::word(t.socket.as_ref().map(|s| text::family(s.family)))
        }),
        column("socket_proto", Text, Unknown, "`tcp`, `udp`, `mptcp`", |_, t| {
            Cell::word(t.socket.as_ref().and_then(|s| text::proto(s.proto)))
        }),
        column("socket_local", Text, Unknown, "this end", |_, t| {
            Cell::word(t.socket.as_ref().and_then(|s| text::addr(&s.local)))
        }),
        column("socket_remote", Text, Unknown, "the other end", |_, t| {
            Cell::word(t.socket.as_ref().and_then(|s| text::addr(&s.remote)))
        }),
        column("zero_copy", Bool, Never, "false: the kernel copied", |_, t| Cell::Bool(t.copied.is_none())),
        column("copied_because", Text, Unknown, "why it did", |_, t| {
            Cell::word(t.copied.map(|by| text::copied(by).0))
        }),
        column("submit_time", Time, Unknown, "when the operation was entered", |o, t| {
            Cell::time(o.wall(t.submit_ns))
        }),
        column("submit_ns", Ns, Never, "the same, CLOCK_MONOTONIC, as all that follow", |_, t| {
            Cell::ns(Some(t.submit_ns))
        }),
        column("return_ns", Ns, Unknown, "the call returned", |_, t| Cell::ns(t.return_ns)),
        column("notify_ns", Ns, Unknown, "the application was told that its memory is free", |_, t| {
            Cell::ns(t.notify_ns)
        }),
        column("notify_copied", Bool, Unknown, "whether that said that the kernel copied", |_, t| {
            Cell::flag(t.notify_copied)
        }),
        column("first_xmit_ns", Ns, Unknown, "first bytes handed to a device", |_, t| {
            Cell::ns(t.first_xmit_ns)
        }),
        column("ack_ns", Ns, Unknown, "the last byte was acknowledged", |_, t| Cell::ns(t.ack_ns)),
        column("release_ns", Ns, Unknown, "nothing will read the pages again", |_, t| Cell::ns(t.release_ns)),
        column("gap_ns", Ns, Unknown, "release − submit; null unless released", |_, t| {
            Cell::ns(t.gap_ns())
        }),
        column("exposure_ns", Ns, Unknown, "release − (notify, else return)", |_, t| {
            Cell::ns(t.exposure_ns())
        }),
        column("retransmits", U32, Never, "retransmissions of these bytes", |_, t| {
            Cell::Number(t.retransmits.into())
        }),
        column(
            "released_by",
            Text,
            Unknown,
            "`ack`, `tx_complete`, `receiver_read`, `close`, ...",
            |_, t| Cell::word(t.released_by.map(text::released_by)),
        ),
        column("outcome", Text, Never, "`released`, `held`, `unknown`", |_, t| {
            Cell::word(Some(text::outcome(t.outcome)))
        }),
        column("verdict", Text, Never, "`clean`, `mutated`, `unknown`", |_, t| {
            Cell::word(Some(text::verdict(t.verdict)))
        }),
        column(
            "content",
            Text,
            Unknown,
            "`sent_old`, `sent_new`, `mixed`: which version went out",
            |_, t| Cell::word(t.content.map(text::content)),
        ),
        column("reasons", List, Never, "why not certain", |_, t| {
            Cell::list(t.reasons.iter().map(|r| text::reason(*r).0))
        }),
        column("rules", List, Never, "rules that apply, the gravest first", |_, t| {
            Cell::list(t.rules.iter().copied())
        }),
        column("mutations", List, Never, "`id`s of what changed in the window", |_, t| {
            Cell::list(t.mutations.iter().map(ToString::to_string))
        }),
    ],
};

impl OfFile for Transfer {
    fn file(&self) -> Option<&FileRef> {
        self.file.as_ref()
    }
}
