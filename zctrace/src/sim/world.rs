//! The simulated machine: files, tasks, sockets, pipes, and what may happen next.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use zctrace_common::kernel::{Path, Sock, kind};
use zctrace_common::user::RunningChange;

use super::Knobs;
use super::calls::Call;
use super::packet::Packets;
use super::pipe::PipeObject;
use super::rng::Rng;
use super::tcp::{HeadObject, Tcp};
use super::truth::Book;
use super::wire::{Stamp, Wire};
use super::writer::{FILES, FileObject, WRITERS, Writing};
use crate::model::TransferId;

pub(super) const PAGE: u64 = 4096;
pub(super) const DEV: u32 = 8 << 20 | 1;
const TASKS: usize = 6;

/// Consecutive bytes of one file; with an owner, lent by that transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) owner: Option<TransferId>,
    pub(super) ino: u64,
    pub(super) off: u64,
    pub(super) len: u64,
}

impl Piece {
    /// Cuts off the first `n` bytes.
    pub(super) fn take(&mut self, n: u64) -> Self {
        let first = Self { len: n.min(self.len), ..*self };
        self.off += first.len;
        self.len -= first.len;
        first
    }
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) knobs: Knobs,
    pub(super) rng: Rng,
    pub(super) wire: Wire,
    pub(super) book: Book,
    pub(super) calls: Vec<Option<Call>>,
    pub(super) tcps: Vec<Tcp>,
    pub(super) packets: Vec<Packets>,
    pub(super) pipes: Vec<PipeObject>,
    pub(super) heads: BTreeMap<u64, HeadObject>,
    pub(super) files: Vec<FileObject>,
    pub(super) writers: Vec<Option<Writing>>,
    /// Calls of theirs that are over.
    pub(super) called: Vec<(RunningChange, u64, u64)>,
    named: Vec<u64>,
}

/// The low half, as the kernel's 32-bit counters show it.
pub(super) fn low(n: u64) -> u32 {
    u32::try_from(n & u64::from(u32::MAX)).unwrap_or(0)
}

impl World {
    pub(super) fn new(seed: u64, knobs: Knobs) -> Self {
        let mut rng = Rng::new(seed);
        let now = rng.within(1, 1 << 40);
        Self {
            knobs,
            rng,
            wire: Wire::new(now),
            book: Book::default(),
            calls: (0..TASKS).map(|_| None).collect(),
            tcps: Vec::new(),
            packets: Vec::new(),
            pipes: Vec::new(),
            heads: BTreeMap::new(),
            files: vec![FileObject::default(); FILES],
            writers: vec![None; WRITERS],
            called: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Says something; answers when.
    pub(super) fn say(&mut self, kind: u16, body: &impl Pod) -> u64 {
        let at = self.stamp();
        self.wire.put(at, kind, 0, body);
        at.ts
    }

    pub(super) fn stamp(&mut self) -> Stamp {
        self.wire.stamp(&mut self.rng)
    }

    pub(super) fn introduce(&mut self, family: u16, proto: u16, snd_una: u32) -> u64 {
        let at = self.stamp();
        let mut sock = Sock::zeroed();
        (sock.sock, sock.family, sock.proto, sock.snd_una) = (at.id(), family, proto, snd_una);
        (sock.cookie, sock.lport, sock.rport) = (at.id(), 80, 40_000);
        self.wire.put(at, kind::SOCK, 0, &sock);
        at.id()
    }

    pub(super) fn name_file(&mut self, ino: u64) {
        if self.named.contains(&ino) {
            return;
        }
        self.named.push(ino);
        let mut path = Path::zeroed();
        (path.ino, path.dev, path.whole) = (ino, DEV, 1);
        let text = format!("f{ino}\0srv\0");
        path.text[..text.len()].copy_from_slice(text.as_bytes());
        path.used = low(text.len() as u64);
        self.say(kind::PATH, &path);
    }

    /// One thing happens, or nothing if what was drawn is impossible now.
    pub(super) fn step(&mut self) {
        match self.rng.below(100) {
            0..20 => self.begin_some_call(),
            20..42 => {
                let task = self.rng.index(TASKS);
                self.progress(task);
            }
            42..52 => {
                let task = self.rng.index(TASKS);
                self.finish(task);
            }
            52..78 => self.tcp_step(),
            78..86 => self.pipe_step(),
            86..94 => self.packet_step(),
            _ => self.writer_step(),
        }
    }

    /// Everything that has begun comes to its end.
    pub(super) fn wind_up(&mut self) {
        for task in 0..TASKS {
            self.finish(task);
        }
        for i in 0..self.pipes.len() {
            self.pipe_free(i);
        }
        for i in 0..self.tcps.len() {
            self.tcp_wind_up(i);
        }
        for i in 0..self.packets.len() {
            self.packet_wind_up(i);
        }
        self.writers_wind_up();
    }
}
