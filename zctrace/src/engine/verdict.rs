//! Outcome and verdict, once everything about a transfer is known.

use super::changes::Changes;
use super::rules::{Evidence, RULES};
use crate::model::{Outcome, Reason, Transfer, Verdict};

/// Whether this reason means that the release could be wrong.
fn doubts_release(reason: Reason) -> bool {
    match reason {
        Reason::MutationsUnwatched
        | Reason::WatchSkipped
        | Reason::WritableMapping
        | Reason::FileUnwatched
        | Reason::FileBusy
        | Reason::FileStacked
        | Reason::ChangesFull
        | Reason::ChangeRunning
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
        | Reason::ProbeMissing
        | Reason::ReturnMissed => true,
    }
}

/// Concludes. Changes before `until` count. A release that could be wrong is not stated at all.
pub(super) fn conclude(
    t: &mut Transfer,
    until: u64,
    last_retransmit: Option<u64>,
    now: u64,
    changes: &mut Changes,
) {
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
    let judged = changes.judge(t, until, now);
    t.reasons.sort_unstable();
    t.reasons.dedup();
    let evidence =
        Evidence { transfer: t, hurts: &judged.hurts, last_retransmit, shrank: judged.shrank, now };
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
