//! Plain data in the field's words. No I/O, no formatting, no conclusions: the engine fills these,
//! the sinks read them.

mod trace;
mod transfer;

pub use trace::{LossLine, LossWhat, ProbeState, ProbeStatus, Shown, TraceInfo};
pub use transfer::{
    Api, FileRef, Outcome, Reason, ReleasedBy, SockAddr, SockRef, Transfer, TransferId, Verdict,
};

/// What the engine says, in the order it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The trace begins.
    Trace(Box<TraceInfo>),
    /// A transfer's fate is known, or the trace ended with it open.
    Transfer(Box<Transfer>),
    /// Records that could not be delivered.
    Loss(LossLine),
}
