//! One recording, as much of it as a comparison needs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::rc::Rc;

use crate::model::{Api, Fact, FileRef, LossWhat, Outcome, TraceInfo, Transfer, TransferId, Verdict};
use crate::sink::{Clocks, Sink, Summary, chance, same};
use crate::text;

/// Files that are told apart, and as many names of processes.
const GROUPS: usize = 500;
/// Transfers of an interface of which the times are kept.
const MANY: usize = 40_000;
/// Of a file or a process.
const SOME: usize = 2_000;
/// Stretches of time in which mutated transfers are counted, at most; then two become one.
const SLICES: usize = 64;
/// Nanoseconds of one at first.
const SLICE_NS: u64 = 10_000_000;
/// Headers that are kept.
const PARTS: usize = 100;

/// What transfers are compared by; names are harmless.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An interface.
    Api(Api),
    /// A file by its path; where that is not known, by device and number.
    File(String),
    /// Processes of that name.
    Process(String),
}

impl Key {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Api(api) => text::api(*api),
            Self::File(name) | Self::Process(name) => name,
        }
    }
}

/// When a transfer was submitted, and how long it was lent; `u64::MAX`: not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) at: u64,
    pub(super) gap: u64,
    pub(super) exposure: u64,
}

/// Some of many, each with the same chance, the same ones on every replay: those whose ids have the smallest hashes.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    most: usize,
    kept: BinaryHeap<(u64, Point)>,
}

impl Sample {
    fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::new() }
    }

    fn add(&mut self, id: TransferId, point: Point) {
        let rank = chance(id);
        if self.kept.len() < self.most {
            self.kept.push((rank, point));
        } else if self.kept.peek().is_some_and(|(worst, _)| rank < *worst) {
            self.kept.pop();
            self.kept.push((rank, point));
        }
    }

    /// In the order of time.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut all: Vec<_> = self.kept.iter().map(|(_, p)| *p).collect();
        all.sort_unstable();
        all
    }
}

/// Counts over time, however long that is.
#[derive(Clone, Debug)]
pub(super) struct Slices {
    start: Option<u64>,
    width: u64,
    counts: Vec<(u32, u32)>,
}

impl Slices {
    fn add(&mut self, at: u64, mutated: bool) {
        let since = at.saturating_sub(*self.start.get_or_insert(at));
        while since / self.width >= SLICES as u64 {
            let sum = |pair: &[(u32, u32)]| {
                pair.iter().fold((0u32, 0u32), |(a, b), (x, y)| (a.saturating_add(*x), b.saturating_add(*y)))
            };
            self.counts = self.counts.chunks(2).map(sum).collect();
            self.width = self.width.saturating_mul(2);
        }
        let slot = usize::try_from(since / self.width).unwrap_or(0);
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, (0, 0));
        }
        if let Some((all, hit)) = self.counts.get_mut(slot) {
            *all = all.saturating_add(1);
            *hit = hit.saturating_add(u32::from(mutated));
        }
    }

    /// Transfers and mutated ones of each stretch that has any.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.counts.iter().copied().filter(|(all, _)| *all > 0)
    }
}

/// Transfers with something in common.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) transfers: u64,
    pub(super) bytes: u64,
    pub(super) mutated: u64,
    pub(super) unknown: u64,
    pub(super) held: u64,
    pub(super) sample: Sample,
    pub(super) slices: Slices,
}

impl Sums {
    fn new(most: usize) -> Self {
        let slices = Slices { start: None, width: SLICE_NS, counts: Vec::new() };
        Self { transfers: 0, bytes: 0, mutated: 0, unknown: 0, held: 0, sample: Sample::new(most), slices }
    }

    fn add(&mut self, t: &Transfer) {
        let mutated = t.verdict == Verdict::Mutated;
        self.transfers += 1;
        self.bytes = self.bytes.saturating_add(t.bytes);
        self.mutated += u64::from(mutated);
        self.unknown += u64::from(t.verdict == Verdict::Unknown);
        self.held += u64::from(t.outcome == Outcome::Held);
        self.slices.add(t.submit_ns, mutated);
        if let Some(gap) = t.gap_ns() {
            let exposure = t.exposure_ns().unwrap_or(u64::MAX);
            self.sample.add(t.id, Point { at: t.submit_ns, gap, exposure });
        }
    }
}

/// What is kept of a recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) infos: Vec<TraceInfo>,
    pub(super) losses: BTreeMap<LossWhat, u64>,
    pub(super) span: Option<(u64, u64)>,
    pub(super) groups: BTreeMap<Key, Sums>,
    pub(super) transfers: u64,
    /// Transfers of files, and of processes, beyond the bound.
    pub(super) others: (u64, u64),
    clocks: Clocks,
    files: usize,
    processes: usize,
    /// The name that a source had last: most transfers are of the same few.
    names: BTreeMap<Option<FileRef>, String>,
}

impl Kept {
    fn transfer(&mut self, t: &Transfer) {
        self.transfers += 1;
        let last = t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns);
        let (from, to) = self.span.unwrap_or((t.submit_ns, last));
        self.span = Some((from.min(t.submit_ns), to.max(last)));
        self.groups.entry(Key::Api(t.api)).or_insert_with(|| Sums::new(MANY)).add(t);
        let file = match self.names.get(&t.file) {
            Some(name) => name.clone(),
            None => {
                let name = match &t.file {
                    Some(file) => text::file(file).into_owned(),
                    None => "memory of processes".to_owned(),
                };
                if self.names.len() < 4 * GROUPS {
                    self.names.insert(t.file.clone(), name.clone());
                }
                name
            }
        };
        if !grow(&mut self.groups, &mut self.files, Key::File(file), t) {
            self.others.0 += 1;
        }
        let process = Key::Process(text::harmless(&t.comm).into_owned());
        if !grow(&mut self.groups, &mut self.processes, process, t) {
            self.others.1 += 1;
        }
    }
}

/// Adds to a group; a new one only where there is room.
fn grow(groups: &mut BTreeMap<Key, Sums>, n: &mut usize, key: Key, t: &Transfer) -> bool {
    if let Some(sums) = groups.get_mut(&key) {
        sums.add(t);
        return true;
    }
    if *n >= GROUPS {
        return false;
    }
    *n += 1;
    groups.entry(key).or_insert_with(|| Sums::new(SOME)).add(t);
    true
}

/// Collects one recording; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Side(pub(super) Rc<RefCell<Kept>>);

impl Sink for Side {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        let mut kept = self.0.borrow_mut();
        let moved = same(&mut kept.clocks, fact);
        match moved.as_ref().unwrap_or(fact) {
            Fact::Trace(info) if kept.infos.len() < PARTS => kept.infos.push((**info).clone()),
            Fact::Trace(_) | Fact::Mutation(_) => {}
            Fact::Loss(l) => {
                let n = kept.losses.entry(l.what).or_default();
                *n = n.saturating_add(l.records);
            }
            Fact::Transfer(t) => kept.transfer(t),
        }
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}
