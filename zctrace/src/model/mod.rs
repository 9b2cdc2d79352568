//! Plain data in the field's words. No I/O, no formatting, no conclusions: the engine fills these,
//! the sinks read them.

mod mutation;
mod trace;
mod transfer;

pub use mutation::{Hit, Mutation, MutationId, MutationKind, Phase, SeenBy};
pub use trace::{Fingerprints, LossLine, LossWhat, Mode, ProbeState, ProbeStatus, Series, Shown, TraceInfo};
pub use transfer::{
    Api, Content, Copied, FileId, FileRef, Memory, MemoryKind, Outcome, Reason, ReleasedBy, Resent, SockAddr,
    SockRef, Source, Transfer, TransferId, Verdict,
};

/// What the engine says, in the order it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The trace begins.
    Trace(Box<TraceInfo>),
    /// A transfer's fate is known, or the trace ended with it open.
    Transfer(Box<Transfer>),
    /// A change that fell into windows: stated after every transfer that it hit.
    Mutation(Box<Mutation>),
    /// Records that could not be delivered.
    Loss(LossLine),
}
