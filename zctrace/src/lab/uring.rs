//! The senders that use io_uring.
#![expect(unsafe_code, reason = "requests of io_uring hold addresses and descriptors")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};

use super::DEADLINE;
use super::raw::Mapping;
use super::send::{Notified, Said};
use crate::source::monotonic_ns;

/// `IORING_SEND_ZC_REPORT_USAGE`
const REPORT_USAGE: u16 = 8;
/// `IORING_NOTIF_USAGE_ZC_COPIED`
const COPIED: u32 = 1 << 31;
/// The kernel sends all of it, or says what is wrong.
const SEND: i32 = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

/// How a zero-copy send of io_uring is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SendZc {
    Plain,
    Report,
    /// From a registered buffer, with a report.
    Fixed,
    /// `IORING_OP_SENDMSG_ZC`, with a report.
    Message,
}

/// A ring, and what its requests may still use.
pub(super) struct Ring {
    ring: IoUring,
    in_flight: u32,
    /// Memory that requests point to, freed after them.
    lent: Vec<Rc<Mapping>>,
}

impl Ring {
    fn new() -> io::Result<Self> {
        Ok(Self { ring: IoUring::new(8)?, in_flight: 0, lent: Vec::new() })
    }

    /// # Safety
    ///
    /// What the requests point to lives until they have completed, or is in `lent`.
    unsafe fn submit(&mut self, requests: &[Entry]) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push_multiple(requests) }.map_err(io::Error::other)?;
        self.in_flight += u32::try_from(self.ring.submit()?).map_err(io::Error::other)?;
        Ok(())
    }

    /// The next completion; `None` if there is none for that long.
    fn next(&mut self, limit: Duration) -> io::Result<Option<cqueue::Entry>> {
        let started = Instant::now();
        loop {
            if let Some(done) = self.ring.completion().next() {
                if !cqueue::more(done.flags()) {
                    self.in_flight = self.in_flight.saturating_sub(1);
                }
                return Ok(Some(done));
            }
            let rest = limit.saturating_sub(started.elapsed());
            // Entered even if there is no time: only then does the kernel post what it has put off.
            let timeout = Timespec::from(rest);
            let waited = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout));
            match waited.map_err(|e| e.raw_os_error()) {
                Ok(_) | Err(Some(libc::EINTR)) => {}
                Err(Some(libc::ETIME)) if rest.is_zero() && self.ring.completion().is_empty() => {
                    return Ok(None);
                }
                Err(Some(libc::ETIME)) => {}
                Err(code) => {
                    return Err(
                        code.map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
                    );
                }
            }
        }
    }

    /// Awaits `requests`, each of which has one completion, and answers the last one's result.
    fn results(&mut self, requests: u64) -> io::Result<u64> {
        let mut last = 0;
        let mut failed = None;
        for _ in 0..requests {
            let done = self.next(DEADLINE)?.ok_or(io::ErrorKind::TimedOut)?;
            match u64::try_from(done.result()) {
                Ok(n) if done.user_data() + 1 == requests => last = n,
                Ok(_) => {}
                // What was linked to it is cancelled.
                Err(_) => failed = failed.or(Some(io::Error::from_raw_os_error(-done.result()))),
            }
        }
        failed.map_or(Ok(last), Err)
    }

    /// The notification of a zero-copy send.
    pub(super) fn notified(&mut self, report: bool, limit: Duration) -> io::Result<Option<Notified>> {
        let Some(done) = self.next(limit)? else { return Ok(None) };
        let copied = done.result().cast_unsigned() & COPIED != 0;
        Ok(Some(Notified { at_ns: monotonic_ns(), copied: report.then_some(copied) }))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            // A request that never completed may still write to it.
            self.lent.drain(..).for_each(std::mem::forget);
            return;
        }
        // What is registered is given back now, and not when the kernel gets to it.
        let _ = self.ring.submitter().unregister_files();
        let _ = self.ring.submitter().unregister_buffers();
    }
}

fn length(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(io::Error::other)
}

/// Reads the file into memory and sends that; the second request is linked to the first.
pub(super) fn copy(file: &File, to: &OwnedFd, is_pipe: bool, len: usize) -> io::Result<(Said, Ring)> {
    let buffer = Rc::new(Mapping::anonymous(len)?);
    let mut ring = Ring::new()?;
    ring.lent.push(Rc::clone(&buffer));
    let (at, n, to) = (buffer.address(0, len)?, length(len)?, Fd(to.as_raw_fd()));
    let read = opcode::Read::new(Fd(file.as_raw_fd()), at, n).build();
    let send = if is_pipe {
        opcode::Write::new(to, at, n).build()
    } else {
        opcode::Send::new(to, at, n).flags(SEND).build()
    };
    let requests = [read.user_data(0).flags(Flags::IO_LINK), send.user_data(1)];
    let submit_ns = monotonic_ns();
    // SAFETY: the memory is in `lent`, and both files are open until the results are there.
    unsafe { ring.submit(&requests)? };
    let bytes = ring.results(2)?;
    Ok((Said { submit_ns, return_ns: monotonic_ns(), notify: None, bytes }, ring))
}

