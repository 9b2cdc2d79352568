//! System calls: they begin, move some bytes now and then, and return. In between anything may
//! happen, frees of what they sent included.

use zctrace_common::kernel::{OpEnter, OpExit, end, kind, op, op_exit, op_flag, pipe_why, watch};

use super::truth::Lent;
use super::world::{DEV, PAGE, Piece, World, low};
use super::writer::{FILES, FIRST};
use crate::model::{ReleasedBy, TransferId};

const EAGAIN: i64 = -11;

#[derive(Clone, Copy, Debug)]
enum From {
    File { ino: u64, off: u64 },
    Pipe(usize),
}

#[derive(Clone, Copy, Debug)]
enum To {
    Tcp(usize),
    Packets(usize),
    Pipe(usize),
    File,
}

/// A task inside the kernel.
#[derive(Debug)]
pub(super) struct Call {
    op: u8,
    from: From,
    to: To,
    opened: Option<TransferId>,
    count: u64,
    done: u64,
    copies: bool,
    opaque: bool,
    /// `op_exit::*`
    says: u32,
    /// Head of the destination pipe at the entry.
    head: u64,
    /// Transfers whose pages it took from a pipe: it answers for them until it returns.
    moved: Vec<TransferId>,
    /// It also took bytes that are nobody's.
    plain: bool,
}

fn task_id(task: usize) -> u64 {
    (100 + task as u64 / 2) << 32 | (1000 + task as u64)
}

impl World {
    pub(super) fn begin_some_call(&mut self) {
        let Some(task) = self.calls.iter().position(Option::is_none) else {
            return;
        };
        // Few ranges, so that the same bytes are lent again and again.
        let ino = FIRST + self.rng.index(FILES) as u64;
        let off = self.rng.below(4) * 8192 + if self.rng.chance(30) { self.rng.below(PAGE) } else { 0 };
        let file = From::File { ino, off };
        let count =
            if self.rng.chance(50) { self.rng.within(1, 4) * PAGE } else { self.rng.within(1, 60_000) };
        let (op, from, to) = match self.rng.below(100) {
            0..36 => (op::SENDFILE, file, To::Tcp(self.some_tcp())),
            36..50 => {
                let unix = self.rng.chance(60);
                (op::SENDFILE, file, To::Packets(self.some_packets(unix)))
            }
            50..70 => {
                let op = if self.rng.chance(80) { op::SPLICE } else { op::SENDFILE };
                (op, file, To::Pipe(self.some_pipe()))
            }
            70..82 => (op::SPLICE, From::Pipe(self.some_pipe()), To::Tcp(self.some_tcp())),
            82..88 => {
                let unix = self.rng.chance(60);
                (op::SPLICE, From::Pipe(self.some_pipe()), To::Packets(self.some_packets(unix)))
            }
            88..92 => (op::SPLICE, From::Pipe(self.some_pipe()), To::Pipe(self.some_pipe())),
            92..95 => (op::SPLICE, From::Pipe(self.some_pipe()), To::File),
            _ => (op::TEE, From::Pipe(self.some_pipe()), To::Pipe(self.some_pipe())),
        };
        if self.may(from, to, op) {
            self.begin(task, op, from, to, count);
            if matches!((from, to), (From::Pipe(_), To::Pipe(_) | To::File)) {
                self.progress(task);
                self.finish(task);
            }
        }
    }

    fn may(&self, from: From, to: To, op: u8) -> bool {
        let alone = |n: u32| n == 0 || self.knobs.races;
        let to_ok = match to {
            To::Tcp(i) => !self.tcps[i].closed && alone(self.tcps[i].writers),
            To::Packets(i) => !self.packets[i].freed && alone(self.packets[i].writers),
            To::Pipe(i) => alone(self.pipes[i].producers),
            To::File => true,
        };
        let from_ok = match (from, to) {
            (From::File { .. }, _) => true,
            (From::Pipe(i), To::Pipe(j)) => {
                let p = &self.pipes[i];
                i != j && p.id != 0 && p.all_lent() && (op == op::TEE || alone(p.consumers))
            }
            (From::Pipe(i), _) => self.pipes[i].id != 0 && alone(self.pipes[i].consumers),
        };
        to_ok && from_ok
    }

