//! What the trace says of a cell beside what its actors saw, and whether both can be true.

use std::fmt;

use super::{Api, Cell, Observed, content};
use crate::model::{Content, Copied, Fact, Outcome, Reason, ReleasedBy, Transfer, Verdict};
use crate::text;

/// The actors see a return or a notification up to this much from where the trace does.
pub const CLOSE_NS: u64 = 1_000_000;

/// What the API calls "done".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Done {
    /// The call returned, or its completion was there.
    Return,
    /// The notification came.
    Notify,
    /// It was complete, as [`crate::send`] means it.
    Complete,
}

/// Since when the bytes may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Safe {
    /// When the API said that it was done: nothing was lent any more.
    Done,
    /// Once the peer's kernel had acknowledged it.
    Acknowledged,
    /// Once the receiver had read it.
    Read,
    /// Once the receiver was gone, or the network had dropped it.
    Gone,
    /// The program was told that it failed, so nothing was promised.
    Failed,
    /// Still lent when the trace ended.
    Never,
    /// Not known.
    Unknown,
}

/// Something that cannot be true at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The receiver got a change that began after the trace saw the release.
    ReachedAfterRelease,
    /// The receiver got a change, and the verdict is `clean`.
    CleanButReached,
    /// What went out is said to be old, but the receiver got the change; or the other way round.
    WrongContent(Content),
    /// Transfers of so many bytes, but the API took so many.
    WrongBytes(u64, u64),
    /// So many bytes at the receiver that nobody sent or wrote.
    NobodysBytes(u64),
}

/// One cell with what the trace says of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What the actors saw.
    pub seen: Observed,
    /// What was traced meanwhile, the oldest first.
    pub transfers: Vec<Transfer>,
    /// What cannot be true at once.
    pub contradictions: Vec<Contradiction>,
}

/// Joins what the actors of cells saw, one cell after the other, with the facts of a trace of them.
#[must_use]
pub fn judge(seen: Vec<Observed>, facts: &[Fact], pid: u32) -> Vec<Judged> {
    let mut transfers: Vec<&Transfer> = facts
        .iter()
        .filter_map(|f| if let Fact::Transfer(t) = f { Some(&**t) } else { None })
        .filter(|t| t.pid == pid)
        .collect();
    transfers.sort_by_key(|t| (t.submit_ns, t.id));
    seen.into_iter()
        .map(|seen| {
            let from = transfers.partition_point(|t| t.submit_ns < seen.began_ns);
            let to = transfers.partition_point(|t| t.submit_ns <= seen.ended_ns);
            let own = transfers.get(from..to).unwrap_or_default();
            Judged::new(seen, own.iter().map(|t| (*t).clone()).collect())
        })
        .collect()
}

impl Judged {
    fn new(seen: Observed, transfers: Vec<Transfer>) -> Self {
        let mut cell = Self { seen, transfers, contradictions: Vec::new() };
        if cell.played() {
            cell.contradictions = cell.contradict();
        }
        cell
    }

    /// What was tried.
    #[must_use]
    pub fn cell(&self) -> Cell {
        self.seen.cell
    }

    /// Whether it was played to its end.
    #[must_use]
    pub fn played(&self) -> bool {
        self.seen.skipped.is_none() && self.seen.said.is_some()
    }

    /// What this API calls "done".
    #[must_use]
    pub fn done(&self) -> Done {
        match self.cell().api {
            Api::Send => Done::Complete,
            api if api.notifies() => Done::Notify,
            _ => Done::Return,
        }
    }

    /// When the program was told that it was done.
    #[must_use]
    pub fn done_ns(&self) -> Option<u64> {
        let said = self.seen.said?;
        match self.done() {
            Done::Return => Some(said.return_ns),
            Done::Notify | Done::Complete => said.notify.map(|n| n.at_ns),
        }
    }

    /// From the submission until the program was told.
    #[must_use]
    pub fn took_ns(&self) -> Option<u64> {
        Some(self.done_ns()?.saturating_sub(self.seen.said?.submit_ns))
    }

