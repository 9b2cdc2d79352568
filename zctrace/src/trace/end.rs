//! How a recording ends, and what to tell of it: what was read, what was not, and up to when things are known.

use std::fmt;
use std::io::{self, Read};

use crate::text;

/// Of what cannot be read, no more is looked at than this.
const LOOK: u64 = 256 << 20;
/// So many zeros at the end of a file are no chance.
const ZEROS: u64 = 512;

/// How a recording ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: the trace was stopped.
    Complete,
    /// In order, as a segment: it goes on in the next one.
    Next,
    /// Of merged recordings, so many are cut off.
    Streams(usize),
    /// In the middle: everything up to byte `good` is there.
    Cut {
        /// Bytes that were read.
        good: u64,
        /// What follows.
        rest: Rest,
    },
    /// With a damaged block at byte `at`; nothing after it was read.
    Damaged {
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
        /// What follows, that block included.
        rest: Rest,
    },
    /// The block at byte `at` does not go on where the one before ended. Frames since the last barrier may be of
    /// anything.
    Disordered {
        /// Where it begins.
        at: u64,
        /// What follows, that block included.
        rest: Rest,
    },
}

/// What follows the good part of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Bytes.
    pub bytes: u64,
    /// There may be more: it was not looked at to its end.
    pub more: bool,
    /// So many of them are zeros, at the end.
    pub zeros: u64,
    /// Up to when things are known.
    pub known: Known,
}

/// Up to when things are known, which is the last barrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Of no moment.
    #[default]
    Nothing,
    /// Nanoseconds from the start.
    Until(u64),
    /// It was not read from its start on.
    Unsaid,
}

impl Rest {
    /// Reads on to see how much is lost. `sound`, then `read`: what was read of it already.
    pub(super) fn look(sound: u64, read: &[&[u8]], from: &mut impl Read, known: Known) -> Self {
        let mut rest = Self { bytes: sound, known, ..Self::default() };
        read.iter().for_each(|bytes| rest.add(bytes));
        let mut buf = vec![0; 64 << 10];
        loop {
            match from.read(&mut buf) {
                Ok(0) => return rest,
                Ok(n) => rest.add(buf.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => rest.more = true,
            }
            rest.more |= rest.bytes >= LOOK;
            if rest.more {
                return rest;
            }
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let zeros = bytes.iter().rev().take_while(|b| **b == 0).count();
        let before = if zeros == bytes.len() { self.zeros } else { 0 };
        self.zeros = before.saturating_add(zeros as u64);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    fn are_zeros(&self) -> bool {
        self.bytes > 0 && self.zeros == self.bytes
    }

    /// `133`, or `more than 133`
    fn count(&self) -> String {
        format!("{}{}", if self.more { "more than " } else { "" }, self.bytes)
    }

    /// Of the whole file.
    fn of(&self, good: u64) -> String {
        Self { bytes: good.saturating_add(self.bytes), ..*self }.count()
    }

    /// A sentence, or none.
    fn until(&self) -> String {
        match self.known {
            Known::Until(ns) => format!(" What happened is known up to {} after its start.", text::ns(ns)),
            Known::Nothing => " What happened is not known for certain of any moment.".into(),
            Known::Unsaid => String::new(),
        }
    }
}

/// What so many zeros mean.
const NO_POWER: &str = "hat is how files end that were being written when the machine lost power";

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => write!(f, "complete"),
            Self::Next => write!(f, "this is a segment of a recording, which goes on in the next one"),
            Self::Streams(cut) => write!(
                f,
                "of the recordings that were merged into it, {cut} were cut off: what came after is lost"
            ),
            Self::Cut { good, rest } | Self::Damaged { at: good, rest, .. } if rest.are_zeros() => write!(
                f,
                "the recording ends in {} zero bytes: its first {good} bytes are good and were read.{} T{NO_POWER}",
                rest.count(),
                rest.until()
            ),
            Self::Cut { good, rest } => {
                write!(f, "the recording is cut off: its first {good} bytes are good and were read, ")?;
                match rest.bytes {
                    0 => write!(f, "and no end was written")?,
                    _ => write!(f, "the last {} are not a whole block", rest.count())?,
                }
                write!(
                    f,
                    ".{} Is it still being written, was the disk full, or was zctrace killed?",
                    rest.until()
                )
            }
            Self::Damaged { at, why, rest } => damaged(f, *at, why, rest),
            Self::Disordered { at, rest } => {
                damaged(f, *at, "blocks before it are missing, doubled or in another order", rest)
            }
        }
    }
}

fn damaged(f: &mut fmt::Formatter<'_>, at: u64, why: &str, rest: &Rest) -> fmt::Result {
    write!(
        f,
        "the recording is damaged at byte {at} ({why}): everything before was read, the {} bytes from there on, of \
         {}, were not.{} ",
        rest.count(),
        rest.of(at),
        rest.until()
    )?;
    match rest.zeros {
        ZEROS.. => write!(f, "Its last {} bytes are zeros: t{NO_POWER}", rest.zeros),
        _ => write!(f, "If this is a copy, compare it with the original"),
    }
}
