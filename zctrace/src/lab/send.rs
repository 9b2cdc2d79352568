//! The senders: one function for each API. To send and to be notified are two steps: the receiver may
//! have to read in between.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::SendFlags;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with};
use serde::{Deserialize, Serialize};

use super::errqueue::ErrorQueue;
use super::raw::{self, Mapping};
use super::uring::{self, Ring, SendZc};
use super::wire::Wire;
use super::{Api, Transport};
use crate::model::Mode;
use crate::send::{Tracer, Transmission};
use crate::source::monotonic_ns;

/// What the API told the program. Times are ns of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Just before the first call, or the submission.
    pub submit_ns: u64,
    /// The last call had returned, or its CQE was seen.
    pub return_ns: u64,
    /// The notification, if the API has one and it came.
    pub notify: Option<Notified>,
    /// Bytes that it took.
    pub bytes: u64,
}

/// A notification that memory is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// When the program saw it.
    pub at_ns: u64,
    /// Whether the kernel claimed to have copied, if it claims anything.
    pub copied: Option<bool>,
}

/// What is sent.
pub(super) struct Source {
    /// Where the memory is that of a process: that.
    pub(super) memory: Option<Rc<Mapping>>,
    pub(super) file: Option<File>,
    pub(super) len: usize,
}

impl Source {
    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn memory(&self) -> io::Result<&Rc<Mapping>> {
        self.memory.as_ref().ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

/// Something that was sent.
pub(super) struct Pending {
    said: Said,
    awaits: Awaits,
    /// It failed, and said so: that is no promise that the bytes are free.
    failed: bool,
}

enum Awaits {
    Nothing,
    /// Nothing; but the program still has its ring.
    Idle(#[expect(dead_code, reason = "only kept")] Ring),
    Errors(ErrorQueue),
    Ring {
        ring: Ring,
        report: bool,
    },
    Completion(Box<crate::send::Pending>),
}

impl Pending {
    fn nothing(said: Said) -> Self {
        Self { said, awaits: Awaits::Nothing, failed: false }
    }

    fn idle((said, ring): (Said, Ring)) -> Self {
        Self { said, awaits: Awaits::Idle(ring), failed: false }
    }

    fn zc((said, ring): (Said, Ring), report: bool) -> Self {
        Self { said, awaits: Awaits::Ring { ring, report }, failed: false }
    }

    /// Whether the API has said the last that it will say.
    pub(super) fn poll(&mut self) -> io::Result<bool> {
        self.wait(Duration::ZERO)
    }

    /// The same, and awaits it for that long.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        if self.said.notify.is_none() && !self.failed {
            self.said.notify = match &mut self.awaits {
                Awaits::Nothing | Awaits::Idle(_) => return Ok(true),
                Awaits::Errors(queue) => queue.wait(limit)?,
                Awaits::Ring { ring, report } => ring.notified(*report, limit)?,
                Awaits::Completion(pending) => match completed(pending, limit)? {
                    Completed::NotYet => None,
                    Completed::Failed => {
                        self.failed = true;
                        None
                    }
                    Completed::At { return_ns } => {
                        self.said.return_ns = return_ns;
                        Some(Notified { at_ns: monotonic_ns(), copied: Some(false) })
                    }
                },
            };
        }
        Ok(self.said.notify.is_some() || self.failed)
    }

    pub(super) fn said(&self) -> Said {
        self.said
    }
}

enum Completed {
    NotYet,
    /// The file was cut, or nobody will read any more.
    Failed,
    At {
        return_ns: u64,
    },
}

/// Whether it is complete.
fn completed(pending: &mut crate::send::Pending, limit: Duration) -> io::Result<Completed> {
    use crate::send::SendError;
    match pending.wait(Some(limit)) {
        Ok(Some(done)) => Ok(Completed::At { return_ns: done.return_ns }),
        Ok(None) => Ok(Completed::NotYet),
        Err(SendError::Truncated { .. } | SendError::Broken { .. }) => Ok(Completed::Failed),
        Err(e) => Err(io::Error::other(e)),
    }
}

/// What [`crate::send`] needs in order to know of the release.
#[derive(Default)]
pub(super) struct Follower(Option<Tracer>);

impl Follower {
    fn get(&mut self) -> io::Result<&Tracer> {
        let tracer = match self.0.take() {
            Some(tracer) => tracer,
            None => Tracer::start(Mode::Off).map_err(io::Error::other)?,
        };
        Ok(self.0.insert(tracer))
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Follower").field(&self.0.is_some()).finish()
    }
}

/// Sends all of it.
pub(super) fn send(api: Api, source: &Source, wire: &Wire, follower: &mut Follower) -> io::Result<Pending> {
    let (to, len) = (&wire.sender, source.len);
    let is_pipe = wire.transport == Transport::Pipe;
    Ok(match api {
        Api::Copy => Pending::nothing(copy(source, wire)?),
        Api::UringCopy => Pending::idle(uring::copy(source.file()?, to, is_pipe, len)?),
        Api::Sendfile => {
            let file = source.file()?;
            let mut at = 0;
            Pending::nothing(repeat(len, |_, left| Ok(rustix::fs::sendfile(to, file, Some(&mut at), left)?))?)
        }
        Api::Splice => {
            let file = source.file()?;
            let mut at = 0;
            Pending::nothing(through_a_pipe(wire, len, |pipe, _, left| {
                Ok(rustix::pipe::splice(file, Some(&mut at), pipe, None, left, SpliceFlags::empty())?)
            })?)
        }
        Api::IoUringSplice | Api::IoUringSpliceFixed => {
            let through = if is_pipe { None } else { Some(new_pipe()?) };
            let fixed = api == Api::IoUringSpliceFixed;
            Pending::idle(uring::splice(source.file()?, to, through, fixed, len)?)
        }
        Api::Vmsplice | Api::VmspliceGift => {
            let memory = source.memory()?;
            let gift = api == Api::VmspliceGift;
            Pending::nothing(through_a_pipe(wire, len, |pipe, at, left| {
                memory.vmsplice(at, left, pipe, gift)
            })?)
        }
        Api::MsgZerocopy => msg_zerocopy(source, to)?,
        Api::IoUringSendZc => Pending::zc(uring::send_zc(source.memory()?, len, to, SendZc::Plain)?, false),
        Api::IoUringSendZcReport => {
            Pending::zc(uring::send_zc(source.memory()?, len, to, SendZc::Report)?, true)
        }
        Api::IoUringSendZcFixed => {
            Pending::zc(uring::send_zc(source.memory()?, len, to, SendZc::Fixed)?, true)
        }
        Api::IoUringSendmsgZc => {
            Pending::zc(uring::send_zc(source.memory()?, len, to, SendZc::Message)?, true)
        }
        Api::Send => {
            let datagram = u32::try_from(len).map_err(io::Error::other)?;
            let how = Transmission::traced(follower.get()?).datagram(datagram);
            let submit_ns = monotonic_ns();
            let pending = how.submit(source.file()?, 0, len as u64, to).map_err(io::Error::other)?;
            let said = Said { submit_ns, return_ns: monotonic_ns(), notify: None, bytes: len as u64 };
            Pending { said, awaits: Awaits::Completion(Box::new(pending)), failed: false }
        }
    })
}

/// Calls until all `len` bytes are taken; each call is told where it is and how much is left.
fn repeat(len: usize, mut call: impl FnMut(usize, usize) -> io::Result<usize>) -> io::Result<Said> {
    let submit_ns = monotonic_ns();
    let mut at = 0;
    while at < len {
        match call(at, len - at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => at += n,
        }
    }
    Ok(Said { submit_ns, return_ns: monotonic_ns(), notify: None, bytes: at as u64 })
}

fn copy(source: &Source, wire: &Wire) -> io::Result<Said> {
    let submit_ns = monotonic_ns();
    let mut buffer = vec![0; source.len];
    source.file()?.read_exact_at(&mut buffer, 0)?;
    let said = repeat(source.len, |at, _| {
        let rest = buffer.get(at..).unwrap_or_default();
        Ok(if wire.transport == Transport::Pipe {
            rustix::io::write(&wire.sender, rest)?
        } else {
            rustix::net::send(&wire.sender, rest, SendFlags::NOSIGNAL)?
        })
    })?;
    Ok(Said { submit_ns, ..said })
}

fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    // Room for all of it, so that no call has to wait.
    fcntl_setpipe_size(&into, 256 * 1024)?;
    Ok((out, into))
}

