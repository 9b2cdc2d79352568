//! Moves bytes from a file into a socket: pipes take up as much as they hold, then all of it goes on; that
//! is a wave. Nothing goes on before the whole wave is taken up, so each wave is the file at one moment.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::pipes::{Pipe, capacity, files, pipes};
use super::ring::{CHAIN, Request, Ring};
use crate::source::monotonic_ns;

const FILE: u32 = 0;
const SOCKET: u32 = 1;
/// Bytes that one request gives to a stream: how far it is shows only between requests.
const PART: u64 = 128 * 1024;

/// What is to be moved, and how.
pub(super) struct Job {
    pub(super) file: Arc<File>,
    pub(super) socket: Arc<OwnedFd>,
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Bytes that may be in pipes at once.
    pub(super) ahead: u64,
    /// Bytes of a datagram; `None`: a stream.
    pub(super) datagram: Option<u32>,
    /// The program reads the file and puts copies into the pipes.
    pub(super) copy: bool,
}

/// Why it cannot go on.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The file ended before its time.
    Ended,
    File(io::Error),
    Socket(io::Error),
    Ring(io::Error),
}

#[derive(Clone, Copy, Debug)]
struct Fill {
    pipe: usize,
    offset: u64,
    len: u64,
}

/// One step of the chain in flight.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fill(Fill),
    Room,
    Drain(usize, u64),
}

pub(super) struct Mover {
    // First, so that it goes first.
    ring: Ring,
    job: Job,
    pipes: Vec<Pipe>,
    fills: VecDeque<Fill>,
    chain: Vec<Step>,
    /// Where the next wave begins.
    next: u64,
    /// The last drain found the socket full.
    full: bool,
    pub(super) waves: u32,
    /// Bytes that pipes have taken up.
    pub(super) taken: u64,
    /// Bytes that the socket has taken.
    pub(super) moved: u64,
    /// When the first wave was taken up.
    pub(super) taken_ns: Option<u64>,
}

impl Mover {
    pub(super) fn new(job: Job) -> io::Result<Self> {
        let pipes = pipes(job.offset, job.len, job.ahead)?;
        let mut all = vec![job.file.as_raw_fd(), job.socket.as_raw_fd()];
        all.extend(files(&pipes));
        let ring = Ring::new(&all)?;
        Ok(Self {
            ring,
            next: job.offset,
            job,
            pipes,
            fills: VecDeque::new(),
            chain: Vec::new(),
            full: false,
            waves: 0,
            taken: 0,
            moved: 0,
            taken_ns: None,
        })
    }

    /// Whether the first wave is all of it, if the kernel takes up as much as it should.
    pub(super) fn takes_all(&self) -> bool {
        capacity(&self.pipes, self.job.offset) >= self.job.len
    }

    /// Goes on with what is possible now, or within that time. Answers whether the socket has everything.
    pub(super) fn advance(&mut self, limit: Duration) -> Result<bool, Stopped> {
        if self.ring.is_idle() && self.moved < self.job.len {
            self.submit()?;
        }
        for (number, result) in self.ring.completed(limit).map_err(Stopped::Ring)? {
            if let Some(step) = self.chain.get(number).copied() {
                self.done(step, result)?;
            }
        }
        if self.ring.is_idle() && self.moved < self.job.len {
            self.submit()?;
        }
        Ok(self.moved >= self.job.len)
    }

    fn is_empty(&self) -> bool {
        self.fills.is_empty() && self.pipes.iter().all(|p| p.held == 0)
    }

    fn submit(&mut self) -> Result<(), Stopped> {
        if self.is_empty() {
            self.plan();
        }
        if self.job.copy {
            self.fill_with_copies()?;
        }
        self.chain = self.steps();
        let requests: Vec<Request> = self.chain.iter().map(|s| Self::request(*s)).collect();
        self.ring.submit(&requests).map_err(Stopped::Ring)
    }

    /// The next wave.
    fn plan(&mut self) {
        self.waves += 1;
        let end = self.job.offset + self.job.len;
        let datagram = self.job.datagram.map_or(1, u64::from);
        for (number, pipe) in self.pipes.iter().enumerate() {
            let mut len = pipe.room(self.next).min(end - self.next);
            if self.next + len < end && len > datagram {
                len -= len % datagram;
            }
            if len == 0 {
                break;
            }
            self.fills.push_back(Fill { pipe: number, offset: self.next, len });
            self.next += len;
        }
    }

