//! Who changed which bytes of a lent file, and which windows that fell into.
//!
//! A transfer is judged when it is stated: by then its window and its bytes are final, and no call
//! that began inside the window is still running ([`Changes::waits_for`]). A change is stated once no
//! transfer that it may have hit is left.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zctrace_common::frame::Header;
use zctrace_common::kernel::{
    ChangeEnter, ChangeExit, Dirtied, Mapped, Removed, change, change_flag, exit_flag,
};
use zctrace_common::user::RunningChange;

use super::names::Comms;
use super::prints::{Changed, Known};
use super::rules::Hurt;
use crate::hash::HashMap;
use crate::model::{
    Fact, FileId, FileRef, Hit, Mode, Mutation, MutationId, MutationKind, Phase, Reason, SeenBy, Source,
    Transfer, TransferId,
};

/// How long a transfer waits for the end of a call that may have changed it, nanoseconds.
const PATIENCE_NS: u64 = 10_000_000_000;
/// Changes kept of one file.
const MOST: usize = 4096;

/// A call that has not returned.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Running {
    /// `None`: named by a path, so any file.
    file: Option<FileId>,
    /// 0: before the file was watched, or (with `begin_lost`) at any time.
    begin: u64,
    begin_lost: bool,
    /// When it was first heard of.
    since: u64,
    what: u8,
    flags: u8,
    comm: Arc<[u8]>,
    /// Frames were lost since: its return may have been among them.
    lossy: bool,
    /// Which files it named, too.
    names_lost: bool,
    /// It was over then at the latest; how it ended was lost.
    gone: Option<u64>,
}

impl Running {
    fn may_hit(&self, t: &Transfer, until: u64) -> bool {
        self.begin < until
            && self.gone.is_none_or(|gone| gone > t.submit_ns)
            && t.file.as_ref().is_some_and(|own| self.file.is_none_or(|f| f == own.id))
    }

    /// An `open()` that still has not returned waits for something else than a truncation.
    fn hangs(&self, now: u64) -> bool {
        self.file.is_none() && self.what == change::TRUNCATE && now.saturating_sub(self.since) > PATIENCE_NS
    }
}

/// A change that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Done {
    kind: MutationKind,
    /// Another task than the one that asked for it may have made it.
    uring: bool,
    task: u64,
    comm: Arc<[u8]>,
    /// 0: before the file was watched, or (with `begin_lost`) at any time.
    begin: u64,
    begin_lost: bool,
    end: u64,
    off: u64,
    /// `u64::MAX`: all that follow.
    len: u64,
    seen_by: SeenBy,
    /// Pages left the page cache: what is lent keeps the old bytes.
    removed: bool,
    /// Only its size says that it was this file.
    by_size: bool,
    id: Option<MutationId>,
    hits: Vec<Hit>,
}

impl Done {
    fn overlaps(&self, off: u64, len: u64) -> bool {
        off < self.off.saturating_add(self.len) && self.off < off.saturating_add(len)
    }

    /// What happened to this folio was part of that call: one that another task carries out, or whose
    /// beginning was not seen.
    fn explains(&self, folio: &Self) -> bool {
        self.seen_by == SeenBy::Syscall
            && folio.seen_by == SeenBy::Tracepoint
            && (self.uring || self.task == folio.task)
            && (self.begin..=self.end).contains(&folio.begin)
            && self.overlaps(folio.off, folio.len)
    }

    /// Notes that it fell into the transfer's window.
    fn hit(&mut self, t: &mut Transfer, mutations: &mut u64) -> Hurt {
        let id = *self.id.get_or_insert_with(|| {
            *mutations += 1;
            MutationId(*mutations)
        });
        let phase = match (t.first_xmit_ns, t.ack_ns) {
            (_, Some(ack)) if ack <= self.begin => Phase::AfterAck,
            (Some(xmit), _) if xmit <= self.begin => Phase::InFlight,
            _ => Phase::BeforeXmit,
        };
        self.hits.push(Hit { transfer: t.id, phase });
        t.mutations.push(id);
        Hurt { kind: self.kind, begin: self.begin, removed: self.removed, off: self.off, len: self.len }
    }

    /// As [`Self::hit`], where only the latest moment that it began is certain.
    fn found(&mut self, t: &mut Transfer, mutations: &mut u64) -> Hurt {
        let end = self.end;
        Hurt { begin: end, ..self.hit(t, mutations) }
    }

    /// That file became shorter by this call, not by the other that could have been it.
    fn shortens(&self, other: &Self) -> bool {
        other.by_size
            && !self.by_size
            && matches!(self.kind, MutationKind::Truncate | MutationKind::Collapse)
            && self.begin <= other.end
            && other.begin <= self.end
    }
}

