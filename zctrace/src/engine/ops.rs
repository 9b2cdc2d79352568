//! System calls: a transfer opens, moves on, returns.

use std::sync::Arc;

use zctrace_common::frame::Header;
use zctrace_common::kernel::{OpEnter, OpExit, end, op, op_flag};

use super::dgram::Sent;
use super::ledger::{Close, Drain};
use super::pipe::{Position, Segment};
use super::seq::low;
use super::{Engine, Kind};
use crate::model::{Api, Outcome, Reason, ReleasedBy, Transfer, TransferId, Verdict};

/// A call that has not returned yet.
#[derive(Debug)]
pub(super) struct Call {
    enter: OpEnter,
    id: TransferId,
    entered: u64,
    /// First byte (TCP) or slot (pipe) at the destination, unwrapped.
    start: u64,
    /// Handles of datagram holds, in the order of the bytes, with their lengths.
    handles: Vec<(u64, Segment)>,
}

/// Flags that mean: the kernel copies.
const COPIES: u8 = op_flag::DIRECT | op_flag::COPY_READ | op_flag::NO_SG;

impl Call {
    fn opens(&self) -> bool {
        self.enter.flags & op_flag::OPENS != 0
    }

    fn copies(&self) -> bool {
        self.enter.flags & COPIES != 0
    }

    fn opaque(&self) -> bool {
        self.enter.flags & op_flag::ULP != 0
    }
}

fn trimmed(comm: &[u8; 16]) -> Arc<[u8]> {
    comm.split(|b| *b == 0).next().unwrap_or_default().into()
}

impl Engine {
    pub(super) fn op_enter(&mut self, header: &Header, e: &OpEnter) {
        let id = TransferId { cpu: header.cpu, seq: header.seq };
        if let Some(old) = self.calls.remove(&header.task) {
            self.exit_missed(&old);
        }
        let mut call = Call { enter: *e, id, entered: header.ts, start: 0, handles: Vec::new() };
        if call.opens() {
            self.ledger.open(self.transfer(header, e, id), e.cgroup);
        }
        if e.dst_kind == end::SOCK
            && let Some(sock) = self.socks.get(&e.dst)
        {
            if sock.opaque {
                call.enter.flags |= op_flag::ULP;
            }
            if call.opens() {
                self.sock_doubts(e.dst, id);
            }
        }
        if call.opens() && call.opaque() {
            self.ledger.reason(id, Reason::UpperLayer);
        }
        match (e.src_kind, e.dst_kind) {
            (end::FILE, end::SOCK) if call.opens() && !call.copies() && !call.opaque() => {
                self.file_to_sock(&mut call);
            }
            (_, end::PIPE) => self.into_pipe_begins(header.ts, &mut call),
            (end::PIPE, end::SOCK) => self.pipe_to_sock(&mut call),
            _ => {}
        }
        if e.src_kind == end::PIPE
            && let Some(pipe) = self.pipes.get_mut(&e.src)
        {
            let slot = pipe.slot(low(e.src_pos));
            pipe.consumer(slot);
        }
        self.calls.insert(header.task, call);
    }

    /// What is already known to make every release on this socket uncertain.
    fn sock_doubts(&mut self, sock: u64, id: TransferId) {
        let Some(sock) = self.socks.get(&sock) else { return };
        if sock.full {
            self.ledger.reason(id, Reason::MapFull);
        }
        // Packets of a transfer that was not seen would be taken for this one's.
        if matches!(sock.kind, Kind::Dgram(_)) && sock.born <= self.lossy_until {
            self.ledger.reason(id, Reason::Loss);
        }
    }

    fn into_pipe_begins(&mut self, at: u64, call: &mut Call) {
        let e = &call.enter;
        let lends = call.opens() && !call.copies();
        let Some(pipe) = self.pipes.get_mut(&e.dst) else {
            if lends {
                self.stats.orphans += 1;
                self.ledger.reason(call.id, Reason::Loss);
            }
            return;
        };
        call.start = pipe.slot(low(e.dst_pos));
        if !pipe.fits(call.start) {
            let drain = Drain { at, by: None, seen: false };
            pipe.clear(drain, Some(Reason::PipeChanged), &mut self.ledger);
            pipe.renumber(low(e.dst_pos), low(e.dst_pos));
            call.start = pipe.slot(low(e.dst_pos));
        }
        if lends {
            pipe.begin(call.id, call.start, e.src_pos, e.count, &mut self.ledger);
        }
    }

