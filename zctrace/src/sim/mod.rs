//! A simulated kernel that tells a story in frames *and* knows the truth.
//!
//! Owns the seeded generator behind the engine's laws: sockets, pipes and files that lend pages to
//! each other at random, with everything that makes following them hard (partial returns, frees
//! before the return, fragmentation, coalescing, resets, wrapping counters, writers). The truth is kept by
//! reference counts on pages, never derived from the frames.
//!
//! Deliberately absent: content of files, and anything that the kernel half does not state.
#![expect(
    clippy::indexing_slicing,
    reason = "the simulator's indices are its own; a wrong one is a bug to be seen at once"
)]

mod calls;
mod delivery;
mod packet;
mod pipe;
mod rng;
mod server;
mod tcp;
mod truth;
mod wire;
mod world;
mod writer;

use std::collections::BTreeMap;

pub use self::delivery::{Arrived, Delivery};
pub use self::rng::Rng;
pub use self::server::{Load, server};
pub use self::truth::Truth;
pub use self::wire::Said;
use self::world::World;
use crate::model::TransferId;
use zctrace_common::user::RunningChange;

/// What kind of story.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    /// How many things happen.
    pub steps: u32,
    /// Several calls work on the same socket or pipe at once. Nobody can follow that exactly.
    pub races: bool,
    /// Everything comes to its end; otherwise the story stops in the middle.
    pub wind_up: bool,
}

/// What happened, and what was said about it.
#[derive(Clone, Debug)]
pub struct Story {
    /// Every frame, in the order of time.
    pub said: Vec<Said>,
    /// The fate of every transfer.
    pub truth: BTreeMap<TransferId, Truth>,
    /// Calls that were said to change a file: what the list says of each, when it began and ended.
    pub calls: Vec<(RunningChange, u64, u64)>,
}

/// The story of this seed.
#[must_use]
pub fn story(seed: u64, knobs: Knobs) -> Story {
    let mut world = World::new(seed, knobs);
    for _ in 0..knobs.steps {
        world.step();
    }
    if knobs.wind_up {
        world.wind_up();
    }
    let running = world.writers.iter().flatten().filter_map(|w| w.listed(u64::MAX));
    let mut calls = std::mem::take(&mut world.called);
    calls.extend(running);
    Story { said: world.wire.said, truth: world.book.close(), calls }
}
