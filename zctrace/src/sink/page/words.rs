//! One transfer or one change for the page's script: moments as numbers, everything else as words.

use serde_json::{Value, json};

use super::keep::Kept;
use crate::model::{Mutation, SockRef, Transfer};
use crate::text;

/// What is said of a transfer, in this order.
pub(super) const LABELS: [&str; 25] = [
    "verdict",
    "outcome",
    "released by",
    "content",
    "interface",
    "process",
    "cgroup",
    "host",
    "file",
    "memory",
    "range",
    "requested",
    "socket",
    "zero-copy",
    "gap",
    "exposure",
    "submit",
    "first transmit",
    "return",
    "notify",
    "ack",
    "release",
    "retransmits",
    "changes",
    "number of the file",
];

/// Of the clocks of a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Where the page's time begins, CLOCK_MONOTONIC.
    pub(super) start_ns: u64,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC; `None`: the header is missing.
    pub(super) ahead_ns: Option<i128>,
}

impl Clock {
    /// The wall clock at that moment, UTC.
    pub(super) fn wall(self, ns: u64) -> Option<String> {
        let real = u64::try_from(i128::from(ns) + self.ahead_ns?).ok()?;
        // Later than the year 9999 there is no such text.
        let at = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_nanos(real))?;
        Some(humantime::format_rfc3339_micros(at).to_string().replace('T', " ").replace('Z', " UTC"))
    }

    fn since(self, ns: u64) -> u64 {
        ns.saturating_sub(self.start_ns)
    }
}

pub(super) fn socket(s: &SockRef) -> String {
    let cookie = s.cookie.map_or_else(String::new, |c| format!(", cookie {c}"));
    format!("{}, {}{cookie}", crate::columns::socket(s), text::family(s.family))
}

/// How long after the submit.
fn after(t: &Transfer, ns: Option<u64>) -> Option<String> {
    let ns = ns?;
    Some(match ns.checked_sub(t.submit_ns) {
        Some(later) => format!("{} after submit", text::ns(later)),
        None => format!("{} before submit", text::ns(t.submit_ns - ns)),
    })
}

pub(super) fn transfer(kept: &Kept<Transfer>, clock: Clock, host: Option<String>) -> Value {
    let t = &kept.it;
    let said = |words: &'static str, sentence: &str| format!("{words}: {sentence}");
    let words: [Option<String>; LABELS.len()] = [
        Some(text::verdict(t.verdict).into()),
        Some(text::outcome(t.outcome).into()),
        t.released_by.map(|by| said(text::released_by(by), text::released_by_sentence(by))),
        t.content.map(|c| said(text::content(c), text::content_sentence(c))),
        Some(text::api(t.api).into()),
        Some(format!("{}, thread {}", text::process(Some(t.pid), &t.comm), t.tid)),
        t.cgroup.as_deref().map(|c| text::harmless(c.as_bytes()).into_owned()),
        host,
        t.file.as_ref().map(|f| text::file(f).into_owned()),
        t.memory.map(|m| {
            let buffers = if m.buffers == 1 { String::new() } else { format!(", {} buffers", m.buffers) };
            let registered = if m.registered { ", registered" } else { "" };
            format!("{} at {:#x}{buffers}{registered}", text::memory(m.kind), m.address)
        }),
        t.moved().map(|n| format!("{} ({})", text::span(t.file.as_ref(), t.offset, Some(n)), text::bytes(n))),
        Some(format!("{} ({})", t.requested, text::bytes(t.requested))),
        t.socket.as_deref().map(socket),
        Some(t.copied.map_or_else(|| "yes".into(), |c| said("no", text::copied(c).1))),
        t.gap_ns().map(text::ns),
        t.exposure_ns().map(text::ns),
        Some(format!(
            "{} after the trace began{}",
            text::ns(clock.since(t.submit_ns)),
            clock.wall(t.submit_ns).map_or_else(String::new, |at| format!(", {at}"))
        )),
        after(t, t.first_xmit_ns),
        after(t, t.return_ns),
        after(t, t.notify_ns).map(|at| match t.notify_copied {
            Some(true) => format!("{at}, it said: copied"),
            Some(false) => format!("{at}, it said: not copied"),
            None => at,
        }),
        after(t, t.ack_ns),
        after(t, t.release_ns),
        (t.retransmits > 0).then(|| t.retransmits.to_string()),
        (kept.all > 0).then(|| {
            let ids: Vec<_> = t.mutations.iter().map(ToString::to_string).collect();
            let more = kept.all.saturating_sub(ids.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", ids.join(" "))
        }),
        t.file.as_ref().map(|f| format!("ino {} on {}", f.id.ino, text::dev(f.id.dev))),
    ];
    let words: Vec<Value> =
        words.into_iter().enumerate().filter_map(|(i, w)| w.map(|w| json!([i, w]))).collect();
    let since = |ns: Option<u64>| ns.map(|ns| clock.since(ns));
    let at = [Some(t.submit_ns), t.first_xmit_ns, t.return_ns, t.notify_ns, t.ack_ns, t.release_ns];
    json!({
        "id": t.id.to_string(),
        "verdict": text::verdict(t.verdict),
        "open": t.release_ns.is_none(),
        "at": at.map(since),
        "words": words,
        "rules": t.rules,
        "reasons": t.reasons.iter().map(|r| text::reason(*r).0).collect::<Vec<_>>(),
        "mutations": t.mutations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub(super) fn mutation(kept: &Kept<Mutation>, clock: Clock) -> Value {
    let m = &kept.it;
    json!({
        "id": m.id.to_string(),
        "at": clock.since(m.at_ns),
        "says": format!(
            "{} by {}: {} of {}",
            text::mutation(m.kind),
            text::writer(m),
            text::span(m.file.as_ref(), m.offset, m.len),
            text::changed(m)
        ),
    })
}
