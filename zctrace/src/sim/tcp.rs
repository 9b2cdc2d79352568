//! TCP: write queue, retransmission queue, flight, receive queue; heads shared between them.

use std::collections::VecDeque;

use zctrace_common::kernel::{
    Ack, Head, HeadFree, HeadLen, Retransmit, RxRead, SockEnd, family, free_flag, head_flag, kind, proto,
    sock_end,
};

use super::world::{World, low};
use crate::model::{ReleasedBy, TransferId};

const MAX_TCPS: usize = 4;

/// Lent bytes of one transfer in a byte stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frag {
    owner: TransferId,
    start: u64,
    end: u64,
}

#[derive(Clone, Debug)]
struct Skb {
    start: u64,
    end: u64,
    frags: Vec<Frag>,
    head: Option<u64>,
}

impl Skb {
    fn lends(&self) -> bool {
        !self.frags.is_empty()
    }

    /// Cuts it at `at`; answers the tail.
    fn split(&mut self, at: u64) -> Self {
        let frags = cut(&mut self.frags, at);
        let tail = Self { start: at, end: self.end, frags, head: None };
        self.end = at;
        tail
    }
}

fn cut(frags: &mut Vec<Frag>, at: u64) -> Vec<Frag> {
    let tail = frags.iter().filter(|f| f.end > at).map(|f| Frag { start: f.start.max(at), ..*f }).collect();
    frags.retain(|f| f.start < at);
    frags.iter_mut().for_each(|f| f.end = f.end.min(at));
    tail
}

/// `skb->head`, and who still points at it.
#[derive(Debug)]
pub(super) struct HeadObject {
    tcp: usize,
    start: u64,
    end: u64,
    /// Up to here the world was told that it holds bytes.
    told: u64,
    frags: Vec<Frag>,
    /// The retransmission queue.
    rtx: bool,
    /// The clone: a device, a flight, a receive queue, or a CPU where it is parked.
    clone: bool,
    rx: bool,
    odd: u32,
    merged_into: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    start: u64,
    end: u64,
    head: Option<u64>,
}

/// One connection, both ends.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) id: u64,
    loopback: bool,
    pub(super) copies: bool,
    pub(super) opaque: bool,
    pub(super) tls: bool,
    snd_una: u64,
    snd_nxt: u64,
    pub(super) write_seq: u64,
    told_ack: u64,
    told_read: u64,
    /// Lent bytes that are not known to be acknowledged.
    queued: Vec<Frag>,
    wq: VecDeque<Skb>,
    rtx: VecDeque<Skb>,
    flight: VecDeque<Packet>,
    rxq: VecDeque<Packet>,
    parked: Vec<u64>,
    rcv_nxt: u64,
    copied: u64,
    rx_shut: bool,
    reset: bool,
    pub(super) closed: bool,
    pub(super) freed: bool,
    pub(super) writers: u32,
}

impl World {
    pub(super) fn some_tcp(&mut self) -> usize {
        if self.tcps.len() < MAX_TCPS || self.rng.chance(5) {
            let near_wrap = (1 << 32) - self.rng.within(1, 300_000);
            let first = if self.rng.chance(50) { near_wrap } else { self.rng.below(1 << 32) };
            self.tcps.push(Tcp {
                id: 0,
                loopback: self.rng.chance(70),
                copies: self.rng.chance(5),
                opaque: self.rng.chance(3),
                tls: self.rng.chance(5),
                snd_una: first,
                snd_nxt: first,
                write_seq: first,
                told_ack: first,
                told_read: 0,
                queued: Vec::new(),
                wq: VecDeque::new(),
                rtx: VecDeque::new(),
                flight: VecDeque::new(),
                rxq: VecDeque::new(),
                parked: Vec::new(),
                rcv_nxt: first,
                copied: first,
                rx_shut: false,
                reset: false,
                closed: false,
                freed: false,
                writers: 0,
            });
        }
        // Most likely one of the newest.
        let back = self.rng.index(MAX_TCPS.min(self.tcps.len()));
        self.tcps.len() - 1 - back
    }

    pub(super) fn tcp_track(&mut self, i: usize) -> u64 {
        if self.tcps[i].id == 0 {
            let una = self.tcps[i].snd_una;
            self.tcps[i].id = self.introduce(family::INET, proto::TCP, low(una));
            self.tcps[i].told_ack = una;
        }
        self.tcps[i].id
    }

