//! System calls: a transfer opens, moves on, returns.

use std::sync::Arc;

use zctrace_common::frame::Header;
use zctrace_common::kernel::{OpEnter, OpExit, end, op, op_flag, watch};

use super::dgram::Sent;
use super::ledger::{Close, Drain};
use super::pipe::{Position, Segment};
use super::seq::low;
use super::witness::Clue;
use super::{Engine, Kind};
use crate::model::{Api, FileId, Outcome, Reason, ReleasedBy, Transfer, TransferId, Verdict};

/// A call that has not returned yet.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) enter: OpEnter,
    pub(super) id: TransferId,
    entered: u64,
    /// First byte (TCP) or slot (pipe) at the destination, unwrapped.
    pub(super) start: u64,
    /// Handles of datagram holds, in the order of the bytes, with their lengths.
    pub(super) handles: Vec<(u64, Segment)>,
}

/// Flags that mean: the kernel copies.
const COPIES: u8 = op_flag::DIRECT | op_flag::COPY_READ | op_flag::NO_SG;

impl Call {
    fn opens(&self) -> bool {
        self.enter.flags & op_flag::OPENS != 0
    }

    pub(super) fn copies(&self) -> bool {
        self.enter.flags & COPIES != 0
    }

    pub(super) fn opaque(&self) -> bool {
        self.enter.flags & op_flag::ULP != 0
    }
}

pub(super) fn trimmed(comm: &[u8; 16]) -> Arc<[u8]> {
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
            let t = self.transfer(header, e, id);
            self.changes.lent(&t);
            self.ledger.open(t, e.cgroup);
            for (bit, reason) in [
                (watch::MAPPED, Reason::WritableMapping),
                (watch::BUSY, Reason::FileBusy),
                (watch::FULL, Reason::FileUnwatched),
                (watch::BELOW, Reason::FileStacked),
            ] {
                if e.watch & bit != 0 {
                    self.ledger.reason(id, reason);
                }
            }
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
            (_, end::PIPE) => self.begin_to_pipe(header.ts, &mut call),
            (end::PIPE, end::SOCK) => self.pipe_to_sock(&mut call),
            _ => {}
        }
        if e.src_kind == end::PIPE
            && let Some(pipe) = self.pipes.get_mut(&e.src)
        {
            let slot = pipe.slot(low(e.src_pos));
            pipe.stands_at(Position { slot, off: e.src_off }, &mut self.ledger);
            pipe.consumer(slot);
        }
        self.calls.insert(header.task, call);
    }

    /// What is already known to make every release on this socket uncertain.
    pub(super) fn sock_doubts(&mut self, sock: u64, id: TransferId) {
        let Some(sock) = self.socks.get(&sock) else {
            return;
        };
        if sock.full {
            self.ledger.reason(id, Reason::MapFull);
        }
        // Packets of a transfer that was not seen would be taken for this one's.
        if matches!(sock.kind, Kind::Dgram(_)) && sock.born <= self.lossy_until {
            self.ledger.reason(id, Reason::Loss);
        }
    }

    fn begin_to_pipe(&mut self, at: u64, call: &mut Call) {
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
            let drain = Drain { at, by: None };
            pipe.clear(drain, Some(Reason::PipeChanged), &mut self.ledger);
            pipe.renumber(low(e.dst_pos), low(e.dst_pos));
            call.start = pipe.slot(low(e.dst_pos));
        }
        if lends {
            pipe.begin(call.id, call.start, e.src_pos, e.count, &mut self.ledger);
        }
    }

    fn transfer(&self, header: &Header, e: &OpEnter, id: TransferId) -> Transfer {
        let socket =
            if e.dst_kind == end::SOCK { self.socks.get(&e.dst).map(|s| Arc::clone(&s.name)) } else { None };
        #[expect(clippy::cast_possible_truncation, reason = "two 32-bit halves")]
        let (pid, tid) = ((header.task >> 32) as u32, header.task as u32);
        Transfer {
            id,
            api: if e.op == op::SENDFILE { Api::Sendfile } else { Api::Splice },
            pid,
            tid,
            comm: trimmed(&e.comm),
            cgroup: None,
            file: self.names.file(FileId { dev: e.dev, ino: e.ino, generation: e.generation }),
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
            content: None,
            reasons: Vec::new(),
            rules: Vec::new(),
            mutations: Vec::new(),
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
                s.begin(call.id, call.start, e.src_pos, &mut self.ledger);
            }
            Kind::Dgram(d) => {
                let (start, end) = (e.src_pos, e.src_pos.saturating_add(e.count));
                d.call(Some(call.id), &mut self.ledger);
                let sent = Sent { id: call.id, call: call.id, file: (e.dev, e.ino), range: (start, end) };
                let handle = d.begin(sent, &mut self.ledger);
                call.handles
                    .push((handle, Segment { id: call.id, start, end, slot: 0, slots: 0, sure: true }));
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

    pub(super) fn consumer_left(&mut self, call: &Call) {
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
                    if end == Some(call.start + moved) {
                        let place =
                            Clue::Place { sock: e.dst, seq: low(e.dst_pos), len: moved, off: e.src_pos };
                        self.ledger.clue(id, place);
                    }
                    // Never less than what the call says it wrote.
                    let end = end.map(|seq| seq.max(call.start + moved));
                    s.end(id, call.start, end, at, &mut self.ledger);
                }
                Some(Kind::Dgram(d)) => {
                    for (handle, _) in &call.handles {
                        d.end(
                            *handle,
                            (moved > 0).then_some(e.src_pos.saturating_add(moved)),
                            at,
                            &mut self.ledger,
                        );
                    }
                }
                None => {}
            }
        } else if let Some(pipe) = self.pipes.get_mut(&e.dst) {
            let last = pipe.slot(low(x.dst_pos));
            pipe.end(id, call.start, last, moved, at, &mut self.ledger);
        }
        if moved == 0 {
            if let Some(t) = self.ledger.forget(id) {
                self.changes.stated(&t, t.submit_ns);
            }
        } else {
            self.ledger.settle(id);
        }
    }
}
