//! Frames the loader adds, so that everything that can influence an answer is in the stream.
//!
//! Variable-length frames carry UTF-8 text after their fixed part.

use bytemuck::{Pod, Zeroable};

/// Frame kinds of the user half.
pub mod kind {
    /// [`super::Start`] + JSON text of [`crate::user`]'s trace header.
    pub const START: u16 = 0x100;
    /// [`super::Checkpoint`]
    pub const CHECKPOINT: u16 = 0x101;
    /// [`super::Loss`]
    pub const LOSS: u16 = 0x102;
    /// [`super::Cgroup`] + path text
    pub const CGROUP: u16 = 0x103;
    /// [`super::Stop`]
    pub const STOP: u16 = 0x104;
    /// [`super::Running`]
    pub const RUNNING: u16 = 0x105;
    /// [`super::Next`]
    pub const NEXT: u16 = 0x106;
}

/// The trace begins. Followed by JSON: tool, kernel, filters, probes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Start {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub mono_ns: u64,
    /// CLOCK_REALTIME at the same moment, nanoseconds.
    pub real_ns: u64,
}

/// A barrier: every frame with `ts` up to this frame's `ts` has been delivered before it, or is
/// counted in a [`Loss`] before it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Checkpoint {
    /// Kernel frames delivered so far.
    pub delivered: u64,
    /// Kernel frames lost so far.
    pub lost: u64,
}

/// Values of [`Loss::what`].
pub mod loss {
    /// The ring was full; `records` frames of `cpu` are gone.
    pub const RING: u32 = 1;
    /// A program that learns was skipped because it recursed on its CPU: a release since the
    /// last checkpoint could be claimed too early.
    pub const LEARN_MISS: u32 = 2;
    /// A program that sees frees was skipped: a window may stay open, never close early.
    pub const FREE_MISS: u32 = 3;
    /// A kernel map was full, at the moment given by a [`crate::kernel::MapFull`] if that was
    /// delivered.
    pub const MAP_FULL: u32 = 4;
    /// A program that watches for changes was skipped: one may have been missed.
    pub const WATCH_MISS: u32 = 5;
}

/// Something was lost between `from_ns` and this frame's `ts`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Loss {
    /// `loss::*`
    pub what: u32,
    /// CPU, or [`crate::frame::USER_CPU`] when it is not known.
    pub cpu: u32,
    /// The previous checkpoint.
    pub from_ns: u64,
    /// How many.
    pub records: u64,
}

/// After a loss: every call that changes a watched file and has not returned. As many
/// [`RunningChange`] follow as fit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Running {
    /// How many follow in this frame.
    pub count: u32,
    /// 1: another frame of the same list follows.
    pub more: u32,
}

/// One of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RunningChange {
    /// [`crate::kernel::ChangeEnter::change`]
    pub change: u64,
    /// `inode.i_ino`, 0 when it is not known yet.
    pub ino: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// `inode.i_generation`
    pub generation: u32,
}

/// The path of a cgroup id follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Cgroup {
    /// `bpf_get_current_cgroup_id()`
    pub id: u64,
}

/// The trace ended in order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Stop {
    /// Kernel frames produced: delivered + lost.
    pub produced: u64,
    /// Kernel frames delivered.
    pub delivered: u64,
    /// Kernel frames lost.
    pub lost: u64,
}

/// A segment of a recording ends; the trace goes on in another file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Next {
    /// Number of the next segment.
    pub number: u64,
}
