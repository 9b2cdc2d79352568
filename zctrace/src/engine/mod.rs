//! The engine: events in, facts out. Pure and deterministic: no I/O, no clock, no threads; time
//! arrives with events, and every event it can be given is in the recording.
//!
//! It is a ledger of who still holds which bytes. [`ledger`] knows transfers and decides when one is
//! over; [`stream`], [`dgram`] and [`pipe`] know the three kinds of holders. Engine functions are
//! total: an event that fits nothing is counted.

mod changes;
mod dgram;
mod few;
mod kernel;
mod ledger;
mod moves;
mod names;
mod notices;
mod ops;
mod pipe;
mod pod;
mod prints;
pub mod rules;
mod seq;
mod stream;
mod verdict;
mod view;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zctrace_common::frame::{Header, USER_CPU};
use zctrace_common::kernel::{
    Head, HeadFree, HeadLen, Pipe, Print, Proc, Sock, SockEnd, TCP_CLOSE, family, free_flag, full_map,
    head_flag, pipe_why, proc_what, proto, sock_end, when,
};
use zctrace_common::user::{Loss, loss};

use self::changes::Changes;
use self::dgram::Dgram;
use self::few::Few;
use self::ledger::{Close, Context, Drain, Ledger};
use self::names::Names;
use self::notices::Notices;
use self::pipe::{PipeState, Position};
use self::stream::{Freed, Stream};
pub use self::view::{Stage, Unstated, View};
pub use self::witness::Clue;
use crate::event::Event;
use crate::hash::HashMap;
use crate::model::{
    Fact, LossLine, LossWhat, ProbeState, ProbeStatus, Reason, ReleasedBy, SockRef, TransferId,
};

/// How a socket keeps track of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Kind {
    Stream(Stream),
    Dgram(Dgram),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SockState {
    name: Arc<SockRef>,
    kind: Kind,
    /// A head of it could not be learned: no release on it is certain.
    full: bool,
    /// A protocol whose packets do not show whose bytes they carry (MPTCP, SCTP, ...).
    opaque: bool,
    freed: bool,
    /// When it became known.
    born: u64,
    /// The kernel sends on it.
    kernel: bool,
    /// What the kernel sent up to here is in transfers.
    said: u64,
    /// It was not connected when it became known: what its sequence numbers count from is not known.
    early: bool,
    /// What its error queue will tell.
    notices: Notices,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct HeadState {
    sock: u64,
    start: u64,
    end: u64,
    flags: u32,
    at: u64,
}

/// IPPROTO_MPTCP
const MPTCP: u16 = 262;

fn context(h: &Header) -> Context {
    Context { cpu: h.cpu, task: h.task }
}

fn transfer_of(id: u64) -> TransferId {
    TransferId { cpu: (id >> 48) as u32, seq: id & ((1 << 48) - 1) }
}

/// What the engine could not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Events that refer to something never introduced: lost, or from before the trace.
    pub orphans: u64,
    /// Kernel frames said to have been produced, where the trace ended in order.
    pub produced: Option<u64>,
    /// Kernel frames said to have been delivered.
    pub delivered: Option<u64>,
    /// Kernel frames said to be lost.
    pub lost: Option<u64>,
}

/// State of a trace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Engine {
    ledger: Ledger,
    names: Names,
    socks: HashMap<u64, SockState>,
    heads: HashMap<u64, HeadState>,
    pipes: BTreeMap<u64, PipeState>,
    /// By task, so that those of a process are neighbours.
    calls: Few<u64, Box<ops::Call>>,
    /// Requests of io_uring, by id.
    requests: HashMap<u64, Box<ops::Call>>,
    /// The last time up to which frames were lost.
    lossy_until: u64,
    changes: Changes,
    /// Time of the last event.
    now: u64,
    stats: Stats,
    stopped: bool,
}

