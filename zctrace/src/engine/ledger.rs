//! Open transfers and who still holds them. The one place that decides that a transfer is over.
//!
//! A transfer is over when its call has returned and no hold is left. It is then *pending* until a
//! checkpoint shows that nothing up to its release was lost; only then is it stated.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zctrace_common::user::loss;

use super::changes::Changes;
use super::dgram::{File, file_of};
use super::names::Names;
use super::prints::{Piece, Prints};
use super::verdict;
use super::witness::{Clue, Witness};
use crate::hash::HashMap;
use crate::model::{Copied, Fact, Reason, ReleasedBy, Resent, Transfer, TransferId};

/// A packet frees its head after it has told the application, a few instructions later; unless it is held
/// up in between. What is freed later than that is another matter, nanoseconds.
const SAME_FREE_NS: u64 = 1_000_000;

/// The same where it is certain that nobody else was at it in between: the time that a task may be held up.
const HELD_UP_NS: u64 = 100_000_000;

/// Ranges that were sent again are kept apart up to so many of a transfer.
const RESENT: usize = 64;

/// Who runs where: a CPU, and the task that it runs or has interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Context {
    pub(super) cpu: u32,
    pub(super) task: u64,
}

impl Context {
    /// A task may have moved to another CPU; the idle one is many.
    fn is_same(self, other: Self) -> bool {
        self.task == other.task && (self.task != 0 || self.cpu == other.cpu)
    }
}

/// What a notification says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) at: u64,
    pub(super) by: Context,
    /// Whether the kernel copied, if it says so.
    pub(super) copied: Option<bool>,
}

impl Told {
    /// Whether what this context freed then was the packet that it had told of.
    pub(super) fn is_free(&self, at: u64, by: Context) -> bool {
        self.by.is_same(by) && at.saturating_sub(self.at) < HELD_UP_NS
    }
}

/// The end of one hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Close {
    pub(super) at: u64,
    pub(super) by: ReleasedBy,
}

/// The end of a hold of a pipe.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Drain {
    pub(super) at: u64,
    /// `None`: the pages were handed on, and what became of them there says how it ended.
    pub(super) by: Option<ReleasedBy>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    /// Apart from the rest, so that stating it moves nothing.
    t: Box<Transfer>,
    cgroup: u64,
    returned: bool,
    holds: u32,
    last: Option<Close>,
    /// Calls that handed its pages on returned then: only now are they known to be elsewhere.
    not_before: Option<u64>,
    /// A notification is to come: until then it is not stated.
    awaits: bool,
    /// Where its bytes are is not known exactly: its release may be that of others.
    wide: bool,
    free_missed: bool,
    /// Changes from then on are none to this transfer.
    until: u64,
    prints: Prints,
}

impl Open {
    /// Nothing holds it any more.
    fn is_over(&self) -> bool {
        self.returned && self.holds == 0 && !self.awaits
    }

    /// When the last hold ended.
    fn release(&self) -> Option<u64> {
        let release = self.last.map(|c| c.at).max(self.not_before)?;
        // skb_release_data() tells, and then lets go.
        let told = self.t.notify_ns.filter(|at| release > *at && release - at < SAME_FREE_NS);
        Some(told.unwrap_or(release))
    }
}

/// A transfer that has not been stated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unstated<'a> {
    pub(super) t: &'a Transfer,
    pub(super) cgroup: u64,
    /// The call that opened it has returned.
    pub(super) returned: bool,
    /// Changes from then on are none to it.
    pub(super) until: u64,
    /// Nothing is known to hold it any more.
    pub(super) over: bool,
}

/// A transfer that is over.
#[derive(Clone, Debug)]
struct Pending {
    /// From then on it can be stated.
    at: u64,
    o: Open,
}

impl Pending {
    fn key(&self) -> (u64, TransferId) {
        (self.at, self.o.t.id)
    }
}

/// In the order in which they are stated. Of two that cannot be told apart, which no kernel states, the later counts.
fn sort(pending: &mut Vec<Pending>) {
    if pending.is_sorted_by(|a, b| a.key() < b.key()) {
        return;
    }
    pending.sort_by_key(Pending::key);
    pending.dedup_by(|later, first| {
        let same = later.key() == first.key();
        if same {
            std::mem::swap(later, first);
        }
        same
    });
}

/// In a saved state, in order.
fn by_id<S: Serializer>(open: &HashMap<TransferId, Open>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(open.iter().collect::<BTreeMap<_, _>>())
}

/// In a saved state, as a map by time.
mod by_time {
    use super::{BTreeMap, Deserialize, Deserializer, Open, Pending, Serializer, TransferId};

