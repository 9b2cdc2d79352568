//! Pipes: a ring of buffers, one page each.

use std::collections::VecDeque;

use zctrace_common::kernel::{Pipe, kind, pipe_why};

use super::world::{PAGE, Piece, World, low};
use crate::model::ReleasedBy;

const MAX: usize = 3;
const SLOTS: usize = 16;

/// `struct pipe_inode_info`. Each buffer with an owner is one reference.
#[derive(Debug)]
pub(super) struct PipeObject {
    pub(super) id: u64,
    pub(super) head: u64,
    pub(super) tail: u64,
    pub(super) bufs: VecDeque<Piece>,
    pub(super) freed: bool,
    pub(super) producers: u32,
    pub(super) consumers: u32,
}

impl PipeObject {
    pub(super) fn room(&self) -> usize {
        SLOTS.saturating_sub(self.bufs.len())
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.bufs.push_back(piece);
        self.head += 1;
    }

    /// Takes up to `n` bytes of the first buffer; whether that was the rest of it.
    pub(super) fn take(&mut self, n: u64) -> Option<(Piece, bool)> {
        let first = self.bufs.front_mut()?;
        let piece = first.take(n);
        let empty = first.len == 0;
        if empty {
            self.bufs.pop_front();
            self.tail += 1;
        }
        Some((piece, empty))
    }

    /// `offset` of the buffer at the tail.
    pub(super) fn offset(&self) -> u32 {
        self.bufs.front().map_or(0, |b| low(b.off % PAGE))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bufs.iter().map(|b| b.len).sum()
    }

    pub(super) fn all_lent(&self) -> bool {
        !self.bufs.is_empty() && self.bufs.iter().all(|b| b.owner.is_some())
    }
}

impl World {
    pub(super) fn some_pipe(&mut self) -> usize {
        let known = self.pipes.iter().filter(|p| !p.freed).count();
        if known < MAX {
            let tail = if self.rng.chance(40) {
                (1 << 32) - self.rng.within(1, 40)
            } else {
                self.rng.below(1 << 20)
            };
            let new = PipeObject {
                id: 0,
                head: tail,
                tail,
                bufs: VecDeque::new(),
                freed: false,
                producers: 0,
                consumers: 0,
            };
            self.pipes.push(new);
            return self.pipes.len() - 1;
        }
        loop {
            let i = self.rng.index(self.pipes.len());
            if !self.pipes[i].freed {
                return i;
            }
        }
    }

    pub(super) fn pipe_track(&mut self, i: usize) -> u64 {
        if self.pipes[i].id == 0 {
            let at = self.stamp();
            self.pipes[i].id = at.id();
            let body = self.pipe_frame(i, pipe_why::NEW);
            self.wire.put(at, kind::PIPE, 0, &body);
        }
        self.pipes[i].id
    }

    pub(super) fn pipe_frame(&self, i: usize, why: u32) -> Pipe {
        let p = &self.pipes[i];
        Pipe { pipe: p.id, head: low(p.head), tail: low(p.tail), off: p.offset(), why }
    }

    pub(super) fn pipe_step(&mut self) {
        if self.pipes.is_empty() {
            return;
        }
        let i = self.rng.index(self.pipes.len());
        match self.rng.below(100) {
            0..70 => self.pipe_read(i),
            70..80 => self.pipe_write(i),
            80..95 => self.pipe_free(i),
            _ => self.pipe_resize(i),
        }
    }

    /// `read(2)`
    fn pipe_read(&mut self, i: usize) {
        let pipe = &self.pipes[i];
        if pipe.freed || pipe.consumers > 0 || pipe.bufs.is_empty() {
            return;
        }
        let bytes = pipe.bytes();
        let mut n = if self.rng.chance(50) { bytes } else { self.rng.within(1, bytes) };
        let mut gone = Vec::new();
        while n > 0 {
            let Some((piece, empty)) = self.pipes[i].take(n) else {
                break;
            };
            n -= piece.len;
            if let Some(owner) = piece.owner {
                self.book.read(owner);
                gone.extend(empty.then_some(owner));
            }
        }
        if self.pipes[i].id == 0 {
            return;
        }
        let body = self.pipe_frame(i, pipe_why::READ);
        let at = self.say(kind::PIPE, &body);
        for owner in gone {
            self.book.drop(owner, at, ReleasedBy::PipeDrained);
        }
    }

    /// `write(2)`
    fn pipe_write(&mut self, i: usize) {
        let pipe = &self.pipes[i];
        if !pipe.freed && pipe.producers == 0 && pipe.room() > 0 {
            let len = self.rng.within(1, PAGE);
            self.pipes[i].push(Piece { owner: None, ino: 0, off: 0, len });
        }
    }

    /// The last end is closed.
    pub(super) fn pipe_free(&mut self, i: usize) {
        let pipe = &self.pipes[i];
        if pipe.freed || pipe.producers + pipe.consumers > 0 {
            return;
        }
        self.pipes[i].freed = true;
        if self.pipes[i].id == 0 {
            return;
        }
        let mut body = self.pipe_frame(i, pipe_why::FREED);
        body.off = 0;
        let at = self.say(kind::PIPE, &body);
        for owner in std::mem::take(&mut self.pipes[i].bufs).into_iter().filter_map(|b| b.owner) {
            self.book.drop(owner, at, ReleasedBy::Close);
        }
    }

    fn pipe_resize(&mut self, i: usize) {
        let pipe = &mut self.pipes[i];
        if pipe.freed || pipe.id == 0 || pipe.producers + pipe.consumers > 0 {
            return;
        }
        (pipe.head, pipe.tail) = (pipe.bufs.len() as u64, 0);
        let body = self.pipe_frame(i, pipe_why::RESIZED);
        let at = self.say(kind::PIPE, &body);
        for b in &mut self.pipes[i].bufs {
            // Nobody can follow these any more.
            if let Some(owner) = b.owner.take() {
                self.book.unknowable(owner);
                self.book.drop(owner, at, ReleasedBy::PipeDrained);
            }
        }
    }
}
