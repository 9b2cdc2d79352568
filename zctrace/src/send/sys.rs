//! The calls that no library has.
#![expect(unsafe_code, reason = "ioctl and fcntl with numbers that no library has")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// `SIOCOUTQ`: TCP: bytes not acknowledged, or not sent; others: memory of what is not consumed yet.
pub(super) fn queued(socket: impl AsFd) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let done = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(u64::try_from(bytes).unwrap_or(0)) }
}

fn fcntl(file: impl AsFd, command: i32, value: i32) -> io::Result<i32> {
    // SAFETY: these commands take a number, or nothing.
    let answer = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, value) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Takes a read lease. Nobody is sent a signal when it breaks: the default one ends the process.
pub(super) fn lease(file: impl AsFd + Copy) -> io::Result<()> {
    fcntl(file, libc::F_SETLEASE, libc::F_RDLCK)?;
    fcntl(file, libc::F_SETOWN, 0).map(drop)
}

/// Whether the lease is still there and nobody waits for its end.
pub(super) fn leased(file: impl AsFd) -> bool {
    fcntl(file, libc::F_GETLEASE, 0).is_ok_and(|kind| kind == libc::F_RDLCK)
}

/// Gives the lease back.
pub(super) fn unlease(file: impl AsFd) {
    let _ = fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
}