    fn transfer(&self, header: &Header, e: &OpEnter, id: TransferId) -> Transfer {
        let socket = if e.dst_kind == end::SOCK { self.socks.get(&e.dst).map(|s| Arc::clone(&s.name)) } else { None };
        #[expect(clippy::cast_possible_truncation, reason = "two 32-bit halves")]
        let (pid, tid) = ((header.task >> 32) as u32, header.task as u32);
        Transfer {
            id,
            api: if e.op == op::SENDFILE { Api::Sendfile } else { Api::Splice },
            pid,
            tid,
            comm: trimmed(&e.comm),
            cgroup: None,
            file: self.names.file(e.dev, e.ino),
            offset: e.src_pos,
            requested: e.count,
            bytes: 0,
            socket,
            zero_copy: e.flags & COPIES == 0,
            submit_ns: header.ts,
            return_ns: None,
            notify_ns: None,
            first_xmit_ns: None,
            ack_ns: None,
            release_ns: None,
            retransmits: 0,
            released_by: None,
            outcome: Outcome::Held,
            verdict: Verdict::Unknown,
            reasons: Vec::new(),
        }
    }

    fn file_to_sock(&mut self, call: &mut Call) {
        let e = &call.enter;
        let Some(sock) = self.socks.get_mut(&e.dst) else {
            // Its introduction was lost, and that loss is on record.
            self.stats.orphans += 1;
            self.ledger.reason(call.id, Reason::Loss);
            return;
        };
        match &mut sock.kind {
            Kind::Stream(s) => {
                call.start = s.seq(low(e.dst_pos));
                s.begin(call.id, call.start, &mut self.ledger);
            }
            Kind::Dgram(d) => {
                let (start, end) = (e.src_pos, e.src_pos.saturating_add(e.count));
                d.call(Some(call.id), &mut self.ledger);
                let sent = Sent { id: call.id, call: call.id, file: (e.dev, e.ino), range: (start, end) };
                let handle = d.begin(sent, &mut self.ledger);
                call.handles.push((handle, Segment { id: call.id, start, end, slot: 0, slots: 0, sure: true }));
            }
        }
    }

    /// Packets may be freed before the call returns, so holds on a datagram socket begin now.
    fn pipe_to_sock(&mut self, call: &mut Call) {
        let e = &call.enter;
        let Some(sock) = self.socks.get_mut(&e.dst) else {
            self.stats.orphans += 1;
            return;
        };
        match &mut sock.kind {
            Kind::Stream(s) => {
                s.movers += 1;
                call.start = s.seq(low(e.dst_pos));
            }
            Kind::Dgram(d) => {
                d.call(None, &mut self.ledger);
                let Some(pipe) = self.pipes.get_mut(&e.src) else { return };
                let from = Position { slot: pipe.slot(low(e.src_pos)), off: e.src_off };
                let to = Position { slot: pipe.slot(e.src_head), off: 0 };
                for segment in pipe.between(from, to) {
                    if let Some(t) = self.ledger.get(segment.id) {
                        let file = (t.file.dev, t.file.ino);
                        let range = (segment.start, segment.end);
                        let handle = d.begin(Sent { id: segment.id, call: call.id, file, range }, &mut self.ledger);
                        call.handles.push((handle, segment));
                    }
                }
            }
        }
    }

    /// The task is in another call: the exit of this one was lost.
    pub(super) fn exit_missed(&mut self, call: &Call) {
        if call.opens() {
            self.ledger.reason(call.id, Reason::ReturnMissed);
        } else {
            // It moved something we do not know.
            self.ledger.doubt_all(Reason::ReturnMissed);
        }
        if call.enter.src_kind == end::PIPE {
            self.consumer_left(call);
            match self.socks.get_mut(&call.enter.dst).map(|s| &mut s.kind) {
                Some(Kind::Stream(s)) => s.mover_left(),
                Some(Kind::Dgram(d)) => d.mover_left(),
                None => {}
            }
        }
    }

