//! Running totals: bounded memory however long the trace is.

mod files;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::files::Files;
use crate::distribution::Distribution;
use crate::model::{
    Api, Content, Copied, Fact, LossWhat, Mutation, Outcome, Reason, ReleasedBy, TraceInfo, Transfer, Verdict,
};
use crate::text;

/// How many transfers are kept as the worst.
const WORST: usize = 5;
/// How many files are told apart; the rest is counted together.
pub(super) const FILES: usize = 10_000;

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
    /// Header.
    pub info: Option<TraceInfo>,
    /// Everything.
    pub all: Group,
    /// Per interface.
    pub apis: BTreeMap<Api, Group>,
    /// Transfers and bytes per file.
    pub files: Files,
    /// Transfers and bytes of files beyond the bound.
    pub others: (u64, u64),
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
    /// First submit and last event, nanoseconds.
    pub span: Option<(u64, u64)>,
}

impl Summary {
    /// Adds one fact.
    pub fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Trace(info) => self.info = Some((**info).clone()),
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
        let (n, bytes) = self.files.numbers(&t.file, FILES).unwrap_or(&mut self.others);
        *n += 1;
        *bytes = bytes.saturating_add(t.bytes);
        let last = t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns);
        let (first, end) = self.span.unwrap_or((t.submit_ns, last));
        self.span = Some((first.min(t.submit_ns), end.max(last)));
        if t.outcome == Outcome::Held {
            keep(&mut self.stuck, t, |t| u64::MAX - t.submit_ns);
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