/// What is known of one lent file, or of a process's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Log {
    /// As its last transfer knew it.
    file: Option<FileRef>,
    /// Transfers that have not been stated, by their submit: offset and bytes asked for.
    lent: BTreeMap<(u64, TransferId), (u64, u64)>,
    /// Changes that may have hit one of them.
    done: Vec<Done>,
    /// From then on there were more than are kept.
    full: Option<u64>,
    /// When somebody made a shared writable mapping of it.
    mapped: Vec<u64>,
}

/// Every change that may still matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Changes {
    running: BTreeMap<u64, Running>,
    /// Calls that named their file by a path and are over, since the last checkpoint.
    named: Vec<(u64, Running)>,
    files: HashMap<Source, Log>,
    /// Those that can hit nothing more.
    over: Vec<(Option<FileRef>, Done)>,
    mutations: u64,
    #[serde(skip)]
    comms: Comms,
    /// The kernel half states changes at all.
    pub(super) watching: bool,
    /// How it looks at content.
    pub(super) mode: Mode,
}

/// Changes that one look goes through at most.
const PATIENCE: usize = 1 << 20;

/// A look at changes that have not been judged. It says what [`Changes::judge`] would say now.
#[derive(Debug)]
pub(super) struct Peek<'a> {
    changes: &'a Changes,
    /// Indices of changes that others account for.
    explained: HashMap<Source, Rc<BTreeSet<usize>>>,
    patience: usize,
}

impl<'a> Peek<'a> {
    /// `bytes` from its offset on, `until` its window ends.
    fn hits(&mut self, t: &Transfer, (bytes, until): (u64, u64)) -> Option<impl Iterator<Item = &'a Done>> {
        let done = self.changes.files.get(&t.source()).map_or(&[][..], |log| &log.done);
        self.patience = self.patience.checked_sub(done.len())?;
        let explained = match self.explained.get(&t.source()) {
            Some(known) => Rc::clone(known),
            None => {
                let calls = done.iter().filter(|d| d.seen_by == SeenBy::Syscall).count();
                self.patience = self.patience.checked_sub(calls.saturating_mul(done.len() - calls))?;
                let fresh = Rc::new(explained(done).into_iter().map(|(other, _)| other).collect());
                self.explained.insert(t.source(), Rc::clone(&fresh));
                fresh
            }
        };
        let off = t.offset;
        let submit = t.submit_ns;
        let hit = move |(i, d): &(usize, &Done)| {
            let own = d.seen_by != SeenBy::Fingerprint && !explained.contains(i);
            own && !d.begin_lost && d.end >= submit && d.begin < until && d.overlaps(off, bytes)
        };
        Some(done.iter().enumerate().filter(hit).map(|(_, d)| d))
    }

    /// Whether anything hit it; `None`: it has seen enough.
    pub(super) fn is_changed(&mut self, t: &Transfer, window: (u64, u64)) -> Option<bool> {
        Some(self.hits(t, window)?.next().is_some())
    }

    /// What hit it, the first `most`.
    pub(super) fn so_far(&mut self, t: &Transfer, window: (u64, u64), most: usize) -> Vec<Mutation> {
        let file = &t.file;
        self.hits(t, window).map_or_else(Vec::new, |hits| {
            hits.take(most).map(|d| mutation(d.clone(), file.clone())).collect()
        })
    }

    /// Those that have hit something that was stated, the first `most` by number.
    pub(super) fn numbered(&self, most: usize) -> Vec<Mutation> {
        let logs = self.changes.files.values();
        let mut all: Vec<(&Done, &Log)> = logs
            .flat_map(|log| log.done.iter().map(move |d| (d, log)))
            .filter(|(d, _)| d.id.is_some())
            .collect();
        all.sort_by_key(|(d, _)| d.id);
        all.truncate(most);
        all.into_iter().map(|(d, log)| mutation(d.clone(), log.file.clone())).collect()
    }
}

/// What [`Changes::judge`] found.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    pub(super) hurts: Vec<Hurt>,
    /// Changes while what it was about to lend was looked at.
    pub(super) before: Vec<Known>,
    pub(super) shrank: bool,
}

