//! A running picture of a trace, in bounded memory: facts go in as they come, and a [`Picture`] of any moment
//! comes out. Who draws it does not matter here.

pub mod filter;
pub mod group;
pub mod heat;
pub mod link;
pub mod picture;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use self::group::{Group, Groups, Key, Kind};
use self::picture::{ApiStats, Focus};
pub use self::picture::{Item, Lent, Picture, Row};
use crate::engine::{Engine, Stage, Unstated, View};
use crate::model::{
    Api, Content, Fact, LossLine, LossWhat, Mutation, Reason, TraceInfo, Transfer, TransferId, Verdict,
};
use crate::select::Select;

/// Transfers that are kept because they are the newest.
const NEWEST: usize = 4096;
/// Older ones that are kept because they are mutated, and as many because they are not known.
const NOT_CLEAN: usize = 2048;
/// Older ones that are kept because they are the longest.
const LONGEST: usize = 256;
/// Open windows that are shown.
const OPEN: usize = 2048;
/// Open windows of which only the bytes are counted that are lent still.
const EXACT: u64 = 256;
/// Changes that are kept.
const MUTATIONS: usize = 4096;
/// Changes of one open window that are shown.
const SO_FAR: usize = 16;
/// Changes of transfers, and transfers that changes hit, that are kept of each kind.
const HANGING: usize = 1 << 18;
/// Losses that are kept.
const LOSSES: usize = 64;
/// Seconds that are kept.
const SECONDS: usize = 120;

/// Everything that is kept of a trace.
#[derive(Clone, Debug)]
pub struct Board {
    info: Option<Arc<TraceInfo>>,
    all: Arc<ApiStats>,
    apis: BTreeMap<Api, Arc<ApiStats>>,
    newest: Kept<Transfer>,
    mutated: Kept<Transfer>,
    unknown: Kept<Transfer>,
    /// By gap.
    longest: BTreeMap<(u64, TransferId), Arc<Transfer>>,
    groups: [Groups; 4],
    mutations: Kept<Mutation>,
    mutations_seen: u64,
    rules: BTreeMap<(&'static str, Verdict), u64>,
    reasons: BTreeMap<Reason, u64>,
    contents: BTreeMap<Content, u64>,
    losses: BTreeMap<LossWhat, u64>,
    loss_log: VecDeque<LossLine>,
    seconds: VecDeque<u32>,
    /// The second that the last of `seconds` counts, since the trace began.
    second: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            info: None,
            all: Arc::new(ApiStats::new(0)),
            apis: BTreeMap::new(),
            newest: Kept::new(NEWEST, |t| t.mutations.len()),
            mutated: Kept::new(NOT_CLEAN, |t| t.mutations.len()),
            unknown: Kept::new(NOT_CLEAN, |t| t.mutations.len()),
            longest: BTreeMap::new(),
            groups: Kind::ALL.map(Groups::new),
            mutations: Kept::new(MUTATIONS, |m| m.hits.len()),
            mutations_seen: 0,
            rules: BTreeMap::new(),
            reasons: BTreeMap::new(),
            contents: BTreeMap::new(),
            losses: BTreeMap::new(),
            loss_log: VecDeque::new(),
            seconds: VecDeque::new(),
            second: 0,
        }
    }
}

fn push<T>(list: &mut VecDeque<T>, one: T, most: usize) -> Option<T> {
    list.push_back(one);
    if list.len() > most { list.pop_front() } else { None }
}

/// What is kept of one kind, the newest; bounded also by what hangs on it.
#[derive(Clone, Debug)]
struct Kept<T> {
    list: VecDeque<Arc<T>>,
    most: usize,
    /// What hangs on one: numbers of other things.
    weight: fn(&T) -> usize,
    weighs: usize,
}

impl<T> Kept<T> {
    fn new(most: usize, weight: fn(&T) -> usize) -> Self {
        Self { list: VecDeque::new(), most, weight, weighs: 0 }
    }

    /// Adds one; answers those that have to go.
    fn push(&mut self, one: Arc<T>) -> Vec<Arc<T>> {
        self.weighs += (self.weight)(&one);
        self.list.push_back(one);
        let mut gone = Vec::new();
        while self.list.len() > self.most || (self.weighs > HANGING && self.list.len() > 1) {
            let Some(old) = self.list.pop_front() else { break };
            self.weighs = self.weighs.saturating_sub((self.weight)(&old));
            gone.push(old);
        }
        gone
    }
}

impl Board {
    /// Bytes of memory that it takes, about; a clone shares them until one of both goes on.
    #[must_use]
    pub fn weight(&self) -> usize {
        let lists = [&self.newest, &self.mutated, &self.unknown];
        let transfers = lists.iter().map(|l| l.list.len()).sum::<usize>() + self.longest.len();
        let hanging = lists.iter().map(|l| l.weighs * 8).sum::<usize>() + self.mutations.weighs * 24;
        let apis = self.apis.values().chain([&self.all]).map(|api| {
            let columns = api.gaps.columns().len() + api.exposures.columns().len();
            api.stats.gap.weight() + api.stats.exposure.weight() + columns * size_of::<[u32; heat::ROWS]>()
        });
        // What else hangs on a transfer or a change is about as much as itself.
        2 * (transfers * size_of::<Transfer>() + self.mutations.list.len() * size_of::<Mutation>())
            + hanging
            + self.groups.iter().map(Groups::weight).sum::<usize>()
            + apis.sum::<usize>()
    }

