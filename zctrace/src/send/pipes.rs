//! Pipes that take up a file, or a piece of it, before any byte goes on.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use rustix::param::page_size;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Bytes that one pipe may be asked to hold; more is given to few.
const LARGE: u64 = 16 << 20;
/// What everybody may have (`/proc/sys/fs/pipe-max-size`).
const USUAL: u64 = 1 << 20;
/// Pipes at most: each takes two descriptors.
const MOST: usize = 64;

/// One pipe.
pub(super) struct Pipe {
    pub(super) out: OwnedFd,
    pub(super) into: OwnedFd,
    /// Pages, or parts of pages, that it takes.
    slots: u64,
    /// Bytes in it.
    pub(super) held: u64,
}

impl Pipe {
    fn new(pages: u64) -> io::Result<Self> {
        let page = page_size() as u64;
        let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut got = None;
        for bytes in [pages * page, USUAL.min(pages * page)] {
            let want = usize::try_from(bytes).map_err(io::Error::other)?;
            got = fcntl_setpipe_size(&into, want).ok();
            if got.is_some() {
                break;
            }
        }
        // Somebody who has many pipes gets small ones.
        let bytes = got.map_or_else(|| rustix::pipe::fcntl_getpipe_size(&into), Ok)?;
        Ok(Self { out, into, slots: (bytes as u64 / page).max(1), held: 0 })
    }

    /// How many bytes from this offset on it takes when it is empty; full pages behind the first.
    pub(super) fn room(&self, offset: u64) -> u64 {
        let page = page_size() as u64;
        self.slots * page - offset % page
    }
}

/// As many as `[offset, offset + len)` takes, but only up to `ahead` bytes, and one at least.
pub(super) fn pipes(offset: u64, len: u64, ahead: u64) -> io::Result<Vec<Pipe>> {
    let page = page_size() as u64;
    let want = len.min(ahead).max(1);
    let mut all = Vec::new();
    let (mut at, end) = (offset, offset + want);
    while at < end && all.len() < MOST {
        let pages = (at % page + (end - at)).div_ceil(page).min(LARGE / page).next_power_of_two();
        match Pipe::new(pages) {
            // Where a user may have no more of them, new ones are tiny.
            Ok(pipe) if all.is_empty() || pipe.slots * page >= USUAL.min(pages * page) => {
                at += pipe.room(at);
                all.push(pipe);
            }
            Err(e) if all.is_empty() => return Err(e),
            _ => break,
        }
    }
    Ok(all)
}

/// How many bytes from this offset on all of them take.
pub(super) fn capacity(pipes: &[Pipe], offset: u64) -> u64 {
    pipes.iter().fold(offset, |at, p| at + p.room(at)) - offset
}

/// What a ring has to know: of each its two ends.
pub(super) fn files(pipes: &[Pipe]) -> Vec<RawFd> {
    pipes.iter().flat_map(|p| [p.out.as_raw_fd(), p.into.as_raw_fd()]).collect()
}
