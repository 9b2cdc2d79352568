//! What is shown: a picture of one moment, bounded, never changed once made.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use super::group::Group;
use super::heat::Heat;
use crate::distribution::Distribution;
use crate::engine::Stage;
use crate::model::{
    Api, Content, Copied, LossLine, LossWhat, Mutation, MutationId, Reason, ReleasedBy, TraceInfo, Transfer,
    TransferId, Verdict,
};

/// A transfer as it is now.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is known of it.
    pub t: Arc<Transfer>,
    /// How far it has come; `None`: its fate is known.
    pub stage: Option<Stage>,
    /// Changes to its bytes so far, where its fate is not known yet; bounded.
    pub so_far: Arc<[Mutation]>,
}

impl Item {
    /// Its pages are lent at the moment of the picture.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stage == Some(Stage::Open)
    }

    /// How long it has been, or was, lent; nanoseconds. `None`: not known.
    #[must_use]
    pub fn age_ns(&self, now: u64) -> Option<u64> {
        match self.stage {
            Some(Stage::Open) => Some(now.saturating_sub(self.t.submit_ns)),
            _ => self.t.gap_ns(),
        }
    }
}

/// What a group lends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// Open windows.
    pub windows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Pages that those lie in; one that several lend counts for each.
    pub pages: u64,
    /// When the oldest was submitted, CLOCK_MONOTONIC nanoseconds.
    pub oldest_ns: Option<u64>,
    /// Windows whose bytes were changed so far.
    pub changed: u64,
}

impl Lent {
    pub(super) fn add(&mut self, t: &Transfer, ranges: &[(u64, u64)], changed: bool) {
        self.windows += 1;
        for (offset, bytes) in ranges {
            self.bytes = self.bytes.saturating_add(*bytes);
            self.pages = self.pages.saturating_add(pages(*offset, *bytes));
        }
        self.oldest_ns = Some(self.oldest_ns.map_or(t.submit_ns, |o| o.min(t.submit_ns)));
        self.changed += u64::from(changed);
    }
}

/// Pages of 4 KiB that a range lies in.
#[must_use]
pub fn pages(offset: u64, bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { (offset.saturating_add(bytes) - 1) / 4096 - offset / 4096 + 1 }
}

/// A group and what it lends now.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is known of it.
    pub group: Arc<Group>,
    /// Now.
    pub lent: Lent,
}

/// Numbers of one interface, or of all.
#[derive(Clone, Debug)]
pub struct ApiStats {
    /// Numbers.
    pub stats: super::group::Stats,
    /// Those that were not zero-copy, per cause.
    pub copied: BTreeMap<Copied, u64>,
    /// Per way of release.
    pub released_by: BTreeMap<ReleasedBy, u64>,
    /// Gaps over time.
    pub gaps: Heat,
    /// Exposures over time.
    pub exposures: Heat,
}

impl ApiStats {
    pub(super) fn new(start_ns: u64) -> Self {
        Self {
            stats: super::group::Stats::new(&Distribution::default()),
            copied: BTreeMap::new(),
            released_by: BTreeMap::new(),
            gaps: Heat::new(start_ns),
            exposures: Heat::new(start_ns),
        }
    }

    pub(super) fn add(&mut self, t: &Transfer) {
        self.stats.add(t);
        if let Some(why) = t.copied {
            *self.copied.entry(why).or_default() += 1;
        }
        if let Some(by) = t.released_by {
            *self.released_by.entry(by).or_default() += 1;
        }
        let Some(at) = t.release_ns else {
            return;
        };
        if let Some(gap) = t.gap_ns() {
            self.gaps.add(at, gap);
        }
        if let Some(exposure) = t.exposure_ns() {
            self.exposures.add(at, exposure);
        }
    }
}

/// The transfer that is looked at.
#[derive(Clone, Debug)]
pub struct Focus {
    /// Which.
    pub id: TransferId,
    /// Which of its bytes are lent at most, as `(offset, bytes)`; `None`: not known.
    pub lent: Option<Vec<(u64, u64)>>,
}

/// Where a replay stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// First and last time of the recording that are known so far, CLOCK_MONOTONIC nanoseconds.
    pub span: (u64, u64),
    /// How many times as fast as it was recorded; `None`: it stands.
    pub speed: Option<f64>,
    /// How much of the file has been looked through, 0 to 1.
    pub known: f64,
    /// It is on its way to another place.
    pub seeking: bool,
    /// The transfer that ended, or was changed, where it stands.
    pub landmark: Option<TransferId>,
    /// What happened over the span, in as many parts: transfers, mutated, unknown, records lost.
    pub marks: Arc<[Mark]>,
    /// What is wrong with the recording's end.
    pub problem: Option<String>,
}

/// What happened in a part of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Transfers that ended.
    pub transfers: u32,
    /// Of those, mutated.
    pub mutated: u32,
    /// Of those, not known.
    pub unknown: u32,
    /// Times that something was lost.
    pub losses: u32,
}