    /// What is left of this wave.
    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.fills.iter().map(|f| Step::Fill(*f)).collect();
        if self.full {
            steps.push(Step::Room);
        }
        for (number, pipe) in self.pipes.iter().enumerate() {
            let coming: u64 = self.fills.iter().filter(|f| f.pipe == number).map(|f| f.len).sum();
            let mut left = pipe.held + coming;
            let most = self.job.datagram.map_or(PART, u64::from);
            while left > 0 && steps.len() < CHAIN {
                steps.push(Step::Drain(number, left.min(most)));
                left -= left.min(most);
            }
        }
        steps.truncate(CHAIN);
        steps
    }

    fn request(step: Step) -> Request {
        // A pipe holds far less than 4 GiB, and there are few of them.
        let len = |len: u64| u32::try_from(len).unwrap_or(u32::MAX);
        let out = |pipe: usize| u32::try_from(2 + 2 * pipe).unwrap_or(u32::MAX);
        match step {
            Step::Fill(f) => {
                Request::Fill { file: FILE, offset: f.offset, pipe: out(f.pipe) + 1, len: len(f.len) }
            }
            Step::Room => Request::Room { socket: SOCKET },
            Step::Drain(pipe, n) => Request::Drain { pipe: out(pipe), socket: SOCKET, len: len(n) },
        }
    }

    fn done(&mut self, step: Step, result: i32) -> Result<(), Stopped> {
        let failed = (result < 0).then_some(-result);
        match (step, failed) {
            // Cancelled with one before it, or interrupted: it is asked for again.
            (_, Some(libc::ECANCELED | libc::EINTR)) => Ok(()),
            (Step::Room, _) => {
                self.full = false;
                Ok(())
            }
            (Step::Fill(fill), Some(libc::EAGAIN))
                if self.pipes.get(fill.pipe).is_some_and(|p| p.held > 0) =>
            {
                // More slots were needed than there are: the wave ends here.
                self.next = fill.offset;
                self.fills.clear();
                self.taken_up();
                Ok(())
            }
            (Step::Drain(..), Some(libc::EAGAIN)) => {
                self.full = true;
                Ok(())
            }
            (Step::Fill(_), Some(code)) => Err(Stopped::File(io::Error::from_raw_os_error(code))),
            (Step::Drain(..), Some(code)) => Err(Stopped::Socket(io::Error::from_raw_os_error(code))),
            (Step::Fill(_), None) if result == 0 => Err(Stopped::Ended),
            (Step::Fill(fill), None) => {
                self.filled(fill, u64::from(result.cast_unsigned()));
                Ok(())
            }
            (Step::Drain(..), None) if result == 0 => {
                Err(Stopped::Ring(io::Error::other("a pipe lost what was put into it")))
            }
            (Step::Drain(pipe, _), None) => {
                let n = u64::from(result.cast_unsigned());
                self.moved += n;
                if let Some(pipe) = self.pipes.get_mut(pipe) {
                    pipe.held = pipe.held.saturating_sub(n);
                }
                Ok(())
            }
        }
    }

    fn filled(&mut self, fill: Fill, n: u64) {
        self.taken += n;
        if let Some(pipe) = self.pipes.get_mut(fill.pipe) {
            pipe.held += n;
        }
        self.fills.pop_front();
        if n < fill.len {
            self.fills.push_front(Fill { offset: fill.offset + n, len: fill.len - n, ..fill });
        }
        self.taken_up();
    }

    fn taken_up(&mut self) {
        if self.fills.is_empty() && self.taken_ns.is_none() {
            self.taken_ns = Some(monotonic_ns());
        }
    }

    fn fill_with_copies(&mut self) -> Result<(), Stopped> {
        let mut buffer = vec![0; 64 * 1024];
        while let Some(fill) = self.fills.front().copied() {
            let want = usize::try_from(fill.len).map_or(buffer.len(), |n| n.min(buffer.len()));
            let part = buffer.get_mut(..want).unwrap_or_default();
            let n = self.job.file.read_at(part, fill.offset).map_err(Stopped::File)?;
            let mut rest = part.get(..n).unwrap_or_default();
            if rest.is_empty() {
                return Err(Stopped::Ended);
            }
            let Some(pipe) = self.pipes.get(fill.pipe) else { break };
            // The pipe was empty and is large enough.
            while !rest.is_empty() {
                let written = rustix::io::write(&pipe.into, rest).map_err(|e| Stopped::Ring(e.into()))?;
                rest = rest.get(written..).unwrap_or_default();
            }
            self.filled(fill, n as u64);
        }
        Ok(())
    }
}
