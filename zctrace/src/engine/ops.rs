//! Operations: a transfer opens, moves on, returns. A system call goes by its task, a request of
//! io_uring by its id, and both the same way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zctrace_common::frame::Header;
use zctrace_common::kernel::{
    Notify, OpAt, OpEnter, OpExit, end, memory, notify_flag, op, op_exit, op_flag, op_more,
};

use super::dgram::Sent;
use super::kernel::watch_reasons;
use super::ledger::{Close, Drain, Told};
use super::pipe::{Position, Segment};
use super::seq::low;
use super::witness::Clue;
use super::{Engine, Kind};
use crate::model::{Api, Copied, FileId, Memory, MemoryKind, Reason, ReleasedBy, Transfer, TransferId};

/// An operation that has not returned yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    #[serde(with = "super::pod")]
    pub(super) enter: OpEnter,
    pub(super) id: TransferId,
    entered: u64,
    /// First byte (TCP) or slot (pipe) at the destination, unwrapped.
    pub(super) start: u64,
    /// Handles of datagram holds, in the order of the bytes, with their lengths.
    pub(super) handles: Vec<(u64, Segment)>,
    /// Why the kernel copies, where it does.
    pub(super) copied: Option<Copied>,
    /// What it begins with is known.
    begun: bool,
    /// It began before that was known.
    late: bool,
    /// A request that was told of its memory before it returned.
    told: Option<Told>,
}

impl Call {
    fn opens(&self) -> bool {
        self.enter.flags & op_flag::OPENS != 0
    }

    pub(super) fn copies(&self) -> bool {
        self.copied.is_some()
    }

    /// Packets do not show its pages.
    pub(super) fn opaque(&self) -> bool {
        self.enter.flags & (op_flag::ULP | op_flag::TLS) != 0
    }

    /// An upper-layer protocol may still have its bytes, or has made them something else.
    pub(super) fn hidden(&self, x: &OpExit) -> bool {
        let uses = self.enter.flags & op_flag::TLS != 0 || x.flags & op_exit::ULP != 0;
        self.enter.flags & op_flag::ULP != 0 || (uses && !self.copies())
    }

    fn is_memory(&self) -> bool {
        self.enter.src_kind == end::MEMORY
    }

    /// What its end leaves open about the bytes that it moved.
    pub(super) fn doubts(&self, x: &OpExit, moved: u64) -> impl Iterator<Item = Reason> + use<> {
        let unsure = x.flags & (op_exit::UNSEEN | op_exit::ELSEWHERE) != 0;
        [(self.late && moved > 0, Reason::ProbeMissing), (unsure, Reason::ReturnMissed)]
            .into_iter()
            .filter_map(|(applies, reason)| applies.then_some(reason))
    }
}

/// Why these bytes are copied, if they are.
fn copied(e: &OpEnter, proto: Option<u16>) -> Option<Copied> {
    let has = |flag| e.flags & flag != 0;
    match () {
        () if has(op_flag::DIRECT) => Some(Copied::DirectIo),
        () if has(op_flag::COPY_READ) => Some(Copied::SpliceRead),
        () if e.more & op_more::NOT_ASKED != 0 => Some(Copied::NotAsked),
        () if proto == Some(super::MPTCP) => Some(Copied::Mptcp),
        () => None,
    }
}

fn api(number: u8) -> Api {
    match number {
        op::SENDFILE => Api::Sendfile,
        op::VMSPLICE => Api::Vmsplice,
        op::MSG_ZEROCOPY => Api::MsgZerocopy,
        op::URING_SPLICE => Api::IoUringSplice,
        op::URING_SEND_ZC => Api::IoUringSendZc,
        op::URING_SENDMSG_ZC => Api::IoUringSendmsgZc,
        _ => Api::Splice,
    }
}

/// Packets may show it as a file's: pages of a private mapping that nobody stored to, or nobody knows what.
pub(super) fn wild(m: Option<Memory>) -> bool {
    m.is_some_and(|m| !matches!(m.kind, MemoryKind::Anonymous | MemoryKind::SharedFile))
}

