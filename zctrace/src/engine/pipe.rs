//! Pipes: which slots carry which file bytes. Slots are numbered by the kernel's own head and tail,
//! so producers and consumers can be joined in whatever order their calls return.

use std::collections::BTreeMap;

use super::ledger::{Drain, Ledger};
use super::seq::Unwrap;
use crate::model::{Reason, TransferId};
use serde::{Deserialize, Serialize};

const PAGE: u64 = 4096;

/// Consecutive slots of one transfer: slot `first + i` carries file page `off / PAGE + i`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Run {
    id: TransferId,
    /// One past the last slot; `None` while the producer's call runs.
    last: Option<u64>,
    off: u64,
    end: u64,
    /// How slots of it went last, while the producer's call runs.
    went: Option<Drain>,
    /// Nobody else filled slots in between.
    sure: bool,
}

/// Where in a pipe: slot, and offset within its page (0: the slot is untouched).
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) slot: u64,
    pub(super) off: u32,
}

/// File bytes of one transfer that lie between two positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) id: TransferId,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Slots they lie in, as distance from the first position.
    pub(super) slot: u64,
    pub(super) slots: u64,
    /// It is certain that these bytes are there.
    pub(super) sure: bool,
}

impl Segment {
    /// Whether both begin with the same byte in the same place.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        (self.id, self.slot, self.start) == (other.id, other.slot, other.start)
    }
}

/// One tracked pipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PipeState {
    slots: Unwrap,
    tail: u64,
    /// By first slot. Two producers that wait for room at once begin at the same slot.
    runs: BTreeMap<(u64, TransferId), Run>,
    /// Where calls began that are taking from this pipe. Only when they return is it known where
    /// the slots went that the tail has passed, so until then no run they may have touched ends.
    consumers: Vec<u64>,
    /// Where the tail was after the last thing that was seen to move it.
    known: (u64, u32),
    /// Frames were lost since it is known: somebody may be taking from it unseen.
    pub(super) lossy: bool,
}

impl PipeState {
    pub(super) fn new(head: u32, tail: u32) -> Self {
        let mut slots = Unwrap::new(tail);
        let tail = slots.get(tail);
        slots.get(head);
        Self { slots, tail, runs: BTreeMap::new(), consumers: Vec::new(), known: (tail, 0), lossy: false }
    }

    /// The slots have new numbers; nothing is known to be in them.
    pub(super) fn renumber(&mut self, head: u32, tail: u32) {
        let Self { slots, tail, known, .. } = Self::new(head, tail);
        (self.slots, self.tail, self.known) = (slots, tail, known);
        self.consumers.fill(0);
    }

    /// The tail stands here, and it is not known how it got there. Where frames were lost, a call
    /// that nobody saw may have moved pages elsewhere.
    pub(super) fn stands_at(&mut self, to: Position, ledger: &mut Ledger) {
        if self.known == (to.slot, to.off) {
            return;
        }
        self.known = (to.slot, to.off);
        for ((first, id), run) in self.runs.range(..=(to.slot, TransferId::MAX)).filter(|_| self.lossy) {
            let untouched = if *first == to.slot { run.off % PAGE } else { 0 };
            let inside = run.last.is_none_or(|last| last > to.slot) && u64::from(to.off) != untouched;
            if *first < to.slot || inside {
                ledger.reason(*id, Reason::Loss);
            }
        }
    }

    /// A call that was seen from its entry on left the tail here.
    pub(super) fn left_at(&mut self, to: Position) {
        self.known = (to.slot, to.off);
    }

    /// A call begins to take from `slot` on.
    pub(super) fn consumer(&mut self, slot: u64) {
        self.consumers.push(slot);
    }

    /// A call that began at `slot` has returned.
    pub(super) fn consumer_left(&mut self, slot: u64) {
        let same = self.consumers.iter().position(|s| *s == slot);
        if let Some(i) = same.or_else(|| self.consumers.len().checked_sub(1)) {
            self.consumers.swap_remove(i);
        }
    }

    pub(super) fn slot(&mut self, low: u32) -> u64 {
        self.slots.get(low)
    }

    /// Whether everything up to `slot` has left already.
    pub(super) fn has_passed(&self, slot: u64) -> bool {
        slot < self.tail
    }

    /// Whether slots are filled from `first` on as they should be. Not so where the pipe was
    /// resized unseen, which numbers its slots anew.
    pub(super) fn fits(&self, first: u64) -> bool {
        first >= self.tail
    }

    /// A call begins to fill slots from `first` on.
    pub(super) fn begin(&mut self, id: TransferId, first: u64, off: u64, count: u64, ledger: &mut Ledger) {
        self.put(
            first,
            Run { id, last: None, off, end: off.saturating_add(count), went: None, sure: true },
            ledger,
        );
    }

    /// It returned: slots up to `last` hold `bytes`; 0: nothing.
    pub(super) fn end(
        &mut self,
        id: TransferId,
        first: u64,
        last: u64,
        bytes: u64,
        at: u64,
        ledger: &mut Ledger,
    ) {
        let Some(run) = self.runs.get_mut(&(first, id)) else {
            return;
        };
        if bytes == 0 {
            self.runs.remove(&(first, id));
            ledger.unhold(id);
            return;
        }
        run.end = run.off.saturating_add(bytes);
        run.last = Some(last);
        let went = run.went.unwrap_or(Drain { at, by: None });
        let pages = (run.end - 1) / PAGE - run.off / PAGE + 1;
        if last.checked_sub(first) != Some(pages) {
            run.sure = false;
            ledger.reason(id, Reason::PipeChanged);
        }
        self.drained(self.tail, Drain { at, ..went }, ledger);
    }

