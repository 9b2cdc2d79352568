//! One record in words. Some leave out what an earlier one said, so all of them pass here.

use std::collections::HashMap;
use std::fmt::Write as _;

use zctrace_common::frame::Header;
use zctrace_common::kernel::{
    ChangeEnter, ChangeExit, Head, HeadFree, OpEnter, OpExit, Pipe, Print, change, change_flag, end,
    exit_flag, free_flag, head_flag, notify_flag, op, op_flag, op_more, pipe_why, proc_what, sock_end, when,
};

use crate::event::{Event, pages};
use crate::model::LossWhat;
use crate::text;

/// Where bytes of a file are in the stream of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) sock: u64,
    pub(super) seq: u32,
    pub(super) len: u64,
    pub(super) off: u64,
}

/// What earlier records said.
#[derive(Debug, Default)]
pub(super) struct Words {
    places: Vec<Place>,
    heads: HashMap<u64, Head>,
    /// By socket: the last acknowledgement.
    acked: HashMap<u64, u32>,
    /// By task; requests by their id.
    calls: HashMap<u64, OpEnter>,
    requests: HashMap<u64, OpEnter>,
    /// By id; the task that began it.
    changes: HashMap<u64, (u64, ChangeEnter)>,
    /// By file offset and length: what was lent.
    lent: HashMap<(u64, u64), u64>,
    /// It is memory, and offsets are addresses.
    memory: bool,
}

/// `4096+100`
pub(super) fn range(off: u64, len: u64) -> String {
    text::range(off, (len != u64::MAX).then_some(len))
}

/// `nginx/4242`
pub(super) fn who(comm: &[u8], task: u64) -> String {
    let name = comm.split(|b| *b == 0).next().unwrap_or_default();
    format!("{}/{}", text::shorten(&text::harmless(name), 24), task >> 32)
}

fn call(number: u8) -> &'static str {
    match number {
        op::SENDFILE => "sendfile",
        op::SPLICE => "splice",
        op::TEE => "tee",
        op::VMSPLICE => "vmsplice",
        op::MSG_ZEROCOPY => "send with MSG_ZEROCOPY",
        op::URING_SPLICE => "io_uring splice",
        op::URING_SEND_ZC => "io_uring send_zc",
        op::URING_SENDMSG_ZC => "io_uring sendmsg_zc",
        _ => "a call",
    }
}

fn changing(what: u8, flags: u8) -> &'static str {
    let has = |flag| flags & flag != 0;
    match what {
        change::WRITE if has(change_flag::DIRECT) => "O_DIRECT write",
        change::WRITE if has(change_flag::URING) => "io_uring write",
        change::WRITE => "write",
        change::SPLICE => "splice into the file",
        change::COPY => "copy_file_range",
        change::TRUNCATE => "truncate",
        change::PUNCH => "punch hole",
        change::ZERO => "zero range",
        change::COLLAPSE => "collapse range",
        change::INSERT => "insert range",
        _ => "change",
    }
}

impl Words {
    pub(super) fn new(places: Vec<Place>, memory: bool) -> Self {
        Self { places, memory, ..Self::default() }
    }

    /// Bytes of the transfer.
    fn own(&self, off: u64, len: u64) -> String {
        if self.memory { format!("{off:#x}+{len}") } else { range(off, len) }
    }

    /// Remembers what later records leave out.
    /// Of the transfer itself.
    pub(super) fn lent(&mut self, e: &Event) {
        if let Event::Print(p) = e
            && p.when == when::SUBMIT
        {
            self.lent.extend(pages(p).map(|(off, len, sum)| ((off, len), sum)));
        }
    }

    pub(super) fn learn(&mut self, h: &Header, e: &Event) {
        match e {
            Event::OpEnter(e) if e.more & op_more::REQUEST != 0 => {
                self.requests.insert(h.id(), *e);
            }
            Event::OpEnter(e) => drop(self.calls.insert(h.task, *e)),
            Event::OpExit(x) if x.call != 0 => drop(self.requests.remove(&x.call)),
            Event::OpExit(_) => drop(self.calls.remove(&h.task)),
            Event::OpAt(x) => {
                if let Some(e) = self.requests.get_mut(&x.call) {
                    e.dst_pos = x.dst_pos;
                    if e.src_kind == end::PIPE {
                        e.src_pos = x.src_pos;
                    }
                }
            }
            Event::Head(x) => drop(self.heads.insert(x.head, *x)),
            Event::HeadLen(x) => {
                if let Some(head) = self.heads.get_mut(&x.head) {
                    head.len = x.len;
                }
            }
            Event::HeadFree(x) => {
                if let Some(head) = self.heads.remove(&x.head).filter(|_| x.flags & free_flag::UNA != 0) {
                    self.acked.insert(head.sock, x.snd_una);
                }
            }
            Event::Ack(x) => drop(self.acked.insert(x.sock, x.una)),
            Event::SockEnd(x) if x.why == sock_end::FREED => drop(self.acked.remove(&x.sock)),
            Event::ChangeEnter(c) => drop(self.changes.insert(c.change, (h.task, *c))),
            Event::ChangeExit(x) if x.more == 0 => drop(self.changes.remove(&x.change)),
            _ => {}
        }
    }