    /// Bytes enter the write queue.
    pub(super) fn tcp_write(&mut self, i: usize, owner: Option<TransferId>, n: u64) {
        let append = self.rng.chance(40);
        let tcp = &mut self.tcps[i];
        let (start, end) = (tcp.write_seq, tcp.write_seq + n);
        tcp.write_seq = end;
        let frags: Vec<Frag> = owner.map(|owner| Frag { owner, start, end }).into_iter().collect();
        tcp.queued.extend(&frags);
        if let Some(owner) = owner {
            self.book.hold(owner);
        }
        match tcp.wq.back_mut() {
            Some(last) if append && last.lends() == owner.is_some() && end - last.start <= 1 << 16 => {
                last.end = end;
                last.frags.extend(frags);
            }
            _ => tcp.wq.push_back(Skb { start, end, frags, head: None }),
        }
    }

    pub(super) fn tcp_step(&mut self) {
        if self.tcps.is_empty() {
            return;
        }
        let i = self.rng.index(self.tcps.len());
        let what = self.rng.below(100);
        let tcp = &self.tcps[i];
        match what {
            0..30 if !tcp.closed => self.tcp_transmit(i),
            30..52 => self.tcp_arrive(i),
            52..70 if !tcp.closed => {
                let (from, to) = (tcp.snd_una, if tcp.loopback { tcp.rcv_nxt } else { tcp.snd_nxt });
                // Mostly whole packets.
                let whole = if self.rng.chance(80) { to } else { self.rng.within(from, to) };
                self.tcp_ack(i, whole);
            }
            70..86 => self.tcp_read(i),
            86..89 => self.tcp_unpark(i),
            89..92 if !tcp.closed && !tcp.loopback => self.tcp_retransmit(i),
            92..94 if tcp.writers == 0 && !tcp.closed => {
                let n = self.rng.within(1, 3000);
                self.tcp_write(i, None, n);
            }
            94..96 => self.tcp_shut_receiver(i),
            96 if !tcp.closed && tcp.id != 0 => self.tcp_close(i, true),
            97 if !tcp.closed && tcp.id != 0 && tcp.writers == 0 => self.tcp_close(i, false),
            98 => self.tcp_free(i),
            _ => {}
        }
    }

    fn tcp_head(&mut self, i: usize, start: u64, end: u64, frags: Vec<Frag>, rtx: bool, flags: u32) -> u64 {
        let at = self.stamp();
        let loopback = if self.tcps[i].loopback { head_flag::LOOPBACK } else { 0 };
        let flags = flags | loopback | head_flag::SEQ;
        let (sock, seq, len) = (self.tcps[i].id, low(start), low(end - start));
        self.wire.put(at, kind::HEAD, 0, &Head { head: at.id(), sock, seq, len, flags, pad: 0 });
        for f in &frags {
            self.book.hold(f.owner);
        }
        self.heads.insert(
            at.id(),
            HeadObject {
                tcp: i,
                start,
                end,
                told: end,
                frags,
                rtx,
                clone: true,
                rx: false,
                odd: 0,
                merged_into: None,
            },
        );
        at.id()
    }

    fn tcp_transmit(&mut self, i: usize) {
        let Some(mut skb) = self.tcps[i].wq.pop_front() else {
            return;
        };
        if skb.end - skb.start > 1 && self.rng.chance(25) {
            let at = self.rng.within(skb.start + 1, skb.end - 1);
            let tail = skb.split(at);
            self.tcps[i].wq.push_front(tail);
        }
        self.tcps[i].snd_nxt = skb.end;
        if !skb.lends() {
            let packet = Packet { start: skb.start, end: skb.end, head: None };
            self.tcps[i].flight.push_back(packet);
            self.tcps[i].rtx.push_back(skb);
            return;
        }
        let head = self.tcp_head(i, skb.start, skb.end, skb.frags.clone(), true, 0);
        skb.head = Some(head);
        if skb.end - skb.start > 1 && self.rng.chance(15) {
            // Software GSO: the segments have heads of their own, with the same pages.
            self.heads.entry(head).and_modify(|h| h.clone = false);
            let middle = self.rng.within(skb.start + 1, skb.end - 1);
            let mut first = skb.clone();
            let second = first.split(middle);
            for part in [first, second] {
                let segment = self.tcp_head(i, part.start, part.end, part.frags, false, head_flag::SEGMENT);
                self.tcps[i].flight.push_back(Packet {
                    start: part.start,
                    end: part.end,
                    head: Some(segment),
                });
            }
        } else {
            self.tcps[i].flight.push_back(Packet { start: skb.start, end: skb.end, head: Some(head) });
        }
        self.tcps[i].rtx.push_back(skb);
    }