    /// When the last byte was let go of; what lends nothing is safe when it is done.
    #[must_use]
    pub fn safe_ns(&self) -> Option<u64> {
        if self.cell().api.is_copy() && self.transfers.is_empty() {
            return self.done_ns();
        }
        if self.transfers.iter().any(|t| t.outcome != Outcome::Released) {
            return None;
        }
        self.transfers.iter().filter_map(|t| t.release_ns).max()
    }

    /// How long the program believed that it was done while its bytes were still lent.
    #[must_use]
    pub fn exposure_ns(&self) -> Option<u64> {
        Some(self.safe_ns()?.saturating_sub(self.done_ns()?))
    }

    /// Whether a change after "done" reached the peer.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.seen.new_bytes > 0 && self.changed_after_done()
    }

    /// Whether the change began after the program was told. A receiver that has to help first leaves no choice.
    #[must_use]
    pub fn changed_after_done(&self) -> bool {
        matches!((self.seen.changed_ns, self.done_ns()), (Some((began, _)), Some(done)) if done <= began)
    }

    /// Since when the bytes may be changed.
    #[must_use]
    pub fn safe(&self) -> Safe {
        if self.played() && self.done() == Done::Complete && self.done_ns().is_none() {
            return Safe::Failed;
        }
        let (Some(safe), Some(done)) = (self.safe_ns(), self.done_ns()) else {
            let held = self.transfers.iter().any(|t| t.outcome == Outcome::Held);
            return if held { Safe::Never } else { Safe::Unknown };
        };
        if safe <= done {
            return Safe::Done;
        }
        let last = self.transfers.iter().max_by_key(|t| t.release_ns).and_then(|t| t.released_by);
        let changed = self.seen.changed_ns.map_or(done, |(_, ended)| ended);
        match last {
            None => Safe::Unknown,
            Some(ReleasedBy::Copied) => Safe::Done,
            Some(ReleasedBy::Ack | ReleasedBy::TxComplete) if safe <= changed => Safe::Acknowledged,
            Some(ReleasedBy::Close | ReleasedBy::Reset | ReleasedBy::Drop) => Safe::Gone,
            // Who is the last to let go, the reader or a late acknowledgement, is chance.
            Some(_) if self.cell().receiver.reads() => Safe::Read,
            Some(_) => Safe::Gone,
        }
    }

    /// Whether bytes were lent although the kernel had told that they are free: a finding, of the kernel or of the
    /// trace.
    #[must_use]
    pub fn lent_after_notice(&self) -> bool {
        self.played() && self.done() != Done::Return && self.exposure_ns().is_some_and(|ns| ns > 0)
    }

    /// Whether the trace calls the release a read although nobody read: the queue of a socket that was closed
    /// may be let go of by another CPU (`skb_attempt_defer_free()`), which looks the same.
    #[must_use]
    pub fn misnamed(&self) -> bool {
        !self.cell().receiver.reads()
            && self.transfers.iter().any(|t| t.released_by == Some(ReleasedBy::ReceiverRead))
    }

    /// The trace's outcome: the gravest.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.transfers.iter().map(|t| t.outcome).max()
    }

    /// The trace's verdict: the gravest; `mutated` before `unknown`.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.transfers.iter().map(|t| t.verdict).max_by_key(|v| v.gravity())
    }

    /// Why the trace is not certain; without repeats.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        self.distinct(|t| t.reasons.clone())
    }

    /// Why nothing was lent, or not for long.
    #[must_use]
    pub fn copied(&self) -> Vec<Copied> {
        self.distinct(|t| t.copied.into_iter().collect())
    }

    /// How the bytes were let go of.
    #[must_use]
    pub fn released_by(&self) -> Vec<ReleasedBy> {
        self.distinct(|t| t.released_by.into_iter().collect())
    }

    /// Which version went out.
    #[must_use]
    pub fn content(&self) -> Vec<Content> {
        self.distinct(|t| t.content.into_iter().collect())
    }

    fn distinct<T: Ord>(&self, of: impl FnMut(&Transfer) -> Vec<T>) -> Vec<T> {
        let mut all: Vec<T> = self.transfers.iter().flat_map(of).collect();
        all.sort();
        all.dedup();
        all
    }

    /// When the trace saw the last return.
    #[must_use]
    pub fn traced_return_ns(&self) -> Option<u64> {
        self.transfers.iter().filter_map(|t| t.return_ns).max()
    }

    /// When it saw the last notification.
    #[must_use]
    pub fn traced_notify_ns(&self) -> Option<u64> {
        self.transfers.iter().filter_map(|t| t.notify_ns).max()
    }

    /// How far apart the actor and the trace saw the return.
    #[must_use]
    pub fn return_off_ns(&self) -> Option<u64> {
        Some(self.traced_return_ns()?.abs_diff(self.seen.said?.return_ns))
    }

    /// How far apart they saw the notification.
    #[must_use]
    pub fn notify_off_ns(&self) -> Option<u64> {
        Some(self.traced_notify_ns()?.abs_diff(self.seen.said?.notify?.at_ns))
    }

    /// Transfers with bytes that were changed: of memory, all.
    fn hit(&self) -> impl Iterator<Item = &Transfer> {
        let changed = content::changed(self.cell().transport.bytes());
        let (from, to) = (changed.start as u64, changed.end as u64);
        self.transfers
            .iter()
            .filter(move |t| t.file.is_none() || t.offset < to && from < t.offset.saturating_add(t.bytes))
    }

    fn contradict(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let new = self.seen.new_bytes > 0;
        let hit: Vec<&Transfer> = self.hit().collect();
        if new && let Some((began, _)) = self.seen.changed_ns {
            if !hit.iter().any(|t| t.release_ns.is_none_or(|release| began < release)) {
                found.push(Contradiction::ReachedAfterRelease);
            }
            // A store to memory makes no event: there `clean` is never said, which is checked as well.
            if !hit.is_empty() && hit.iter().all(|t| t.verdict == Verdict::Clean) {
                found.push(Contradiction::CleanButReached);
            }
        }
        let old = hit.iter().all(|t| t.content == Some(Content::SentOld));
        if new && !hit.is_empty() && old {
            found.push(Contradiction::WrongContent(Content::SentOld));
        }
        if !new
            && self.cell().receiver.reads()
            && let Some(content) = hit.iter().filter_map(|t| t.content).find(|c| *c != Content::SentOld)
        {
            found.push(Contradiction::WrongContent(content));
        }
        let traced: u64 = self.transfers.iter().map(|t| t.bytes).sum();
        let took = if self.cell().api.is_copy() { 0 } else { self.seen.said.map_or(0, |s| s.bytes) };
        if traced != took {
            found.push(Contradiction::WrongBytes(traced, took));
        }
        if self.seen.stale_or_wrong > 0 {
            found.push(Contradiction::NobodysBytes(self.seen.stale_or_wrong));
        }
        found
    }
}

impl Safe {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Acknowledged => "acknowledged",
            Self::Read => "read",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Never => "never",
            Self::Unknown => "unknown",
        }
    }
}

impl Done {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Return => "return",
            Self::Notify => "notify",
            Self::Complete => "complete",
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReachedAfterRelease => {
                f.write_str("the receiver got a change that began after the traced release")
            }
            Self::CleanButReached => f.write_str("the receiver got a change, but the verdict is clean"),
            Self::WrongContent(content) => {
                write!(f, "the trace says {}, and the receiver got something else", text::content(*content))
            }
            Self::WrongBytes(traced, took) => write!(f, "{traced} bytes were traced, {took} were lent"),
            Self::NobodysBytes(n) => write!(f, "the receiver got {n} bytes that nobody sent or wrote"),
        }
    }
}

#[cfg(test)]
mod tests;