fn memory_of(e: &OpEnter) -> Option<Memory> {
    let kind = match e.memory {
        memory::ANONYMOUS => MemoryKind::Anonymous,
        memory::SHARED => MemoryKind::SharedFile,
        memory::PRIVATE => MemoryKind::PrivateFile,
        memory::HUGE => MemoryKind::Huge,
        _ => MemoryKind::Unknown,
    };
    let registered = e.more & op_more::REGISTERED != 0;
    (e.src_kind == end::MEMORY).then_some(Memory { kind, address: e.addr, buffers: e.segments, registered })
}

impl Engine {
    pub(super) fn op_enter(&mut self, header: &Header, e: &OpEnter) {
        let id = TransferId { cpu: header.cpu, seq: header.seq };
        let request = e.more & op_more::REQUEST != 0;
        if !request && let Some(old) = self.calls.remove(&header.task) {
            self.exit_missed(&old);
        }
        let sock = if e.dst_kind == end::SOCK { self.socks.get(&e.dst) } else { None };
        let mut call = Call {
            enter: *e,
            id,
            entered: header.ts,
            start: 0,
            handles: Vec::new(),
            copied: copied(e, sock.map(|s| s.name.proto)),
            begun: false,
            late: false,
            told: None,
        };
        if sock.is_some_and(|s| s.opaque) {
            call.enter.flags |= op_flag::ULP;
        }
        if call.opens() {
            self.open(header, &call);
        }
        // Of a queued splice it is not known yet where it begins; other requests begin no earlier.
        if e.more & op_more::QUEUED == 0 || call.is_memory() {
            self.begin(header.ts, &mut call);
        }
        if request {
            self.requests.insert(header.id(), Box::new(call));
        } else {
            self.calls.insert(header.task, Box::new(call));
        }
    }

    /// A transfer opens.
    fn open(&mut self, header: &Header, call: &Call) {
        let (e, id) = (&call.enter, call.id);
        let t = self.transfer(header, call);
        // What is mapped at a registered buffer's address now need not be what was registered.
        let unwatched = t.memory.is_some_and(|m| m.kind != MemoryKind::SharedFile || m.registered);
        let scattered = t.memory.is_some_and(|m| m.buffers > 1);
        self.changes.lent(&t);
        self.ledger.begin(t, e.cgroup);
        let watch = watch_reasons().map(|(bit, reason)| (e.watch & bit != 0, reason));
        let others = [
            (unwatched, Reason::MemoryUnwatched),
            (scattered, Reason::MemoryScattered),
            (e.flags & op_flag::ULP != 0, Reason::UpperLayer),
        ];
        for (_, reason) in watch.into_iter().chain(others).filter(|(applies, _)| *applies) {
            self.ledger.reason(id, reason);
        }
        if e.dst_kind == end::SOCK {
            self.sock_doubts(e.dst, id);
            if call.is_memory()
                && let Some(sock) = self.socks.get_mut(&e.dst)
            {
                sock.notices.begin();
            }
        }
    }

    /// The operation starts, and its ends stand where it says.
    fn begin(&mut self, at: u64, call: &mut Call) {
        call.begun = true;
        let e = call.enter;
        match (e.src_kind, e.dst_kind) {
            (end::FILE | end::MEMORY, end::SOCK) if call.opens() && !call.copies() && !call.opaque() => {
                self.lend_to_sock(call);
            }
            (_, end::PIPE) => self.begin_to_pipe(at, call),
            (end::PIPE, end::SOCK) => self.pipe_to_sock(call),
            _ => {}
        }
        if e.src_kind == end::PIPE
            && let Some(pipe) = self.pipes.get_mut(&e.src)
        {
            let slot = pipe.slot(low(e.src_pos));
            pipe.stands_at(Position { slot, off: e.src_off }, &mut self.ledger);
            pipe.consumer(slot);
        }
    }

    /// Where the ends of a request stand.
    pub(super) fn op_at(&mut self, at: u64, x: &OpAt) {
        let Some(mut call) = self.requests.remove(&x.call) else {
            self.stats.orphans += 1;
            return;
        };
        self.ledger.touch(call.id);
        if !call.begun {
            call.enter.dst_pos = x.dst_pos;
            if call.enter.src_kind == end::PIPE {
                let e = &mut call.enter;
                (e.src_pos, e.src_off, e.src_head) = (x.src_pos, x.src_off, x.src_head);
            }
            self.begin(at, &mut call);
        } else if let Some(Kind::Stream(s)) = self.socks.get_mut(&call.enter.dst).map(|s| &mut s.kind)
            && !call.copies()
            && !call.opaque()
        {
            s.end(call.id, call.start, None, at, &mut self.ledger);
            call.enter.dst_pos = x.dst_pos;
            call.start = s.seq(low(x.dst_pos));
            s.begin(call.id, call.start, call.enter.src_pos, &mut self.ledger);
        }
        self.requests.insert(x.call, call);
    }

