//! What follows from what the tracer saw of a send.

use super::said::Traced;
use super::tracer::Look;
use crate::model::{Content, Outcome, Transfer};

/// A transfer that is over is stated at the latest so long after its end: it waits for calls that began in its
/// window and may have changed the file, and is not among those that are open meanwhile.
const STATED_NS: u64 = 11_000_000_000;

/// What a look at the tracer says.
pub(super) enum Conclusion {
    /// Not everything is stated.
    NotYet,
    /// Everything is released, but it is not stated yet who changed it.
    Unnamed,
    /// Everything is released. ns of CLOCK_MONOTONIC.
    Released { at_ns: u64, traced: Traced },
    /// The tracer cannot say.
    Blind(String),
}

/// What was sent: the file's inode number, and which bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) ino: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
    /// The socket had all of it.
    pub(super) return_ns: u64,
}

pub(super) fn conclude(look: &Look<'_>, sent: Sent, patient: bool) -> Conclusion {
    let end = sent.offset + sent.len;
    let is_ours = |t: &&Transfer| {
        t.file.as_ref().is_none_or(|f| f.id.ino == sent.ino) && t.offset < end && t.offset >= sent.offset
    };
    let mut ours: Vec<&Transfer> = look.seen.transfers.iter().filter(is_ours).collect();
    ours.sort_by_key(|t| t.offset);
    let reached =
        ours.iter().fold(sent.offset, |at, t| if t.offset <= at { at.max(t.offset + t.bytes) } else { at });
    if reached < end {
        return match look.failed {
            Some(why) => Conclusion::Blind(format!("the tracer stopped: {why}")),
            None if look.passed_ns > sent.return_ns + STATED_NS && look.idle_ns > STATED_NS => {
                Conclusion::Blind("the tracer did not see all of it".into())
            }
            None => Conclusion::NotYet,
        };
    }
    if let Some(t) = ours.iter().find(|t| t.outcome != Outcome::Released || t.release_ns.is_none()) {
        let why: Vec<_> = t.reasons.iter().map(|r| crate::text::reason(*r).1).collect();
        return Conclusion::Blind(format!("the tracer could not follow it: {}", why.join("; ")));
    }
    let wanted = ours.iter().flat_map(|t| &t.mutations);
    // Who did it is stated a little later.
    if patient && wanted.clone().any(|m| !look.seen.mutations.contains_key(m)) {
        return Conclusion::Unnamed;
    }
    let at_ns = ours.iter().filter_map(|t| t.release_ns).max().unwrap_or(sent.return_ns);
    Conclusion::Released { at_ns, traced: summed(&ours, look) }
}

fn summed(ours: &[&Transfer], look: &Look<'_>) -> Traced {
    let mut sum = Traced { transfers: ours.len() as u64, ..Traced::default() };
    for t in ours {
        sum.released_by.extend(t.released_by);
        sum.reasons.extend(&t.reasons);
    }
    sum.verdict = ours.iter().map(|t| t.verdict).max_by_key(|v| v.gravity());
    sum.released_by.sort_unstable();
    sum.released_by.dedup();
    sum.reasons.sort_unstable();
    sum.reasons.dedup();
    sum.content = common(ours.iter().map(|t| t.content));
    let mut ids: Vec<_> = ours.iter().flat_map(|t| t.mutations.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    sum.mutations = ids.iter().filter_map(|m| look.seen.mutations.get(m).cloned()).collect();
    sum
}

/// What all of them say.
fn common(mut all: impl Iterator<Item = Option<Content>>) -> Option<Content> {
    let first = all.next()??;
    all.all(|c| c == Some(first)).then_some(first)
}