    /// Takes one fact, stated at `now`, CLOCK_MONOTONIC nanoseconds.
    pub fn fact(&mut self, fact: Fact, now: u64) {
        match fact {
            Fact::Trace(info) => {
                self.all = Arc::new(ApiStats::new(info.start_ns));
                self.info = Some(Arc::from(info));
                self.seconds.clear();
            }
            Fact::Transfer(t) => self.transfer(t, now),
            Fact::Mutation(m) => {
                self.groups.iter_mut().for_each(|g| g.changed(&m));
                self.mutations_seen += 1;
                self.mutations.push(Arc::from(m));
            }
            Fact::Loss(l) => {
                let n = self.losses.entry(l.what).or_default();
                *n = n.saturating_add(l.records);
                push(&mut self.loss_log, l, LOSSES);
            }
        }
    }

    fn start_ns(&self) -> u64 {
        self.info.as_ref().map_or(0, |i| i.start_ns)
    }

    fn transfer(&mut self, t: Box<Transfer>, now: u64) {
        self.tick(now);
        if let Some(n) = self.seconds.back_mut() {
            *n += 1;
        }
        let start = self.start_ns();
        Arc::make_mut(&mut self.all).add(&t);
        let api = self.apis.entry(t.api).or_insert_with(|| Arc::new(ApiStats::new(start)));
        Arc::make_mut(api).add(&t);
        self.groups.iter_mut().for_each(|g| g.add(&t));
        for rule in &t.rules {
            *self.rules.entry((rule, t.verdict)).or_default() += 1;
        }
        for reason in t.reasons.iter().filter(|_| t.verdict == Verdict::Unknown) {
            *self.reasons.entry(*reason).or_default() += 1;
        }
        if let Some(content) = t.content {
            *self.contents.entry(content).or_default() += 1;
        }
        for old in self.newest.push(Arc::from(t)) {
            self.retire(old);
        }
    }

    /// It is not new any more: there may be another cause to keep it.
    fn retire(&mut self, t: Arc<Transfer>) {
        match t.verdict {
            Verdict::Mutated => drop(self.mutated.push(t)),
            Verdict::Unknown => drop(self.unknown.push(t)),
            Verdict::Clean => {
                let key = (t.gap_ns().unwrap_or(0), t.id);
                let full = self.longest.len() >= LONGEST;
                if full && self.longest.keys().next().is_some_and(|shortest| *shortest > key) {
                    return;
                }
                self.longest.insert(key, t);
                if full {
                    self.longest.pop_first();
                }
            }
        }
    }

    /// Time has come to `now`.
    fn tick(&mut self, now: u64) {
        if self.info.is_none() {
            return;
        }
        let second = now.saturating_sub(self.start_ns()) / 1_000_000_000;
        if self.seconds.is_empty() {
            self.seconds.push_back(0);
            self.second = second;
        }
        let missed = second.saturating_sub(self.second);
        for _ in 0..missed.min(SECONDS as u64) {
            push(&mut self.seconds, 0, SECONDS);
        }
        self.second = self.second.max(second);
    }

    /// Everything as it is at `now_ns`. `engine` and `select` are those behind the facts.
    pub fn picture(
        &mut self,
        engine: &Engine,
        select: &Select,
        now_ns: u64,
        focus: Option<TransferId>,
    ) -> Picture {
        self.tick(now_ns);
        let view = engine.view();
        let lent = focus.map(|id| Focus { id, lent: view.lent(id) });
        let now = Now::of(view, select);
        let [files, peers, sockets, processes] = self.groups.each_ref().map(|groups| rows(groups, &now));
        let mut mutations = now.changes;
        mutations.extend(self.mutations.list.iter().cloned());
        let lists = [&self.newest, &self.mutated, &self.unknown];
        let closed = lists.into_iter().flat_map(|l| &l.list).chain(self.longest.values());
        let nothing: Arc<[Mutation]> = Arc::default();
        let item = |t: &Arc<Transfer>| Item { t: Arc::clone(t), stage: None, so_far: Arc::clone(&nothing) };
        Picture {
            info: self.info.clone(),
            now_ns,
            all: Arc::clone(&self.all),
            apis: self.apis.iter().map(|(api, stats)| (*api, Arc::clone(stats))).collect(),
            lent: now.lent,
            lent_at_most: now.at_most,
            open: now.open,
            open_hidden: now.hidden,
            closed: closed.map(item).collect(),
            files,
            peers,
            sockets,
            processes,
            forgotten: self.groups.each_ref().map(|g| g.forgotten),
            mutations,
            mutations_gone: self.mutations_seen - self.mutations.list.len() as u64,
            mutations_seen: self.mutations_seen,
            unseen: now.unseen,
            rules: self.rules.clone(),
            reasons: self.reasons.clone(),
            contents: self.contents.clone(),
            losses: self.losses.clone(),
            loss_log: self.loss_log.iter().copied().collect(),
            seconds: self.seconds.iter().copied().collect(),
            focus: lent,
            ..Picture::empty()
        }
    }
}

