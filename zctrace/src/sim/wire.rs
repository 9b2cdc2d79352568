//! What the simulated kernel says: frames with per-CPU sequence numbers, in the order of time.

use bytemuck::Pod;

use super::rng::Rng;
use crate::event::frame;
use crate::model::TransferId;

/// CPUs of the simulated machine.
pub(super) const CPUS: usize = 2;

/// A frame, as it was stated.
#[derive(Clone, Debug)]
pub struct Said {
    /// By which CPU.
    pub cpu: u32,
    /// When.
    pub ts: u64,
    /// Header and payload.
    pub bytes: Vec<u8>,
}

/// Place of a frame in the stream, known before its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    cpu: u32,
    seq: u64,
    pub(super) ts: u64,
}

impl Stamp {
    /// The identity of what this frame introduces.
    pub(super) fn id(self) -> u64 {
        zctrace_common::frame::id(self.cpu, self.seq)
    }

    pub(super) fn transfer(self) -> TransferId {
        TransferId { cpu: self.cpu, seq: self.seq }
    }
}

/// The mouth of the simulated kernel.
#[derive(Debug)]
pub(super) struct Wire {
    now: u64,
    seq: [u64; CPUS],
    pub(super) said: Vec<Said>,
}

impl Wire {
    pub(super) fn new(now: u64) -> Self {
        Self { now, seq: [0; CPUS], said: Vec::new() }
    }

    pub(super) fn stamp(&mut self, rng: &mut Rng) -> Stamp {
        self.now += rng.within(1, 2000);
        let cpu = rng.index(CPUS);
        self.seq[cpu] += 1;
        Stamp { cpu: if cpu == 0 { 0 } else { 1 }, seq: self.seq[cpu], ts: self.now }
    }

    /// The time of what was said last.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn put(&mut self, at: Stamp, kind: u16, task: u64, body: &impl Pod) {
        let bytes = frame(kind, at.cpu, at.seq, at.ts, task, body, &[]);
        self.said.push(Said { cpu: at.cpu, ts: at.ts, bytes });
    }
}
