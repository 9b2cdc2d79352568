//! What is behind one transfer or change: two passes over a recording, nothing kept but what is asked
//! for. The first pass runs the engine, which says what matters; the second picks those records out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};

use zctrace_common::frame::Header;
use zctrace_common::kernel::change_flag;

use crate::engine::{Clue, Engine};
use crate::event::Event;
use crate::input::from_start;
use crate::model::{Fact, FileId, Mutation, Reason, Transfer, TransferId};
use crate::offline::{self, Orders};
use crate::order::Order;
use crate::stages::Stages;
use crate::trace::{End, Reader};

/// One frame in its place: time, CPU, number.
type Key = (u64, u32, u64);

fn key(h: &Header) -> Key {
    (h.ts, h.cpu, h.seq)
}

/// Everything that pass one found out about a transfer.
#[derive(Debug)]
pub struct Behind {
    /// The transfer, as the report has it.
    pub transfer: Transfer,
    /// Changes that hit it.
    pub mutations: Vec<Mutation>,
    /// What the engine said of earlier records.
    pub clues: BTreeSet<Clue>,
    /// When its call was entered: with fingerprints, a little before the submit.
    pub entered: u64,
    records: HashSet<Key>,
    /// Ids of calls that changed the file, or may have.
    changes: BTreeMap<u64, u64>,
    /// Its release; where that is not known, the moment it was given up.
    until: u64,
    /// Sockets that its bytes went to.
    socks: BTreeSet<u64>,
    /// Live heads of those.
    heads: HashSet<u64>,
}

fn open(mut file: &File) -> anyhow::Result<(Reader<impl Read + Send>, Stages)> {
    from_start(|| {
        let twice = |e: io::Error| io::Error::new(e.kind(), "it is read twice, so it cannot be a pipe");
        file.rewind().map_err(twice)?;
        Ok(BufReader::with_capacity(1 << 20, file))
    })
}

/// Hands over every event of one part in the order of time. Answers what is wrong with the recording's end.
///
/// # Errors
/// When it is not a recording, cannot be read twice, or `take` fails.
pub fn events(
    file: &File,
    part: u16,
    take: &mut dyn FnMut(&Header, &Event) -> anyhow::Result<()>,
) -> anyhow::Result<Option<End>> {
    let (reader, stages) = open(file)?;
    rest(reader, stages.parts().0, part, take)
}

fn rest(
    mut reader: Reader<impl Read + Send>,
    order: Order,
    part: u16,
    take: &mut dyn FnMut(&Header, &Event) -> anyhow::Result<()>,
) -> anyhow::Result<Option<End>> {
    let next = || loop {
        match reader.block()? {
            Ok(block) if block.stream != part => {}
            next => return anyhow::Ok(next),
        }
    };
    let mut orders = Orders::from([(part, order)]);
    let end =
        offline::events(next, &mut orders, &mut |_, events| events.iter().try_for_each(|(h, e)| take(h, e)))?;
    let mut failed = Ok(());
    orders.entry(part).or_default().finish(&mut |h, e| {
        if failed.is_ok() {
            failed = take(h, e);
        }
    });
    failed?;
    Ok((end != End::Complete).then_some(end))
}

/// Hands over every fact of one part.
///
/// # Errors
/// As [`events`].
pub fn facts(
    file: &File,
    part: u16,
    take: &mut dyn FnMut(Fact) -> anyhow::Result<()>,
) -> anyhow::Result<Option<End>> {
    let (reader, stages) = open(file)?;
    if let Some(info) = stages.info() {
        take(Fact::Trace(Box::new(info.clone())))?;
    }
    let ((order, mut engine, _), mut facts) = (stages.parts(), Vec::new());
    let end = rest(reader, order, part, &mut |h, e| {
        engine.push(h, e, &mut facts);
        facts.drain(..).try_for_each(|fact: Fact| take(fact.of_part(part)))
    })?;
    engine.finish(&mut facts);
    facts.drain(..).try_for_each(|fact| take(fact.of_part(part)))?;
    Ok(end)
}

/// Pass one: what is behind the transfer of that id.
///
/// # Errors
/// As [`events`].
pub fn transfer(file: &File, id: TransferId) -> anyhow::Result<(Option<Behind>, Option<End>)> {
    let (asked, part, id) = (id, id.part(), id.of_part(0));
    let (reader, stages) = open(file)?;
    let (order, engine, _) = stages.parts();
    let mut pass = Pass { id, asked, engine, ..Pass::default() };
    pass.engine.witness(id);
    let mut last = 0;
    let end = rest(reader, order, part, &mut |h, e| {
        last = h.ts;
        pass.event(h, e);
        Ok(())
    })?;
    pass.engine.finish(&mut pass.facts);
    pass.hand_on(last);
    let clues = pass.engine.clues();
    let found = pass.found.map(|(transfer, until)| {
        pass.changes.retain(|_, begin| *begin < until);
        let mut socks: BTreeSet<u64> = transfer.socket.iter().map(|s| s.id).collect();
        socks.extend(clues.iter().filter_map(|c| match c {
            Clue::Place { sock, .. } => Some(*sock),
            _ => None,
        }));
        Behind {
            transfer,
            mutations: pass.mutations,
            clues,
            entered: pass.entered,
            records: pass.records,
            changes: pass.changes,
            until,
            socks,
            heads: HashSet::new(),
        }
    });
    Ok((found, end))
}

