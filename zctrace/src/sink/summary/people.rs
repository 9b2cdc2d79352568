//! Who sent and who changed: counts by process, each kind bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Count, FILES};
use crate::model::{Mutation, MutationId, MutationKind, Transfer};

/// A process, as told by its number and the part of a merged recording.
pub type Pid = (u16, u32);

/// A process that lent.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// Name of the thread that was last seen, raw bytes, hostile.
    pub comm: Arc<[u8]>,
    /// What it lent.
    pub count: Count,
    /// The longest gap, nanoseconds.
    pub gap_max: Option<u64>,
}

/// Whoever changed lent bytes; `None`: nobody is on record.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// Name of the thread that was last seen, raw bytes, hostile.
    pub comm: Arc<[u8]>,
    /// Changes to lent bytes.
    pub mutations: u64,
    /// Windows that they fell into; one with two changes counts twice.
    pub hits: u64,
    /// How.
    pub kinds: BTreeMap<MutationKind, u64>,
    /// The first change.
    pub first: MutationId,
}

/// Both, each bounded as files are.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Processes that lent.
    pub senders: BTreeMap<Pid, Sender>,
    /// What processes beyond the bound lent.
    pub other_senders: Count,
    /// Who changed lent bytes.
    pub writers: BTreeMap<(u16, Option<u32>), Writer>,
    /// Changes by whoever is beyond the bound, and windows they fell into.
    pub other_writers: (u64, u64),
}

impl People {
    pub(super) fn transfer(&mut self, t: &Transfer) {
        let key = (t.id.part(), t.pid);
        if self.senders.len() >= FILES && !self.senders.contains_key(&key) {
            self.other_senders.add(t);
            return;
        }
        let sender = self.senders.entry(key).or_default();
        sender.count.add(t);
        sender.gap_max = sender.gap_max.max(t.gap_ns());
        if sender.comm != t.comm {
            sender.comm = Arc::clone(&t.comm);
        }
    }

    pub(super) fn mutation(&mut self, m: &Mutation) {
        let (key, hits) = ((m.id.part(), m.pid), m.hits.len() as u64);
        if self.writers.len() >= FILES && !self.writers.contains_key(&key) {
            self.other_writers.0 += 1;
            self.other_writers.1 = self.other_writers.1.saturating_add(hits);
            return;
        }
        let writer = self.writers.entry(key).or_insert_with(|| Writer { first: m.id, ..Writer::default() });
        writer.comm = Arc::clone(&m.comm);
        writer.mutations += 1;
        writer.hits = writer.hits.saturating_add(hits);
        *writer.kinds.entry(m.kind).or_default() += 1;
    }
}

impl Writer {
    /// Of the trace's writers, those that hit most first.
    #[must_use]
    pub fn sorted(people: &People) -> Vec<(&(u16, Option<u32>), &Self)> {
        let mut all: Vec<_> = people.writers.iter().collect();
        all.sort_by_key(|(_, w)| std::cmp::Reverse((w.hits, w.mutations)));
        all
    }
}
