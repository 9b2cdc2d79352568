//! Frames in the order of their time.
//!
//! The ring hands them over nearly in order. A checkpoint is a barrier: everything up to its time
//! stands before it in the stream. So frames wait for the next barrier, are sorted by (time, CPU,
//! sequence number), and those up to the barrier go on. The result does not depend on how the
//! stream was cut into reads: that is what makes a replay equal to the live trace.

use zctrace_common::frame::Header;

use crate::event::Event;

/// Holds frames back until a barrier.
#[derive(Clone, Debug, Default)]
pub struct Order {
    held: Vec<(Header, Event)>,
}

/// Where a frame goes among those of the same time: what was lost is known before the barrier.
fn key(header: &Header, event: &Event) -> (u64, u8, u32, u64) {
    let rank = match event {
        Event::Start(_) => 0,
        Event::Checkpoint(_) => 3,
        Event::Stop(_) => 4,
        Event::Loss(_) => 2,
        _ => 1,
    };
    (header.ts, rank, header.cpu, header.seq)
}

impl Order {
    /// Frames that wait for a barrier.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Those frames.
    pub fn waiting(&self) -> impl Iterator<Item = &(Header, Event)> {
        self.held.iter()
    }

    /// Forgets those frames.
    pub fn forget(&mut self) {
        self.held.clear();
    }

    /// Takes a frame; hands on what is certain now.
    pub fn push(&mut self, header: Header, event: Event, out: &mut impl FnMut(&Header, &Event)) {
        let barrier = matches!(event, Event::Checkpoint(_) | Event::Stop(_));
        let until = key(&header, &event);
        self.held.push((header, event));
        if barrier {
            self.release(|k| *k <= until, out);
        }
    }

    /// Hands on everything: the stream has ended.
    pub fn finish(&mut self, out: &mut impl FnMut(&Header, &Event)) {
        self.release(|_| true, out);
    }

    fn release(
        &mut self,
        goes: impl Fn(&(u64, u8, u32, u64)) -> bool,
        out: &mut impl FnMut(&Header, &Event),
    ) {
        self.held.sort_by_key(|(h, e)| key(h, e));
        // A frame has its number once. What comes twice is of a block that was doubled.
        self.held.dedup_by(|a, b| a == b);
        let n = self.held.partition_point(|(h, e)| goes(&key(h, e)));
        for (header, event) in self.held.drain(..n) {
            out(&header, &event);
        }
    }
}