    /// What is already known to make every release on this socket uncertain.
    pub(super) fn sock_doubts(&mut self, sock: u64, id: TransferId) {
        let Some(sock) = self.socks.get(&sock) else {
            return;
        };
        if sock.full {
            self.ledger.reason(id, Reason::MapFull);
        }
        if sock.early {
            self.ledger.reason(id, Reason::NotConnected);
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

    fn transfer(&mut self, header: &Header, call: &Call) -> Transfer {
        let e = &call.enter;
        let memory = memory_of(e);
        let has_file = memory.is_none() || e.ino != 0;
        let socket =
            if e.dst_kind == end::SOCK { self.socks.get(&e.dst).map(|s| Arc::clone(&s.name)) } else { None };
        #[expect(clippy::cast_possible_truncation, reason = "two 32-bit halves")]
        let (pid, tid) = ((header.task >> 32) as u32, header.task as u32);
        Transfer {
            pid,
            tid,
            comm: self.names.comms.trimmed(&e.comm),
            file: has_file
                .then(|| self.names.file(FileId { dev: e.dev, ino: e.ino, generation: e.generation })),
            memory,
            offset: e.src_pos,
            requested: e.count,
            socket,
            // Where the packets are copied on their way to the device; TCP keeps the pages all the same.
            copied: call.copied.or((e.flags & op_flag::NO_SG != 0 && e.more & op_more::QUEUED == 0)
                .then_some(Copied::NoScatterGather)),
            ..Transfer::opened(call.id, api(e.op), header.ts)
        }
    }

    fn lend_to_sock(&mut self, call: &mut Call) {
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
                let wild = wild(memory_of(e));
                let file = (e.dev, e.ino);
                let sent = Sent { id: call.id, call: call.id, file, wild, range: (start, end) };
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
            if call.is_memory()
                && let Some(sock) = self.socks.get_mut(&call.enter.dst)
            {
                sock.notices.end(None, call.id);
            }
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
        let found = match x.call {
            0 => self.calls.remove(&header.task),
            id => self.requests.remove(&id),
        };
        let Some(mut call) = found else {
            // Its entry was lost, so it may have taken any pages that sat in a pipe.
            self.stats.orphans += 1;
            self.ledger.doubt_all(Reason::Loss);
            return;
        };
        let at = header.ts;
        if !call.begun {
            call.late = true;
            self.begin(at, &mut call);
        }
        if call.enter.flags & op_flag::TLS != 0 && x.flags & op_exit::ENCRYPTED != 0 {
            call.copied = call.copied.or(Some(Copied::Tls));
        }
        let took = x.src_pos != 0 || x.src_head != 0 || x.src_off != 0;
        if took && call.entered <= self.lossy_until {
            // The exit of this call and the entry of another may be lost: then these are the other's
            // pages, whatever pipe they sat in.
            self.ledger.doubt_all(Reason::Loss);
        }
        let moved = u64::try_from(x.ret).unwrap_or(0);
        if call.opens() {
            self.opened(&call, x, moved, at);
        }
        if call.enter.src_kind == end::PIPE {
            self.moved(&call, x, moved, at);
        }
    }

    /// The operation that opened a transfer returned.
    fn opened(&mut self, call: &Call, x: &OpExit, moved: u64, at: u64) {
        let (e, id) = (&call.enter, call.id);
        if let Some(t) = self.ledger.get(id) {
            t.bytes = moved;
            t.copied = t.copied.or(call.copied);
        }
        if call.hidden(x) {
            self.ledger.reason(id, Reason::UpperLayer);
        }
        call.doubts(x, moved).for_each(|reason| self.ledger.reason(id, reason));
        // Somebody asked for it just then.
        if call.copied == Some(Copied::NotAsked) && x.zckey != e.zckey {
            self.ledger.reason(id, Reason::FreeMissed);
        }
        let told = self.expects(call, x, moved);
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
                    let whole = call.start + moved;
                    if moved > 0 && s.seq(low(x.dst_pos)) == whole {
                        let place =
                            Clue::Place { sock: e.dst, seq: low(e.dst_pos), len: moved, off: e.src_pos };
                        self.ledger.clue(id, place);
                        s.end(id, call.start, Some(whole), at, &mut self.ledger);
                    } else {
                        // Others wrote too, as in a batch of requests, which all end together: take the hull, which
                        // is late, never early. Never less than what the call says it wrote.
                        let end = (moved > 0).then(|| s.seq(low(x.dst_pos)).max(whole));
                        self.ledger.is_wide(id);
                        s.end(id, call.start, end, at, &mut self.ledger);
                    }
                }
                Some(Kind::Dgram(d)) => {
                    for (handle, _) in &call.handles {
                        let end = (moved > 0).then_some(e.src_pos.saturating_add(moved));
                        d.end(*handle, end, at, &mut self.ledger);
                    }
                }
                None => {}
            }
        } else if let Some(pipe) = self.pipes.get_mut(&e.dst) {
            let last = pipe.slot(low(x.dst_pos));
            pipe.end(id, call.start, last, moved, at, &mut self.ledger);
        }
        if let Some(told) = told {
            self.tell(e.dst, id, told);
        }
        if moved == 0 {
            if let Some(t) = self.ledger.forget(id) {
                self.changes.stated(&t, t.submit_ns);
            }
        } else {
            self.ledger.settle(id);
        }
    }

    /// Whether a notification is to come, or has come already.
    fn expects(&mut self, call: &Call, x: &OpExit, moved: u64) -> Option<Told> {
        let e = &call.enter;
        if !call.is_memory() || e.dst_kind != end::SOCK {
            return None;
        }
        let sock = self.socks.get_mut(&e.dst)?;
        let request = e.more & op_more::REQUEST != 0;
        let notifies = request && x.flags & op_exit::NOTIFIES != 0 && moved > 0;
        // Where calls ran at once, or more than one number was given, which is whose is not known.
        let alone = sock.notices.are_alone();
        let own = !request && moved > 0 && alone && x.zckey.wrapping_sub(e.zckey) == 1;
        let told = sock.notices.end(own.then_some(e.zckey), call.id).or(call.told.filter(|_| notifies));
        if !own && !notifies {
            // Nor which packet is.
            if moved > 0 && !call.copies() && matches!(sock.kind, Kind::Dgram(_)) {
                self.ledger.reason(call.id, Reason::SendsAtOnce);
            }
            return None;
        }
        match &mut sock.kind {
            Kind::Dgram(d) => d.awaits(call.id, call.handles.iter().map(|(handle, _)| *handle)),
            Kind::Stream(s) => s.awaits(call.id, call.start),
        }
        self.ledger.awaits(call.id);
        told
    }

    /// The application is told that this transfer's memory is free.
    fn tell(&mut self, sock: u64, id: TransferId, told: Told) {
        match self.socks.get_mut(&sock).map(|s| &mut s.kind) {
            Some(Kind::Dgram(d)) => d.told(id, told, &self.heads, &mut self.ledger),
            Some(Kind::Stream(s)) => s.told(id, told),
            None => {}
        }
        self.ledger.told(id, Some(told));
    }

    /// A notification.
    pub(super) fn notify(&mut self, header: &Header, n: &Notify) {
        let claims = n.flags & notify_flag::CLAIMS != 0;
        let by = super::context(header);
        let told = Told { at: header.ts, by, copied: claims.then_some(n.flags & notify_flag::COPIED != 0) };
        if n.call == 0 {
            let Some(sock) = self.socks.get_mut(&n.sock) else {
                self.stats.orphans += 1;
                return;
            };
            for id in sock.notices.told(n.first, n.last, told) {
                self.tell(n.sock, id, told);
            }
        } else if let Some(call) = self.requests.get_mut(&n.call) {
            call.told.get_or_insert(told);
        } else {
            // Its socket may be gone.
            self.tell(n.sock, super::transfer_of(n.call), told);
        }
    }

    /// The socket is gone: nobody will be told anything more on its error queue.
    pub(super) fn untold(&mut self, sock: u64) {
        let due = self.socks.get_mut(&sock).map(|s| s.notices.over()).unwrap_or_default();
        due.into_iter().for_each(|id| self.ledger.told(id, None));
    }
}
