//! Running totals: bounded memory however long the trace is.

mod files;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::files::Files;
use super::Clocks;
use crate::distribution::Distribution;
use crate::model::{
    Api, Content, Copied, Fact, LossWhat, Mutation, Outcome, Reason, ReleasedBy, TraceInfo, Transfer,
    TransferId, Verdict,
};
use crate::text;

mod people;

pub use people::{People, Sender, Writer};

/// How many transfers are kept as the worst.
const WORST: usize = 5;
/// How many files, senders and writers are told apart; the rest is counted together.
pub(super) const FILES: usize = 10_000;
/// Headers of a merged recording that are kept.
const PARTS: usize = 1_000;

/// What a group of transfers adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub transfers: u64,
    /// Bytes they moved.
    pub bytes: u64,
    /// Whose bytes could have changed while lent.
    pub mutated: u64,
}

impl Count {
    fn add(&mut self, t: &Transfer) {
        self.transfers += 1;
        self.bytes = self.bytes.saturating_add(t.bytes);
        self.mutated += u64::from(t.verdict == Verdict::Mutated);
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            transfers: self.transfers + other.transfers,
            bytes: self.bytes.saturating_add(other.bytes),
            mutated: self.mutated + other.mutated,
        }
    }
}

/// Numbers of one group of transfers.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// How many.
    pub transfers: u64,
    /// Bytes they moved.
    pub bytes: u64,
    /// Step 1 to step 2.
    pub gap: Distribution,
    /// Return to step 2.
    pub exposure: Distribution,
}

/// Totals of one trace.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Header; of a merged recording, one for each part.
    pub infos: Vec<TraceInfo>,
    /// Everything.
    pub all: Group,
    /// Per interface.
    pub apis: BTreeMap<Api, Group>,
    /// Per part of a merged recording, and file.
    pub files: Files,
    /// Files beyond the bound.
    pub others: Count,
    /// Who sent, and who changed.
    pub people: People,
    /// The first transfer of each verdict.
    pub first: BTreeMap<Verdict, TransferId>,
    /// Per way of release.
    pub released_by: BTreeMap<ReleasedBy, u64>,
    /// Those that were not zero-copy, per cause.
    pub copied: BTreeMap<Copied, u64>,
    /// Per version that went out.
    pub contents: BTreeMap<Content, u64>,
    /// Why not certain.
    pub reasons: BTreeMap<Reason, u64>,
    /// Longest gaps, longest first.
    pub worst: Vec<Arc<Transfer>>,
    /// Still lent at the end, longest first.
    pub stuck: Vec<Arc<Transfer>>,
    clocks: Clocks,
    outcomes: BTreeMap<Outcome, u64>,
    verdicts: BTreeMap<Verdict, u64>,
    /// Transfers per verdict and rule that applies.
    pub rules: BTreeMap<(Verdict, &'static str), u64>,
    /// The first mutations.
    pub mutations: Vec<Arc<Mutation>>,
    /// What was lost.
    pub losses: BTreeMap<LossWhat, u64>,
    /// The recording ends in the middle.
    pub cut: bool,
    /// First submit and last event, nanoseconds; of a merged recording, as the clock of its first part has them.
    pub span: Option<(u64, u64)>,
}

