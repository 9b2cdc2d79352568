//! One file, read at several places at once, and what its block headers say of it as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

use super::block::{BLOCK_HEADER, BlockHeader, FILE_HEADER, holds};

/// A file and a place in it: a clone reads on from the same place by itself.
#[derive(Clone, Debug)]
pub struct Shared {
    file: Arc<File>,
    at: u64,
}

impl Shared {
    /// At that byte.
    #[must_use]
    pub fn at(file: Arc<File>, at: u64) -> Self {
        Self { file, at }
    }
}

impl Read for Shared {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at = self.at.saturating_add(n as u64);
        Ok(n)
    }
}

/// Block headers, with where each block begins: up to the first that does not check or is not whole.
struct Headers<'a> {
    file: &'a File,
    at: u64,
    len: u64,
}

impl<'a> Headers<'a> {
    fn new(file: &'a File) -> Self {
        Self { file, at: FILE_HEADER as u64, len: file.metadata().map_or(0, |m| m.len()) }
    }
}

impl Iterator for Headers<'_> {
    type Item = (u64, BlockHeader);

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = [0; BLOCK_HEADER];
        self.file.read_exact_at(&mut bytes, self.at).ok()?;
        let header = BlockHeader::decode(&bytes)?;
        let next = self.at.saturating_add(BLOCK_HEADER as u64 + u64::from(header.stored_len));
        (next <= self.len).then(|| (std::mem::replace(&mut self.at, next), header))
    }
}

/// How many streams a recording has, as far as its block headers can be read, or for as long as there is time.
#[must_use]
pub fn streams(file: &File, deadline: Instant) -> usize {
    let in_time = Headers::new(file).take_while(|_| Instant::now() < deadline);
    in_time.map(|(_, header)| usize::from(header.stream) + 1).max().unwrap_or(1)
}

/// Where the last state is saved that has nothing later than `until` in it, if there is any.
#[must_use]
pub fn last_state(file: &File, until: u64) -> Option<u64> {
    let (mut begun, mut found) = (None, None);
    for (at, header) in Headers::new(file) {
        if header.holds == holds::FRAMES {
            begun = None;
        } else if header.first_ts > until {
            break;
        } else {
            begun = begun.or(Some(at));
            if header.holds == holds::STATE_END {
                found = begun.take();
            }
        }
    }
    found
}

/// The earliest and the latest time that block headers claim, up to the first that does not check, or for as
/// long as there is time. Contents are not looked at, so less than that may turn out to be readable.
#[must_use]
pub fn span(file: &File, deadline: Instant) -> Option<(u64, u64)> {
    let mut span: Option<(u64, u64)> = None;
    for (_, header) in Headers::new(file) {
        if header.holds == holds::FRAMES && header.frames > 0 {
            let (first, last) = span.unwrap_or((header.first_ts, header.last_ts));
            span = Some((first.min(header.first_ts), last.max(header.last_ts)));
        }
        if Instant::now() > deadline {
            break;
        }
    }
    span
}