fn kind(what: u8, flags: u8) -> MutationKind {
    match what {
        change::SPLICE => MutationKind::SpliceWrite,
        change::COPY => MutationKind::CopyRange,
        change::TRUNCATE => MutationKind::Truncate,
        change::PUNCH => MutationKind::Punch,
        change::ZERO => MutationKind::ZeroRange,
        change::COLLAPSE => MutationKind::Collapse,
        change::INSERT => MutationKind::Insert,
        _ if flags & change_flag::DIRECT != 0 => MutationKind::DirectWrite,
        _ if flags & change_flag::URING != 0 => MutationKind::IoUringWrite,
        _ => MutationKind::Write,
    }
}

fn id(dev: u32, ino: u64, generation: u32) -> FileId {
    FileId { dev, ino, generation }
}

impl Changes {
    /// Things remembered.
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.files.len()
    }

    /// The transfer lends bytes of the file from now on.
    pub(super) fn lent(&mut self, t: &Transfer) {
        let log = self.files.entry(t.source()).or_insert_with(|| Log {
            file: t.file.clone(),
            lent: BTreeMap::new(),
            done: Vec::new(),
            full: None,
            mapped: Vec::new(),
        });
        log.lent.insert((t.submit_ns, t.id), (t.offset, t.requested));
    }

    pub(super) fn enter(&mut self, at: u64, e: &ChangeEnter) {
        let by_path = e.flags & change_flag::BY_PATH != 0;
        let late = e.flags & change_flag::LATE != 0;
        let running = Running {
            file: (!by_path).then_some(id(e.dev, e.ino, e.generation)),
            begin: if late { 0 } else { at },
            begin_lost: false,
            since: at,
            what: e.what,
            flags: e.flags,
            comm: self.comms.trimmed(&e.comm),
            lossy: false,
            names_lost: false,
            gone: None,
        };
        self.running.insert(e.change, running);
    }

    pub(super) fn exit(&mut self, at: u64, task: u64, x: &ChangeExit) {
        let known = self.running.get(&x.change);
        if x.ino != 0 && x.len != 0 {
            let (what, flags) = known.map_or((0, 0), |r| (r.what, r.flags));
            let done = Done {
                kind: kind(what, flags),
                uring: flags & change_flag::URING != 0,
                task,
                comm: known.map_or_else(Arc::default, |r| Arc::clone(&r.comm)),
                begin: known.map_or(0, |r| r.begin),
                begin_lost: known.is_none_or(|r| r.begin_lost),
                end: at,
                off: x.off,
                len: x.len,
                seen_by: SeenBy::Syscall,
                removed: x.flags & exit_flag::REMOVED != 0,
                by_size: x.flags & exit_flag::BY_SIZE != 0,
                id: None,
                hits: Vec::new(),
            };
            self.done(id(x.dev, x.ino, x.generation), done);
        }
        if x.more == 0
            && let Some(mut over) = self.running.remove(&x.change)
            && over.file.is_none()
        {
            over.gone = Some(at);
            if over.names_lost {
                self.running.insert(x.change, over);
            } else {
                self.named.push((x.change, over));
            }
        }
    }

    pub(super) fn dirtied(&mut self, header: &Header, d: &Dirtied) {
        let kind = if d.mapped != 0 { MutationKind::MmapStore } else { MutationKind::Write };
        self.folio(id(d.dev, d.ino, d.generation), header, kind, (d.off, d.len), &d.comm);
    }

    pub(super) fn removed(&mut self, header: &Header, r: &Removed) {
        let file = id(r.dev, r.ino, r.generation);
        self.folio(file, header, MutationKind::Removed, (r.off, r.len), &r.comm);
    }

    /// What happened to a folio outside of any call of that task.
    fn folio(&mut self, file: FileId, h: &Header, kind: MutationKind, range: (u64, u64), comm: &[u8; 16]) {
        let (off, len) = range;
        let done = Done {
            kind,
            uring: false,
            task: h.task,
            comm: self.comms.trimmed(comm),
            begin: h.ts,
            begin_lost: false,
            end: h.ts,
            off,
            len,
            seen_by: SeenBy::Tracepoint,
            removed: kind == MutationKind::Removed,
            by_size: false,
            id: None,
            hits: Vec::new(),
        };
        self.done(file, done);
    }

    fn done(&mut self, file: FileId, done: Done) {
        // Elsewhere, no window can contain it; but it may account for what happened to a folio.
        if let Some(log) = self.files.get_mut(&Source::File(file))
            && (done.uring
                || done.begin == 0
                || log.lent.values().any(|(off, len)| done.overlaps(*off, *len)))
        {
            if log.done.len() < MOST {
                log.done.push(done);
            } else {
                log.full.get_or_insert(done.begin);
            }
        }
    }

    pub(super) fn mapped(&mut self, at: u64, m: &Mapped) {
        if let Some(log) = self.files.get_mut(&Source::File(id(m.dev, m.ino, m.generation))) {
            log.mapped.push(at);
        }
    }

    /// Records were lost since then: whether a call that runs has returned is not known any more, nor
    /// which files those that returned had named.
    pub(super) fn lossy(&mut self, from: u64) {
        self.running.values_mut().for_each(|r| (r.lossy, r.names_lost) = (true, r.file.is_none()));
        self.running.extend(self.named.drain(..).filter(|(_, r)| r.gone >= Some(from)));
    }

    /// Nothing more will be said of what happened before.
    pub(super) fn checkpoint(&mut self, at: u64) {
        self.named.retain(|(_, r)| r.gone > Some(at));
    }

    /// All calls that run, or a part of them, said after a loss.
    pub(super) fn running(&mut self, at: u64, all: &[RunningChange], more: bool) {
        for r in all {
            let known = self.running.entry(r.change).or_insert_with(|| Running {
                file: (r.ino != 0).then_some(id(r.dev, r.ino, r.generation)),
                begin: 0,
                begin_lost: true,
                since: at,
                what: 0,
                flags: 0,
                comm: Arc::default(),
                lossy: true,
                names_lost: r.ino == 0,
                gone: None,
            });
            known.lossy = false;
        }
        for r in self.running.values_mut().filter(|r| r.lossy && !more) {
            r.gone.get_or_insert(at);
        }
    }

    /// Whether a call is running that began in the transfer's window: what it changes is known when
    /// it returns.
    pub(super) fn waits_for(&self, t: &Transfer, until: u64, now: u64) -> bool {
        let recent = |r: &&Running| r.gone.is_none() && now.saturating_sub(r.since) <= PATIENCE_NS;
        self.running.values().filter(recent).any(|r| r.may_hit(t, until))
    }

    /// Looks at what is known so far.
    pub(super) fn peek(&self) -> Peek<'_> {
        Peek { changes: self, explained: HashMap::default(), patience: PATIENCE }
    }

    /// Notes in the transfer every change that fell into its window.
    pub(super) fn judge(&mut self, t: &mut Transfer, entered: u64, until: u64, now: u64) -> Judged {
        let mut judged = Judged::default();
        if !self.watching {
            t.reasons.push(Reason::MutationsUnwatched);
        }
        // At the end of the trace, or after a loss: it may be changing any byte.
        if self.running.values().any(|r| r.may_hit(t, until) && !r.hangs(now)) {
            t.reasons.push(Reason::ChangeRunning);
        }
        let Some(log) = self.files.get_mut(&t.source()) else {
            return judged;
        };
        if log.mapped.iter().any(|at| (entered..until).contains(at)) {
            t.reasons.push(Reason::WritableMapping);
        }
        if log.full.is_some_and(|full| full < until) {
            t.reasons.push(Reason::ChangesFull);
        }
        if log.done.is_empty() {
            return judged;
        }
        let explained = explain(&mut log.done);
        for (i, done) in log.done.iter_mut().enumerate() {
            // What content showed of another transfer, it shows of this one, or not.
            if explained.contains(&i) || done.seen_by == SeenBy::Fingerprint {
                continue;
            }
            if done.end < t.submit_ns && done.end >= entered {
                judged.before.push(Known { off: done.off, len: done.len, begin: done.begin });
            }
            if done.end < t.submit_ns || done.begin >= until {
                continue;
            }
            if done.begin_lost && done.end >= until && done.overlaps(t.offset, t.bytes) {
                t.reasons.push(Reason::ChangeRunning);
                continue;
            }
            judged.shrank |= done.kind == MutationKind::Truncate
                && t.return_ns.is_some_and(|at| done.begin <= at)
                && done.overlaps(t.offset, t.requested);
            if !done.overlaps(t.offset, t.bytes) {
                continue;
            }
            judged.hurts.push(done.hit(t, &mut self.mutations));
        }
        judged
    }

    /// Notes in the transfer changes that only its content shows. Another transfer of the same bytes may
    /// have shown them already.
    pub(super) fn found(&mut self, t: &mut Transfer, kind: MutationKind, changed: &[Changed]) -> Vec<Hurt> {
        let Some(log) = self.files.get_mut(&t.source()) else {
            return Vec::new();
        };
        let mut hurts = Vec::new();
        for c in changed {
            let (begin, end) = (c.after, c.before.max(c.after));
            let same = log.done.iter_mut().find(|d| {
                let (b, e) = (d.begin.max(begin), d.end.min(end));
                d.seen_by == SeenBy::Fingerprint && d.kind == kind && d.overlaps(c.off, c.len) && b <= e
            });
            if let Some(done) = same {
                let last = c.off.saturating_add(c.len).max(done.off.saturating_add(done.len));
                done.off = done.off.min(c.off);
                done.len = last - done.off;
                (done.begin, done.end) = (done.begin.max(begin), done.end.min(end));
                hurts.push(done.found(t, &mut self.mutations));
                continue;
            }
            let mut done = Done {
                kind,
                uring: false,
                task: 0,
                comm: Arc::default(),
                begin,
                begin_lost: false,
                end,
                off: c.off,
                len: c.len,
                seen_by: SeenBy::Fingerprint,
                removed: false,
                by_size: false,
                id: None,
                hits: Vec::new(),
            };
            hurts.push(done.found(t, &mut self.mutations));
            log.done.push(done);
        }
        hurts
    }

    /// The transfer was stated, or never was one. `entered`: the submit, as it was when it was lent.
    pub(super) fn stated(&mut self, t: &Transfer, entered: u64) {
        let Some(log) = self.files.get_mut(&t.source()) else {
            return;
        };
        log.lent.remove(&(entered, t.id));
        let oldest = log.lent.keys().next().map(|(submit, _)| *submit);
        log.mapped.retain(|at| oldest.is_some_and(|o| *at >= o));
        for done in std::mem::take(&mut log.done) {
            if oldest.is_none_or(|o| done.end < o) {
                self.over.push((log.file.clone(), done));
            } else {
                log.done.push(done);
            }
        }
        if log.lent.is_empty() {
            self.files.remove(&t.source());
        }
    }

    /// States the changes that can hit nothing more.
    pub(super) fn state(&mut self, out: &mut Vec<Fact>) {
        self.over.sort_by_key(|(_, done)| done.id);
        for (file, done) in self.over.drain(..) {
            state(done, file, out);
        }
        if self.running.values().any(|r| r.gone.is_some()) {
            let oldest = self.files.values().filter_map(|log| log.lent.keys().next()).min();
            let until = oldest.map_or(u64::MAX, |(submit, _)| *submit);
            self.running.retain(|_, r| r.gone.is_none_or(|gone| gone > until));
        }
    }
}