    /// Slots that another pipe's buffers went to.
    pub(super) fn add(&mut self, first: u64, s: Segment, at: u64, ledger: &mut Ledger) {
        if self.has_passed(first) {
            // Whoever took them from here returned before it was known what they were.
            ledger.reason(s.id, Reason::PipeChanged);
        }
        self.put(
            first,
            Run { id: s.id, last: Some(first + s.slots), off: s.start, end: s.end, went: None, sure: s.sure },
            ledger,
        );
        self.drained(self.tail, Drain { at, by: None }, ledger);
    }

    /// Adds the bytes of it that may be in the pipe, from and to. What a call is taking may still be here.
    pub(super) fn lent(&self, id: TransferId, found: &mut Vec<(u64, u64)>) {
        let tail = self.consumers.iter().copied().fold(self.tail, u64::min);
        for ((first, _), run) in self.runs.iter().filter(|(_, run)| run.id == id) {
            let gone = if run.sure { tail.saturating_sub(*first) } else { 0 };
            let page = (run.off / PAGE).saturating_add(gone).saturating_mul(PAGE);
            found.push((if gone == 0 { run.off } else { page }, run.end));
        }
    }

    fn put(&mut self, first: u64, mut run: Run, ledger: &mut Ledger) {
        let id = run.id;
        ledger.hold(id);
        // Two producers at once: whose slots are whose nobody can say.
        for rival in self.runs.values_mut().filter(|r| r.last.is_none() && r.id != id) {
            (rival.sure, run.sure) = (false, false);
            ledger.reason(rival.id, Reason::PipeChanged);
            ledger.reason(id, Reason::PipeChanged);
        }
        if self.runs.insert((first, id), run).is_some() {
            // Twice in one slot: an exit was lost in between.
            ledger.unhold(id);
            ledger.reason(id, Reason::PipeChanged);
        }
    }

    /// What lies between two positions, in order.
    pub(super) fn between(&self, from: Position, to: Position) -> Vec<Segment> {
        let mut found = Vec::new();
        for ((first, _), run) in &self.runs {
            let last = run.last.unwrap_or(u64::MAX);
            if last <= from.slot || *first > to.slot {
                continue;
            }
            let page = |slot: u64| (run.off / PAGE).saturating_add(slot - first).saturating_mul(PAGE);
            let start = if *first < from.slot || (*first == from.slot && from.off != 0) {
                page(from.slot).saturating_add(u64::from(from.off))
            } else {
                run.off
            };
            let end = if to.slot < last {
                // Slot `to` is partly consumed up to `to.off`, or not at all.
                let whole = page(to.slot);
                let natural = if to.slot == *first { run.off } else { whole };
                natural.max(whole.saturating_add(u64::from(to.off))).min(run.end)
            } else {
                run.end
            };
            if end > start {
                let slot = first.saturating_sub(from.slot);
                let slots = (end - 1) / PAGE - start / PAGE + 1;
                found.push(Segment { id: run.id, start, end, slot, slots, sure: run.sure });
            }
        }
        found
    }

    /// These were taken by a call that has returned.
    pub(super) fn taken(&mut self, segments: &[Segment], drain: Drain) {
        for s in segments {
            for (_, run) in self.runs.iter_mut().filter(|((_, id), r)| *id == s.id && r.last.is_none()) {
                run.went = Some(drain);
            }
        }
    }

    /// Everything before `tail` has left the pipe.
    pub(super) fn drained(&mut self, tail: u64, drain: Drain, ledger: &mut Ledger) {
        if tail > self.tail {
            if ledger.witness.is_some() {
                let reached = self
                    .runs
                    .iter()
                    .filter(|((first, _), r)| *first < tail && r.last.is_none_or(|last| last > self.tail));
                reached.for_each(|((_, id), _)| ledger.touch(*id));
            }
            self.tail = tail;
            for (_, run) in self.runs.range_mut(..(tail, TransferId::MIN)).filter(|(_, r)| r.last.is_none()) {
                run.went = Some(drain);
            }
        }
        let until = self.consumers.iter().copied().fold(self.tail, u64::min);
        let ended = self.runs.range(..(until, TransferId::MIN));
        let gone: Vec<_> =
            ended.filter(|(_, r)| r.last.is_some_and(|l| l <= until)).map(|(k, _)| *k).collect();
        for key in &gone {
            self.runs.remove(key);
        }
        let ids: Vec<_> = gone.into_iter().map(|(_, id)| id).collect();
        for id in ids {
            ledger.drain(id, drain);
        }
    }

    /// The pipe is gone, or its slots are numbered anew: every run ends here.
    pub(super) fn clear(&mut self, drain: Drain, doubt: Option<Reason>, ledger: &mut Ledger) {
        for run in std::mem::take(&mut self.runs).into_values() {
            if let Some(reason) = doubt {
                ledger.reason(run.id, reason);
            }
            ledger.drain(run.id, drain);
        }
    }
}