    /// What it states.
    pub(super) fn say(&self, h: &Header, e: &Event) -> String {
        match e {
            Event::OpEnter(e) => entered(h, e),
            Event::OpExit(x) => self.returned(h, x),
            Event::OpAt(x) => match self.requests.get(&x.call) {
                Some(e) => format!("{} starts{}", call(e.op), place(e, x.src_pos, x.dst_pos)),
                None => "a request starts whose submission was not seen".into(),
            },
            Event::Notify(n) => {
                let what = match n.flags & (notify_flag::CLAIMS | notify_flag::COPIED) {
                    notify_flag::CLAIMS => "the kernel says that it did not copy",
                    0 => "whether the kernel copied it does not say",
                    _ => "the kernel says that it copied",
                };
                format!("the application is told that its memory is free; {what}")
            }
            Event::Head(x) => {
                let how = match x.flags {
                    f if f & head_flag::AT_FREE != 0 => "packet seen as it is freed",
                    f if f & head_flag::RX != 0 => "packet seen in a receive queue on this machine",
                    f if f & head_flag::SEGMENT != 0 => "segment (software GSO) handed to a device",
                    f if f & head_flag::LOOPBACK != 0 => "packet handed to the loopback device",
                    _ => "packet handed to a device",
                };
                format!("{how}{}", self.head(x, x.len))
            }
            Event::HeadLen(x) => {
                let at = self.heads.get(&x.head).map_or_else(String::new, |head| self.head(head, x.len));
                format!("packet grew, its neighbour was merged into it{at}")
            }
            Event::HeadFree(x) => self.freed(x),
            Event::Ack(x) => format!("acknowledged {}", self.up_to(x.sock, x.una)),
            Event::RxRead(x) => {
                format!("a receiver on this machine has read {}", self.up_to(x.sock, x.copied))
            }
            Event::Retransmit(x) => {
                format!("retransmitted{}", self.span(x.sock, x.seq, x.end.wrapping_sub(x.seq)))
            }
            Event::Extent(x) => format!("packet carries {}", range(x.off, u64::from(x.len))),
            Event::SockEnd(x) => match x.why {
                sock_end::RESET => "the peer reset the connection".into(),
                sock_end::CLOSE => "connection closed: nothing unsent will ever be sent".into(),
                _ => "the socket was freed".into(),
            },
            Event::Pipe(p) => pipe(p),
            Event::MapFull(_) => "a kernel map had no room: something is not tracked".into(),
            Event::Proc(p) if p.what == proc_what::EXIT => {
                format!("process {} ended; the return of a call of it was not seen", p.pid)
            }
            Event::ChangeEnter(c) => began(h, c),
            Event::ChangeExit(x) => self.ended(h, x),
            Event::Dirtied(d) => {
                let how = if d.mapped == 0 { "" } else { " (the file has a shared writable mapping)" };
                let (who, range) = (who(&d.comm, h.task), range(d.off, d.len));
                format!("page made dirty outside of any call that writes, by {who}: {range}{how}")
            }
            Event::Removed(r) => {
                format!("page left the page cache, by {}: {}", who(&r.comm, h.task), range(r.off, r.len))
            }
            Event::Print(p) => self.looked(p),
            Event::Mapped(_) => {
                format!("pid {} made a shared writable mapping of the file", h.task >> 32)
            }
            Event::Loss(l) => text::loss_sentence(LossWhat::of(l.what), l.records),
            Event::Running(..) => "said after a loss: a call that changes the file still runs".into(),
            // Of nothing else does the engine say that it matters to a transfer.
            _ => "another record".into(),
        }
    }

