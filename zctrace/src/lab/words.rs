//! The lab's words: the same in the table, on the page and in JSON.

use std::collections::BTreeSet;

use super::conclude::{Atlas, Conclusion, Pages, Reached, Row, Share};
use super::judge::{Done, Safe};
use super::{Memory, Transport};
use crate::text;

/// `at the notification`
fn safe(safe: Safe, done: Done) -> &'static str {
    match (safe, done) {
        (Safe::Done, Done::Return) => "at return",
        (Safe::Done, Done::Notify) => "at the notification",
        (Safe::Done, Done::Complete) => "at its completion",
        (Safe::Acknowledged, _) => "when it is acknowledged",
        (Safe::Read, _) => "when the receiver read it",
        (Safe::Gone, _) => "when the receiver is gone",
        (Safe::Failed, _) => "nothing: it failed",
        (Safe::Never, _) => "not while it was traced",
        (Safe::Unknown, _) => "not known",
    }
}

/// `1.23 ms`; nothing at all is `0`.
pub(super) fn time(ns: Option<u64>) -> String {
    match ns {
        None => "-".to_owned(),
        Some(0) => "0".to_owned(),
        Some(ns) => text::ns(ns),
    }
}

/// Since when the bytes may be changed.
pub(super) fn really_safe(c: &Conclusion) -> String {
    c.safe.iter().map(|s| safe(*s, c.done)).collect::<Vec<_>>().join(", or ")
}

/// `lent`
pub(super) fn pages(pages: Pages) -> &'static str {
    match pages {
        Pages::Lent => "lent",
        Pages::Copied => "copied",
        Pages::Both => "both",
    }
}

/// `all`
pub(super) fn share(share: Share) -> &'static str {
    match share {
        Share::Untried => "untried",
        Share::None => "none",
        Share::Some => "some",
        Share::All => "all",
    }
}

/// `12 of 12`: cells with a change, or those of them in which it arrived
pub(super) fn reached(reached: &Reached, share: Share) -> String {
    match share {
        Share::Untried => "-".to_owned(),
        Share::None => format!("none of {}", reached.of),
        Share::Some | Share::All => format!("{} of {}", reached.cells, reached.of),
    }
}

/// `tcp udp unix`; a version is named where the other differs.
pub(super) fn transports(of: &BTreeSet<Transport>) -> String {
    let mut words = Vec::new();
    for (one, other, both) in
        [(Transport::Tcp4, Transport::Tcp6, "tcp"), (Transport::Udp4, Transport::Udp6, "udp")]
    {
        if of.contains(&one) && of.contains(&other) {
            words.push(both);
        } else {
            words.extend([one, other].into_iter().filter(|t| of.contains(t)).map(Transport::name));
        }
    }
    words.extend(
        [Transport::Unix, Transport::Pipe].into_iter().filter(|t| of.contains(t)).map(Transport::name),
    );
    words.join(" ")
}

/// `any memory`
pub(super) fn memory(row: &Row) -> String {
    if row.any_memory {
        return "any memory".to_owned();
    }
    row.memory.iter().map(|m: &Memory| m.name()).collect::<Vec<_>>().join(" ")
}

/// What a row says beside its columns.
pub(super) fn notes(row: &Row) -> Vec<String> {
    let c = &row.conclusion;
    if let Some(why) = &c.skipped {
        return vec![format!("not possible here: {}", text::harmless(why.as_bytes()))];
    }
    let receivers = |r: &Reached| r.receivers.iter().map(|r| r.name()).collect::<Vec<_>>().join(" and ");
    let mut notes: Vec<String> =
        c.copied.iter().map(|by| format!("copied: {}", text::copied(*by).1)).collect();
    if c.after == Share::Some {
        notes.push(format!("a change reached {} receivers only", receivers(&row.after)));
    }
    if matches!(c.before, Share::Some | Share::All) {
        notes.push(format!(
            "before {} a change reached the peer: {} of {} ({})",
            if c.done == Done::Complete { "its completion" } else { "the notification" },
            row.before.cells,
            row.before.of,
            receivers(&row.before)
        ));
    }
    notes
}

/// What holds for the whole run, a sentence each.
pub(super) fn totals(atlas: &Atlas) -> Vec<String> {
    let t = &atlas.total;
    let played = t.cells - t.skipped;
    let mut lines = vec![format!(
        "{} cells in {:.1} s on Linux {}; {} not possible here.",
        t.cells,
        t.took.as_secs_f64(),
        text::harmless(atlas.kernel.as_bytes()),
        t.skipped
    )];
    lines.push(if t.contradict == 0 {
        format!("The trace agrees with the receivers in all {played}.")
    } else {
        format!("THE TRACE CONTRADICTS THE RECEIVERS in {} of {played}:", t.contradict)
    });
    lines.push(format!(
        "The release of {} of {} transfers was found; {} unknown.",
        t.released,
        t.transfers,
        if t.unknown == 1 { "1 cell is".to_owned() } else { format!("{} cells are", t.unknown) }
    ));
    let verdicts: Vec<String> =
        t.verdicts.iter().map(|(v, n)| format!("{n} {}", text::verdict(*v))).collect();
    let reasons: Vec<String> = t.reasons.iter().map(|(r, n)| format!("{} {n}", text::reason(*r).0)).collect();
    lines.push(format!("Verdicts by cell: {}.", verdicts.join(", ")));
    if !reasons.is_empty() {
        lines.push(format!("What is not certain, by cell: {}.", reasons.join(", ")));
    }
    lines.push(format!(
        "Seen within 1 ms by actor and trace: {} of {} returns, {} of {} notifications.",
        t.returns.0, t.returns.1, t.notifications.0, t.notifications.1
    ));
    if t.lent_after_notice > 0 {
        lines.push(format!("LENT AFTER THE NOTIFICATION, says the trace: {} cells.", t.lent_after_notice));
    }
    if t.misnamed > 0 {
        lines.push(format!(
            "{} releases are called receiver_read, but the receiver closed: another CPU freed its queue.",
            t.misnamed
        ));
    }
    lines
}

/// Contradictions; unknowns and what was lent after its notification: a line each.
pub(super) fn doubts(atlas: &Atlas) -> (Vec<String>, Vec<String>) {
    let ids = |c: &super::Judged| c.transfers.iter().map(|t| t.id.to_string()).collect::<Vec<_>>().join(" ");
    let mut wrong = Vec::new();
    let mut unknown = Vec::new();
    for c in atlas.cells.iter().filter(|c| c.played()) {
        wrong.extend(c.contradictions.iter().map(|what| format!("{}: {what} [{}]", c.cell(), ids(c))));
        if matches!(c.safe(), Safe::Unknown | Safe::Never) {
            let reasons: Vec<_> = c.reasons().iter().map(|r| text::reason(*r).0).collect();
            unknown.push(format!("unknown: {}: {} [{}]", c.cell(), reasons.join(", "), ids(c)));
        }
        if c.lent_after_notice() {
            let late = c.exposure_ns().map(text::ns).unwrap_or_default();
            unknown.push(format!("after its notification by {late}: {} [{}]", c.cell(), ids(c)));
        }
    }
    (wrong, unknown)
}