    pub(super) fn serialize<S: Serializer>(pending: &[Pending], to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(pending.iter().map(|p| (p.key(), &p.o)).collect::<BTreeMap<_, _>>())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<Pending>, D::Error> {
        let all: BTreeMap<(u64, TransferId), Open> = BTreeMap::deserialize(from)?;
        Ok(all.into_iter().map(|((at, _), o)| Pending { at, o }).collect())
    }
}

/// Transfers whose memory is kept for others at most.
const SPARE: usize = 1 << 13;

/// Memory of transfers that were stated, for those to come. A clone has none.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is kept")]
struct Spare(Vec<Box<Transfer>>);

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Spare {
    fn boxed(&mut self, t: Transfer) -> Box<Transfer> {
        match self.0.pop() {
            Some(mut old) => {
                *old = t;
                old
            }
            None => Box::new(t),
        }
    }
}

/// Every transfer that has not been stated yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    #[serde(serialize_with = "by_id")]
    open: HashMap<TransferId, Open>,
    /// With the time from which it can be stated; in no order until that is needed.
    #[serde(with = "by_time")]
    pending: Vec<Pending>,
    #[serde(skip)]
    spare: Spare,
    /// Somebody wants to know what one of them depends on.
    #[serde(skip)]
    pub(super) witness: Option<Box<Witness>>,
}

fn touch(witness: &mut Option<Box<Witness>>, id: TransferId) {
    if let Some(w) = witness.as_mut().filter(|w| w.id == id) {
        w.touched = true;
    }
}

impl Ledger {
    /// The event of now matters to this transfer.
    #[inline]
    pub(super) fn touch(&mut self, id: TransferId) {
        touch(&mut self.witness, id);
    }

    /// An earlier event turns out to matter to it.
    #[inline]
    pub(super) fn clue(&mut self, id: TransferId, clue: Clue) {
        if let Some(w) = self.witness.as_mut().filter(|w| w.id == id) {
            w.clues.insert(clue);
        }
    }

    #[inline]
    fn find(&mut self, id: TransferId) -> Option<&mut Open> {
        self.touch(id);
        self.open.get_mut(&id)
    }

    pub(super) fn begin(&mut self, t: Transfer, cgroup: u64) {
        self.touch(t.id);
        let id = t.id;
        let open = Open {
            cgroup,
            returned: false,
            holds: 0,
            last: None,
            not_before: None,
            awaits: false,
            wide: false,
            free_missed: false,
            until: u64::MAX,
            prints: Prints::default(),
            t: self.spare.boxed(t),
        };
        self.open.insert(id, open);
    }

    /// The memory of this one may be another's.
    pub(super) fn reuse(&mut self, t: Box<Transfer>) {
        if self.spare.0.len() < SPARE {
            self.spare.0.push(t);
        }
    }

    /// The call turned out to move nothing.
    pub(super) fn forget(&mut self, id: TransferId) -> Option<Transfer> {
        self.open.remove(&id).map(|o| *o.t)
    }

    /// Bytes of it went out again.
    pub(super) fn retransmitted(&mut self, id: TransferId, resent: Resent) {
        let Some(o) = self.find(id) else {
            return;
        };
        o.t.retransmits = o.t.retransmits.saturating_add(1);
        // The same packet again and again is one.
        let same = |r: &&mut Resent| (r.off, r.len) == (resent.off, resent.len);
        if let Some(known) = o.t.resent.iter_mut().find(same) {
            known.at = resent.at;
            known.times = known.times.saturating_add(1);
        } else if o.t.resent.len() < RESENT {
            o.t.resent.push(resent);
        } else {
            let first = o.t.resent.iter().map(|r| r.first).min().unwrap_or(resent.at);
            let times = o.t.retransmits;
            o.t.resent = vec![Resent { first, times, ..Resent::anything(resent.at) }];
        }
    }

    #[inline]
    pub(super) fn get(&mut self, id: TransferId) -> Option<&mut Transfer> {
        self.find(id).map(|o| &mut *o.t)
    }

    pub(super) fn reason(&mut self, id: TransferId, reason: Reason) {
        if let Some(t) = self.get(id) {
            doubt(t, reason);
        }
    }

    #[inline]
    pub(super) fn hold(&mut self, id: TransferId) {
        if let Some(o) = self.find(id) {
            o.holds += 1;
        }
    }

    /// A hold that never was.
    pub(super) fn unhold(&mut self, id: TransferId) {
        if let Some(o) = self.find(id) {
            o.holds = o.holds.saturating_sub(1);
        }
    }

