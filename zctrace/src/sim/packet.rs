//! Sockets without sequence numbers: AF_UNIX (packets go straight to the receiver's queue and are
//! seen only when they are freed) and UDP (seen when they are handed to a device).

use std::collections::VecDeque;

use zctrace_common::kernel::{
    Extent, Head, HeadFree, SockEnd, family, free_flag, head_flag, kind, proto, sock_end,
};

use super::world::{DEV, Piece, World, low};
use crate::model::ReleasedBy;

const MAX: usize = 2;

/// One such socket.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) id: u64,
    pub(super) unix: bool,
    loopback: bool,
    /// Packets in flight or queued: pieces, and the head if it is known.
    queue: VecDeque<(Vec<Piece>, Option<u64>)>,
    pub(super) freed: bool,
    pub(super) writers: u32,
}

impl World {
    pub(super) fn some_packets(&mut self, unix: bool) -> usize {
        let known = self.packets.iter().rposition(|p| p.unix == unix && !p.freed);
        match known {
            Some(i) if self.packets.len() > MAX && !self.rng.chance(5) => i,
            _ => {
                let loopback = self.rng.chance(60);
                let new = Packets { id: 0, unix, loopback, queue: VecDeque::new(), freed: false, writers: 0 };
                self.packets.push(new);
                self.packets.len() - 1
            }
        }
    }

    pub(super) fn packet_track(&mut self, i: usize) -> u64 {
        if self.packets[i].id == 0 {
            let (family, proto) =
                if self.packets[i].unix { (family::UNIX, 0) } else { (family::INET, proto::UDP) };
            self.packets[i].id = self.introduce(family, proto, 0);
        }
        self.packets[i].id
    }

    /// One packet with these bytes.
    pub(super) fn packet_send(&mut self, i: usize, pieces: Vec<Piece>) {
        for owner in pieces.iter().filter_map(|p| p.owner) {
            self.book.hold(owner);
        }
        let lends = pieces.iter().any(|p| p.owner.is_some());
        let flags = if self.packets[i].loopback { head_flag::LOOPBACK } else { 0 };
        let head = (!self.packets[i].unix && lends).then(|| self.packet_head(i, &pieces, flags));
        self.packets[i].queue.push_back((pieces, head));
    }

    fn packet_head(&mut self, i: usize, pieces: &[Piece], flags: u32) -> u64 {
        let at = self.stamp();
        let (head, sock) = (at.id(), self.packets[i].id);
        let len = low(pieces.iter().map(|p| p.len).sum());
        self.wire.put(at, kind::HEAD, 0, &Head { head, sock, seq: 0, len, flags, pad: 0 });
        let mut runs: Vec<Extent> = Vec::new();
        for p in pieces.iter().filter(|p| p.owner.is_some()) {
            match runs.last_mut() {
                Some(x) if x.ino == p.ino && x.off + u64::from(x.len) == p.off => x.len += low(p.len),
                _ => runs.push(Extent {
                    head,
                    ino: p.ino,
                    off: p.off,
                    dev: DEV,
                    len: low(p.len),
                    ..Extent::default()
                }),
            }
        }
        for x in &runs {
            self.say(kind::EXTENT, x);
        }
        head
    }

    pub(super) fn packet_step(&mut self) {
        if self.packets.is_empty() {
            return;
        }
        let i = self.rng.index(self.packets.len());
        if self.rng.chance(3) {
            self.packet_close(i);
        } else {
            self.packet_end(i, 0);
        }
    }

    /// One packet is read, sent or (`extra` says so) dropped.
    fn packet_end(&mut self, i: usize, extra: u32) {
        let socket = &self.packets[i];
        if socket.queue.is_empty() {
            return;
        }
        let (unix, loopback) = (socket.unix, socket.loopback);
        // A byte stream is read in order; datagrams may overtake each other.
        let nth = if unix { 0 } else { self.rng.index(self.packets[i].queue.len()) };
        let Some((pieces, head)) = self.packets[i].queue.remove(nth) else {
            return;
        };
        if !pieces.iter().any(|p| p.owner.is_some()) {
            return;
        }
        let (head, flags, by) = if let Some(head) = head {
            let (flags, by) = match (self.rng.below(10), loopback) {
                (0, _) => (free_flag::DROPPED, ReleasedBy::Drop),
                (1, true) => (free_flag::RX | free_flag::RX_SHUT, ReleasedBy::Close),
                (_, true) => (free_flag::RX, ReleasedBy::ReceiverRead),
                (_, false) => (0, ReleasedBy::TxComplete),
            };
            (head, flags, by)
        } else {
            let by =
                if extra & free_flag::DROPPED != 0 { ReleasedBy::Close } else { ReleasedBy::ReceiverRead };
            (self.packet_head(i, &pieces, head_flag::AT_FREE), extra, by)
        };
        let len = low(pieces.iter().map(|p| p.len).sum());
        let at = self.say(kind::HEAD_FREE, &HeadFree { head, len, snd_una: 0, flags, pad: 0 });
        for owner in pieces.iter().filter_map(|p| p.owner) {
            self.book.drop(owner, at, by);
        }
    }

    fn packet_close(&mut self, i: usize) {
        let socket = &self.packets[i];
        if socket.freed || socket.id == 0 || socket.writers > 0 {
            return;
        }
        while self.packets[i].unix && !self.packets[i].queue.is_empty() {
            self.packet_end(i, free_flag::DROPPED);
        }
        let sock = self.packets[i].id;
        self.say(kind::SOCK_END, &SockEnd { sock, why: sock_end::FREED, snd_una: 0 });
        self.packets[i].freed = true;
    }

    pub(super) fn packet_wind_up(&mut self, i: usize) {
        self.packet_close(i);
        while !self.packets[i].queue.is_empty() {
            self.packet_end(i, 0);
        }
    }
}
