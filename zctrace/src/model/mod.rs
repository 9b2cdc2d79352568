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

impl Fact {
    /// As it is called in a merged recording, of which its trace is that part. Of part 0, as it is.
    #[must_use]
    pub fn of_part(mut self, part: u16) -> Self {
        if part == 0 {
            return self;
        }
        match &mut self {
            Self::Trace(info) => info.part = part,
            Self::Transfer(t) => {
                t.id = t.id.of_part(part);
                t.mutations.iter_mut().for_each(|m| *m = m.of_part(part));
            }
            Self::Mutation(m) => {
                m.id = m.id.of_part(part);
                m.hits.iter_mut().for_each(|h| h.transfer = h.transfer.of_part(part));
            }
            Self::Loss(l) => l.part = part,
        }
        self
    }
}
