//! Senders and receivers that the tests share.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::pipe::{SpliceFlags, pipe, splice};

pub(crate) const PAGE: usize = 4096;

/// What the bytes go over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Over {
    Tcp4,
    Tcp6,
    Unix,
    Udp,
}

/// A connected pair over loopback: sender, receiver.
pub(crate) fn tcp(v6: bool) -> (TcpStream, TcpStream) {
    let addr = if v6 { "[::1]:0" } else { "127.0.0.1:0" };
    let listener = TcpListener::bind(addr).unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (receiver, _) = listener.accept().unwrap();
    (sender, receiver)
}

/// A file of bytes below 0x80.
pub(crate) fn file(dir: &Path, name: &str, bytes: usize) -> (PathBuf, Vec<u8>) {
    let path = dir.join(name);
    let content: Vec<u8> = (0..bytes).map(|i| ((i / PAGE * 31 + i) % 0x80) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    (path, content)
}

/// Sends `[offset, offset + len)` with as many sendfile() calls as it takes; answers how many.
pub(crate) fn sendfile(to: impl AsFd, file: &File, offset: u64, len: usize) -> usize {
    let mut at = offset;
    let mut calls = 0;
    while at < offset + len as u64 {
        let left = (offset + len as u64 - at) as usize;
        let n = rustix::fs::sendfile(&to, file, Some(&mut at), left).unwrap();
        assert!(n > 0, "the file is shorter than asked");
        calls += 1;
    }
    calls
}

/// Sends it through a pipe; answers how many splices put file pages into it.
pub(crate) fn splice_through(to: impl AsFd, file: &File, offset: u64, len: usize) -> usize {
    let (read, write) = pipe().unwrap();
    let mut at = offset;
    let mut calls = 0;
    let end = offset + len as u64;
    while at < end {
        let left = ((end - at) as usize).min(64 * 1024);
        let n = splice(file, Some(&mut at), &write, None, left, SpliceFlags::empty()).unwrap();
        assert!(n > 0, "the file is shorter than asked");
        calls += 1;
        drain(&read, &to, n);
    }
    calls
}

/// The ways to lend a file's pages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lend {
    Sendfile,
    Splice,
    /// Linked requests, file to pipe to `to`.
    Uring,
}

impl Lend {
    pub(crate) const ALL: [Self; 3] = [Self::Sendfile, Self::Splice, Self::Uring];
}

/// Two linked splices through io_uring: `[offset, offset + len)`, no more than a pipe takes, goes to
/// `to`. Answers how much went.
pub(crate) fn uring_splice(to: impl AsFd, file: &File, offset: u64, len: usize) -> usize {
    use io_uring::{IoUring, opcode::Splice, squeue::Flags, types::Fd};
    let (out, into) = pipe().unwrap();
    let mut ring = IoUring::new(2).unwrap();
    let len = len.min(64 * 1024) as u32;
    let fd = |fd: &dyn std::os::fd::AsRawFd| Fd(fd.as_raw_fd());
    let first = Splice::new(fd(file), offset as i64, fd(&into), -1, len).build().flags(Flags::IO_LINK);
    let second = Splice::new(fd(&out), -1, fd(&to.as_fd()), -1, len).build();
    #[expect(unsafe_code, reason = "all descriptors are open until the requests are over")]
    unsafe {
        ring.submission().push_multiple(&[first.user_data(1), second.user_data(2)]).unwrap();
    }
    ring.submit_and_wait(2).unwrap();
    let results: Vec<(u64, i32)> = ring.completion().map(|c| (c.user_data(), c.result())).collect();
    let result = |which| results.iter().find(|(n, _)| *n == which).unwrap().1;
    // A link is broken by a short splice.
    let filled = usize::try_from(result(1)).unwrap();
    let moved = usize::try_from(result(2)).unwrap_or(0);
    drain(&out, &to, filled - moved);
    filled
}

/// Moves `n` bytes from a pipe on.
pub(crate) fn drain(read: &OwnedFd, to: impl AsFd, n: usize) {
    let mut left = n;
    while left > 0 {
        left -= splice(read, None, &to, None, left, SpliceFlags::empty()).unwrap();
    }
}

/// Reads exactly `n` bytes.
pub(crate) fn read(from: &mut impl std::io::Read, n: usize) -> Vec<u8> {
    let mut buf = vec![0; n];
    from.read_exact(&mut buf).unwrap();
    buf
}