    fn returned(&self, h: &Header, x: &OpExit) -> String {
        let known = if x.call == 0 { self.calls.get(&h.task) } else { self.requests.get(&x.call) };
        let Some(e) = known else {
            return "a call returned whose entry was not seen".into();
        };
        let name = call(e.op);
        if x.ret < 0 {
            return format!("{name} failed with errno {}", x.ret.unsigned_abs());
        }
        let mut text = format!("{name} returned {}", x.ret);
        let (from, to) = (e.dst_pos, x.dst_pos);
        match e.dst_kind {
            end::SOCK if to != 0 => drop(write!(text, ", seq {from}..{to}")),
            end::PIPE => drop(write!(text, ", pipe slots {from}..{to}")),
            _ => {}
        }
        if e.src_kind == end::PIPE {
            let _ = write!(text, ", taken from pipe slots {}..{}", e.src_pos, x.src_pos);
        }
        text
    }

    fn freed(&self, x: &HeadFree) -> String {
        let has = |flag| x.flags & flag != 0;
        let head = self.heads.get(&x.head);
        let mut text = format!("skb head freed{}", head.map_or_else(String::new, |h| self.head(h, h.len)));
        for (flag, words) in [
            (free_flag::RX_SHUT, "its receiver was shut down, the bytes unread"),
            (free_flag::RX_OOO, "received out of order: where its pages went could not be followed"),
            (free_flag::RX_SPLICED, "somebody splices from its receiver: pages may live on in a pipe"),
            (free_flag::DROPPED, "dropped"),
            (free_flag::REUSED, "only known from the memory's next use"),
            (free_flag::MOVED, "its pages had moved to another packet"),
            (free_flag::REPLACED, "copies had taken the place of its pages"),
        ] {
            if has(flag) {
                let _ = write!(text, "; {words}");
            }
        }
        if has(free_flag::RX) && !has(free_flag::RX_SHUT | free_flag::MOVED) {
            text.push_str("; it was in a receive queue on this machine");
        }
        let news = |h: &&Head| has(free_flag::UNA) && self.acked.get(&h.sock) != Some(&x.snd_una);
        if let Some(head) = head.filter(news) {
            let _ = write!(text, "; acknowledged {}", self.up_to(head.sock, x.snd_una));
        }
        text
    }

    fn looked(&self, p: &Print) -> String {
        let of = if self.memory && p.off < 4096 {
            format!("{} bytes", p.len)
        } else {
            self.own(p.off, u64::from(p.len))
        };
        let moment = match p.when {
            when::SUBMIT => return format!("looked at before they are lent: {of}"),
            when::RETURN => return format!("looked at where the call stopped: {of}"),
            when::XMIT => "looked at on the way to the device",
            when::READ => "looked at once the receiver had copied it",
            _ => "looked at when let go of",
        };
        let mut known: Vec<(u64, u64, bool)> = Vec::new();
        let mut unknown = 0;
        for (off, len, sum) in pages(p) {
            let Some(lent) = self.lent.get(&(off, len)) else {
                unknown += 1;
                continue;
            };
            match known.last_mut() {
                Some((from, n, same)) if *from + *n == off && *same == (*lent == sum) => *n += len,
                _ => known.push((off, len, *lent == sum)),
            }
        }
        let mut text = format!("{moment}: {of}");
        for (off, len, same) in known {
            let what = if same { "as it was lent" } else { "CHANGED since it was lent" };
            let _ = write!(text, "; {} {what}", self.own(off, len));
        }
        if unknown > 0 {
            text.push_str("; parts of pages, compared once they make whole ones");
        }
        text
    }

    fn ended(&self, h: &Header, x: &ChangeExit) -> String {
        let text = match self.changes.get(&x.change) {
            Some((task, c)) => format!("{} by {}", changing(c.what, c.flags), who(&c.comm, *task)),
            None => format!("a change by pid {}, its beginning not seen,", h.task >> 32),
        };
        if x.ino == 0 || x.len == 0 {
            return format!("{text} ended: it changed nothing here");
        }
        let mut text = format!("{text} of {} ended", range(x.off, x.len));
        if x.errno != 0 {
            let _ = write!(text, " with errno {}: bytes may have changed", x.errno.unsigned_abs());
        }
        if x.flags & exit_flag::REMOVED != 0 {
            text.push_str("; pages left the page cache by it");
        }
        text
    }

    fn head(&self, x: &Head, len: u32) -> String {
        if x.flags & head_flag::SEQ == 0 { String::new() } else { self.span(x.sock, x.seq, len) }
    }

    /// `: seq 10..20, bytes 4096+10`
    fn span(&self, sock: u64, seq: u32, len: u32) -> String {
        let bytes = self.bytes(sock, seq, len);
        let bytes = bytes.map_or_else(String::new, |(off, len)| format!(", bytes {}", self.own(off, len)));
        format!(": seq {seq}..{}{bytes}", seq.wrapping_add(len))
    }