    fn consumer_left(&mut self, call: &Call) {
        if let Some(pipe) = self.pipes.get_mut(&call.enter.src) {
            let slot = pipe.slot(low(call.enter.src_pos));
            pipe.consumer_left(slot);
        }
    }

    pub(super) fn op_exit(&mut self, header: &Header, x: &OpExit) {
        let Some(call) = self.calls.remove(&header.task) else {
            // Its entry was lost, so it may have taken any pages that sat in a pipe.
            self.stats.orphans += 1;
            self.ledger.doubt_all(Reason::Loss);
            return;
        };
        let took = x.src_pos != 0 || x.src_head != 0 || x.src_off != 0;
        if took && call.entered <= self.lossy_until {
            // The exit of this call and the entry of another may be lost: then these are the other's
            // pages, whatever pipe they sat in.
            self.ledger.doubt_all(Reason::Loss);
        }
        let at = header.ts;
        let moved = u64::try_from(x.ret).unwrap_or(0);
        if call.opens() {
            self.opened(&call, x, moved, at);
        }
        if call.enter.src_kind == end::PIPE {
            self.moved(&call, x, moved, at);
        }
    }

    /// The call that opened a transfer returned.
    fn opened(&mut self, call: &Call, x: &OpExit, moved: u64, at: u64) {
        let (e, id) = (&call.enter, call.id);
        if let Some(t) = self.ledger.get(id) {
            t.bytes = moved;
        }
        if moved > 0 {
            self.ledger.returned(id, at);
        }
        if call.copies() || call.opaque() {
            if call.copies() && moved > 0 {
                self.ledger.hold(id);
                self.ledger.close(id, Close { at, by: ReleasedBy::Copied });
            }
        } else if e.dst_kind == end::SOCK {
            match self.socks.get_mut(&e.dst).map(|s| &mut s.kind) {
                Some(Kind::Stream(s)) => {
                    let end = (moved > 0).then(|| s.seq(low(x.dst_pos)));
                    // Never less than what the call says it wrote.
                    let end = end.map(|seq| seq.max(call.start + moved));
                    s.end(id, call.start, end, at, &mut self.ledger);
                }
                Some(Kind::Dgram(d)) => {
                    for (handle, _) in &call.handles {
                        d.end(*handle, (moved > 0).then_some(e.src_pos.saturating_add(moved)), at, &mut self.ledger);
                    }
                }
                None => {}
            }
        } else if let Some(pipe) = self.pipes.get_mut(&e.dst) {
            let last = pipe.slot(low(x.dst_pos));
            pipe.end(id, call.start, last, moved, at, &mut self.ledger);
        }
        if moved == 0 {
            self.ledger.forget(id);
        } else {
            self.ledger.settle(id);
        }
    }

    /// The call took `moved` bytes out of a pipe (`tee`: looked at them).
    fn moved(&mut self, call: &Call, x: &OpExit, moved: u64, at: u64) {
        let e = &call.enter;
        let tee = e.op == op::TEE;
        let mut segments = Vec::new();
        let mut tail = 0;
        self.consumer_left(call);
        if let Some(pipe) = self.pipes.get_mut(&e.src) {
            let from = Position { slot: pipe.slot(low(e.src_pos)), off: e.src_off };
            let to = if tee {
                // tee() leaves the tail; what it copied are as many slots as the other pipe got.
                Position { slot: from.slot + u64::from(low(x.dst_pos).wrapping_sub(low(e.dst_pos))), off: 0 }
            } else {
                Position { slot: pipe.slot(low(x.src_pos)), off: x.src_off }
            };
            tail = if tee { 0 } else { to.slot };
            if moved > 0 || !tee {
                segments = pipe.between(from, to);
                let surplus = sum(&segments).saturating_sub(moved);
                if surplus > 0 && pipe.lossy {
                    // Somebody else took from here too, perhaps unseen.
                    segments.iter().for_each(|s| self.ledger.reason(s.id, Reason::Loss));
                } else if let Some(s) = segments.last_mut().filter(|s| tee && s.end - s.start > surplus) {
                    // It may stop inside a buffer, and then its copy is shorter.
                    s.end -= surplus;
                }
            }
        }
        if moved == 0 {
            segments.clear();
        }
        match e.dst_kind {
            end::SOCK => self.into_sock(call, x, moved, &segments, at),
            end::PIPE => self.into_pipe(call, x, &segments, at),
            _ => {}
        }
        if !tee {
            for s in &segments {
                self.ledger.moved_on(s.id, at);
            }
        }
        let by = match e.dst_kind {
            _ if call.copies() => Some(ReleasedBy::Copied),
            end::SOCK | end::PIPE => None,
            _ => Some(ReleasedBy::PipeDrained),
        };
        if let Some(pipe) = self.pipes.get_mut(&e.src) {
            let drain = Drain { at, by, seen: true };
            pipe.taken(if tee { &[] } else { &segments }, drain);
            pipe.drained(tail, drain, &mut self.ledger);
        }
    }