    fn begin(&mut self, task: usize, op: u8, from: From, to: To, count: u64) {
        let mut body =
            OpEnter { op, count, cgroup: 1, comm: *b"sim\0\0\0\0\0\0\0\0\0\0\0\0\0", ..OpEnter::default() };
        let (mut copies, mut opaque, mut head, mut says) = (false, false, 0, 0);
        let mut lent = None;
        match from {
            From::File { ino, off } => {
                self.name_file(ino);
                copies = self.rng.chance(4);
                body.flags = op_flag::OPENS | if copies { op_flag::COPY_READ } else { 0 };
                (body.src_kind, body.dev, body.ino, body.src_pos) = (end::FILE, DEV, ino, off);
                (body.generation, body.watch) = self.watch(ino);
                lent = Some(Lent {
                    ino,
                    generation: body.generation,
                    off,
                    mapped: body.watch & watch::MAPPED != 0,
                });
            }
            From::Pipe(i) => {
                let pipe = &mut self.pipes[i];
                pipe.consumers += 1;
                (body.src_kind, body.src) = (end::PIPE, pipe.id);
                (body.src_pos, body.src_off, body.src_head) =
                    (low(pipe.tail).into(), pipe.offset(), low(pipe.head));
            }
        }
        match to {
            To::Tcp(i) => {
                (body.dst_kind, body.dst) = (end::SOCK, self.tcp_track(i));
                let encrypted = self.rng.chance(70);
                let tcp = &mut self.tcps[i];
                tcp.writers += 1;
                body.dst_pos = low(tcp.write_seq).into();
                // Why it copies is all the same to the engine.
                body.flags |= if tcp.copies { op_flag::COPY_READ } else { 0 };
                body.flags |= if tcp.opaque { op_flag::ULP } else { 0 };
                (copies, opaque) = (copies || tcp.copies, tcp.opaque);
                if tcp.tls {
                    body.flags |= op_flag::TLS;
                    says = op_exit::ULP | if encrypted { op_exit::ENCRYPTED } else { 0 };
                    (copies, opaque) = (copies || encrypted, opaque || !(copies || encrypted));
                }
            }
            To::Packets(i) => {
                (body.dst_kind, body.dst) = (end::SOCK, self.packet_track(i));
                self.packets[i].writers += 1;
            }
            To::Pipe(i) => {
                (body.dst_kind, body.dst) = (end::PIPE, self.pipe_track(i));
                let pipe = &mut self.pipes[i];
                pipe.producers += 1;
                head = pipe.head;
                body.dst_pos = low(head).into();
            }
            To::File => body.dst_kind = end::FILE,
        }
        let at = self.stamp();
        let opened = lent.map(|_| at.transfer());
        if let (Some(id), Some(lent)) = (opened, lent) {
            self.book.open(id, at.ts, lent);
            if self.knobs.races {
                self.book.late(id);
            }
            if opaque {
                self.book.unknowable(id);
            }
        }
        self.wire.put(at, kind::OP_ENTER, task_id(task), &body);
        let (moved, plain, done) = (Vec::new(), false, 0);
        self.calls[task] =
            Some(Call { op, from, to, opened, count, done, copies, opaque, says, head, moved, plain });
    }

    /// The call gets something done.
    pub(super) fn progress(&mut self, task: usize) {
        let Some(mut call) = self.calls[task].take() else {
            return;
        };
        let left = call.count - call.done;
        let open = match call.to {
            To::Tcp(i) => !self.tcps[i].closed,
            _ => true,
        };
        if left > 0 && open {
            match call.from {
                From::File { ino, off } => self.lend(&mut call, ino, off, left),
                From::Pipe(i) if call.op == op::TEE => self.tee(&mut call, i, left),
                From::Pipe(i) => self.take(&mut call, i, left),
            }
        }
        self.calls[task] = Some(call);
    }

    fn lend(&mut self, call: &mut Call, ino: u64, off: u64, left: u64) {
        let owner = if call.copies || call.opaque { None } else { call.opened };
        let mut n = self.rng.within(1, left.min(20_000));
        match call.to {
            To::Tcp(i) => self.tcp_write(i, owner, n),
            To::Packets(i) => {
                // A datagram is sent whole.
                n = if self.packets[i].unix { n } else { left };
                self.packet_send(i, vec![Piece { owner, ino, off: off + call.done, len: n }]);
            }
            To::Pipe(i) => {
                let mut pushed = 0;
                while pushed < n && self.pipes[i].room() > 0 {
                    let at = off + call.done + pushed;
                    let len = (left - pushed).min(PAGE - at % PAGE);
                    self.pipes[i].push(Piece { owner, ino, off: at, len });
                    owner.into_iter().for_each(|o| self.book.hold(o));
                    pushed += len;
                }
                n = pushed;
            }
            To::File => n = 0,
        }
        call.done += n;
    }