/// Everything that can be seen at one moment.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Where it comes from; `None`: not known yet.
    pub info: Option<Arc<TraceInfo>>,
    /// The moment, CLOCK_MONOTONIC nanoseconds.
    pub now_ns: u64,
    /// All interfaces together.
    pub all: Arc<ApiStats>,
    /// Each interface.
    pub apis: Vec<(Api, Arc<ApiStats>)>,
    /// What is lent now.
    pub lent: Lent,
    /// Of some windows all bytes are counted, whichever of them are free again.
    pub lent_at_most: bool,
    /// Open windows, the oldest first, then what is being concluded; bounded.
    pub open: Vec<Item>,
    /// Open windows beyond that bound.
    pub open_hidden: u64,
    /// Transfers whose fate is known: the newest, the longest, and those that are not clean; bounded.
    pub closed: Vec<Item>,
    /// What was lent.
    pub files: Vec<Row>,
    /// To whom.
    pub peers: Vec<Row>,
    /// Through which sockets.
    pub sockets: Vec<Row>,
    /// By whom, and who made changes.
    pub processes: Vec<Row>,
    /// Groups that were forgotten for lack of room: files, peers, sockets, processes.
    pub forgotten: [u64; 4],
    /// Changes; bounded. First those that were not stated yet: with a number where they have hit something that
    /// was stated, then those with the number 0.
    pub mutations: Vec<Arc<Mutation>>,
    /// Changes that were stated.
    pub mutations_seen: u64,
    /// Of those, how many are not kept.
    pub mutations_gone: u64,
    /// There was too much to look at all of it: more open windows may have been changed than are counted.
    pub unseen: bool,
    /// Transfers that a rule applies to, per verdict.
    pub rules: BTreeMap<(&'static str, Verdict), u64>,
    /// Transfers whose verdict is not known, by why.
    pub reasons: BTreeMap<Reason, u64>,
    /// Per version that went out.
    pub contents: BTreeMap<Content, u64>,
    /// What was lost, in all.
    pub losses: BTreeMap<LossWhat, u64>,
    /// The last losses.
    pub loss_log: Vec<LossLine>,
    /// Transfers that ended in each of the last seconds, the present one last.
    pub seconds: Vec<u32>,
    /// The transfer that is looked at, if it is open.
    pub focus: Option<Focus>,
    /// A replay.
    pub cursor: Option<Cursor>,
    /// The trace is over, in words.
    pub ended: Option<String>,
    /// What is being recorded, in words.
    pub recording: Option<String>,
    /// What became of the last recording, in words, harmless.
    pub said: Option<Result<String, String>>,
    /// Places of transfers and changes, once somebody asks.
    pub(crate) items_by_id: OnceLock<HashMap<TransferId, usize>>,
    /// Of `mutations`.
    pub(crate) mutations_by_id: OnceLock<HashMap<MutationId, usize>>,
}

impl Picture {
    /// Nothing has been seen.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            info: None,
            now_ns: 0,
            all: Arc::new(ApiStats::new(0)),
            apis: Vec::new(),
            lent: Lent::default(),
            lent_at_most: false,
            open: Vec::new(),
            open_hidden: 0,
            closed: Vec::new(),
            files: Vec::new(),
            peers: Vec::new(),
            sockets: Vec::new(),
            processes: Vec::new(),
            forgotten: [0; 4],
            mutations: Vec::new(),
            mutations_seen: 0,
            mutations_gone: 0,
            unseen: false,
            rules: BTreeMap::new(),
            reasons: BTreeMap::new(),
            contents: BTreeMap::new(),
            losses: BTreeMap::new(),
            loss_log: Vec::new(),
            seconds: Vec::new(),
            focus: None,
            cursor: None,
            ended: None,
            recording: None,
            said: None,
            items_by_id: OnceLock::new(),
            mutations_by_id: OnceLock::new(),
        }
    }

    /// When the trace began, CLOCK_MONOTONIC nanoseconds.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        self.info.as_ref().map_or(0, |i| i.start_ns)
    }

    /// Every transfer that is kept: open ones first.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.open.iter().chain(&self.closed)
    }

    /// The transfer of that id, if it is kept.
    #[must_use]
    pub fn item(&self, id: TransferId) -> Option<&Item> {
        let places = || self.items().enumerate().map(|(i, item)| (item.t.id, i)).collect();
        let index: &HashMap<TransferId, usize> = self.items_by_id.get_or_init(places);
        let at = *index.get(&id)?;
        self.open.get(at).or_else(|| self.closed.get(at - self.open.len()))
    }

    /// The change of that number, if it is kept.
    #[must_use]
    pub fn mutation(&self, id: MutationId) -> Option<&Arc<Mutation>> {
        let places = || {
            self.mutations.iter().enumerate().filter(|(_, m)| m.id.0 != 0).map(|(i, m)| (m.id, i)).collect()
        };
        let index: &HashMap<MutationId, usize> = self.mutations_by_id.get_or_init(places);
        index.get(&id).and_then(|i| self.mutations.get(*i))
    }

    /// Transfers that ended per second, over the last full seconds; `None`: not known yet.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
    pub fn rate(&self) -> Option<f64> {
        let full = self.seconds.len().saturating_sub(1);
        let last: Vec<u64> = self.seconds.iter().take(full).rev().take(3).map(|n| u64::from(*n)).collect();
        (!last.is_empty()).then(|| last.iter().sum::<u64>() as f64 / last.len() as f64)
    }

    /// Transfers with that verdict.
    #[must_use]
    pub fn verdicts(&self, verdict: Verdict) -> u64 {
        let s = &self.all.stats;
        match verdict {
            Verdict::Mutated => s.mutated,
            Verdict::Unknown => s.unknown,
            Verdict::Clean => s.transfers - s.mutated - s.unknown,
        }
    }
}
