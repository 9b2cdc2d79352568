//! What really happened: reference counts on each transfer's pages, kept by the simulated kernel
//! itself. Knows nothing of sequence numbers, slots or frames, so it cannot share the engine's
//! mistakes.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ReleasedBy, TransferId};

/// The fate of one transfer.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// When the operation was entered.
    pub submit_ns: u64,
    /// What the call that opened it moved.
    pub bytes: u64,
    /// When the last call that moved its bytes returned.
    pub return_ns: Option<u64>,
    /// When its last page was let go, and how. `None`: still held.
    pub release: Option<(u64, ReleasedBy)>,
    /// Something happened that no observer can follow: `unknown` is the only right outcome.
    pub unknowable: bool,
    /// Others got in between, so an observer may be late; never early.
    pub late: bool,
    /// More than one way of ending took part, so which one was last is a matter of definition.
    pub mixed: bool,
    /// Changes to its bytes in its window: when they ended, and the first byte changed.
    pub changes: BTreeSet<(u64, u64)>,
    /// A shared writable mapping existed in its window.
    pub mapped: bool,
    lent: Lent,
    refs: u64,
    returned: bool,
    last: Option<(u64, ReleasedBy)>,
    read: bool,
    sent: bool,
}

/// What a transfer lends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lent {
    pub(super) ino: u64,
    pub(super) generation: u32,
    pub(super) off: u64,
    pub(super) mapped: bool,
}

/// Bytes that were changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) ino: u64,
    pub(super) generation: u32,
    pub(super) off: u64,
    /// `u64::MAX`: all that follow.
    pub(super) len: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// The truth about every transfer.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    all: BTreeMap<TransferId, Truth>,
    changes: Vec<Changed>,
    /// File, generation, when.
    mappings: Vec<(u64, u32, u64)>,
}

impl Book {
    pub(super) fn open(&mut self, id: TransferId, submit_ns: u64, lent: Lent) {
        self.all.insert(id, Truth { submit_ns, lent, mapped: lent.mapped, ..Truth::default() });
    }

    pub(super) fn changed(&mut self, change: Changed) {
        self.changes.push(change);
    }

    pub(super) fn mapped(&mut self, ino: u64, generation: u32, at: u64) {
        self.mappings.push((ino, generation, at));
    }

    /// It moved nothing: no transfer.
    pub(super) fn forget(&mut self, id: TransferId) {
        self.all.remove(&id);
    }

    pub(super) fn hold(&mut self, id: TransferId) {
        self.with(id, |t| t.refs += 1);
    }

    /// A reference goes away.
    pub(super) fn drop(&mut self, id: TransferId, at: u64, by: ReleasedBy) {
        self.with(id, |t| {
            t.refs -= 1;
            t.last = Some((at, by));
        });
    }

    /// A reference goes away because another one takes its place.
    pub(super) fn hand_on(&mut self, id: TransferId) {
        self.with(id, |t| t.refs -= 1);
    }

    /// The call that handed pages on returns: only now are they known to be elsewhere.
    pub(super) fn not_before(&mut self, id: TransferId, at: u64) {
        self.with(id, |t| t.last = Some((at, t.last.map_or(ReleasedBy::PipeDrained, |(_, by)| by))));
    }

    /// A call that moved its pages on returned.
    pub(super) fn moved(&mut self, id: TransferId, at: u64) {
        self.with(id, |t| t.return_ns = t.return_ns.max(Some(at)));
    }

    pub(super) fn sent(&mut self, id: TransferId) {
        self.with(id, |t| {
            t.sent = true;
            t.mixed |= t.read;
        });
    }

    /// Its pages went on to another pipe.
    pub(super) fn spread(&mut self, id: TransferId) {
        self.with(id, |t| t.mixed |= !t.returned);
    }

    pub(super) fn read(&mut self, id: TransferId) {
        self.with(id, |t| {
            t.read = true;
            t.mixed |= t.sent;
        });
    }

    pub(super) fn returned(&mut self, id: TransferId, at: u64, bytes: u64) {
        self.with(id, |t| {
            t.returned = true;
            t.bytes = bytes;
            t.return_ns = t.return_ns.max(Some(at));
        });
    }

    pub(super) fn copied(&mut self, id: TransferId, at: u64) {
        self.with(id, |t| t.last = Some((at, ReleasedBy::Copied)));
    }

    pub(super) fn unknowable(&mut self, id: TransferId) {
        self.with(id, |t| t.unknowable = true);
    }

    pub(super) fn late(&mut self, id: TransferId) {
        self.with(id, |t| t.late = true);
    }

    pub(super) fn close(mut self) -> BTreeMap<TransferId, Truth> {
        for t in self.all.values_mut() {
            let (lent, from) = (t.lent, t.submit_ns);
            let until = t.release.map_or(u64::MAX, |(at, _)| at);
            let last = lent.off + t.bytes;
            for c in self.changes.iter().filter(|c| (c.ino, c.generation) == (lent.ino, lent.generation)) {
                let bytes = c.off < last && lent.off < c.off.saturating_add(c.len);
                if bytes && c.end >= from && c.begin < until {
                    t.changes.insert((c.end, c.off));
                }
            }
            let mapping = |m: &&(u64, u32, u64)| (m.0, m.1) == (lent.ino, lent.generation);
            t.mapped |= self.mappings.iter().filter(mapping).any(|m| m.2 >= from && m.2 < until);
        }
        self.all
    }

    fn with(&mut self, id: TransferId, change: impl FnOnce(&mut Truth)) {
        if let Some(t) = self.all.get_mut(&id) {
            change(t);
            if t.returned && t.refs == 0 && t.release.is_none() {
                t.release = t.last;
            }
        }
    }
}
