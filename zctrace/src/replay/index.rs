//! What was learned on the first way through a recording: walks to go on from, and what happened when.
//! Bounded: where there are too many walks, every other one is let go of.

use super::marks::Marks;
use super::walk::{Until, Walk, Watch};
use crate::model::Fact;

/// Walks that are kept.
const MOST: usize = 32;
/// Bytes of memory that they may take, as far as that is known.
const BUDGET: usize = 256 << 20;
/// Bytes of the file between two of them, at first.
pub(super) const SPACING: u64 = 64 << 10;

/// Walks, the earliest first.
#[derive(Debug)]
pub(super) struct Index {
    walks: Vec<(Walk, usize)>,
    spacing: u64,
    /// The next one begins here at the earliest.
    next: u64,
    pub(super) marks: Marks,
}

impl Index {
    /// `start` has not gone anywhere.
    pub(super) fn new(start: Walk, span: (u64, u64), spacing: u64) -> Self {
        let next = start.at().saturating_add(spacing);
        Self { walks: vec![(start, 0)], spacing, next, marks: Marks::new(span) }
    }

    /// The last walk that has not passed that place.
    pub(super) fn before(&self, until: Until) -> Option<&Walk> {
        let n = self.walks.partition_point(|(walk, _)| walk.is_before(until));
        self.walks.get(n.saturating_sub(1)).map(|(walk, _)| walk)
    }

    fn is_full(&self) -> bool {
        self.walks.len() > MOST || self.walks.iter().map(|(_, weight)| *weight).sum::<usize>() > BUDGET
    }

    /// The first one always stays.
    fn thin(&mut self) {
        let mut even = false;
        self.walks.retain(|_| {
            even = !even;
            even
        });
        self.spacing = self.spacing.saturating_mul(2);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.walks.len()
    }
}

impl Watch for Index {
    fn boundary(&mut self, walk: &Walk) {
        if walk.at() < self.next {
            return;
        }
        let weight = walk.weight();
        // One that is too heavy is left out: then going back takes longer.
        if weight <= BUDGET / 4 {
            self.walks.push((walk.clone(), weight));
            while self.is_full() && self.walks.len() > 1 {
                self.thin();
            }
        }
        self.next = walk.at().saturating_add(self.spacing);
    }

    fn shown(&mut self, at: u64, fact: &Fact) {
        self.marks.add(at, fact);
    }
}
