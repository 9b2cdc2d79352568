//! Outcome and verdict, once everything about a transfer is known.

use crate::model::{Outcome, Reason, Transfer, Verdict};

/// Whether this reason means that the release could be wrong.
fn doubts_release(reason: Reason) -> bool {
    match reason {
        Reason::MutationsUnwatched => false,
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

/// Concludes. A release that could be wrong is not stated at all.
pub(super) fn conclude(t: &mut Transfer) {
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
    // Nothing watches for changes yet: silence proves nothing.
    t.reasons.push(Reason::MutationsUnwatched);
    t.verdict = Verdict::Unknown;
    t.reasons.sort_unstable();
    t.reasons.dedup();
}