    pub(super) fn close(&mut self, id: TransferId, close: Close) {
        self.clue(id, Clue::Time(close.at));
        if let Some(o) = self.find(id) {
            o.holds = o.holds.saturating_sub(1);
            o.last = o.last.max(Some(close));
            if o.is_over() {
                self.end(id);
            }
        }
    }

    /// As [`Self::close`], for a hold of a pipe.
    pub(super) fn drain(&mut self, id: TransferId, drain: Drain) {
        let Some(o) = self.find(id) else {
            return;
        };
        if let Some(by) = drain.by {
            // Who copied it out of the pipe was not looked at.
            o.prints.blind = true;
            self.close(id, Close { at: drain.at, by });
        } else {
            o.not_before = o.not_before.max(Some(drain.at));
            o.holds = o.holds.saturating_sub(1);
            self.settle(id);
        }
    }

    /// Some of its bytes of `file` were looked at. Whether that file is its own is not certain: a packet
    /// on a stacked file system shows the one below.
    pub(super) fn print(&mut self, id: TransferId, piece: Piece, file: File) {
        if let Some(o) = self.find(id) {
            let own = file_of(&o.t) == file;
            o.prints.add(Piece { sum: piece.sum.filter(|_| own), ..piece });
        }
    }

    /// A holder let go of its bytes, and not all of them were looked at.
    pub(super) fn unseen(&mut self, id: TransferId) {
        if let Some(o) = self.open.get_mut(&id) {
            o.prints.blind = true;
        }
    }

    /// The call that opened it returned.
    pub(super) fn returned(&mut self, id: TransferId, at: u64) {
        if let Some(o) = self.find(id) {
            o.returned = true;
            o.t.return_ns = o.t.return_ns.max(Some(at));
        }
    }

    /// The application will be told when its memory is free.
    pub(super) fn awaits(&mut self, id: TransferId) {
        if let Some(o) = self.find(id) {
            o.awaits = true;
        }
    }

    /// It has been told, or never will be.
    pub(super) fn told(&mut self, id: TransferId, told: Option<Told>) {
        if let Some(o) = self.find(id) {
            o.awaits = false;
            if let Some(told) = told {
                o.t.notify_ns = Some(told.at);
                o.t.notify_copied = told.copied;
                if told.copied == Some(true) {
                    o.t.copied.get_or_insert(Copied::Notified);
                }
            }
        }
        self.settle(id);
    }

    /// What was to be told may have been lost: what waits for it is told nothing.
    pub(super) fn wait_no_more(&mut self) {
        let waiting: Vec<TransferId> = self.open.values().filter(|o| o.awaits).map(|o| o.t.id).collect();
        waiting.into_iter().for_each(|id| self.told(id, None));
    }

    /// Its bytes are somewhere in a range that others share.
    pub(super) fn is_wide(&mut self, id: TransferId) {
        if let Some(o) = self.find(id) {
            o.wide = true;
        }
    }

    /// No call opened it, so none returns.
    pub(super) fn no_return(&mut self, id: TransferId) {
        if let Some(o) = self.find(id) {
            o.returned = true;
        }
    }

    /// A call that moved it on returned.
    pub(super) fn moved_on(&mut self, id: TransferId, at: u64) {
        if let Some(o) = self.find(id) {
            o.t.return_ns = o.t.return_ns.max(Some(at));
        }
    }

    /// Ends the transfer if nothing holds it any more.
    pub(super) fn settle(&mut self, id: TransferId) {
        if self.open.get(&id).is_some_and(Open::is_over) {
            self.end(id);
        }
    }

    fn end(&mut self, id: TransferId) {
        if let Some(mut o) = self.open.remove(&id) {
            let release = o.release();
            o.t.release_ns = release;
            o.t.released_by = release.map(|_| o.last.map_or(ReleasedBy::PipeDrained, |c| c.by));
            let at = release.max(o.t.return_ns).max(o.t.notify_ns).unwrap_or(o.t.submit_ns);
            o.until = release.unwrap_or(at);
            self.pending.push(Pending { at, o });
        }
    }