/// File to pipe to socket with two linked requests; or only to the pipe, if that is where it goes.
pub(super) fn splice(
    file: &File,
    to: &OwnedFd,
    through: Option<(OwnedFd, OwnedFd)>,
    fixed: bool,
    len: usize,
) -> io::Result<(Said, Ring)> {
    let mut ring = Ring::new()?;
    let n = length(len)?;
    // What each of them reads from, and writes to.
    let (pipe_out, pipe_in) = through.as_ref().map_or((to, to), |(out, into)| (out, into));
    let fds = [file.as_raw_fd(), pipe_in.as_raw_fd(), pipe_out.as_raw_fd(), to.as_raw_fd()];
    let [from, into, out, last] = fds;
    let (first, second) = if fixed {
        ring.ring.submitter().register_files(&fds)?;
        let first = opcode::Splice::new(Fixed(0), 0, Fixed(1), -1, n).build();
        let second = opcode::Splice::new(Fixed(2), -1, Fixed(3), -1, n).build();
        (first.flags(Flags::FIXED_FILE), second.flags(Flags::FIXED_FILE))
    } else {
        let first = opcode::Splice::new(Fd(from), 0, Fd(into), -1, n).build();
        (first, opcode::Splice::new(Fd(out), -1, Fd(last), -1, n).build())
    };
    let linked = [first.clone().user_data(0).flags(Flags::IO_LINK), second.user_data(1)];
    let alone = [first.user_data(0)];
    let requests: &[Entry] = if through.is_some() { &linked } else { &alone };
    let submit_ns = monotonic_ns();
    // SAFETY: all files are open until the results are there; no memory is pointed to.
    unsafe { ring.submit(requests)? };
    let bytes = ring.results(requests.len() as u64)?;
    Ok((Said { submit_ns, return_ns: monotonic_ns(), notify: None, bytes }, ring))
}

/// A zero-copy send: the first completion is awaited; the notification is [`Ring::notified`].
pub(super) fn send_zc(
    memory: &Rc<Mapping>,
    len: usize,
    to: &OwnedFd,
    how: SendZc,
) -> io::Result<(Said, Ring)> {
    let mut ring = Ring::new()?;
    ring.lent.push(Rc::clone(memory));
    let (at, n, to) = (memory.address(0, len)?, length(len)?, Fd(to.as_raw_fd()));
    let slice = libc::iovec { iov_base: at.cast(), iov_len: len };
    if how == SendZc::Fixed {
        // SAFETY: the memory is in `lent`.
        unsafe { ring.ring.submitter().register_buffers(&[slice]) }
            .map_err(|e| io::Error::new(e.kind(), format!("this memory cannot be registered: {e}")))?;
    }
    let mut vector = [slice];
    // SAFETY: all zeroes is an empty `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector.as_mut_ptr();
    message.msg_iovlen = vector.len();
    let send = opcode::SendZc::new(to, at, n).flags(SEND);
    let request = match how {
        SendZc::Plain => send.build(),
        SendZc::Report => send.zc_flags(REPORT_USAGE).build(),
        SendZc::Fixed => send.zc_flags(REPORT_USAGE).buf_index(Some(0)).build(),
        SendZc::Message => opcode::SendMsgZc::new(to, &raw const message)
            .ioprio(REPORT_USAGE)
            .flags(SEND.cast_unsigned())
            .build(),
    };
    let submit_ns = monotonic_ns();
    // SAFETY: the memory is in `lent`; `message` lives until the completion, and the file is open until then.
    unsafe { ring.submit(&[request])? };
    let done = ring.next(DEADLINE)?.ok_or(io::ErrorKind::TimedOut)?;
    let return_ns = monotonic_ns();
    match u64::try_from(done.result()) {
        Ok(bytes) => Ok((Said { submit_ns, return_ns, notify: None, bytes }, ring)),
        Err(_) => {
            // A request that failed may have a notification too.
            if cqueue::more(done.flags()) {
                ring.next(DEADLINE)?;
            }
            Err(io::Error::from_raw_os_error(-done.result()))
        }
    }
}
