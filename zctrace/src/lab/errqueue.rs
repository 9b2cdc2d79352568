//! `MSG_ZEROCOPY`'s notifications: ranges of send calls in a socket's error queue.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::raw;
use super::send::Notified;
use crate::source::monotonic_ns;

const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;

/// Awaits the notifications of a socket's first send calls.
#[derive(Debug)]
pub(super) struct ErrorQueue {
    socket: OwnedFd,
    /// Calls that have not been notified.
    left: u32,
    copied: bool,
}

impl ErrorQueue {
    pub(super) fn new(socket: OwnedFd, calls: u32) -> Self {
        Self { socket, left: calls, copied: false }
    }

    /// Answers once all calls are notified; `None` if that takes longer.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<Option<Notified>> {
        let started = Instant::now();
        loop {
            let mut control = [0; 256];
            match raw::error_queue(&self.socket, &mut control) {
                Ok(n) => {
                    for range in ranges(control.get(..n).unwrap_or_default()) {
                        self.left = self.left.saturating_sub(range.calls());
                        self.copied |= range.copied;
                    }
                    if self.left == 0 {
                        return Ok(Some(Notified { at_ns: monotonic_ns(), copied: Some(self.copied) }));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let Some(rest) = limit.checked_sub(started.elapsed()).filter(|d| !d.is_zero()) else {
                        return Ok(None);
                    };
                    // POLLERR is always asked for.
                    let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::empty())];
                    let timeout = rest.try_into().map_err(io::Error::other)?;
                    match poll(&mut fds, Some(&timeout)) {
                        // It stays set after a reset.
                        Ok(_) => std::thread::yield_now(),
                        Err(rustix::io::Errno::INTR) => {}
                        Err(e) => return Err(e.into()),
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }
}

#[derive(Debug, PartialEq)]
struct Range {
    first: u32,
    last: u32,
    copied: bool,
}

impl Range {
    fn calls(&self) -> u32 {
        self.last.wrapping_sub(self.first).saturating_add(1)
    }
}

/// The notifications in a buffer of control messages, each with a `struct sock_extended_err`.
fn ranges(mut control: &[u8]) -> Vec<Range> {
    // struct cmsghdr { size_t len; int level; int type; }
    const HEADER: usize = size_of::<usize>() + 8;
    let mut found = Vec::new();
    while let Some((len, rest)) = control.split_first_chunk() {
        let len = usize::from_ne_bytes(*len);
        let Some(body) = control.get(HEADER..len) else { break };
        let Some((level, rest)) = rest.split_first_chunk() else { break };
        let Some((kind, _)) = rest.split_first_chunk() else { break };
        let from = (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind));
        if from == (libc::SOL_IP, libc::IP_RECVERR) || from == (libc::SOL_IPV6, libc::IPV6_RECVERR) {
            found.extend(range(body));
        }
        let Some(next) = control.get(len.next_multiple_of(size_of::<usize>())..) else { break };
        control = next;
    }
    found
}

/// `struct sock_extended_err { u32 errno; u8 origin, type, code, pad; u32 info, data; }`
fn range(body: &[u8]) -> Option<Range> {
    let (&[a, b, c, d, origin, _, code, _], rest) = body.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (last, _) = rest.split_first_chunk()?;
    let zerocopy = u32::from_ne_bytes([a, b, c, d]) == 0 && origin == SO_EE_ORIGIN_ZEROCOPY;
    zerocopy.then(|| Range {
        first: u32::from_ne_bytes(*first),
        last: u32::from_ne_bytes(*last),
        copied: code == SO_EE_CODE_ZEROCOPY_COPIED,
    })
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, origin: u8, code: u8, first: u32, last: u32) -> Vec<u8> {
        let body =
            [&[0, 0, 0, 0, origin, 0, code, 0], &first.to_ne_bytes()[..], &last.to_ne_bytes()].concat();
        let len = size_of::<usize>() + 8 + body.len();
        [&len.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), &body].concat()
    }

    #[test]
    fn ranges_of_both_families_and_nothing_else() {
        let control = [
            message(libc::SOL_IP, libc::IP_RECVERR, 5, 1, 0, 2),
            message(libc::SOL_IP, libc::IP_RECVERR, 1, 0, 7, 7),
            message(libc::SOL_SOCKET, libc::IP_RECVERR, 5, 0, 8, 8),
            message(libc::SOL_IPV6, libc::IPV6_RECVERR, 5, 0, 3, 3),
        ]
        .concat();
        let expected =
            [Range { first: 0, last: 2, copied: true }, Range { first: 3, last: 3, copied: false }];
        assert_eq!(ranges(&control), expected);
        for n in 0..control.len() {
            assert!(ranges(&control[..n]).len() <= 2);
        }
        assert!(ranges(&[0; 64]).is_empty());
    }
}
