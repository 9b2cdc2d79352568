//! What happened when, over the whole of a recording: counts of fixed size, however long that is.

use std::sync::Arc;

use crate::board::picture::Mark;
use crate::model::{Fact, Verdict};

/// Parts that are shown at most.
pub(super) const PARTS: u64 = 256;
/// Columns at most; then two become one. Finer than what is shown, so that the span may turn out to be another.
const COLUMNS: u64 = 16 * PARTS;

/// Counts by time.
#[derive(Debug)]
pub(super) struct Marks {
    start: u64,
    width: u64,
    columns: Vec<Mark>,
}

impl Marks {
    /// None yet, of a recording that is said to be so long.
    pub(super) fn new(span: (u64, u64)) -> Self {
        let width = (span.1.saturating_sub(span.0) / (COLUMNS / 2)).max(1);
        Self { start: span.0, width, columns: Vec::new() }
    }

    /// Counts a fact that was stated then.
    pub(super) fn add(&mut self, at: u64, fact: &Fact) {
        let since = at.saturating_sub(self.start);
        while since / self.width >= COLUMNS {
            self.halve();
        }
        let column = usize::try_from(since / self.width).unwrap_or(0);
        if self.columns.len() <= column {
            self.columns.resize(column + 1, Mark::default());
        }
        if let Some(mark) = self.columns.get_mut(column) {
            sum(mark, of(fact));
        }
    }

    fn halve(&mut self) {
        let both = |pair: &[Mark]| {
            let mut mark = Mark::default();
            pair.iter().for_each(|m| sum(&mut mark, *m));
            mark
        };
        self.columns = self.columns.chunks(2).map(both).collect();
        self.width = self.width.saturating_mul(2);
    }

    /// In equal parts of that span.
    pub(super) fn over(&self, span: (u64, u64)) -> Arc<[Mark]> {
        let long = span.1.saturating_sub(span.0).max(1);
        let parts = (long / self.width).clamp(1, PARTS);
        let mut all = vec![Mark::default(); usize::try_from(parts).unwrap_or(1)];
        let mut middle = self.start.saturating_add(self.width / 2);
        for column in &self.columns {
            let since = u128::from(middle.saturating_sub(span.0));
            let part = usize::try_from(since * u128::from(parts) / u128::from(long)).unwrap_or(usize::MAX);
            let part = part.min(all.len() - 1);
            if let Some(mark) = all.get_mut(part) {
                sum(mark, *column);
            }
            middle = middle.saturating_add(self.width);
        }
        all.into()
    }
}

fn of(fact: &Fact) -> Mark {
    let mut mark = Mark::default();
    match fact {
        Fact::Transfer(t) => {
            mark.transfers = 1;
            mark.mutated = u32::from(t.verdict == Verdict::Mutated);
            mark.unknown = u32::from(t.verdict == Verdict::Unknown);
        }
        Fact::Loss(_) => mark.losses = 1,
        Fact::Trace(_) | Fact::Mutation(_) => {}
    }
    mark
}

fn sum(to: &mut Mark, more: Mark) {
    to.transfers = to.transfers.saturating_add(more.transfers);
    to.mutated = to.mutated.saturating_add(more.mutated);
    to.unknown = to.unknown.saturating_add(more.unknown);
    to.losses = to.losses.saturating_add(more.losses);
}