    /// Those that have not been stated, with their cgroups: the open ones by id, then those that are over.
    pub(super) fn unstated(&self) -> impl Iterator<Item = Unstated<'_>> {
        let mut open: Vec<&Open> = self.open.values().collect();
        open.sort_unstable_by_key(|o| o.t.id);
        let mut pending: Vec<&Pending> = self.pending.iter().collect();
        // As `sort()` does: the later one first, which stays.
        pending.reverse();
        pending.sort_by_key(|p| p.key());
        pending.dedup_by_key(|p| p.key());
        let open = open.into_iter().map(|o| (o, o.returned && o.holds == 0));
        let all = open.chain(pending.into_iter().map(|p| (&p.o, true)));
        all.map(|(o, over)| Unstated {
            t: &o.t,
            cgroup: o.cgroup,
            returned: o.returned,
            until: o.until,
            over,
        })
    }

    /// An open one, if where its bytes are held is known as far as it is told.
    /// With the bytes that it lends at most.
    pub(super) fn exact(&self, id: TransferId) -> Option<(&Transfer, u64, bool)> {
        let o = self.open.get(&id)?;
        let doubt = o.wide || o.t.reasons.iter().any(|r| verdict::doubts_release(*r));
        let bytes = if o.returned { o.t.bytes } else { o.t.requested };
        Some((&o.t, bytes, o.returned && !doubt))
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Something was lost in `[from, to]`: whatever was open then is in doubt.
    pub(super) fn lost(&mut self, what: u32, from: u64, to: u64) {
        let reason = match what {
            loss::LEARN_MISS => Reason::ProbeSkipped,
            loss::MAP_FULL => Reason::MapFull,
            loss::WATCH_MISS => Reason::WatchSkipped,
            loss::FREE_MISS => {
                // Can only make a window seem too long; matters if it never closes.
                for o in self.open.values_mut().filter(|o| o.t.submit_ns <= to) {
                    o.free_missed = true;
                    touch(&mut self.witness, o.t.id);
                }
                return;
            }
            _ => Reason::Loss,
        };
        let open = self.open.values_mut().filter(|o| o.t.submit_ns <= to);
        let pending = self.pending.iter_mut().filter(|p| p.at >= from && p.o.t.submit_ns <= to);
        for o in open.chain(pending.map(|p| &mut p.o)) {
            doubt(&mut o.t, reason);
            touch(&mut self.witness, o.t.id);
        }
    }

    /// Everything that has not been stated is in doubt for this reason.
    pub(super) fn doubt_all(&mut self, reason: Reason) {
        for o in self.open.values_mut().chain(self.pending.iter_mut().map(|p| &mut p.o)) {
            doubt(&mut o.t, reason);
            touch(&mut self.witness, o.t.id);
        }
    }

    /// States what was over by `at`, unless a call may still be changing its bytes.
    pub(super) fn checkpoint(&mut self, at: u64, changes: &mut Changes, names: &Names, out: &mut Vec<Fact>) {
        sort(&mut self.pending);
        let over = self.pending.partition_point(|p| p.at < at.saturating_add(1));
        let mut waiting = Vec::new();
        for p in self.pending.drain(..over) {
            if changes.waits_for(&p.o.t, p.o.until, at) {
                waiting.push(p);
            } else {
                state(p.o, at, changes, names, out);
            }
        }
        self.pending.splice(..0, waiting);
    }

    /// States the rest. `cut`: the stream ended without a stop, so nothing vouches for it.
    pub(super) fn finish(
        &mut self,
        cut: bool,
        at: u64,
        changes: &mut Changes,
        names: &Names,
        out: &mut Vec<Fact>,
    ) {
        // Nobody was told, and nothing is lent.
        let silent: Vec<TransferId> =
            self.open.values().filter(|o| o.awaits && o.holds == 0 && o.returned).map(|o| o.t.id).collect();
        silent.into_iter().for_each(|id| self.told(id, None));
        sort(&mut self.pending);
        for Pending { mut o, .. } in std::mem::take(&mut self.pending) {
            if cut {
                doubt(&mut o.t, Reason::RecordingCut);
            }
            state(o, at, changes, names, out);
        }
        let mut rest: Vec<Open> = std::mem::take(&mut self.open).into_values().collect();
        rest.sort_by_key(|o| (o.t.submit_ns, o.t.id));
        for mut o in rest {
            if cut {
                doubt(&mut o.t, Reason::RecordingCut);
            }
            if o.free_missed {
                doubt(&mut o.t, Reason::FreeMissed);
            }
            state(o, at, changes, names, out);
        }
    }
}

/// Once is enough: a doubt may come with every event.
fn doubt(t: &mut Transfer, reason: Reason) {
    if !t.reasons.contains(&reason) {
        t.reasons.push(reason);
    }
}

fn state(mut o: Open, at: u64, changes: &mut Changes, names: &Names, out: &mut Vec<Fact>) {
    o.t.cgroup = names.cgroup_of(o.cgroup);
    let entered = o.t.submit_ns;
    let ends = verdict::Ends { until: o.until, wide: o.wide };
    verdict::conclude(&mut o.t, ends, &o.prints, at, changes);
    changes.stated(&o.t, entered);
    out.push(Fact::Transfer(o.t));
}