    /// A packet reaches the receive queue, or leaves the device for another machine.
    fn tcp_arrive(&mut self, i: usize) {
        let Some(packet) = self.tcps[i].flight.pop_front() else {
            return;
        };
        if !self.tcps[i].loopback {
            packet.head.into_iter().for_each(|h| self.drop_clone(h));
            return;
        }
        self.tcps[i].rcv_nxt = packet.end;
        if let Some(head) = packet.head {
            let odd = match self.rng.below(100) {
                0 => free_flag::RX_OOO,
                1 => free_flag::RX_SPLICED,
                _ => 0,
            };
            self.heads.entry(head).and_modify(|h| (h.rx, h.odd) = (true, h.odd | odd));
        }
        if self.tcps[i].rx_shut {
            packet.head.into_iter().for_each(|h| self.drop_clone(h));
            return;
        }
        let last = self.tcps[i].rxq.back().copied();
        if let (Some(last), Some(from)) = (last, packet.head)
            && let Some(into) = last.head
            && self.heads.get(&into).is_some_and(|h| h.end == packet.start)
            && self.rng.chance(40)
        {
            self.coalesce(from, into);
            if let Some(last) = self.tcps[i].rxq.back_mut() {
                last.end = packet.end;
            }
            return;
        }
        self.tcps[i].rxq.push_back(packet);
    }

    /// `skb_try_coalesce()`: `into` takes over (or shares) the pages of `from`.
    fn coalesce(&mut self, from: u64, into: u64) {
        let Some(source) = self.heads.get_mut(&from) else {
            return;
        };
        source.merged_into = Some(into);
        let (frags, end, stolen) = (source.frags.clone(), source.end, !source.rtx);
        for f in &frags {
            self.book.hold(f.owner);
        }
        if let Some(target) = self.heads.get_mut(&into) {
            target.frags.extend(frags);
            target.end = end;
        }
        if stolen {
            self.free_head(from, free_flag::MOVED);
        } else {
            self.drop_clone(from);
        }
    }

    fn tcp_ack(&mut self, i: usize, una: u64) {
        if una <= self.tcps[i].snd_una {
            return;
        }
        self.tcps[i].snd_una = una;
        // Outside ESTABLISHED nothing shows the acknowledgement but the frees it causes.
        let silent = self.rng.chance(20)
            && self.tcps[i]
                .rtx
                .iter()
                .filter(|s| s.start < una && s.lends())
                .all(|s| s.end <= una && s.head.is_some_and(|h| !self.tcps[i].parked.contains(&h)));
        if self.tcps[i].id != 0 && !silent {
            let at = self.say(kind::ACK, &Ack { sock: self.tcps[i].id, una: low(una), pad: 0 });
            self.told_ack(i, una, at);
        }
        while self.tcps[i].rtx.front().is_some_and(|s| s.end <= una) {
            if let Some(head) = self.tcps[i].rtx.pop_front().and_then(|s| s.head) {
                self.drop_rtx(head);
            }
        }
    }

    fn told_ack(&mut self, i: usize, una: u64, at: u64) {
        let tcp = &mut self.tcps[i];
        if una <= tcp.told_ack {
            return;
        }
        tcp.told_ack = una;
        for f in tcp.queued.extract_if(.., |f| f.end <= una) {
            self.book.drop(f.owner, at, ReleasedBy::Ack);
        }
        self.sweep(i, at, ReleasedBy::Ack);
    }

    /// What is acknowledged and read by a receiver on this machine nobody reads again.
    fn sweep(&mut self, i: usize, at: u64, by: ReleasedBy) {
        let over = self.tcps[i].told_read.min(self.tcps[i].told_ack);
        for head in self.heads.values_mut().filter(|h| h.tcp == i) {
            for f in head.frags.extract_if(.., |f| f.end <= over) {
                self.book.drop(f.owner, at, by);
            }
        }
    }

