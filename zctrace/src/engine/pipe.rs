//! Pipes: which slots carry which file bytes. Slots are numbered by the kernel's own head and tail,
//! so producers and consumers can be joined in whatever order their calls return.

use std::collections::BTreeMap;

use super::ledger::{Close, Ledger};
use super::seq::Unwrap;
use crate::model::{Reason, TransferId};

const PAGE: u64 = 4096;

/// Consecutive slots of one transfer: slot `first + i` carries file page `off / PAGE + i`.
#[derive(Clone, Copy, Debug)]
struct Run {
    id: TransferId,
    /// One past the last slot; `None` while the producer's call runs.
    last: Option<u64>,
    off: u64,
    end: u64,
}

/// Where in a pipe: slot, and offset within its page (0: the slot is untouched).
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) slot: u64,
    pub(super) off: u32,
}

/// File bytes of one transfer that lie between two positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) id: TransferId,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Slots they lie in, as distance from the first position.
    pub(super) slot: u64,
    pub(super) slots: u64,
}

/// One tracked pipe.
#[derive(Debug)]
pub(super) struct PipeState {
    slots: Unwrap,
    tail: u64,
    runs: BTreeMap<u64, Run>,
}

impl PipeState {
    pub(super) fn new(head: u32, tail: u32) -> Self {
        let mut slots = Unwrap::new(tail);
        let tail = slots.get(tail);
        slots.get(head);
        Self { slots, tail, runs: BTreeMap::new() }
    }

    pub(super) fn slot(&mut self, low: u32) -> u64 {
        self.slots.get(low)
    }

    /// A call begins to fill slots from `first` on.
    pub(super) fn begin(&mut self, id: TransferId, first: u64, off: u64, count: u64, ledger: &mut Ledger) {
        self.runs.insert(first, Run { id, last: None, off, end: off.saturating_add(count) });
        ledger.hold(id);
    }

    /// It returned: slots up to `last` hold `bytes`; 0: nothing.
    pub(super) fn end(&mut self, first: u64, last: u64, bytes: u64, at: Close, ledger: &mut Ledger) {
        let Some(run) = self.runs.get_mut(&first) else { return };
        if bytes == 0 {
            self.runs.remove(&first);
            return;
        }
        run.end = run.off.saturating_add(bytes);
        run.last = Some(last);
        let pages = (run.end - 1) / PAGE - run.off / PAGE + 1;
        if last.checked_sub(first) != Some(pages) {
            let id = run.id;
            ledger.reason(id, Reason::PipeChanged);
        }
        let tail = self.tail;
        self.drained(tail, at, ledger);
    }

    /// Slots that another pipe's buffers went to.
    pub(super) fn add(&mut self, first: u64, s: Segment, at: Close, ledger: &mut Ledger) {
        let run = Run { id: s.id, last: Some(first + s.slots), off: s.start, end: s.end };
        if self.runs.insert(first, run).is_none() {
            ledger.hold(s.id);
        }
        let tail = self.tail;
        self.drained(tail, at, ledger);
    }

    /// What lies between two positions, in order.
    pub(super) fn between(&self, from: Position, to: Position) -> Vec<Segment> {
        let mut found = Vec::new();
        for (first, run) in &self.runs {
            let last = run.last.unwrap_or(u64::MAX);
            if last <= from.slot || *first > to.slot {
                continue;
            }
            let page_of = |slot: u64| run.off / PAGE + (slot - first);
            let start = if *first < from.slot || (*first == from.slot && from.off != 0) {
                page_of(from.slot) * PAGE + u64::from(from.off)
            } else {
                run.off
            };
            let end = if to.slot < last {
                // Slot `to` is partly consumed up to `to.off`, or not at all.
                let natural = if to.slot == *first { run.off } else { page_of(to.slot) * PAGE };
                natural.max(page_of(to.slot) * PAGE + u64::from(to.off)).min(run.end)
            } else {
                run.end
            };
            if end > start {
                let slot = first.saturating_sub(from.slot);
                let slots = (end - 1) / PAGE - start / PAGE + 1;
                found.push(Segment { id: run.id, start, end, slot, slots });
            }
        }
        found
    }

    /// Everything before `tail` has left the pipe.
    pub(super) fn drained(&mut self, tail: u64, close: Close, ledger: &mut Ledger) {
        self.tail = self.tail.max(tail);
        let gone: Vec<u64> =
            self.runs.range(..self.tail).filter(|(_, r)| r.last.is_some_and(|l| l <= self.tail)).map(|(k, _)| *k).collect();
        for first in gone {
            if let Some(run) = self.runs.remove(&first) {
                ledger.close(run.id, close);
            }
        }
    }

    /// The pipe is gone, or its slots are numbered anew: every run ends here.
    pub(super) fn clear(&mut self, close: Close, doubt: Option<Reason>, ledger: &mut Ledger) {
        for run in std::mem::take(&mut self.runs).into_values() {
            if let Some(reason) = doubt {
                ledger.reason(run.id, reason);
            }
            ledger.close(run.id, close);
        }
    }
}