/// Groups of one kind and what they lend now; those of which nothing has ended yet come last.
fn rows(groups: &Groups, now: &Now) -> Vec<Row> {
    let lent = |key: &Key| now.groups.get(key).map(|(lent, _)| *lent).unwrap_or_default();
    let known = groups.iter().map(|group| Row { group: Arc::clone(group), lent: lent(&group.key) });
    let fresh = |(key, (lent, group)): (&Key, &(Lent, Option<Arc<Group>>))| {
        let is_fresh = groups.kind().has(key) && !groups.knows(key);
        group.as_ref().filter(|_| is_fresh).map(|group| Row { group: Arc::clone(group), lent: *lent })
    };
    let mut fresh: Vec<Row> = now.groups.iter().filter_map(fresh).collect();
    fresh.sort_unstable_by(|a, b| a.group.key.cmp(&b.group.key));
    known.chain(fresh).collect()
}

/// What is open.
struct Now {
    lent: Lent,
    open: Vec<Item>,
    hidden: u64,
    groups: HashMap<Key, (Lent, Option<Arc<Group>>)>,
    /// Changes that have not been stated.
    changes: Vec<Arc<Mutation>>,
    /// There was too much to look at all of it.
    unseen: bool,
    /// Of some, all bytes are counted.
    at_most: bool,
}

impl Now {
    fn of(mut view: View<'_>, select: &Select) -> Self {
        let mut now = Self {
            lent: Lent::default(),
            open: Vec::new(),
            hidden: 0,
            groups: HashMap::new(),
            changes: view.numbered(MUTATIONS).into_iter().map(Arc::new).collect(),
            unseen: false,
            at_most: false,
        };
        // The oldest ones: those that would be dropped are on top.
        let mut oldest: BinaryHeap<(u64, TransferId)> = BinaryHeap::new();
        let mut shown = Vec::new();
        // A path may have become known since it was submitted.
        let may_show = |u: &Unstated<'_>| {
            let nameless = u.t.file.as_ref().is_some_and(|f| f.path.is_none());
            select.may_show(u.t) || (nameless && select.may_show(&view.named(*u)))
        };
        let unstated: Vec<Unstated<'_>> = view.unstated().filter(may_show).collect();
        for u in unstated.iter().copied() {
            if u.stage == Stage::Closing {
                if shown.len() < OPEN {
                    shown.push(u);
                } else {
                    now.hidden += 1;
                }
                continue;
            }
            now.count(u, &mut view);
            oldest.push((u.t.submit_ns, u.t.id));
            if oldest.len() > OPEN {
                oldest.pop();
            }
        }
        now.hidden += now.lent.windows - oldest.len() as u64;
        let ids: BTreeSet<TransferId> = oldest.iter().map(|(_, id)| *id).collect();
        shown.extend(unstated.into_iter().filter(|u| u.stage == Stage::Open && ids.contains(&u.t.id)));
        shown.sort_by_key(|u| (u.stage == Stage::Closing, u.t.submit_ns, u.t.id));
        let same = |m: &Mutation| (m.file.as_ref().map(|f| f.id), m.at_ns, m.offset, m.len, m.pid);
        let mut seen: BTreeSet<_> = now.changes.iter().map(|m| same(m)).collect();
        for u in shown {
            let so_far: Arc<[Mutation]> = view.changes_so_far(u, SO_FAR).into();
            for m in so_far.iter() {
                if now.changes.len() < MUTATIONS && seen.insert(same(m)) {
                    now.changes.push(Arc::new(m.clone()));
                }
            }
            now.open.push(Item { t: Arc::new(view.named(u)), stage: Some(u.stage), so_far });
        }
        now
    }

    /// Adds an open window to what it has in common with others.
    fn count(&mut self, u: Unstated<'_>, view: &mut View<'_>) {
        let t = u.t;
        let changed = view.is_changed(u);
        self.unseen |= changed.is_none();
        let changed = changed.unwrap_or(false);
        let all = || vec![(t.offset, u.bytes)];
        let ranges = if self.lent.windows < EXACT {
            view.lent(t.id).unwrap_or_else(all)
        } else {
            self.at_most = true;
            all()
        };
        self.lent.add(t, &ranges, changed);
        for kind in Kind::ALL {
            let Some(key) = kind.key(t) else { continue };
            let room = self.groups.len() < 4 * group::GROUPS;
            let group = || Group::empty(kind, &view.named(u)).map(Arc::new);
            let entry = self.groups.entry(key);
            entry.or_insert_with(|| (Lent::default(), room.then(group).flatten())).0.add(t, &ranges, changed);
        }
    }
}
