//! What is said of a slice or an instant when it is clicked on. What is not known is not said.

use std::io::Write;

use super::packets::Packets;
use super::proto::DebugAnnotation;
use crate::model::{LossLine, Mutation, Transfer};
use crate::text;

/// `nginx/4242`
pub(super) fn process(t: &Transfer) -> String {
    format!("{}/{}", text::harmless(&t.comm), t.pid)
}

/// `127.0.0.1:80 → 192.168.1.7:54321 tcp`
pub(super) fn socket(t: &Transfer) -> String {
    let Some(s) = &t.socket else { return "pipes".into() };
    let end = |addr| text::addr(addr).unwrap_or_else(|| "unnamed".into());
    let proto = text::proto(s.proto).unwrap_or_else(|| text::family(s.family));
    format!("{} → {} {proto}", end(&s.local), end(&s.remote))
}

/// The last name of a path: all of it is said below.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('/').find(|name| !name.is_empty()).unwrap_or(path)
}

/// `a, b`; nothing of nothing.
fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

pub(super) fn transfer<W: Write>(
    to: &mut Packets<W>,
    t: &Transfer,
    open: Option<&'static str>,
) -> Vec<DebugAnnotation> {
    let mut notes = vec![
        to.text("id", t.id.to_string()),
        to.word("api", text::api(t.api)),
        to.word("file", &text::source(t)),
    ];
    let mut word = |key: &str, text: Option<&str>| notes.extend(text.map(|text| to.word(key, text)));
    word("verdict", Some(text::verdict(t.verdict)));
    word("outcome", Some(text::outcome(t.outcome)));
    word("end", open);
    word("released_by", t.released_by.map(text::released_by));
    word("copied_because", t.copied.map(|by| text::copied(by).0));
    word("content", t.content.map(text::content));
    word("reasons", joined(t.reasons.iter().map(|r| text::reason(*r).0.into())).as_deref());
    word("rules", joined(t.rules.iter().map(|r| (*r).into())).as_deref());
    word("mutations", joined(t.mutations.iter().map(ToString::to_string)).as_deref());
    word("comm", Some(&text::harmless(&t.comm)));
    word("cgroup", t.cgroup.as_deref().map(|c| text::harmless(c.as_bytes())).as_deref());
    let range = text::span(t.file.as_ref(), t.offset, t.moved());
    notes.push(to.text("range", range));
    notes.push(to.flag("zero_copy", t.copied.is_none()));
    let after = |ns: Option<u64>| ns.map(|ns| ns.saturating_sub(t.submit_ns));
    for (key, n) in [
        ("pid", Some(t.pid.into())),
        ("tid", Some(t.tid.into())),
        ("requested", Some(t.requested)),
        ("bytes", t.moved()),
        ("gap_ns", t.gap_ns()),
        ("exposure_ns", t.exposure_ns()),
        ("first_xmit_after_ns", after(t.first_xmit_ns)),
        ("return_after_ns", after(t.return_ns)),
        ("notify_after_ns", after(t.notify_ns)),
        ("ack_after_ns", after(t.ack_ns)),
        ("retransmits", Some(t.retransmits.into())),
    ] {
        notes.extend(n.map(|n| to.number_of(key, n)));
    }
    notes
}

pub(super) fn mutation<W: Write>(to: &mut Packets<W>, m: &Mutation) -> Vec<DebugAnnotation> {
    let mut notes = vec![
        to.text("id", m.id.to_string()),
        to.word("kind", text::mutation(m.kind)),
        to.word("file", &text::changed(m)),
        to.text("range", text::span(m.file.as_ref(), m.offset, m.len)),
        to.word("seen_by", text::seen_by(m.seen_by)),
        to.word("writer", &text::writer(m)),
    ];
    for (key, n) in [
        ("tid", m.tid.map(u64::from)),
        ("took_ns", m.end_ns.map(|end| end.saturating_sub(m.at_ns))),
        ("hits", u64::try_from(m.hits.len()).ok()),
    ] {
        notes.extend(n.map(|n| to.number_of(key, n)));
    }
    notes
}

pub(super) fn loss<W: Write>(to: &mut Packets<W>, l: &LossLine) -> Vec<DebugAnnotation> {
    let mut notes = vec![to.word("what", text::loss(l.what))];
    for (key, n) in [
        ("records", Some(l.records)),
        ("cpu", l.cpu.map(u64::from)),
        ("took_ns", Some(l.to_ns.saturating_sub(l.from_ns))),
    ] {
        notes.extend(n.map(|n| to.number_of(key, n)));
    }
    notes
}
