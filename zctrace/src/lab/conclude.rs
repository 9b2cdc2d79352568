//! From cells to conclusions: what holds for a whole API, in as few rows as are true.
//!
//! A conclusion is made only of facts that do not depend on who was faster: a second run gives the same.
//! Times stand beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::judge::{CLOSE_NS, Done, Judged, Safe};
use super::{Api, Memory, Receiver, Transport};
use crate::model::{Copied, Fact, Outcome, Reason, Verdict};

/// In how many of the tried cells something came true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// It was not tried.
    Untried,
    /// In none.
    None,
    /// In some.
    Some,
    /// In all.
    All,
}

/// Cells in which a change reached the peer, of those in which it could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// It did.
    pub cells: usize,
    /// It could: nobody had read yet.
    pub of: usize,
    /// Whose receivers did.
    pub receivers: BTreeSet<Receiver>,
}

/// What became of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pages {
    /// Lent.
    Lent,
    /// Copied.
    Copied,
    /// Some of each.
    Both,
}

/// What holds for a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conclusion {
    /// Why it could not be tried at all; then nothing else counts.
    pub skipped: Option<String>,
    /// What the API calls "done".
    pub done: Done,
    /// Since when the bytes may really be changed: with receivers that stall.
    pub safe: BTreeSet<Safe>,
    /// What became of the pages.
    pub pages: Pages,
    /// Why they were copied.
    pub copied: BTreeSet<Copied>,
    /// Whether changes after "done" reached the peer.
    pub after: Share,
    /// Whether changes before "done" did: where "done" is a notification, it may not have come yet.
    pub before: Share,
}

/// Cells of one API with the same conclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How the bytes were sent.
    pub api: Api,
    /// Where they were.
    pub memory: BTreeSet<Memory>,
    /// Whether that is all that this API was tried with, and more than one.
    pub any_memory: bool,
    /// What they went over.
    pub transports: BTreeSet<Transport>,
    /// What holds.
    pub conclusion: Conclusion,
    /// Median time until it was done, receivers that stall, ns.
    pub took_ns: Option<u64>,
    /// Median and largest exposure, receivers that stall, ns.
    pub exposure_ns: Option<(u64, u64)>,
    /// Changes after "done".
    pub after: Reached,
    /// Changes before it.
    pub before: Reached,
}

/// Numbers of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Cells.
    pub cells: usize,
    /// Of those: not possible here.
    pub skipped: usize,
    /// Cells in which the trace and the receiver agree.
    pub agree: usize,
    /// Cells in which they do not.
    pub contradict: usize,
    /// Cells with bytes whose release is not known.
    pub unknown: usize,
    /// Transfers.
    pub transfers: usize,
    /// Transfers whose release was found.
    pub released: usize,
    /// Cells by verdict; the copies have none.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Cells by reason of what is not certain.
    pub reasons: BTreeMap<Reason, usize>,
    /// Returns that actor and trace saw within a millisecond of each other, of all.
    pub returns: (usize, usize),
    /// The same of notifications.
    pub notifications: (usize, usize),
    /// Cells with bytes that were lent after the notification.
    pub lent_after_notice: usize,
    /// Cells whose release is called a read although nobody read.
    pub misnamed: usize,
    /// How long it took.
    pub took: Duration,
}

/// Everything that a run of the lab tells.
#[derive(Clone, Debug)]
pub struct Atlas {
    /// `zctrace x.y.z`
    pub tool: String,
    /// `uname -r`
    pub kernel: String,
    /// Every cell.
    pub cells: Vec<Judged>,
    /// Conclusions, in the order of the APIs.
    pub rows: Vec<Row>,
    /// Numbers.
    pub total: Total,
}

impl Atlas {
    /// Concludes; `facts` are those of the trace.
    #[must_use]
    pub fn new(cells: Vec<Judged>, facts: &[Fact], took: Duration) -> Self {
        let info = facts.iter().find_map(|f| if let Fact::Trace(info) = f { Some(info) } else { None });
        let (tool, kernel) = info.map_or_else(Default::default, |i| (i.tool.clone(), i.kernel.clone()));
        let rows = rows(&cells);
        let total = total(&cells, took);
        Self { tool, kernel, cells, rows, total }
    }
}

impl Conclusion {
    /// Whether the bytes are safe as soon as the API says that it is done.
    #[must_use]
    pub fn is_safe_at_done(&self) -> bool {
        self.skipped.is_none() && self.safe.iter().all(|s| *s == Safe::Done)
    }
}

impl Reached {
    fn count<'a>(cells: impl Iterator<Item = &'a Judged>) -> Self {
        let mut all = Self::default();
        for cell in cells {
            all.of += 1;
            if cell.seen.new_bytes > 0 {
                all.cells += 1;
                all.receivers.insert(cell.cell().receiver);
            }
        }
        all
    }

    fn share(&self) -> Share {
        match (self.cells, self.of) {
            (_, 0) => Share::Untried,
            (0, _) => Share::None,
            (n, of) if n == of => Share::All,
            _ => Share::Some,
        }
    }
}

/// Of changes that came while nobody had read: those after "done", and those before.
fn reached(cells: &[&Judged]) -> (Reached, Reached) {
    let tried = || cells.iter().copied().filter(|c| c.played() && c.cell().changes_unread());
    (
        Reached::count(tried().filter(|c| c.changed_after_done())),
        Reached::count(tried().filter(|c| !c.changed_after_done())),
    )
}