/// Probes without which a change could be missed.
pub const WATCHES: [&str; 4] = [
    "writeback:writeback_dirty_folio",
    "filemap:mm_filemap_delete_from_page_cache",
    "io_uring:io_uring_submit_req",
    "io_uring:io_uring_complete",
];

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Transfers that are open now.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.ledger.open_count()
    }

    /// What could not be used.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Things remembered that are not transfers: sockets, heads, pipes, calls. 0 once all of them
    /// have ended.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.socks.len()
            + self.heads.len()
            + self.pipes.len()
            + self.calls.len()
            + self.requests.len()
            + self.changes.len()
    }

    /// Takes one event, in the order of time; appends what follows from it.
    pub fn push(&mut self, header: &Header, event: &Event, out: &mut Vec<Fact>) {
        let at = header.ts;
        self.now = at;
        // What comes after a stop is of a damaged recording, and nothing vouches for its end.
        self.stopped = false;
        match event {
            Event::Start(info) => {
                let watches =
                    |p: &ProbeStatus| WATCHES.contains(&p.name.as_str()) && p.state == ProbeState::Attached;
                self.changes.watching = info.probes.iter().filter(|p| watches(p)).count() == WATCHES.len();
                self.changes.mode = info.fingerprint.mode;
                out.push(Fact::Trace(info.clone()));
            }
            Event::ChangeEnter(c) => self.changes.enter(at, c),
            Event::ChangeExit(c) => self.changes.exit(at, header.task, c),
            Event::Dirtied(d) => self.changes.dirtied(header, d),
            Event::Removed(r) => self.changes.removed(header, r),
            Event::Mapped(m) => self.changes.mapped(at, m),
            Event::Running(all, more) => self.changes.running(at, all, *more),
            Event::Print(p) => self.print(header, p),
            Event::OpEnter(e) => self.op_enter(header, e),
            Event::OpExit(e) => self.op_exit(header, e),
            Event::OpAt(x) => self.op_at(at, x),
            Event::Notify(n) => self.notify(header, n),
            Event::Sock(s) => self.sock(at, s),
            Event::SockEnd(e) => self.sock_end(at, e),
            Event::Head(h) => self.head(at, h),
            Event::HeadLen(h) => self.head_len(h),
            Event::HeadFree(f) => self.head_free(header, f),
            Event::Ack(a) => {
                if let Some(SockState { kind: Kind::Stream(s), .. }) = self.socks.get_mut(&a.sock) {
                    s.ack(a.una, at, &mut self.ledger);
                } else {
                    self.stats.orphans += 1;
                }
            }
            Event::RxRead(r) => {
                if let Some(SockState { kind: Kind::Stream(s), .. }) = self.socks.get_mut(&r.sock) {
                    s.read(r.copied, at, &mut self.ledger);
                } else {
                    self.stats.orphans += 1;
                }
            }
            Event::Retransmit(r) => {
                if let Some(SockState { kind: Kind::Stream(s), .. }) = self.socks.get_mut(&r.sock) {
                    s.retransmit(r.seq, r.end, at, &mut self.ledger);
                }
            }
            Event::Extent(x) => {
                let Some(head) = self.heads.get(&x.head).copied() else {
                    self.stats.orphans += 1;
                    return;
                };
                if self.socks.get(&head.sock).is_some_and(|s| s.kernel) {
                    self.sent_by_kernel(header, head, x);
                } else if let Some(SockState { kind: Kind::Dgram(d), name, .. }) =
                    self.socks.get_mut(&head.sock)
                {
                    let xmit = (name.family != family::UNIX).then_some(head.at);
                    let range = (x.off, x.off.saturating_add(u64::from(x.len)));
                    d.extent(x.head, (x.dev, x.ino), range, xmit, &mut self.ledger);
                }
            }
            Event::Pipe(p) => self.pipe(at, p),
            Event::Path(p) => self.names.path(p),
            Event::Proc(p) => self.process(p),
            Event::MapFull(m) => self.map_full(m.map, m.id),
            Event::Cgroup(id, path) => self.names.cgroup(*id, path),
            Event::Loss(l) => self.loss(at, l, out),
            Event::Checkpoint(_) => self.checkpoint(at, out),
            Event::Stop(s) => {
                self.stats.produced = Some(s.produced);
                self.stats.delivered = Some(s.delivered);
                self.stats.lost = Some(s.lost);
                self.stopped = true;
                self.checkpoint(at, out);
                self.end(false, at, out);
            }
        }
    }

    /// Nobody needs this fact any more: its memory may be that of another.
    pub fn reuse(&mut self, fact: Fact) {
        if let Fact::Transfer(t) = fact {
            self.ledger.reuse(t);
        }
    }

    /// The stream of events has ended.
    pub fn finish(&mut self, out: &mut Vec<Fact>) {
        if !self.stopped {
            self.end(true, self.now, out);
        }
    }

    fn end(&mut self, cut: bool, at: u64, out: &mut Vec<Fact>) {
        self.ledger.finish(cut, at, &mut self.changes, &self.names, out);
        self.changes.state(out);
    }

    fn checkpoint(&mut self, at: u64, out: &mut Vec<Fact>) {
        self.changes.checkpoint(at);
        self.ledger.checkpoint(at, &mut self.changes, &self.names, out);
        self.changes.state(out);
    }

    fn loss(&mut self, at: u64, l: &Loss, out: &mut Vec<Fact>) {
        self.ledger.lost(l.what, l.from_ns, at);
        if l.what == loss::RING {
            self.lossy_until = self.lossy_until.max(at);
            self.pipes.values_mut().for_each(|p| p.lossy = true);
            self.changes.lossy(l.from_ns);
            self.ledger.wait_no_more();
        }
        if l.records == 0 {
            return;
        }
        let what = LossWhat::of(l.what);
        let cpu = (l.cpu != USER_CPU).then_some(l.cpu);
        out.push(Fact::Loss(LossLine {
            part: 0,
            what,
            cpu,
            from_ns: l.from_ns,
            to_ns: at,
            records: l.records,
        }));
    }

    fn map_full(&mut self, map: u32, id: u64) {
        match self.socks.get_mut(&id) {
            Some(sock) if map == full_map::HEADS => {
                sock.full = true;
                self.doubt_sock(id, Reason::MapFull);
            }
            _ => self.ledger.doubt_all(Reason::MapFull),
        }
    }

    fn sock(&mut self, at: u64, s: &Sock) {
        let name = Arc::new(names::sock(s));
        let kind = if s.proto == proto::TCP {
            Kind::Stream(Stream::new(s.snd_una))
        } else {
            Kind::Dgram(Dgram::default())
        };
        let known = [proto::TCP, proto::UDP, MPTCP].contains(&s.proto);
        let state = SockState {
            name,
            kind,
            full: false,
            opaque: s.family != family::UNIX && !known,
            freed: false,
            born: at,
            kernel: s.kernel != 0,
            said: 0,
            notices: Notices::default(),
            early: s.proto == proto::TCP && s.state == TCP_CLOSE,
        };
        self.socks.insert(s.sock, state);
    }

    /// A process that is gone is in no call: if one is open, its exit was lost.
    fn process(&mut self, p: &Proc) {
        if p.what != proc_what::EXIT {
            return;
        }
        let pid = u64::from(p.pid) << 32;
        let last = pid | u64::from(u32::MAX);
        let tasks: Vec<u64> = self.calls.range(pid..last).map(|(task, _)| task).chain([last]).collect();
        for task in tasks {
            if let Some(call) = self.calls.remove(&task) {
                self.exit_missed(&call);
            }
        }
    }

    fn head(&mut self, at: u64, h: &Head) {
        let Some(sock) = self.socks.get_mut(&h.sock) else {
            self.stats.orphans += 1;
            return;
        };
        let mut state = HeadState { sock: h.sock, start: 0, end: u64::from(h.len), flags: h.flags, at };
        let old = self.heads.get(&h.head).filter(|old| old.sock == h.sock);
        if let Kind::Stream(s) = &mut sock.kind {
            state.start = s.seq(h.seq);
            state.end = state.start.saturating_add(u64::from(h.len));
            if let Some(old) = old {
                s.forget_head(h.head, old.start);
            }
            let copied = head_flag::USER | head_flag::LOOPBACK;
            let orphaned = h.flags & copied == copied;
            s.segmented |= h.flags & head_flag::SEGMENT != 0;
            s.head(h.head, state.start, state.end, (at, orphaned), &mut self.ledger);
        }
        self.heads.insert(h.head, state);
    }

    fn print(&mut self, header: &Header, p: &Print) {
        if matches!(p.when, when::SUBMIT | when::RETURN) {
            let call = match p.head {
                0 => self.calls.get(&header.task),
                id => self.requests.get(&id),
            };
            if let Some(id) = call.map(|c| c.id) {
                for piece in prints::pieces(p, header.ts) {
                    self.ledger.print(id, piece, (p.dev, p.ino));
                }
            }
            return;
        }
        let Some(head) = self.heads.get(&p.head) else {
            self.stats.orphans += 1;
            return;
        };
        match self.socks.get_mut(&head.sock).map(|s| &mut s.kind) {
            Some(Kind::Stream(s)) => {
                s.print(head.start.saturating_add(u64::from(p.pos)), header.ts, p, &mut self.ledger);
            }
            Some(Kind::Dgram(d)) => d.print(header.ts, p, &mut self.ledger),
            None => {}
        }
    }

    fn head_len(&mut self, h: &HeadLen) {
        let Some(state) = self.heads.get_mut(&h.head) else {
            self.stats.orphans += 1;
            // Freed a moment ago on another CPU, with all it held. After a loss it may instead be one
            // that was never seen, and is still there.
            if self.lossy_until > 0 {
                self.doubt_sock(h.sock, Reason::Loss);
            }
            return;
        };
        state.end = state.start.saturating_add(u64::from(h.len));
        if let Some(SockState { kind: Kind::Stream(s), .. }) = self.socks.get_mut(&state.sock) {
            s.grow_head(h.head, state.start, state.end, &mut self.ledger);
        }
    }

    /// Everything that this socket holds is in doubt.
    fn doubt_sock(&mut self, id: u64, reason: Reason) {
        let Some(sock) = self.socks.get(&id) else {
            return;
        };
        let ids: Vec<_> = match &sock.kind {
            Kind::Stream(s) => s.transfers().collect(),
            Kind::Dgram(d) => d.transfers().collect(),
        };
        for id in ids {
            self.ledger.reason(id, reason);
        }
    }

    fn head_free(&mut self, header: &Header, f: &HeadFree) {
        let at = header.ts;
        let Some(head) = self.heads.remove(&f.head) else {
            self.stats.orphans += 1;
            return;
        };
        let Some(sock) = self.socks.get_mut(&head.sock) else {
            return;
        };
        let has = |flag: u32| f.flags & flag != 0;
        match &mut sock.kind {
            Kind::Stream(s) => {
                // Of memory, a receiver on this machine has a copy.
                let loopback = head.flags & (head_flag::LOOPBACK | head_flag::USER) == head_flag::LOOPBACK;
                let by = if s.was_read(head.end) {
                    ReleasedBy::ReceiverRead
                } else if has(free_flag::RX_SHUT) {
                    ReleasedBy::Close
                } else if has(free_flag::RX) {
                    ReleasedBy::ReceiverRead
                } else {
                    s.freed_by(head.end, loopback)
                };
                // Whoever receives memory on this machine has copies of it (`skb_orphan_frags_rx()`).
                let user = head.flags & head_flag::USER != 0;
                let copies = user && has(free_flag::RX | free_flag::MOVED | free_flag::REPLACED);
                let reason = if copies {
                    None
                } else if has(free_flag::RX_OOO) {
                    Some(Reason::OutOfOrder)
                } else if has(free_flag::RX_SPLICED) {
                    Some(Reason::ReceiverSpliced)
                } else if has(free_flag::REUSED) {
                    Some(Reason::FreeMissed)
                } else {
                    None
                };
                if has(free_flag::UNA) {
                    s.ack(f.snd_una, at, &mut self.ledger);
                }
                // What arrives on this machine is seen there, if it was not merged into a packet before
                // (`tcp_add_backlog()`).
                let unseen = loopback && !has(free_flag::RX) && !s.segmented && s.was_acked(head.end);
                let moved = (has(free_flag::MOVED) && has(free_flag::RX) || unseen) && !copies;
                s.free(
                    f.head,
                    head.start,
                    head.end,
                    Freed { at, by, reason, moved, copies, context: context(header) },
                    &mut self.ledger,
                );
            }
            Kind::Dgram(d) => {
                let unix = sock.name.family == family::UNIX;
                let by = match (has(free_flag::DROPPED), unix) {
                    (true, true) => ReleasedBy::Close,
                    (true, false) => ReleasedBy::Drop,
                    (false, true) => ReleasedBy::ReceiverRead,
                    _ if has(free_flag::RX_SHUT) => ReleasedBy::Close,
                    _ if has(free_flag::RX) || head.flags & head_flag::LOOPBACK != 0 => {
                        ReleasedBy::ReceiverRead
                    }
                    _ => ReleasedBy::TxComplete,
                };
                d.free(f.head, Close { at, by }, has(free_flag::REPLACED), &mut self.ledger);
            }
        }
        self.tidy(head.sock);
    }

    fn sock_end(&mut self, at: u64, e: &SockEnd) {
        let Some(sock) = self.socks.get_mut(&e.sock) else {
            self.stats.orphans += 1;
            return;
        };
        match (&mut sock.kind, e.why) {
            (Kind::Stream(s), sock_end::RESET) => {
                s.reset = true;
                s.concerns(0, u64::MAX, &mut self.ledger);
            }
            (Kind::Stream(s), why) => {
                if why == sock_end::CLOSE {
                    s.ack(e.snd_una, at, &mut self.ledger);
                }
                s.close(at, &mut self.ledger);
            }
            (Kind::Dgram(d), sock_end::FREED) => d.close(at, &mut self.ledger),
            (Kind::Dgram(_), _) => {}
        }
        if e.why == sock_end::FREED {
            sock.freed = true;
            self.untold(e.sock);
        }
        self.tidy(e.sock);
    }

    /// Forgets a socket that is freed and holds nothing.
    fn tidy(&mut self, id: u64) {
        let Some(sock) = self.socks.get(&id) else {
            return;
        };
        let idle = match &sock.kind {
            Kind::Stream(s) => s.is_idle() && s.has_ended(),
            Kind::Dgram(d) => d.is_idle(),
        };
        if sock.freed && idle {
            self.socks.remove(&id);
        }
    }

    fn pipe(&mut self, at: u64, p: &Pipe) {
        if p.why == pipe_why::NEW {
            self.pipes.insert(p.pipe, PipeState::new(p.head, p.tail));
            return;
        }
        let Some(pipe) = self.pipes.get_mut(&p.pipe) else {
            self.stats.orphans += 1;
            return;
        };
        let read = Drain { at, by: Some(ReleasedBy::PipeDrained) };
        match p.why {
            pipe_why::READ => {
                let tail = pipe.slot(p.tail);
                pipe.stands_at(Position { slot: tail, off: p.off }, &mut self.ledger);
                pipe.drained(tail, read, &mut self.ledger);
            }
            pipe_why::RESIZED => {
                pipe.clear(read, Some(Reason::PipeChanged), &mut self.ledger);
                pipe.renumber(p.head, p.tail);
            }
            _ => {
                // What is left in it goes with it; what its tail has passed was drained before.
                let tail = pipe.slot(p.tail);
                pipe.stands_at(Position { slot: tail, off: 0 }, &mut self.ledger);
                pipe.drained(tail, read, &mut self.ledger);
                // Part of a buffer may have gone elsewhere unseen.
                let doubt = pipe.lossy.then_some(Reason::Loss);
                pipe.clear(Drain { by: Some(ReleasedBy::Close), ..read }, doubt, &mut self.ledger);
                self.pipes.remove(&p.pipe);
            }
        }
    }
}
