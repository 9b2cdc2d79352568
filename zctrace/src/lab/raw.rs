//! The calls that take memory by its address, and socket options that no library has.
//!
//! Memory that is lent to the kernel and changed meanwhile must never be behind a Rust reference:
//! a [`Mapping`] is only ever an address and a length, and stores to it are volatile.
#![expect(
    unsafe_code,
    reason = "mmap, vmsplice, MSG_ZEROCOPY, the error queue and filters take raw pointers"
)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::ptr::null_mut;

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Pages of this process.
#[derive(Debug)]
pub(super) struct Mapping {
    at: *mut u8,
    len: usize,
}

impl Mapping {
    /// Private memory of no file.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        Self::of_no_file(len, MapFlags::PRIVATE)
    }

    /// Private memory of huge pages; `len` is a multiple of their size.
    pub(super) fn huge(len: usize) -> io::Result<Self> {
        // Without MAP_POPULATE: the page is reserved here, so a later touch cannot fail.
        Self::of_no_file(len, MapFlags::PRIVATE | MapFlags::HUGETLB)
    }

    fn of_no_file(len: usize, flags: MapFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { mmap_anonymous(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        Ok(Self { at: at.cast(), len })
    }

    /// A shared, writable view of a file's first bytes.
    pub(super) fn shared(file: &File, len: usize) -> io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as above.
        let at = unsafe { mmap(null_mut(), len, prot, MapFlags::SHARED, file, 0) }?;
        Ok(Self { at: at.cast(), len })
    }

    /// The address of `len` bytes at `from`, if that many are here.
    pub(super) fn address(&self, from: usize, len: usize) -> io::Result<*mut u8> {
        match from.checked_add(len) {
            // SAFETY: `from` is inside of the mapping, or just behind it.
            Some(end) if end <= self.len => Ok(unsafe { self.at.add(from) }),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Stores bytes. A file that became shorter than its mapping must not be stored to.
    pub(super) fn store(&self, from: usize, bytes: &[u8]) -> io::Result<()> {
        let at = self.address(from, bytes.len())?;
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: `address` found that many bytes.
            unsafe { at.add(i).write_volatile(*byte) };
        }
        Ok(())
    }

    /// `send(2)` of the bytes at `from`.
    pub(super) fn send(&self, from: usize, len: usize, to: impl AsFd, flags: i32) -> io::Result<usize> {
        let at = self.address(from, len)?;
        // SAFETY: the kernel only reads the memory; it keeps the pages even if they are unmapped.
        let sent = unsafe { libc::send(to.as_fd().as_raw_fd(), at.cast::<c_void>(), len, flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// `vmsplice(2)` of the bytes at `from` into a pipe.
    pub(super) fn vmsplice(&self, from: usize, len: usize, pipe: impl AsFd, gift: bool) -> io::Result<usize> {
        let at = self.address(from, len)?;
        let slice = libc::iovec { iov_base: at.cast(), iov_len: len };
        let flags = if gift { libc::SPLICE_F_GIFT } else { 0 };
        // SAFETY: as in `send`.
        let taken = unsafe { libc::vmsplice(pipe.as_fd().as_raw_fd(), &raw const slice, 1, flags) };
        usize::try_from(taken).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap`, and nobody has a reference to it.
        let _ = unsafe { munmap(self.at.cast(), self.len) };
    }
}

/// One message of a socket's error queue: how many bytes of control messages it had.
pub(super) fn error_queue(socket: impl AsFd, control: &mut [u8]) -> io::Result<usize> {
    // SAFETY: all zeroes is an empty `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: `message` has the address and length of `control`, and asks for no data.
    let got = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(message.msg_controllen.min(control.len())) }
}

/// Sets a socket option to a number.
pub(super) fn set_option(socket: impl AsFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    set(socket, level, option, &value)
}

/// A filter for every packet that arrives at this socket: the answer is to drop it.
pub(super) fn drop_arrivals(socket: impl AsFd) -> io::Result<()> {
    // "Keep 0 bytes."
    let mut program = libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 };
    let filter = libc::sock_fprog { len: 1, filter: &raw mut program };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

fn set<T>(socket: impl AsFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: address and size of `value`, which the kernel only reads.
    let done = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const *value).cast(), size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The first bytes of what a socket option answers; zeroes where a kernel has less.
pub(super) fn option<const N: usize>(socket: impl AsFd, level: i32, option: i32) -> io::Result<[u8; N]> {
    let mut answer = [0; N];
    let mut size = libc::socklen_t::try_from(N).map_err(io::Error::other)?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `answer` has room for `size` bytes.
    let done = unsafe { libc::getsockopt(fd, level, option, (&raw mut answer).cast(), &raw mut size) };
    if done == 0 { Ok(answer) } else { Err(io::Error::last_os_error()) }
}
