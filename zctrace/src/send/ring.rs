//! Chains of requests in an io_uring. Files are registered: whatever happens to descriptors, a request
//! that is still waiting keeps what it was made for.
#![expect(unsafe_code, reason = "requests of io_uring hold descriptors")]

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};

/// Requests in a chain.
pub(super) const CHAIN: usize = 64;
/// How long a request that waits for a peer may take to notice that nobody wants it any more.
const CANCEL: Duration = Duration::from_secs(1);

/// One request; files are numbers of registered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// From a file into a pipe. It never waits for room in the pipe.
    Fill { file: u32, offset: u64, pipe: u32, len: u32 },
    /// Until the socket has room.
    Room { socket: u32 },
    /// From a pipe into a socket.
    Drain { pipe: u32, socket: u32, len: u32 },
}

impl Request {
    fn entry(self) -> io::Result<Entry> {
        Ok(match self {
            Self::Fill { file, offset, pipe, len } => {
                let offset = i64::try_from(offset).map_err(io::Error::other)?;
                opcode::Splice::new(Fixed(file), offset, Fixed(pipe), -1, len)
                    .flags(libc::SPLICE_F_NONBLOCK)
                    .build()
            }
            Self::Room { socket } => {
                opcode::PollAdd::new(Fixed(socket), u32::from(libc::POLLOUT.cast_unsigned())).build()
            }
            Self::Drain { pipe, socket, len } => {
                opcode::Splice::new(Fixed(pipe), -1, Fixed(socket), -1, len).build()
            }
        })
    }
}

/// A ring with at most one chain in flight.
pub(super) struct Ring {
    ring: IoUring,
    /// Requests of the chain that have not completed.
    waiting: usize,
}

impl Ring {
    /// `files` are registered, in this order.
    pub(super) fn new(files: &[RawFd]) -> io::Result<Self> {
        let entries = u32::try_from(CHAIN).map_err(io::Error::other)?;
        let ring = IoUring::new(entries)?;
        ring.submitter().register_files(files)?;
        Ok(Self { ring, waiting: 0 })
    }

    /// Whether every request has completed.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    /// Submits a chain: each request begins when the one before it has done all that it was to do. Where one
    /// has not, those behind it are cancelled.
    pub(super) fn submit(&mut self, chain: &[Request]) -> io::Result<()> {
        let last = chain.len().saturating_sub(1);
        let mut entries = Vec::with_capacity(chain.len());
        for (i, request) in chain.iter().enumerate() {
            let entry = request.entry()?.user_data(i as u64);
            entries.push(if i == last { entry } else { entry.flags(Flags::IO_LINK) });
        }
        // SAFETY: no memory is pointed to, and files are registered.
        unsafe { self.ring.submission().push_multiple(&entries) }.map_err(io::Error::other)?;
        self.waiting = chain.len();
        let taken = self.ring.submit()?;
        if taken < chain.len() {
            return Err(io::Error::other(format!("only {taken} of {} requests were taken", chain.len())));
        }
        Ok(())
    }

    /// What has completed, in the order in which it did: number in the chain and result. Awaits one for
    /// that long.
    pub(super) fn completed(&mut self, limit: Duration) -> io::Result<Vec<(usize, i32)>> {
        if self.waiting > 0 && self.ring.completion().is_empty() && !limit.is_zero() {
            let timeout = Timespec::from(limit);
            let waited = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout));
            match waited.map_err(|e| e.raw_os_error()) {
                Ok(_) | Err(Some(libc::EINTR | libc::ETIME | libc::EBUSY)) => {}
                Err(code) => return Err(io::Error::from_raw_os_error(code.unwrap_or(libc::EIO))),
            }
        }
        let mut done = Vec::new();
        for entry in self.ring.completion() {
            done.push((usize::try_from(entry.user_data()).unwrap_or(usize::MAX), entry.result()));
        }
        self.waiting = self.waiting.saturating_sub(done.len());
        Ok(done)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.waiting > 0 {
            let limit = Some(Timespec::from(CANCEL));
            let _ = self.ring.submitter().register_sync_cancel(limit, CancelBuilder::any());
        }
        // Given back now, and not when the kernel gets to it: a peer waits for the end of the connection.
        let _ = self.ring.submitter().unregister_files();
    }
}