    fn tcp_read(&mut self, i: usize) {
        let Some(first) = self.tcps[i].rxq.front().copied() else {
            return;
        };
        let n = if self.rng.chance(70) { first.end } else { self.rng.within(self.tcps[i].copied, first.end) };
        self.tcps[i].copied = self.tcps[i].copied.max(n);
        // On another CPU than the one it came from, the free is put off, and a frame says so.
        let park = self.rng.chance(25) && self.tcps[i].id != 0 && first.head.is_some();
        if park && self.tcps[i].copied > self.tcps[i].told_read {
            let (sock, copied) = (self.tcps[i].id, self.tcps[i].copied);
            let at = self.say(kind::RX_READ, &RxRead { sock, copied: low(copied), pad: 0 });
            self.tcps[i].told_read = copied;
            self.sweep(i, at, ReleasedBy::ReceiverRead);
        }
        if self.tcps[i].copied < first.end {
            return;
        }
        self.tcps[i].rxq.pop_front();
        if let Some(head) = first.head {
            if park {
                self.tcps[i].parked.push(head);
            } else {
                self.drop_clone(head);
            }
        }
    }

    fn tcp_unpark(&mut self, i: usize) {
        if !self.tcps[i].parked.is_empty() {
            let head = self.tcps[i].parked.remove(0);
            self.drop_clone(head);
        }
    }

    fn tcp_retransmit(&mut self, i: usize) {
        if self.tcps[i].rtx.is_empty() {
            return;
        }
        let n = self.rng.index(self.tcps[i].rtx.len());
        let mut skb = self.tcps[i].rtx[n].clone();
        if !skb.lends() || skb.start < self.tcps[i].snd_una {
            return;
        }
        if let Some(head) = skb.head {
            if self.heads.get(&head).is_none_or(|h| h.clone) {
                return;
            }
            if skb.end - skb.start > 1 && self.rng.chance(50) {
                // tcp_fragment(): the tail's pages move to a head that nobody has seen yet.
                let at = self.rng.within(skb.start + 1, skb.end - 1);
                let tail = skb.split(at);
                self.tcps[i].rtx[n] = skb.clone();
                self.tcps[i].rtx.insert(n + 1, tail);
                if let Some(h) = self.heads.get_mut(&head) {
                    for f in h.frags.extract_if(.., |f| f.start >= at) {
                        self.book.hand_on(f.owner);
                    }
                    h.frags.iter_mut().for_each(|f| f.end = f.end.min(at));
                    (h.end, h.told) = (at, at);
                }
            }
            self.heads.entry(head).and_modify(|h| h.clone = true);
        }
        let (sock, seq, end) = (self.tcps[i].id, low(skb.start), low(skb.end));
        self.say(kind::RETRANSMIT, &Retransmit { sock, seq, end });
        let head = match skb.head {
            Some(head) => {
                let flags = head_flag::SEQ | head_flag::AGAIN;
                let len = low(skb.end - skb.start);
                self.say(kind::HEAD, &Head { head, sock, seq, len, flags, pad: 0 });
                head
            }
            None => self.tcp_head(i, skb.start, skb.end, skb.frags.clone(), true, 0),
        };
        self.tcps[i].rtx[n].head = Some(head);
        self.tcps[i].flight.push_back(Packet { start: skb.start, end: skb.end, head: Some(head) });
    }

    fn tcp_shut_receiver(&mut self, i: usize) {
        if !self.tcps[i].loopback || self.tcps[i].rx_shut {
            return;
        }
        self.tcps[i].rx_shut = true;
        while let Some(packet) = self.tcps[i].rxq.pop_front() {
            packet.head.into_iter().for_each(|h| self.drop_clone(h));
        }
    }

    /// The connection ends, with or without a reset from the peer.
    fn tcp_close(&mut self, i: usize, reset: bool) {
        let (sock, snd_una) = (self.tcps[i].id, low(self.tcps[i].snd_una));
        if reset {
            self.tcps[i].reset = true;
            self.say(kind::SOCK_END, &SockEnd { sock, why: sock_end::RESET, snd_una });
            self.tcp_purge(i);
        }
        let at = self.say(kind::SOCK_END, &SockEnd { sock, why: sock_end::CLOSE, snd_una });
        self.tcps[i].closed = true;
        let una = self.tcps[i].snd_una;
        self.told_ack(i, una, at);
        let by = if reset { ReleasedBy::Reset } else { ReleasedBy::Close };
        for f in std::mem::take(&mut self.tcps[i].queued) {
            self.book.drop(f.owner, at, by);
        }
        self.tcp_purge(i);
    }