/// Those that others account for: which, and by which.
fn explained(done: &[Done]) -> Vec<(usize, usize)> {
    let (calls, folios): (Vec<usize>, Vec<usize>) =
        (0..done.len()).partition(|i| done.get(*i).is_some_and(|d| d.seen_by == SeenBy::Syscall));
    let by_size: Vec<usize> =
        calls.iter().copied().filter(|i| done.get(*i).is_some_and(|d| d.by_size)).collect();
    let mut found = Vec::new();
    for &i in &calls {
        let Some(call) = done.get(i) else { continue };
        let named = by_size.iter().filter(|c| done.get(**c).is_some_and(|other| call.shortens(other)));
        let parts = folios.iter().filter(|f| done.get(**f).is_some_and(|folio| call.explains(folio)));
        found.extend(named.chain(parts).map(|other| (*other, i)));
    }
    found
}

/// As [`explained`]; whoever accounts for a removed folio has removed it.
fn explain(done: &mut [Done]) -> BTreeSet<usize> {
    let pairs = explained(done);
    for (other, call) in &pairs {
        let folio = done.get(*other).is_some_and(|d| d.seen_by == SeenBy::Tracepoint && d.removed);
        if let Some(call) = done.get_mut(*call) {
            call.removed |= folio;
        }
    }
    pairs.into_iter().map(|(other, _)| other).collect()
}

fn state(done: Done, file: Option<FileRef>, out: &mut Vec<Fact>) {
    if done.id.is_some() {
        out.push(Fact::Mutation(Box::new(mutation(done, file))));
    }
}

fn mutation(done: Done, file: Option<FileRef>) -> Mutation {
    #[expect(clippy::cast_possible_truncation, reason = "two 32-bit halves")]
    let (pid, tid) = ((done.task >> 32) as u32, done.task as u32);
    let named = done.seen_by != SeenBy::Fingerprint;
    Mutation {
        id: done.id.unwrap_or_default(),
        kind: done.kind,
        pid: named.then_some(pid),
        tid: named.then_some(tid),
        comm: done.comm,
        file,
        offset: done.off,
        len: (done.len != u64::MAX).then_some(done.len),
        at_ns: if done.begin == 0 { done.end } else { done.begin },
        end_ns: Some(done.end),
        seen_by: done.seen_by,
        hits: done.hits,
    }
}