    fn into_sock(&mut self, call: &Call, x: &OpExit, moved: u64, segments: &[Segment], at: u64) {
        for s in segments {
            self.sock_doubts(call.enter.dst, s.id);
        }
        let Some(sock) = self.socks.get_mut(&call.enter.dst) else {
            // Its introduction was lost.
            segments.iter().for_each(|s| self.ledger.reason(s.id, Reason::Loss));
            return;
        };
        for s in segments {
            if let Some(t) = self.ledger.get(s.id) {
                t.socket = Some(Arc::clone(&sock.name));
                t.zero_copy &= !call.copies();
            }
            if call.opaque() {
                self.ledger.reason(s.id, Reason::UpperLayer);
            }
        }
        let copies = call.copies() || call.opaque();
        match &mut sock.kind {
            Kind::Stream(stream) if !copies => {
                let end = stream.seq(low(x.dst_pos)).max(call.start + moved);
                // Somebody else's bytes are in between: take the hull, which is late, never early.
                let exact = sum(segments) == moved && end == call.start + moved;
                let mut seq = call.start;
                for s in segments {
                    let (a, b) = if exact { (seq, seq + (s.end - s.start)) } else { (call.start, end) };
                    stream.add(s.id, a, b, at, &mut self.ledger);
                    seq = b;
                }
                stream.mover_left();
            }
            Kind::Stream(stream) => stream.mover_left(),
            Kind::Dgram(d) => {
                if sum(segments) > moved || segments.iter().any(|s| !s.sure) {
                    d.mix();
                }
                if d.is_mixed() {
                    segments.iter().for_each(|s| self.ledger.reason(s.id, Reason::PipeChanged));
                }
                for (handle, planned) in &call.handles {
                    let actual = segments.iter().find(|s| s.is_at(planned));
                    d.end(*handle, actual.map(|s| s.end), at, &mut self.ledger);
                }
                // Bytes that came into the pipe while the call waited.
                for s in segments {
                    let known = call.handles.iter().find(|(_, planned)| s.is_at(planned));
                    let start = known.map_or(s.start, |(_, planned)| planned.end);
                    if start < s.end
                        && let Some(t) = self.ledger.get(s.id)
                    {
                        let file = (t.file.dev, t.file.ino);
                        let sent = Sent { id: s.id, call: call.id, file, range: (start, s.end) };
                        d.add(sent, at, &mut self.ledger);
                    }
                }
                d.mover_left();
            }
        }
    }

    fn into_pipe(&mut self, call: &Call, x: &OpExit, segments: &[Segment], at: u64) {
        let Some(pipe) = self.pipes.get_mut(&call.enter.dst) else {
            segments.iter().for_each(|s| self.ledger.reason(s.id, Reason::Loss));
            return;
        };
        let filled = pipe.slot(low(x.dst_pos)).checked_sub(call.start);
        let whole = segments.iter().map(|s| s.slot + s.slots).max().is_none_or(|slots| filled == Some(slots));
        for s in segments {
            if !whole {
                // Somebody else filled slots in between.
                self.ledger.reason(s.id, Reason::PipeChanged);
            }
            pipe.add(call.start + s.slot, Segment { sure: s.sure && whole, ..*s }, at, &mut self.ledger);
        }
    }
}

fn sum(segments: &[Segment]) -> u64 {
    segments.iter().fold(0, |sum, s| sum.saturating_add(s.end.saturating_sub(s.start)))
}
