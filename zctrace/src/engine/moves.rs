//! Pages that move on: out of a pipe, into a socket or another pipe.
//!
//! What a call took is known when it returns, from where the pipe's tail stood before and after.
//! Where that does not add up (somebody else took or filled slots in between), holds are made too
//! large rather than too small, or the transfers are in doubt.

use std::sync::Arc;

use zctrace_common::kernel::{OpExit, end, op};

use super::dgram::{Sent, file_of};
use super::ledger::Drain;
use super::ops::{Call, wild};
use super::pipe::{Position, Segment};
use super::seq::low;
use super::stream::Place;
use super::witness::Clue;
use super::{Engine, Kind};
use crate::model::{Reason, ReleasedBy};

impl Engine {
    /// Packets may be freed before the call returns, so holds on a datagram socket begin now.
    pub(super) fn pipe_to_sock(&mut self, call: &mut Call) {
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
            // Then no packet will show it.
            Kind::Dgram(_) if call.copies() => {}
            Kind::Dgram(d) => {
                d.call(None, &mut self.ledger);
                let Some(pipe) = self.pipes.get_mut(&e.src) else {
                    return;
                };
                let from = Position { slot: pipe.slot(low(e.src_pos)), off: e.src_off };
                let to = Position { slot: pipe.slot(e.src_head), off: 0 };
                for segment in pipe.between(from, to) {
                    if let Some(t) = self.ledger.get(segment.id) {
                        let (file, wild) = (file_of(t), wild(t.memory));
                        let range = (segment.start, segment.end);
                        let sent = Sent { id: segment.id, call: call.id, file, wild, range };
                        let handle = d.begin(sent, &mut self.ledger);
                        call.handles.push((handle, segment));
                    }
                }
            }
        }
    }

    /// The call took `moved` bytes out of a pipe (`tee`: looked at them).
    pub(super) fn moved(&mut self, call: &Call, x: &OpExit, moved: u64, at: u64) {
        let e = &call.enter;
        let tee = e.op == op::TEE;
        let mut segments = Vec::new();
        let mut tail = 0;
        let mut strangers = moved > 0;
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
            if !tee {
                pipe.left_at(to);
            }
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
        // Lent pages of a transfer whose entry was lost: packets with them would be taken for others'.
        if let Some(pipe) = self.pipes.get(&e.src) {
            strangers &= pipe.lossy && sum(&segments) != moved;
        }
        if moved == 0 {
            segments.clear();
        }
        for s in &segments {
            self.ledger.clue(s.id, Clue::Call(call.id));
            call.doubts(x, moved).for_each(|reason| self.ledger.reason(s.id, reason));
        }
        match e.dst_kind {
            end::SOCK => self.moved_to_sock(call, x, (moved, strangers), &segments, at),
            end::PIPE => self.moved_to_pipe(call, x, &segments, at),
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
            let drain = Drain { at, by };
            pipe.taken(if tee { &[] } else { &segments }, drain);
            pipe.drained(tail, drain, &mut self.ledger);
        }
    }

    fn moved_to_sock(
        &mut self,
        call: &Call,
        x: &OpExit,
        (moved, strangers): (u64, bool),
        segments: &[Segment],
        at: u64,
    ) {
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
                t.copied = t.copied.or(call.copied);
            }
            if call.hidden(x) {
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
                    if exact {
                        let (sock, seq) = (call.enter.dst, low(a));
                        self.ledger.clue(s.id, Clue::Place { sock, seq, len: b - a, off: s.start });
                    }
                    let place = Place { start: a, end: b, off: exact.then_some(s.start) };
                    stream.add(s.id, place, at, &mut self.ledger);
                    seq = b;
                }
                stream.mover_left();
            }
            Kind::Stream(stream) => stream.mover_left(),
            Kind::Dgram(_) if call.copies() => {}
            Kind::Dgram(d) => {
                if strangers || sum(segments) > moved || segments.iter().any(|s| !s.sure) {
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
                        let (file, wild) = (file_of(t), wild(t.memory));
                        let sent = Sent { id: s.id, call: call.id, file, wild, range: (start, s.end) };
                        d.add(sent, at, &mut self.ledger);
                    }
                }
                d.mover_left();
            }
        }
    }

    fn moved_to_pipe(&mut self, call: &Call, x: &OpExit, segments: &[Segment], at: u64) {
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
