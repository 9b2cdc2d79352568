//! What really happened: reference counts on each transfer's pages, kept by the simulated kernel
//! itself. Knows nothing of sequence numbers, slots or frames, so it cannot share the engine's
//! mistakes.

use std::collections::BTreeMap;

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
    refs: u64,
    returned: bool,
    last: Option<(u64, ReleasedBy)>,
    read: bool,
    sent: bool,
}

/// The truth about every transfer.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    all: BTreeMap<TransferId, Truth>,
}

impl Book {
    pub(super) fn open(&mut self, id: TransferId, submit_ns: u64) {
        self.all.insert(id, Truth { submit_ns, ..Truth::default() });
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

    pub(super) fn close(self) -> BTreeMap<TransferId, Truth> {
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
