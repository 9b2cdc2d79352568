//! For `zctrace explain`: which events one transfer depends on, as the engine itself sees it.
//!
//! Everything that influences a transfer goes through the ledger by the transfer's id, and there it is
//! noted. What an event meant is sometimes known only later; then a clue leads back to it.

use std::collections::BTreeSet;

use crate::model::TransferId;

/// Leads to an earlier event that turned out to matter to the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clue {
    /// CPU and number of the entry of a call that moved its bytes on.
    Call(TransferId),
    /// A head that holds or held some of its bytes.
    Head(u64),
    /// Something about its socket at that time, nanoseconds.
    Time(u64),
    /// Where bytes of it are in a TCP stream.
    Place {
        /// Socket.
        sock: u64,
        /// Sequence number of the first.
        seq: u32,
        /// How many.
        len: u64,
        /// File offset of the first.
        off: u64,
    },
}

/// What is known so far of the one transfer that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) id: TransferId,
    /// Since it was asked last.
    pub(super) touched: bool,
    pub(super) clues: BTreeSet<Clue>,
}

impl super::Engine {
    /// Asks which events this transfer depends on; see [`Self::touched`] and [`Self::clues`].
    pub fn witness(&mut self, id: TransferId) {
        let witness = Witness { id, touched: false, clues: BTreeSet::new() };
        self.ledger.witness = Some(Box::new(witness));
    }

    /// Whether anything pushed since this was asked last matters to the transfer asked for.
    pub fn touched(&mut self) -> bool {
        self.ledger.witness.as_mut().is_some_and(|w| std::mem::take(&mut w.touched))
    }

    /// What leads to the other events that matter to it.
    #[must_use]
    pub fn clues(&self) -> BTreeSet<Clue> {
        self.ledger.witness.as_ref().map_or_else(BTreeSet::new, |w| w.clues.clone())
    }
}