/// Those that tell most: receivers that stall, where there are any.
fn telling<'a>(cells: &[&'a Judged]) -> Vec<&'a Judged> {
    let played = || cells.iter().copied().filter(|c| c.played());
    let stalled: Vec<_> = played().filter(|c| c.cell().receiver == Receiver::Stalled).collect();
    if stalled.is_empty() { played().collect() } else { stalled }
}

fn conclude(cells: &[&Judged]) -> Conclusion {
    let telling = telling(cells);
    let done = cells.first().map_or(Done::Return, |c| c.done());
    let (after, before) = reached(cells);
    // What is not known of one cell is counted; it makes the others no less certain.
    let known: BTreeSet<Safe> =
        telling.iter().map(|c| c.safe()).filter(|s| !matches!(s, Safe::Unknown | Safe::Failed)).collect();
    let safe = if known.is_empty() { [Safe::Unknown].into() } else { known };
    let lent = telling.iter().any(|c| c.transfers.iter().any(|t| t.copied.is_none()));
    let copied: BTreeSet<Copied> = telling.iter().flat_map(|c| c.copied()).collect();
    let copies = !copied.is_empty() || telling.iter().all(|c| c.transfers.is_empty());
    let skipped = telling.is_empty().then(|| {
        cells.iter().find_map(|c| c.seen.skipped.clone()).unwrap_or_else(|| "it was not played".to_owned())
    });
    Conclusion {
        skipped,
        done,
        safe,
        pages: match (lent, copies) {
            (true, true) => Pages::Both,
            (true, false) => Pages::Lent,
            _ => Pages::Copied,
        },
        copied,
        after: after.share(),
        before: before.share(),
    }
}

/// Median and largest.
fn spread(values: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    let mut all: Vec<u64> = values.collect();
    all.sort_unstable();
    Some((*all.get(all.len() / 2)?, *all.last()?))
}

fn rows(cells: &[Judged]) -> Vec<Row> {
    let mut parts: BTreeMap<(Api, Memory, Transport), Vec<&Judged>> = BTreeMap::new();
    for cell in cells {
        let c = cell.cell();
        parts.entry((c.api, c.memory, c.transport)).or_default().push(cell);
    }
    // What has the same conclusion is one row, over the same transports.
    let mut over: BTreeMap<(Api, Conclusion, Memory), BTreeSet<Transport>> = BTreeMap::new();
    for ((api, memory, transport), part) in &parts {
        over.entry((*api, conclude(part), *memory)).or_default().insert(*transport);
    }
    let mut merged: BTreeMap<(Api, Conclusion, BTreeSet<Transport>), BTreeSet<Memory>> = BTreeMap::new();
    for ((api, conclusion, memory), transports) in over {
        merged.entry((api, conclusion, transports)).or_default().insert(memory);
    }
    let mut rows: Vec<Row> = merged
        .into_iter()
        .map(|((api, conclusion, transports), memory)| {
            let own: Vec<&Judged> = parts
                .iter()
                .filter(|((a, m, t), _)| *a == api && memory.contains(m) && transports.contains(t))
                .flat_map(|(_, part)| part.iter().copied())
                .collect();
            let all = parts.keys().filter(|(a, ..)| *a == api).map(|(_, m, _)| *m).collect::<BTreeSet<_>>();
            let telling = telling(&own);
            let (after, before) = reached(&own);
            Row {
                api,
                any_memory: memory.len() > 1 && memory == all,
                memory,
                transports,
                conclusion,
                took_ns: spread(telling.iter().filter_map(|c| c.took_ns())).map(|(median, _)| median),
                exposure_ns: spread(telling.iter().filter_map(|c| c.exposure_ns())),
                after,
                before,
            }
        })
        .collect();
    // What could not be tried comes last.
    let key = |r: &Row| (r.api, r.conclusion.skipped.is_some(), r.transports.clone(), r.memory.clone());
    rows.sort_by_cached_key(key);
    rows
}

fn total(cells: &[Judged], took: Duration) -> Total {
    let mut all = Total { cells: cells.len(), took, ..Total::default() };
    for cell in cells {
        if !cell.played() {
            all.skipped += 1;
            continue;
        }
        if cell.contradictions.is_empty() {
            all.agree += 1;
        } else {
            all.contradict += 1;
        }
        all.unknown += usize::from(cell.outcome().is_some_and(|o| o != Outcome::Released));
        all.lent_after_notice += usize::from(cell.lent_after_notice());
        all.misnamed += usize::from(cell.misnamed());
        all.transfers += cell.transfers.len();
        all.released += cell.transfers.iter().filter(|t| t.outcome == Outcome::Released).count();
        if let Some(verdict) = cell.verdict() {
            *all.verdicts.entry(verdict).or_default() += 1;
        }
        for reason in cell.reasons() {
            *all.reasons.entry(reason).or_default() += 1;
        }
        for (off, (close, of)) in
            [(cell.return_off_ns(), &mut all.returns), (cell.notify_off_ns(), &mut all.notifications)]
        {
            *of += usize::from(off.is_some());
            *close += usize::from(off.is_some_and(|ns| ns <= CLOSE_NS));
        }
    }
    all
}

#[cfg(test)]
mod tests;