    fn tcp_purge(&mut self, i: usize) {
        self.tcps[i].wq.clear();
        while let Some(skb) = self.tcps[i].rtx.pop_front() {
            skb.head.into_iter().for_each(|h| self.drop_rtx(h));
        }
    }

    fn tcp_free(&mut self, i: usize) {
        let tcp = &self.tcps[i];
        let quiet = tcp.wq.is_empty() && tcp.rtx.is_empty() && tcp.queued.is_empty();
        if tcp.freed || tcp.id == 0 || tcp.writers > 0 || !(tcp.closed || quiet) {
            return;
        }
        self.say(kind::SOCK_END, &SockEnd { sock: tcp.id, why: sock_end::FREED, snd_una: 0 });
        (self.tcps[i].closed, self.tcps[i].freed) = (true, true);
    }

    pub(super) fn tcp_wind_up(&mut self, i: usize) {
        if self.tcps[i].id != 0 && !self.tcps[i].closed {
            let reset = self.rng.chance(30);
            self.tcp_close(i, reset);
        }
        while !self.tcps[i].flight.is_empty() {
            self.tcp_arrive(i);
        }
        while !self.tcps[i].rxq.is_empty() {
            self.tcp_read(i);
        }
        while !self.tcps[i].parked.is_empty() {
            self.tcp_unpark(i);
        }
        self.tcp_free(i);
    }

    fn drop_clone(&mut self, head: u64) {
        if let Some(h) = self.heads.get_mut(&head) {
            h.clone = false;
            if !h.rtx {
                self.free_head(head, 0);
            }
        }
    }

    fn drop_rtx(&mut self, head: u64) {
        if let Some(h) = self.heads.get_mut(&head) {
            h.rtx = false;
            if !h.clone {
                self.free_head(head, 0);
            }
        }
    }

    fn free_head(&mut self, id: u64, moved: u32) {
        let Some(head) = self.heads.get(&id) else {
            return;
        };
        let (i, odd, len, told) = (head.tcp, head.odd, low(head.end - head.start), head.told);
        let (rx, shut) = (head.rx, head.rx && self.tcps[i].rx_shut);
        if let Some(into) = head.merged_into
            && let Some(target) = self.heads.get_mut(&into)
            && target.told < target.end
        {
            target.told = target.end;
            let len = low(target.end - target.start);
            self.say(kind::HEAD_LEN, &HeadLen { head: into, len, pad: 0, sock: self.tcps[i].id });
        }
        let tcp = &self.tcps[i];
        let (snd_una, freed) = (tcp.snd_una, tcp.freed);
        let by = match () {
            () if tcp.told_read >= told => ReleasedBy::ReceiverRead,
            () if shut => ReleasedBy::Close,
            () if rx => ReleasedBy::ReceiverRead,
            () if tcp.reset => ReleasedBy::Reset,
            () if tcp.closed && tcp.told_ack < told => ReleasedBy::Close,
            () if tcp.loopback => ReleasedBy::ReceiverRead,
            () if tcp.told_ack >= told => ReleasedBy::TxComplete,
            () => ReleasedBy::Ack,
        };
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let flags = moved
            | odd
            | flag(rx, free_flag::RX)
            | flag(shut, free_flag::RX_SHUT)
            | flag(!freed, free_flag::UNA);
        let len = if moved == 0 { len } else { 0 };
        let at = self.say(kind::HEAD_FREE, &HeadFree { head: id, len, snd_una: low(snd_una), flags, pad: 0 });
        if !freed {
            self.told_ack(i, snd_una, at);
        }
        let Some(head) = self.heads.remove(&id) else {
            return;
        };
        if odd != 0 {
            for f in head.frags.iter().filter(|f| f.start < told) {
                self.book.unknowable(f.owner);
            }
        }
        for f in &head.frags {
            self.book.drop(f.owner, at, by);
        }
    }
}