    /// Buffers of a pipe move on.
    fn take(&mut self, call: &mut Call, from: usize, left: u64) {
        let mut n = self.rng.within(1, left);
        let mut packet = Vec::new();
        while n > 0 {
            if matches!(call.to, To::Pipe(i) if self.pipes[i].room() == 0) {
                break;
            }
            let Some((piece, empty)) = self.pipes[from].take(n) else {
                break;
            };
            (n, call.done) = (n - piece.len, call.done + piece.len);
            call.plain |= piece.owner.is_none();
            if let Some(owner) = piece.owner
                && !call.moved.contains(&owner)
            {
                call.moved.push(owner);
                self.book.hold(owner);
            }
            match call.to {
                To::Tcp(i) => {
                    let lent = piece.owner.filter(|_| !call.copies && !call.opaque);
                    self.tcp_write(i, lent, piece.len);
                }
                To::Packets(_) => packet.push(piece),
                To::Pipe(i) => {
                    self.pipes[i].push(piece);
                    piece.owner.into_iter().for_each(|o| self.book.hold(o));
                    piece.owner.into_iter().for_each(|o| self.book.spread(o));
                }
                To::File => {}
            }
            if let (Some(owner), true) = (piece.owner, empty) {
                self.book.hand_on(owner);
            }
        }
        if let (To::Packets(i), false) = (call.to, packet.is_empty()) {
            self.packet_send(i, packet);
        }
    }

    fn tee(&mut self, call: &mut Call, from: usize, left: u64) {
        let To::Pipe(to) = call.to else { return };
        let mut n = self.rng.within(1, left);
        for mut buf in self.pipes[from].bufs.clone() {
            if n == 0 || self.pipes[to].room() == 0 {
                break;
            }
            let piece = buf.take(n);
            (n, call.done) = (n - piece.len, call.done + piece.len);
            self.pipes[to].push(piece);
            piece.owner.into_iter().for_each(|o| self.book.hold(o));
            piece.owner.into_iter().for_each(|o| self.book.spread(o));
        }
    }

    /// The call returns.
    pub(super) fn finish(&mut self, task: usize) {
        let Some(call) = self.calls[task].take() else {
            return;
        };
        let ret = if call.done > 0 { i64::try_from(call.done).unwrap_or(0) } else { EAGAIN };
        let mut body = OpExit { ret, flags: call.says, ..OpExit::default() };
        if let From::Pipe(i) = call.from {
            let pipe = &mut self.pipes[i];
            pipe.consumers -= 1;
            (body.src_pos, body.src_off, body.src_head) =
                (low(pipe.tail).into(), pipe.offset(), low(pipe.head));
        }
        let mut behind = None;
        match call.to {
            To::Tcp(i) => {
                self.tcps[i].writers -= 1;
                body.dst_pos = low(self.tcps[i].write_seq).into();
            }
            To::Packets(i) => self.packets[i].writers -= 1,
            To::Pipe(i) => {
                self.pipes[i].producers -= 1;
                body.dst_pos = low(self.pipes[i].head).into();
                behind = (self.pipes[i].tail > call.head).then(|| self.pipe_frame(i, pipe_why::READ));
            }
            To::File => {}
        }
        let at = self.stamp();
        self.wire.put(at, kind::OP_EXIT, task_id(task), &body);
        if let Some(pipe) = behind {
            self.say(kind::PIPE, &pipe);
        }
        self.opening_call_returned(&call, at.ts);
        self.moving_call_returned(&call, at.ts);
    }

    fn opening_call_returned(&mut self, call: &Call, at: u64) {
        let Some(id) = call.opened else { return };
        if call.done == 0 {
            self.book.forget(id);
            return;
        }
        if call.copies {
            self.book.copied(id, at);
        } else if matches!(call.to, To::Pipe(_)) {
            self.book.not_before(id, at);
        }
        self.book.returned(id, at, call.done);
    }

    fn moving_call_returned(&mut self, call: &Call, at: u64) {
        for &id in &call.moved {
            self.book.moved(id, at);
            if call.plain {
                self.book.late(id);
            }
            if call.opaque {
                self.book.unknowable(id);
            }
            match call.to {
                To::File => self.book.read(id),
                To::Pipe(_) => {}
                To::Tcp(_) | To::Packets(_) => self.book.sent(id),
            }
            if call.copies {
                self.book.drop(id, at, ReleasedBy::Copied);
            } else if matches!(call.to, To::File) {
                self.book.drop(id, at, ReleasedBy::PipeDrained);
            } else {
                self.book.not_before(id, at);
                self.book.hand_on(id);
            }
        }
    }
}
