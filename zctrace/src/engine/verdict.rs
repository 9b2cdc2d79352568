//! Outcome and verdict, once everything about a transfer is known.

use zctrace_common::kernel::family;

use super::changes::{Changes, Judged};
use super::prints::{Known, Prints};
use super::rules::{Evidence, RULES};
use crate::model::{MutationKind, Outcome, Reason, Transfer, Verdict};

/// Whether this reason means that the release could be wrong.
pub(super) fn doubts_release(reason: Reason) -> bool {
    match reason {
        Reason::MutationsUnwatched
        | Reason::WatchSkipped
        | Reason::WritableMapping
        | Reason::FileUnwatched
        | Reason::FileBusy
        | Reason::FileStacked
        | Reason::ChangesFull
        | Reason::ChangeRunning
        | Reason::ContentChanged
        | Reason::MemoryUnwatched
        | Reason::MemoryScattered
        | Reason::SubmitUnseen
        | Reason::StillLent => false,
        Reason::Loss
        | Reason::MapFull
        | Reason::ProbeSkipped
        | Reason::FreeMissed
        | Reason::RecordingCut
        | Reason::OutOfOrder
        | Reason::ReceiverSpliced
        | Reason::FragsMoved
        | Reason::PipeChanged
        | Reason::UpperLayer
        | Reason::SendsAtOnce
        | Reason::NotConnected
        | Reason::ProbeMissing
        | Reason::ReturnMissed => true,
    }
}

/// Moments that decide, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Changes before count.
    pub(super) until: u64,
    /// Its release may be later than that of its own bytes.
    pub(super) wide: bool,
}

/// Concludes. A release that could be wrong is not stated at all.
pub(super) fn conclude(t: &mut Transfer, ends: Ends, prints: &Prints, now: u64, changes: &mut Changes) {
    let doubt = t.reasons.iter().any(|r| doubts_release(*r));
    t.outcome = match t.release_ns {
        _ if doubt => Outcome::Unknown,
        Some(_) => Outcome::Released,
        None => Outcome::Held,
    };
    if t.outcome != Outcome::Released {
        t.release_ns = None;
        t.released_by = None;
    }
    if t.outcome == Outcome::Held {
        t.reasons.push(Reason::StillLent);
    }
    // The kernel enters the call once it has been looked at: what changed before, it lends changed.
    let entered = t.submit_ns;
    t.submit_ns = prints.submitted().unwrap_or(0).max(entered);
    let mut judged = changes.judge(t, entered, ends.until, now);
    content(t, ends.until, prints, &mut judged, changes);
    t.reasons.sort_unstable();
    t.reasons.dedup();
    let evidence =
        Evidence { transfer: t, hurts: &judged.hurts, shrank: judged.shrank, wide: ends.wide, now };
    let rules: Vec<_> = RULES.iter().filter(|r| r.applies(&evidence)).collect();
    let mutated = rules.iter().any(|r| r.verdict == Some(Verdict::Mutated));
    t.verdict = match t.outcome {
        // The window is not known: the change may have come after it.
        Outcome::Unknown => Verdict::Unknown,
        _ if mutated => Verdict::Mutated,
        _ if t.reasons.is_empty() => Verdict::Clean,
        _ => Verdict::Unknown,
    };
    t.rules = rules.iter().map(|r| r.name).collect();
}

/// What may have changed the file without being on record.
fn hides_writers(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MutationsUnwatched
            | Reason::WatchSkipped
            | Reason::FileUnwatched
            | Reason::FileBusy
            | Reason::FileStacked
            | Reason::ChangesFull
            | Reason::ChangeRunning
            | Reason::Loss
            | Reason::MapFull
            | Reason::RecordingCut
    )
}

/// Adds what fingerprints say to what is known of changes.
fn content(t: &mut Transfer, until: u64, prints: &Prints, judged: &mut Judged, changes: &mut Changes) {
    if prints.is_empty() {
        t.content = None;
        return;
    }
    let known: Vec<_> =
        judged.hurts.iter().map(|h| Known { off: h.off, len: h.len, begin: h.begin }).collect();
    let packets = t.socket.as_ref().is_none_or(|s| s.family != family::UNIX);
    let mut told = prints.tell(t, changes.mode, packets, &known, &judged.before);
    t.content = told.content;
    // A head is looked at a moment after the application was told: then it may have been stored to already.
    let (changed, later) = told.changed.into_iter().partition(|c| c.before <= until);
    told.changed = changed;
    told.unsure |= !Vec::is_empty(&later);
    if !told.changed.is_empty() {
        if t.reasons.iter().any(|r| hides_writers(*r)) {
            t.reasons.push(Reason::ContentChanged);
        } else {
            // A change that nobody is known for, if not somebody who needs no call.
            let mapped = t.reasons.contains(&Reason::WritableMapping) || t.file.is_none();
            let kind = if mapped { MutationKind::MmapStore } else { MutationKind::Unattributed };
            judged.hurts.extend(changes.found(t, kind, &told.changed));
        }
    }
    if told.unsure {
        t.reasons.push(Reason::ContentChanged);
    }
    if told.whole {
        // Whoever could have changed them unseen: their content shows whether they did.
        let seen =
            [Reason::WritableMapping, Reason::FileBusy, Reason::MemoryUnwatched, Reason::MemoryScattered];
        t.reasons.retain(|r| !seen.contains(r));
    }
}