impl Summary {
    /// Adds one fact.
    pub fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Trace(info) => {
                self.clocks.learn(info);
                if self.infos.len() < PARTS {
                    self.infos.push((**info).clone());
                }
            }
            Fact::Loss(l) => {
                let n = self.losses.entry(l.what).or_default();
                *n = n.saturating_add(l.records);
            }
            Fact::Transfer(t) => self.transfer(t),
            Fact::Mutation(m) => self.mutation(m),
        }
    }

    fn mutation(&mut self, m: &Mutation) {
        if self.mutations.len() < WORST {
            self.mutations.push(Arc::new(m.clone()));
        }
        self.people.mutation(m);
    }

    fn transfer(&mut self, t: &Transfer) {
        let api = self.apis.entry(t.api).or_default();
        for group in [&mut self.all, api] {
            group.transfers += 1;
            group.bytes = group.bytes.saturating_add(t.bytes);
            if let Some(gap) = t.gap_ns() {
                group.gap.add(gap);
            }
            if let Some(exposure) = t.exposure_ns() {
                group.exposure.add(exposure);
            }
        }
        *self.outcomes.entry(t.outcome).or_default() += 1;
        *self.verdicts.entry(t.verdict).or_default() += 1;
        if let Some(by) = t.released_by {
            *self.released_by.entry(by).or_default() += 1;
        }
        if let Some(why) = t.copied {
            *self.copied.entry(why).or_default() += 1;
        }
        if let Some(content) = t.content {
            *self.contents.entry(content).or_default() += 1;
        }
        for rule in &t.rules {
            *self.rules.entry((t.verdict, rule)).or_default() += 1;
        }
        if t.verdict == Verdict::Unknown {
            for reason in &t.reasons {
                *self.reasons.entry(*reason).or_default() += 1;
            }
        }
        self.files.count(t.id.part(), &t.file, FILES).unwrap_or(&mut self.others).add(t);
        self.people.transfer(t);
        self.first.entry(t.verdict).or_insert(t.id);
        let last = t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns);
        let part = t.id.part();
        let (submit, last) = (self.clocks.at(part, t.submit_ns), self.clocks.at(part, last));
        let (first, end) = self.span.unwrap_or((submit, last));
        self.span = Some((first.min(submit), end.max(last)));
        if t.outcome == Outcome::Held {
            let clocks = &self.clocks;
            keep(&mut self.stuck, t, |t| u64::MAX - clocks.at(t.id.part(), t.submit_ns));
        } else if t.gap_ns().is_some() {
            keep(&mut self.worst, t, |t| t.gap_ns().unwrap_or(0));
        }
    }

    fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// Transfers.
    #[must_use]
    pub fn transfers(&self) -> u64 {
        self.all.transfers
    }

    /// Step 2 was seen.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.outcome(Outcome::Released)
    }

    /// Still lent at the end.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.outcome(Outcome::Held)
    }

    /// Step 2 could not be known.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.outcome(Outcome::Unknown)
    }

    /// Evidence is complete and shows no change.
    #[must_use]
    pub fn clean(&self) -> u64 {
        self.verdicts.get(&Verdict::Clean).copied().unwrap_or(0)
    }

    /// Whether the bytes changed is not known.
    #[must_use]
    pub fn unsure(&self) -> u64 {
        self.verdicts.get(&Verdict::Unknown).copied().unwrap_or(0)
    }

    /// Bytes could have changed while lent.
    #[must_use]
    pub fn mutated(&self) -> u64 {
        self.verdicts.get(&Verdict::Mutated).copied().unwrap_or(0)
    }

    /// For how long a transfer was lent at least, when the trace ended.
    #[must_use]
    pub fn age_ns(&self, t: &Transfer) -> Option<u64> {
        let (_, last) = self.span?;
        Some(last.saturating_sub(self.clocks.at(t.id.part(), t.submit_ns)))
    }

    /// Host of a part of a merged recording, harmless; `None` where there is only one.
    #[must_use]
    pub fn host(&self, part: u16) -> Option<String> {
        if self.infos.len() < 2 {
            return None;
        }
        let info = self.infos.iter().find(|i| i.part == part);
        Some(match info.filter(|i| !i.host.is_empty()) {
            Some(info) => text::harmless(info.host.as_bytes()).into_owned(),
            None => format!("part {part}"),
        })
    }

    /// Records that never arrived.
    #[must_use]
    pub fn lost_records(&self) -> u64 {
        self.losses.get(&LossWhat::Ring).copied().unwrap_or(0)
    }
}

fn keep(list: &mut Vec<Arc<Transfer>>, t: &Transfer, key: impl Fn(&Transfer) -> u64) {
    let rank = key(t);
    if list.len() == WORST && list.last().is_some_and(|l| key(l) >= rank) {
        return;
    }
    let at = list.partition_point(|l| key(l) >= rank);
    list.insert(at, Arc::new(t.clone()));
    list.truncate(WORST);
}

/// The totals in one line.
#[must_use]
pub fn summary_line(s: &Summary) -> String {
    let mut line = format!("{}, {}", text::transfers(s.transfers()), text::bytes(s.all.bytes));
    for (n, what) in [(s.released(), "released"), (s.held(), "still held"), (s.unknown(), "unknown")] {
        if n > 0 {
            line.push_str(&format!(", {n} {what}"));
        }
    }
    if s.mutated() > 0 {
        line.push_str(&format!(", {} MUTATED", s.mutated()));
    }
    if let Some(p99) = s.all.gap.quantile(0.99) {
        line.push_str(&format!(", gap p99 {}", text::ns(p99)));
    }
    if s.lost_records() > 0 {
        line.push_str(&format!(", {} RECORDS LOST", s.lost_records()));
    }
    line
}

#[cfg(test)]
mod tests;
