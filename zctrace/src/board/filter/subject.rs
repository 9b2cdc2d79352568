//! Where in a subject things are, and every text of it that is shown.

use std::net::SocketAddr;

use super::value::{Matcher, Value};
use crate::board::group::{Label, Peer};
use crate::board::{Item, Picture, Row};
use crate::distribution::Distribution;
use crate::model::{FileRef, Mutation, MutationId, SockAddr, SockRef, Transfer};
use crate::text;

/// Any text of a transfer. What needs no formatting comes first.
pub(super) fn item(item: &Item, m: &mut Matcher<'_>) -> bool {
    let t = &*item.t;
    m.raw(&t.comm)
        || match &t.file {
            Some(f) => file(f, m),
            None => m.shown(&text::source(t)),
        }
        || m.word(text::api(t.api))
        || cgroup(t.cgroup.as_deref(), m)
        || t.socket.as_ref().is_some_and(|s| ends(s, m))
        || peer(&Peer::of(t), m)
        || process(&t.comm, t.pid, m)
        || m.see(&Value::Transfer(t.id))
}

/// Any text of a change.
pub(super) fn mutation(mutation: &Mutation, m: &mut Matcher<'_>) -> bool {
    let source = match &mutation.file {
        Some(f) => file(f, m),
        None => m.shown(&text::changed(mutation)),
    };
    source
        || m.word(text::mutation(mutation.kind))
        || m.raw(&mutation.comm)
        || m.shown(&text::writer(mutation))
        || change(mutation.id, m)
}

/// Any text of what a group is called.
pub(super) fn row(row: &Row, m: &mut Matcher<'_>) -> bool {
    match &row.group.label {
        Label::File(f) => file(f, m),
        Label::Memory { pid, comm } => m.shown(&"memory") || process(comm, *pid, m),
        Label::Peer(p) => peer(p, m),
        Label::Socket(s) => ends(s, m) || peer(&Peer::of_socket(s), m),
        Label::Process { pid, comm, cgroup: path } => process(comm, *pid, m) || cgroup(path.as_deref(), m),
    }
}

/// `nginx/4242`
fn process(comm: &[u8], pid: u32, m: &mut Matcher<'_>) -> bool {
    m.shown(&format_args!("{}/{pid}", text::harmless(comm)))
}

/// Both ends, as they are shown.
fn ends(s: &SockRef, m: &mut Matcher<'_>) -> bool {
    [&s.local, &s.remote].into_iter().any(|end| match end {
        SockAddr::Inet(ip, port) => m.shown(&SocketAddr::new(*ip, *port)),
        SockAddr::Unix(name) => unix(name, m),
        SockAddr::None => false,
    })
}

/// Its path; one that is not known has no raw bytes.
pub(super) fn file(file: &FileRef, m: &mut Matcher<'_>) -> bool {
    match &file.path {
        Some(path) => m.raw(path),
        None => m.shown(&text::file(file)),
    }
}

pub(super) fn cgroup(path: Option<&str>, m: &mut Matcher<'_>) -> bool {
    path.is_some_and(|path| m.raw(path.as_bytes()))
}

/// The other end, without its port.
pub(super) fn peer(peer: &Peer, m: &mut Matcher<'_>) -> bool {
    match peer {
        Peer::Ip(ip) => m.see(&Value::Ip(*ip)),
        Peer::Unix(name) => unix(name, m),
        Peer::Unnamed(family) => m.shown(&format_args!("{} socket", text::family(*family))),
        Peer::Pipe => m.shown(&"in a pipe"),
    }
}

/// This end, without its port.
pub(super) fn local(s: &SockRef, m: &mut Matcher<'_>) -> bool {
    match &s.local {
        SockAddr::Inet(ip, _) => m.see(&Value::Ip(ip.to_canonical())),
        SockAddr::Unix(name) => unix(name, m),
        SockAddr::None => false,
    }
}

/// An abstract name is shown, and asked for, with an `@`.
fn unix(name: &[u8], m: &mut Matcher<'_>) -> bool {
    match name.split_first() {
        Some((0, rest)) => m.raw(&[b"@", rest].concat()),
        _ => m.raw(name),
    }
}

/// The port of either end.
pub(super) fn port(s: &SockRef, m: &mut Matcher<'_>) -> bool {
    [&s.local, &s.remote].into_iter().any(|end| matches!(end, SockAddr::Inet(_, port) if m.number(*port)))
}

/// The number of a change, if it has one.
pub(super) fn change(id: MutationId, m: &mut Matcher<'_>) -> bool {
    id.0 != 0 && m.see(&Value::Change(id))
}

/// Who made a change: process, name, and how both are shown.
pub(super) fn writer(mutation: &Mutation, m: &mut Matcher<'_>) -> bool {
    m.maybe(mutation.pid) || m.raw(&mutation.comm) || m.shown(&text::writer(mutation))
}

/// Who made the changes that a transfer was hit by, as far as they are kept.
pub(super) fn writers(item: &Item, picture: &Picture, m: &mut Matcher<'_>) -> bool {
    item.so_far.iter().any(|change| writer(change, m))
        || item.t.mutations.iter().filter_map(|id| picture.mutation(*id)).any(|change| writer(change, m))
}

/// Bytes that it lends, as in [`crate::board::Lent`]; once its fate is known, bytes that it moved.
pub(super) fn bytes(item: &Item) -> u64 {
    let t = &item.t;
    if item.stage.is_some() { t.moved().unwrap_or(t.requested) } else { t.bytes }
}

/// Changes, so far where its fate is not known.
pub(super) fn changes(item: &Item) -> usize {
    item.t.mutations.len().max(item.so_far.len())
}

/// The transfer, if its fate is known: until then what it says of that is no finding.
pub(super) fn concluded(item: &Item) -> Option<&Transfer> {
    item.stage.is_none().then_some(&*item.t)
}

pub(super) fn row_process(row: &Row) -> Option<(u32, &[u8])> {
    match &row.group.label {
        Label::Process { pid, comm, .. } | Label::Memory { pid, comm } => Some((*pid, comm)),
        _ => None,
    }
}

pub(super) fn row_cgroup(row: &Row) -> Option<&str> {
    match &row.group.label {
        Label::Process { cgroup, .. } => cgroup.as_deref(),
        _ => None,
    }
}

pub(super) fn row_file(row: &Row) -> Option<&FileRef> {
    match &row.group.label {
        Label::File(file) => Some(file),
        _ => None,
    }
}

pub(super) fn row_socket(row: &Row) -> Option<&SockRef> {
    match &row.group.label {
        Label::Socket(s) => Some(s),
        _ => None,
    }
}

pub(super) fn row_peer(row: &Row, m: &mut Matcher<'_>) -> bool {
    match &row.group.label {
        Label::Peer(p) => peer(p, m),
        Label::Socket(s) => peer(&Peer::of_socket(s), m),
        _ => false,
    }
}

/// The value that 99 of 100 stay below.
pub(super) fn p99(of: &Distribution) -> Option<u64> {
    of.quantile(0.99)
}