    /// The file bytes of the transfer in these sequence numbers.
    fn bytes(&self, sock: u64, seq: u32, len: u32) -> Option<(u64, u64)> {
        let mut found: Option<(u64, u64)> = None;
        for p in self.places.iter().filter(|p| p.sock == sock) {
            let from = distance(p.seq, seq);
            let to = u64::try_from(from.saturating_add(i64::from(len))).unwrap_or(0).min(p.len);
            let from = u64::try_from(from).unwrap_or(0);
            if from < to {
                let (from, to) = (p.off.saturating_add(from), p.off.saturating_add(to));
                found = Some(found.map_or((from, to), |(a, b)| (a.min(from), b.max(to))));
            }
        }
        found.map(|(from, to)| (from, to - from))
    }

    /// `up to seq 20, 10 of 16 bytes`
    fn up_to(&self, sock: u64, seq: u32) -> String {
        let (mut past, mut all) = (0, 0);
        for p in self.places.iter().filter(|p| p.sock == sock) {
            past += u64::try_from(distance(p.seq, seq)).unwrap_or(0).min(p.len);
            all += p.len;
        }
        match (past, all) {
            (_, 0) => format!("up to seq {seq}"),
            _ if past == all => format!("up to seq {seq}: all its bytes"),
            _ => format!("up to seq {seq}: {past} of its {all} bytes"),
        }
    }
}

/// From `a` to `b`, where numbers wrap.
fn distance(a: u32, b: u32) -> i64 {
    i64::from(b.wrapping_sub(a).cast_signed())
}

fn entered(h: &Header, e: &OpEnter) -> String {
    let how = if e.more & op_more::REQUEST == 0 { "entered" } else { "submitted" };
    let mut text = format!("{} by {} {how}:", call(e.op), who(&e.comm, h.task));
    match e.src_kind {
        end::FILE => drop(write!(text, " {} of the file", range(e.src_pos, e.count))),
        end::MEMORY if e.ino != 0 => {
            let _ = write!(text, " {} of the file, mapped at {:#x}", range(e.src_pos, e.count), e.addr);
        }
        end::MEMORY => drop(write!(text, " {} bytes of memory at {:#x}", e.count, e.addr)),
        _ => drop(write!(text, " {} bytes", e.count)),
    }
    text.push_str(&if e.more & op_more::QUEUED == 0 {
        place(e, e.src_pos, e.dst_pos)
    } else {
        " once it starts".into()
    });
    for (flag, words) in [
        (op_flag::DIRECT, "the file is open with O_DIRECT: copied"),
        (op_flag::COPY_READ, "this file system copies"),
        (op_flag::NO_SG, "the route cannot take pages"),
        (op_flag::ULP, "an upper-layer protocol hides its pages"),
        (op_flag::TLS, "kTLS encrypts in software: copied, once a record is closed"),
    ] {
        if e.flags & flag != 0 {
            let _ = write!(text, "; {words}");
        }
    }
    if e.more & op_more::NOT_ASKED != 0 {
        text.push_str("; the socket has no SO_ZEROCOPY: copied");
    }
    text
}

/// Where an operation begins, from and to.
fn place(e: &OpEnter, from: u64, to: u64) -> String {
    let mut text = String::new();
    if e.src_kind == end::PIPE {
        let _ = write!(text, " from a pipe, slot {from},");
    }
    match e.dst_kind {
        end::SOCK if to != 0 => drop(write!(text, " to a socket, seq {to}")),
        end::SOCK => text.push_str(" to a socket"),
        end::PIPE => drop(write!(text, " to a pipe, slot {to}")),
        _ => text.push_str(" to neither socket nor pipe"),
    }
    text
}

fn began(h: &Header, c: &ChangeEnter) -> String {
    let mut text = format!("{} by {}", changing(c.what, c.flags), who(&c.comm, h.task));
    if c.flags & change_flag::BY_PATH == 0 {
        let _ = write!(text, " of {}", range(c.off, c.len));
    }
    let late = c.flags & change_flag::LATE != 0;
    text.push_str(if late { " had begun before the file was watched" } else { " began" });
    text
}

fn pipe(p: &Pipe) -> String {
    match p.why {
        pipe_why::READ => format!("pipe read: everything before slot {} is gone", p.tail),
        pipe_why::FREED => format!("pipe gone, every end is closed: slots {}..{} with it", p.tail, p.head),
        pipe_why::RESIZED => "pipe resized: its slots are numbered anew".into(),
        _ => "pipe seen for the first time".into(),
    }
}
