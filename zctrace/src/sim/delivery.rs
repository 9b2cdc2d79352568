//! How a story reaches the tracer: barriers, frames slightly out of order, frames lost.

use bytemuck::cast_slice;
use zctrace_common::user::{Checkpoint, Loss, Running, RunningChange, Start, Stop, kind, loss};

use super::Story;
use super::rng::Rng;
use super::wire::{CPUS, Said};
use crate::event::user_frame;

/// What happens on the way.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Everything below that is left to chance.
    pub seed: u64,
    /// At most so many frames between two barriers.
    pub between: u64,
    /// Frames arrive in any order between two barriers, and some one barrier early.
    pub shuffle: bool,
    /// So many frames of a thousand are lost, in those windows that lose any. (A frame that is
    /// lost must be lost before its own barrier: not together with `shuffle`.)
    pub lose: u64,
}

/// What arrived.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// Frames, in the order of arrival.
    pub frames: Vec<Vec<u8>>,
    /// Times in which something was lost.
    pub lossy: Vec<(u64, u64)>,
}

impl Story {
    /// Lets the story arrive.
    #[must_use]
    pub fn deliver(&self, how: &Delivery) -> Arrived {
        let mut rng = Rng::new(how.seed);
        let mut out = Arrived::default();
        let mut from = self.said.first().map_or(0, |s| s.ts.saturating_sub(1));
        let start = Start { mono_ns: from, real_ns: from };
        let info = br#"{"tool":"sim","kernel":"sim","filters":[],"probes":[
            {"name":"writeback:writeback_dirty_folio","state":"attached"},
            {"name":"filemap:mm_filemap_delete_from_page_cache","state":"attached"},
            {"name":"io_uring:io_uring_submit_req","state":"attached"},
            {"name":"io_uring:io_uring_complete","state":"attached"}]}"#;
        out.frames.push(user_frame(kind::START, 0, from, &start, info));
        let (mut user, mut delivered, mut lost) = (0, 0, 0);
        let mut overtook = 0usize;
        let mut recount = false;
        let mut rest = self.said.as_slice();
        while !rest.is_empty() {
            let n = usize::try_from(rng.within(1, how.between)).unwrap_or(1).min(rest.len());
            let (window, after) = rest.split_at(n);
            let to = window.last().map_or(from, |s| s.ts);
            // What overtook the last barrier is here already.
            let here = overtook.saturating_sub(n);
            let early = if how.shuffle && rng.chance(30) { rng.index(3).min(after.len() - here) } else { 0 };
            let arrive = window.iter().skip(overtook).chain(after.iter().skip(here).take(early));
            let (kept, gone) = some_lost(arrive.collect(), how.lose, &mut rng);
            (rest, overtook) = (after, here + early);
            delivered += kept.len() as u64;
            out.frames.extend(if how.shuffle { shuffled(kept, &mut rng) } else { kept });
            if std::mem::take(&mut recount) {
                let running: Vec<RunningChange> = self
                    .calls
                    .iter()
                    .filter(|(_, begin, end)| *begin <= to && to <= *end)
                    .map(|(r, ..)| *r)
                    .collect();
                user += 1;
                let list = Running { count: u32::try_from(running.len()).unwrap_or(0), more: 0 };
                out.frames.push(user_frame(kind::RUNNING, user, to, &list, cast_slice(&running)));
            }
            for (cpu, records) in (0..).zip(gone).filter(|(_, records)| *records > 0) {
                (lost, user, recount) = (lost + records, user + 1, true);
                let body = Loss { what: loss::RING, cpu, from_ns: from, records };
                out.frames.push(user_frame(kind::LOSS, user, to, &body, &[]));
                out.lossy.push((from, to));
            }
            user += 1;
            out.frames.push(user_frame(kind::CHECKPOINT, user, to, &Checkpoint { delivered, lost }, &[]));
            from = to;
        }
        let stop = Stop { produced: delivered + lost, delivered, lost };
        out.frames.push(user_frame(kind::STOP, user + 1, from, &stop, &[]));
        out
    }
}

fn some_lost(frames: Vec<&Said>, lose: u64, rng: &mut Rng) -> (Vec<Vec<u8>>, [u64; CPUS]) {
    let lossy = lose > 0 && rng.chance(40);
    let mut gone = [0; CPUS];
    let mut kept = Vec::new();
    for said in frames {
        if lossy && rng.below(1000) < lose {
            gone[usize::from(said.cpu != 0)] += 1;
        } else {
            kept.push(said.bytes.clone());
        }
    }
    (kept, gone)
}

fn shuffled(mut frames: Vec<Vec<u8>>, rng: &mut Rng) -> Vec<Vec<u8>> {
    for i in (1..frames.len()).rev() {
        frames.swap(i, rng.index(i + 1));
    }
    frames
}