/// State of pass one.
#[derive(Debug)]
struct Pass {
    /// In its own stream, and in the whole recording.
    id: TransferId,
    asked: TransferId,
    engine: Engine,
    facts: Vec<Fact>,
    /// Its file, once it is open.
    file: Option<FileId>,
    entered: u64,
    found: Option<(Transfer, u64)>,
    mutations: Vec<Mutation>,
    records: HashSet<Key>,
    /// Calls that may change files and run: which file, and when they began.
    running: HashMap<u64, (Option<FileId>, u64)>,
    /// Those that were about its file, and when they began.
    changes: BTreeMap<u64, u64>,
}

impl Default for Pass {
    fn default() -> Self {
        Self {
            id: TransferId::MIN,
            asked: TransferId::MIN,
            engine: Engine::new(),
            facts: Vec::new(),
            file: None,
            entered: 0,
            found: None,
            mutations: Vec::new(),
            records: HashSet::new(),
            running: HashMap::new(),
            changes: BTreeMap::new(),
        }
    }
}

impl Pass {
    fn event(&mut self, h: &Header, e: &Event) {
        match e {
            Event::OpEnter(e) if (TransferId { cpu: h.cpu, seq: h.seq }) == self.id => {
                self.file = Some(FileId { dev: e.dev, ino: e.ino, generation: e.generation });
                self.entered = h.ts;
            }
            Event::ChangeEnter(c) => {
                let by_path = c.flags & change_flag::BY_PATH != 0;
                let begin = if c.flags & change_flag::LATE == 0 { h.ts } else { 0 };
                let file = FileId { dev: c.dev, ino: c.ino, generation: c.generation };
                self.running.insert(c.change, ((!by_path).then_some(file), begin));
            }
            Event::ChangeExit(x) => {
                let file = FileId { dev: x.dev, ino: x.ino, generation: x.generation };
                let known = self.running.get(&x.change).copied();
                let named = known.and_then(|(file, _)| file).unwrap_or(file);
                if self.file.is_some_and(|f| f == file || f == named) && self.found.is_none() {
                    self.changes.insert(x.change, known.map_or(0, |(_, begin)| begin));
                }
                if x.more == 0 {
                    self.running.remove(&x.change);
                }
            }
            _ => {}
        }
        self.engine.push(h, e, &mut self.facts);
        if self.engine.touched() {
            self.records.insert(key(h));
        }
        self.hand_on(h.ts);
    }

    fn hand_on(&mut self, at: u64) {
        for fact in self.facts.drain(..) {
            match fact.of_part(self.asked.part()) {
                Fact::Transfer(t) if t.id == self.asked => {
                    let any = t.reasons.contains(&Reason::ChangeRunning);
                    let here = self.running.iter();
                    let of = t.file.as_ref().map(|f| f.id);
                    let here = here.filter(|(_, (f, _))| of.is_some() && f.map_or(any, |f| of == Some(f)));
                    self.changes.extend(here.map(|(id, (_, begin))| (*id, *begin)));
                    let until = t.release_ns.unwrap_or(at.saturating_add(1));
                    self.found = Some((*t, until));
                }
                Fact::Mutation(m) if m.hits.iter().any(|hit| hit.transfer == self.asked) => {
                    self.mutations.push(*m);
                }
                _ => {}
            }
        }
    }
}

impl Behind {
    /// Pass two: whether this record is one of those behind the transfer. To be asked of every event,
    /// in the order of time.
    pub fn has(&mut self, h: &Header, e: &Event) -> bool {
        let t = &self.transfer;
        let file = t.file.as_ref().map(|f| f.id);
        let is = |dev: u32, ino: u64, generation: u32| file == Some(FileId { dev, ino, generation });
        let clue = |clue: Clue| self.clues.contains(&clue);
        let in_window = self.entered <= h.ts && h.ts < self.until;
        let then = |sock: u64| clue(Clue::Time(h.ts)) && self.socks.contains(&sock);
        let touched = self.records.contains(&key(h));
        match e {
            Event::OpEnter(_) => touched || clue(Clue::Call(TransferId { cpu: h.cpu, seq: h.seq })),
            Event::Head(x) => {
                if self.socks.contains(&x.sock) {
                    self.heads.insert(x.head);
                }
                touched || self.clues.contains(&Clue::Head(x.head))
            }
            Event::HeadLen(x) => touched || clue(Clue::Head(x.head)),
            Event::HeadFree(x) => {
                let was_mine = self.heads.remove(&x.head);
                let clue = |clue: Clue| self.clues.contains(&clue);
                touched || clue(Clue::Head(x.head)) || (was_mine && clue(Clue::Time(h.ts)))
            }
            Event::Extent(x) => {
                let end = x.off.saturating_add(u64::from(x.len));
                let overlaps = x.off < t.offset.saturating_add(t.bytes) && t.offset < end;
                let here = match file {
                    Some(f) => (x.dev, x.ino) == (f.dev, f.ino) && overlaps,
                    None => x.ino == 0,
                };
                touched || (here && clue(Clue::Head(x.head)))
            }
            Event::Ack(x) => touched || then(x.sock),
            Event::RxRead(x) => touched || then(x.sock),
            Event::SockEnd(x) => touched || then(x.sock),
            Event::ChangeEnter(c) => touched || self.changes.contains_key(&c.change),
            Event::ChangeExit(x) => {
                let here = is(x.dev, x.ino, x.generation) || (x.ino == 0 && x.more == 0);
                here && self.changes.contains_key(&x.change)
            }
            Event::Running(all, _) => all.iter().any(|r| self.changes.contains_key(&r.change)),
            Event::Dirtied(d) => in_window && is(d.dev, d.ino, d.generation),
            Event::Removed(r) => in_window && is(r.dev, r.ino, r.generation),
            Event::Mapped(m) => in_window && is(m.dev, m.ino, m.generation),
            Event::Loss(l) => touched || (l.records > 0 && l.from_ns < self.until && self.entered <= h.ts),
            _ => touched,
        }
    }
}
