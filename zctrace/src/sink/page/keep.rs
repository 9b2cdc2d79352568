//! What a page has room for, of a trace of any length: fixed numbers of transfers and changes, and sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::board::group::{Groups, Kind};
use crate::board::heat::Heat;
use crate::model::{Fact, Mutation, Outcome, Transfer, TransferId, Verdict};
use crate::sink::{Clocks, chance, same};

/// Transfers that are kept because they are mutated: the first.
const MUTATED: usize = 1_000;
/// Because it is not known whether they are, the first, and because they are still lent, the first.
const DOUBTFUL: usize = 500;
/// Because their gap is the longest, and as many because their exposure is.
const LONGEST: usize = 250;
/// Of all others, a sample to which each had the same chance to belong.
const SAMPLE: usize = 1_500;
/// Changes that are kept, the first.
const MUTATIONS: usize = 2_000;
/// Of what hangs on a transfer or a change, the first.
pub(super) const HANGING: usize = 32;
/// Machines of a merged recording of which groups are kept.
const PARTS: usize = 6;

/// A transfer or a change, and how much of what hung on it is not kept.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    pub(super) it: T,
    /// Changes of a transfer; windows that a change hit.
    pub(super) all: usize,
}

/// By rank, the largest ones.
type Largest = BTreeMap<(u64, TransferId), Arc<Kept<Transfer>>>;

/// Everything a page is made of but the totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Keep {
    /// When the trace began, or the first submit.
    pub(super) start_ns: Option<u64>,
    clocks: Clocks,
    pub(super) gaps: Option<Heat>,
    pub(super) exposures: Option<Heat>,
    /// By part of a merged recording; each of [`Kind::ALL`].
    pub(super) groups: BTreeMap<u16, [Groups; 4]>,
    /// Transfers of machines of which no groups are kept.
    pub(super) elsewhere: u64,
    mutated: Vec<Arc<Kept<Transfer>>>,
    unknown: Vec<Arc<Kept<Transfer>>>,
    held: Vec<Arc<Kept<Transfer>>>,
    longest: Largest,
    exposed: Largest,
    sample: Largest,
    pub(super) mutations: Vec<Arc<Kept<Mutation>>>,
    /// How many there were.
    pub(super) mutations_seen: u64,
}

impl Keep {
    pub(super) fn fact(&mut self, fact: &Fact) {
        let moved = same(&mut self.clocks, fact);
        match moved.as_ref().unwrap_or(fact) {
            Fact::Trace(info) => {
                let start = self.start_ns.map_or(info.start_ns, |known| known.min(info.start_ns));
                self.start_ns = Some(start);
            }
            Fact::Transfer(t) => self.transfer(t),
            Fact::Mutation(m) => self.mutation(m),
            Fact::Loss(_) => {}
        }
    }

    fn groups(&mut self, part: u16) -> Option<&mut [Groups; 4]> {
        if !self.groups.contains_key(&part) && self.groups.len() >= PARTS {
            return None;
        }
        Some(self.groups.entry(part).or_insert_with(|| Kind::ALL.map(Groups::new)))
    }

    fn transfer(&mut self, t: &Transfer) {
        let start = *self.start_ns.get_or_insert(t.submit_ns);
        let (gap, exposure) = (t.gap_ns(), t.exposure_ns());
        if let Some(end) = t.release_ns {
            let heat =
                |heat: &mut Option<Heat>, ns| heat.get_or_insert_with(|| Heat::new(start)).add(end, ns);
            gap.into_iter().for_each(|ns| heat(&mut self.gaps, ns));
            exposure.into_iter().for_each(|ns| heat(&mut self.exposures, ns));
        }
        match self.groups(t.id.part()) {
            Some(groups) => groups.iter_mut().for_each(|g| g.add(t)),
            None => self.elsewhere += 1,
        }
        let list = match (t.verdict, t.outcome) {
            (Verdict::Mutated, _) => Some((&mut self.mutated, MUTATED)),
            (_, Outcome::Held) => Some((&mut self.held, DOUBTFUL)),
            (Verdict::Unknown, _) => Some((&mut self.unknown, DOUBTFUL)),
            (Verdict::Clean, _) => None,
        };
        if let Some((list, most)) = list
            && list.len() < most
        {
            list.push(kept(t));
            return;
        }
        gap.into_iter().for_each(|ns| largest(&mut self.longest, LONGEST, ns, t));
        exposure.into_iter().for_each(|ns| largest(&mut self.exposed, LONGEST, ns, t));
        largest(&mut self.sample, SAMPLE, chance(t.id), t);
    }

    fn mutation(&mut self, m: &Mutation) {
        if let Some(groups) = self.groups(m.id.part()) {
            groups.iter_mut().for_each(|g| g.changed(m));
        }
        self.mutations_seen += 1;
        if self.mutations.len() < MUTATIONS {
            let mut it = m.clone();
            it.hits.truncate(HANGING);
            self.mutations.push(Arc::new(Kept { it, all: m.hits.len() }));
        }
    }

    /// Every transfer that is kept, once: the gravest first, then by gap.
    pub(super) fn transfers(&self) -> Vec<Arc<Kept<Transfer>>> {
        let mut all: BTreeMap<TransferId, Arc<Kept<Transfer>>> = BTreeMap::new();
        let lists = [&self.mutated, &self.unknown, &self.held].into_iter().flatten();
        let ranked = [&self.longest, &self.exposed, &self.sample].into_iter().flat_map(BTreeMap::values);
        for one in lists.chain(ranked) {
            all.entry(one.it.id).or_insert_with(|| Arc::clone(one));
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by_key(|k| {
            let t = &k.it;
            // What is still lent has no gap yet: it is longer than those that have.
            let gap = if t.outcome == Outcome::Held { u64::MAX } else { t.gap_ns().unwrap_or(0) };
            std::cmp::Reverse((t.verdict.gravity(), gap))
        });
        all
    }
}

fn kept(t: &Transfer) -> Arc<Kept<Transfer>> {
    let mut it = t.clone();
    it.mutations.truncate(HANGING);
    it.mutations.shrink_to_fit();
    it.resent = Vec::new();
    Arc::new(Kept { it, all: t.mutations.len() })
}

fn largest(list: &mut Largest, most: usize, rank: u64, t: &Transfer) {
    if list.len() < most {
        list.insert((rank, t.id), kept(t));
    } else if list.first_key_value().is_some_and(|(least, _)| least.0 < rank) {
        list.insert((rank, t.id), kept(t));
        list.pop_first();
    }
}
