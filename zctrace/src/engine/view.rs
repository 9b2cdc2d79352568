//! What is going on now, for whoever looks while a trace goes on: nothing here changes anything.

use super::{Engine, Kind};
use crate::model::{Mutation, Transfer, TransferId};

/// How far a transfer that has not been stated has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its pages are lent.
    Open,
    /// They are free again; what can be said of it is known a moment later.
    Closing,
}

impl Engine {
    /// The time of the last event, CLOCK_MONOTONIC nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Every transfer that has not been stated: the open ones by id, then those that are over.
    pub fn unstated(&self) -> impl Iterator<Item = (&Transfer, Stage)> {
        let open = self.ledger.open().map(|t| (t, Stage::Open));
        open.chain(self.ledger.pending().map(|t| (t, Stage::Closing)))
    }

    /// A transfer that has not been stated, with what has come to be known since it began.
    #[must_use]
    pub fn named(&self, t: &Transfer) -> Transfer {
        let mut t = t.clone();
        if let Some(file) = &mut t.file
            && file.path.is_none()
        {
            file.path = self.names.file(file.id).path;
        }
        t.cgroup = self.ledger.cgroup(t.id).and_then(|id| self.names.cgroup_of(id));
        t
    }

    /// Changes to its bytes so far, the first `most` of them. One that has not been stated has the number 0
    /// unless another transfer has given it one.
    #[must_use]
    pub fn changes_so_far(&self, t: &Transfer, most: usize) -> Vec<Mutation> {
        self.changes.so_far(t, most)
    }

    /// Which of its bytes are lent at most, as `(offset, bytes)`, sorted; `None`: it is not open, or that is
    /// not known.
    #[must_use]
    pub fn lent(&self, id: TransferId) -> Option<Vec<(u64, u64)>> {
        let t = self.ledger.open().find(|t| t.id == id)?;
        let all = (t.offset, t.moved().unwrap_or(t.requested));
        let mut found = Vec::new();
        let mut known = true;
        self.socks.values().for_each(|sock| match &sock.kind {
            Kind::Stream(s) => known &= s.lent(id, &mut found),
            Kind::Dgram(d) => d.lent(id, &mut found),
        });
        self.pipes.values().for_each(|p| p.lent(id, &mut found));
        if !known || t.moved().is_none() {
            return Some(vec![all]);
        }
        let end = all.0.saturating_add(all.1);
        let mut ranges: Vec<(u64, u64)> = found
            .into_iter()
            .map(|(from, to)| (from.max(all.0), to.min(end)))
            .filter(|(from, to)| from < to)
            .map(|(from, to)| (from, to - from))
            .collect();
        ranges.sort_unstable();
        ranges.dedup();
        Some(ranges)
    }
}