/// Fills a pipe with `fill`, and splices that on; unless the receiver reads from a pipe itself.
fn through_a_pipe(
    wire: &Wire,
    len: usize,
    mut fill: impl FnMut(&OwnedFd, usize, usize) -> io::Result<usize>,
) -> io::Result<Said> {
    if wire.transport == Transport::Pipe {
        return repeat(len, |at, left| fill(&wire.sender, at, left));
    }
    let (out, into) = new_pipe()?;
    let filled = repeat(len, |at, left| fill(&into, at, left))?;
    let sent = repeat(len, |_, left| {
        Ok(rustix::pipe::splice(&out, None, &wire.sender, None, left, SpliceFlags::empty())?)
    })?;
    Ok(Said { submit_ns: filled.submit_ns, ..sent })
}

fn msg_zerocopy(source: &Source, to: &OwnedFd) -> io::Result<Pending> {
    raw::set_option(to.as_fd(), libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)?;
    let memory = source.memory()?;
    let mut calls = 0;
    let said = repeat(source.len, |at, left| {
        calls += 1;
        memory.send(at, left, to, libc::MSG_ZEROCOPY | libc::MSG_NOSIGNAL)
    })?;
    Ok(Pending { said, awaits: Awaits::Errors(ErrorQueue::new(to.try_clone()?, calls)), failed: false })
}
