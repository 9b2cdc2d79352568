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

/// How many streams a recording has, as far as its block headers can be read, or for as long as there is time.
#[must_use]
pub fn streams(file: &File, deadline: Instant) -> usize {
    let mut at = FILE_HEADER as u64;
    let mut bytes = [0; BLOCK_HEADER];
    let mut last = 0;
    while file.read_exact_at(&mut bytes, at).is_ok()
        && let Some(header) = BlockHeader::decode(&bytes)
        && Instant::now() < deadline
    {
        last = last.max(header.stream);
        at = at.saturating_add(BLOCK_HEADER as u64 + u64::from(header.stored_len));
    }
    usize::from(last) + 1
}

/// Where the last state is saved that has nothing later than `until` in it, if there is any.
///
/// # Errors
/// When reading fails.
pub fn last_state(file: &File, until: u64) -> io::Result<Option<u64>> {
    let len = file.metadata()?.len();
    let mut at = FILE_HEADER as u64;
    let mut bytes = [0; BLOCK_HEADER];
    let (mut begun, mut found) = (None, None);
    while at.saturating_add(BLOCK_HEADER as u64) <= len {
        file.read_exact_at(&mut bytes, at)?;
        let Some(header) = BlockHeader::decode(&bytes) else {
            break;
        };
        let next = at.saturating_add(BLOCK_HEADER as u64 + u64::from(header.stored_len));
        if header.holds == holds::FRAMES {
            begun = None;
        } else if header.first_ts > until || next > len {
            break;
        } else {
            begun = begun.or(Some(at));
            if header.holds == holds::STATE_END {
                found = begun.take();
            }
        }
        at = next;
    }
    Ok(found)
}

/// The earliest and the latest time that block headers claim, up to the first that does not check, or for as
/// long as there is time. Contents are not looked at, so less than that may turn out to be readable.
#[must_use]
pub fn span(file: &File, deadline: Instant) -> Option<(u64, u64)> {
    let len = file.metadata().ok()?.len();
    let mut at = FILE_HEADER as u64;
    let mut span: Option<(u64, u64)> = None;
    let mut bytes = [0; BLOCK_HEADER];
    while file.read_exact_at(&mut bytes, at).is_ok() {
        let Some(header) = BlockHeader::decode(&bytes) else {
            break;
        };
        at = at.saturating_add(BLOCK_HEADER as u64 + u64::from(header.stored_len));
        if at > len {
            break;
        }
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
