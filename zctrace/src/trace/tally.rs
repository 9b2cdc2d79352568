//! Whether a block goes on where the one before it ended.
//!
//! The sums of a block do not tell that blocks are missing, doubled, or in another order. What is in them does:
//! a barrier says how many frames of the kernel half came before it and how many were lost, and the user half
//! numbers its own frames. Deliberately absent: anything that a frame means beyond that.

use serde::Deserialize;
use zctrace_common::frame::{USER_CPU, read, split};
use zctrace_common::user::{Checkpoint, Loss, Start, Stop, kind, loss};

use super::end::Known;

/// What has come of one stream of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// The kind of its last frame.
    pub(super) last: Option<u16>,
    start: Option<u64>,
    barrier: Option<u64>,
    /// Frames of the kernel half, and how many are said to be lost.
    seen: (u64, u64),
    /// The same, of what is in files before this one; `None`: not known.
    before: Option<(u64, u64)>,
    /// Number of the user half's last frame, where that is known.
    user: Option<u64>,
}

/// Of the text behind a [`Start`].
#[derive(Deserialize)]
struct Header {
    series: Option<Series>,
}

#[derive(Deserialize)]
struct Series {
    number: u64,
}

impl Tally {
    /// At the first byte of a recording, or somewhere.
    pub(super) fn new(first: bool) -> Self {
        Self { before: first.then_some((0, 0)), ..Self::default() }
    }

    /// Up to when everything is known.
    pub(super) fn known(&self) -> Known {
        match (self.start, self.barrier) {
            (Some(start), Some(barrier)) => Known::Until(barrier.saturating_sub(start)),
            (None, Some(_)) => Known::Unsaid,
            (_, None) => Known::Nothing,
        }
    }

    /// With so many frames that are these bytes; `None`: they are not so many whole frames.
    pub(super) fn with(&self, mut bytes: &[u8], frames: u32) -> Option<Result<Self, ()>> {
        let mut tally = *self;
        let mut fits = true;
        for _ in 0..frames {
            let (header, body) = split(bytes)?;
            bytes = bytes.get(usize::from(header.len)..)?;
            if header.cpu == USER_CPU {
                fits &= tally.user(header.kind, header.seq, header.ts, body);
            } else {
                tally.seen.0 = tally.seen.0.saturating_add(1);
            }
            tally.last = Some(header.kind);
        }
        bytes.is_empty().then_some(if fits { Ok(tally) } else { Err(()) })
    }

    /// Whether this can be the next of the user half.
    fn user(&mut self, kind: u16, seq: u64, ts: u64, body: &[u8]) -> bool {
        if !(kind::START..=kind::RUNNING).contains(&kind) {
            return true;
        }
        if kind == kind::START {
            return self.starts(seq, ts, body);
        }
        // 0: it is not numbered.
        let next = seq == 0 || self.user.is_none_or(|last| last.checked_add(1) == Some(seq));
        if seq > 0 {
            self.user = Some(seq);
        }
        next && match kind {
            kind::LOSS => {
                let said: Loss = read(body);
                let lost = if said.what == loss::RING { said.records } else { 0 };
                self.seen.1 = self.seen.1.saturating_add(lost);
                true
            }
            kind::CHECKPOINT => {
                let said: Checkpoint = read(body);
                self.barrier = self.barrier.max(Some(ts));
                self.agrees(said.delivered, said.lost)
            }
            kind::STOP => {
                let said: Stop = read(body);
                self.barrier = self.barrier.max(Some(ts));
                self.agrees(said.delivered, said.lost)
            }
            _ => true,
        }
    }

    /// Nothing comes before a start.
    fn starts(&mut self, seq: u64, ts: u64, body: &[u8]) -> bool {
        let text = body.get(size_of::<Start>()..).unwrap_or_default();
        let header: Option<Header> = serde_json::from_slice(text).ok();
        if header.and_then(|h| h.series).is_some_and(|s| s.number > 1) {
            self.before = None;
        } else {
            self.user = Some(seq);
        }
        self.start = Some(ts);
        self.last.is_none()
    }

    /// Whether so many have come. Who says 0 does not count.
    fn agrees(&mut self, delivered: u64, lost: u64) -> bool {
        if (delivered, lost) == (0, 0) {
            return true;
        }
        let (seen, missing) = self.seen;
        let here = delivered.checked_sub(seen).zip(lost.checked_sub(missing));
        here.is_some_and(|here| *self.before.get_or_insert(here) == here)
    }
}
