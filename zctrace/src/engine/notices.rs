//! Notifications on a socket's error queue: which number is which transfer's.
//!
//! `msg_zerocopy_alloc()` gives each call that is to lend memory the next number of the socket, and
//! those that end together are told as a range. What is told while a call runs may be about that call.

use std::collections::BTreeMap;

use super::ledger::Told;
use crate::model::TransferId;
use serde::{Deserialize, Serialize};

/// Ranges kept while calls run.
const RECENT: usize = 4096;

/// The numbers of one socket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Notices {
    due: BTreeMap<u32, TransferId>,
    /// Calls that have not returned.
    running: u32,
    /// More than one at once: a number may have been given, given back and given again.
    crowded: bool,
    /// What was told meanwhile.
    recent: Vec<(u32, u32, Told)>,
}

fn has(first: u32, last: u32, number: u32) -> bool {
    number.wrapping_sub(first) <= last.wrapping_sub(first)
}

impl Notices {
    /// A call begins that may get a number.
    pub(super) fn begin(&mut self) {
        self.running += 1;
        self.crowded |= self.running > 1;
    }

    /// Whether the call that is about to end ran alone.
    pub(super) fn are_alone(&self) -> bool {
        !self.crowded
    }

    /// It has returned with this number, or with none. Answers what was told of it already.
    pub(super) fn end(&mut self, number: Option<u32>, id: TransferId) -> Option<Told> {
        let told = number.and_then(|n| {
            let found = self.recent.iter().find(|(first, last, _)| has(*first, *last, n));
            if found.is_none() {
                self.due.insert(n, id);
            }
            found.map(|(_, _, told)| *told)
        });
        self.running = self.running.saturating_sub(1);
        if self.running == 0 {
            self.crowded = false;
            self.recent.clear();
        }
        told
    }

    /// These numbers are told. Answers whose they are.
    pub(super) fn told(&mut self, first: u32, last: u32, told: Told) -> Vec<TransferId> {
        if self.running > 0 && self.recent.len() < RECENT {
            self.recent.push((first, last, told));
        }
        let mut numbers: Vec<u32> = if first <= last {
            self.due.range(first..=last).map(|(n, _)| *n).collect()
        } else {
            self.due.range(first..).chain(self.due.range(..=last)).map(|(n, _)| *n).collect()
        };
        numbers.sort_by_key(|n| n.wrapping_sub(first));
        numbers.iter().filter_map(|n| self.due.remove(n)).collect()
    }

    /// Nothing more will be told.
    pub(super) fn over(&mut self) -> Vec<TransferId> {
        std::mem::take(&mut self.due).into_values().collect()
    }
}
