//! Frames in the order of their time.
//!
//! The ring hands them over nearly in order. A checkpoint is a barrier: everything up to its time
//! stands before it in the stream. So frames wait for the next barrier, are sorted by (time, CPU,
//! sequence number), and those up to the barrier go on. The result does not depend on how the
//! stream was cut into reads: that is what makes a replay equal to the live trace.

use zctrace_common::frame::Header;

use crate::event::Event;

/// Events, one after the other.
pub type Ordered = Vec<(Header, Event)>;

/// Holds frames back until a barrier.
#[derive(Clone, Debug, Default)]
pub struct Order {
    held: Ordered,
}

/// Everything up to its time stands before it in the stream.
#[must_use]
pub fn is_barrier(event: &Event) -> bool {
    matches!(event, Event::Checkpoint(_) | Event::Stop(_))
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
        if let Some(n) = self.add(header, event) {
            self.held.drain(..n).for_each(|(header, event)| out(&header, &event));
        }
    }

    /// As [`Self::push`]; what is certain is added to a list, which costs nothing if that is empty and it is all.
    pub fn push_into(&mut self, header: Header, event: Event, to: &mut Ordered) {
        match self.add(header, event) {
            None => {}
            Some(n) if n == self.held.len() && to.is_empty() => std::mem::swap(&mut self.held, to),
            Some(n) => to.extend(self.held.drain(..n)),
        }
    }

    /// Takes a frame. A barrier sorts them; answers how many are certain.
    fn add(&mut self, header: Header, event: Event) -> Option<usize> {
        let barrier = is_barrier(&event).then(|| key(&header, &event));
        self.held.push((header, event));
        let until = barrier?;
        self.sort();
        Some(self.held.partition_point(|(h, e)| key(h, e) <= until))
    }

    fn sort(&mut self) {
        self.held.sort_by_key(|(h, e)| key(h, e));
    }

    /// Hands on everything: the stream has ended.
    pub fn finish(&mut self, out: &mut impl FnMut(&Header, &Event)) {
        self.sort();
        // A frame has its number once. What comes twice is of a block that was doubled.
        self.held.dedup_by(|a, b| a == b);
        self.held.drain(..).for_each(|(header, event)| out(&header, &event));
    }
}
