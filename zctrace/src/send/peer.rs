//! Who receives, and what can be known of it without privileges.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, getpeername, getsockname, ipproto, sockopt};

use super::SendError;

/// What kind of socket the bytes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Udp,
    /// A stream.
    Unix,
}

/// What a receiver on this machine has done, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// It has so many bytes to read.
    Unread(u64),
    /// It has read all, or closed its end after it had.
    All,
    /// Not known this time.
    NotSure,
    /// Its socket is not in this network namespace.
    Hidden,
}

/// The sender's end.
pub(super) struct Socket {
    pub(super) kind: Kind,
    /// The kernel's number for it.
    pub(super) cookie: Option<u64>,
    ends: Option<(SocketAddr, SocketAddr)>,
    /// The address that is sent to is one of this machine.
    pub(super) is_local: bool,
    /// The receiver's socket was once found: it is in this network namespace.
    listed: bool,
    /// So many times in a row it was not.
    missed: u32,
}

/// A table that changes while it is read may leave out a line, but hardly so often.
const MISSES: u32 = 3;

impl Socket {
    pub(super) fn of(socket: &OwnedFd) -> Result<Self, SendError> {
        let ask = || -> io::Result<(AddressFamily, SocketType, Option<rustix::net::Protocol>)> {
            let domain = sockopt::socket_domain(socket)?;
            let protocol =
                if domain == AddressFamily::UNIX { None } else { sockopt::socket_protocol(socket)? };
            Ok((domain, sockopt::socket_type(socket)?, protocol))
        };
        let (domain, kind, protocol) = ask().map_err(SendError::NotASocket)?;
        let inet = domain == AddressFamily::INET || domain == AddressFamily::INET6;
        let kind = match kind {
            SocketType::STREAM if inet && protocol == Some(ipproto::TCP) => Kind::Tcp,
            SocketType::DGRAM if inet && protocol == Some(ipproto::UDP) => Kind::Udp,
            SocketType::STREAM if domain == AddressFamily::UNIX => Kind::Unix,
            _ => return Err(SendError::UnknownSocket),
        };
        let peer = getpeername(socket).map_err(|e| SendError::NotASocket(e.into()))?;
        let own = getsockname(socket).map_err(|e| SendError::NotASocket(e.into()))?;
        let ends = match (SocketAddr::try_from(own), peer.map(SocketAddr::try_from)) {
            (Ok(own), Some(Ok(peer))) => Some((own, peer)),
            _ => None,
        };
        let is_local = ends.is_none_or(|(_, peer)| is_local(peer));
        Ok(Self {
            kind,
            cookie: sockopt::socket_cookie(socket).ok(),
            ends,
            is_local,
            listed: false,
            missed: 0,
        })
    }

    /// What the receiver has read, of a TCP connection within this machine. Everything must be acknowledged.
    pub(super) fn reads(&mut self, socket: &OwnedFd) -> Reads {
        if let Some(unread) = self.find() {
            (self.listed, self.missed) = (true, 0);
            return if unread == 0 { Reads::All } else { Reads::Unread(unread) };
        }
        self.missed += 1;
        if self.missed < MISSES {
            return Reads::NotSure;
        }
        // Whoever closes with something unread resets the connection; but a peer that is elsewhere, behind an
        // address of this machine, may have closed one direction only.
        if self.listed && has_ended(socket) { Reads::All } else { Reads::Hidden }
    }

    /// Looks for the receiver's socket while it must be there.
    pub(super) fn look_for_receiver(&mut self) {
        if self.kind == Kind::Tcp && self.is_local {
            self.listed = self.find().is_some();
        }
    }

    fn find(&self) -> Option<u64> {
        let (own, peer) = self.ends?;
        // Of this thread: a network namespace belongs to a thread.
        ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"].into_iter().find_map(|table| {
            let table = std::fs::read_to_string(table).ok()?;
            table.lines().skip(1).find_map(|line| unread(line, plain(peer), plain(own)))
        })
    }
}

/// Binding to it is possible where it is one of this machine's.
fn is_local(addr: SocketAddr) -> bool {
    let mut any_port = addr;
    any_port.set_port(0);
    addr.ip().to_canonical().is_loopback() || UdpSocket::bind(any_port).is_ok()
}

/// An IPv4 address in IPv6 is one of IPv4.
fn plain(addr: SocketAddr) -> (IpAddr, u16) {
    (addr.ip().to_canonical(), addr.port())
}

/// The `rx_queue` of this line of `/proc/net/tcp`, if it is about that connection.
fn unread(line: &str, local: (IpAddr, u16), remote: (IpAddr, u16)) -> Option<u64> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if end(words.next()?)? != local || end(words.next()?)? != remote {
        return None;
    }
    let (_, unread) = words.nth(1)?.split_once(':')?;
    u64::from_str_radix(unread, 16).ok()
}

fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each 32 bits as they are in memory.
    let word = |i: usize| Some(u32::from_str_radix(ip.get(i * 8..i * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(i)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip.to_canonical(), port))
}

/// The peer has closed its end.
fn has_ended(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok()
        && fds.iter().any(|f| f.revents().intersects(PollFlags::RDHUP | PollFlags::HUP))
}

/// What the connection broke with, if it did. It is told once.
pub(super) fn broken(socket: &OwnedFd) -> Option<io::Error> {
    match sockopt::socket_error(socket) {
        Ok(Ok(())) => None,
        Ok(Err(e)) | Err(e) => Some(e.into()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn a_line_of_the_table() {
        let line = "  0: 0100007F:1F90 0200007F:D431 01 00000000:0001A2B3 00:00000000 00000000 0 0 1 1";
        let local = ("127.0.0.1".parse().unwrap(), 0x1f90);
        let remote = ("127.0.0.2".parse().unwrap(), 0xd431);
        assert_eq!(unread(line, local, remote), Some(0x1a2b3));
        assert_eq!(unread(line, remote, local), None);
        assert_eq!(unread("  sl  local_address rem_address", local, remote), None);
        assert_eq!(unread("", local, remote), None);
    }

    #[test]
    fn ends_of_both_families() {
        assert_eq!(end("0000000000000000FFFF00000100007F:0050"), Some(("127.0.0.1".parse().unwrap(), 80)));
        assert_eq!(end("00000000000000000000000001000000:0001"), Some(("::1".parse().unwrap(), 1)));
        assert_eq!(end("01:1"), None);
        assert_eq!(end("zzzzzzzz:0001"), None);
    }

    #[test]
    fn addresses_of_this_machine() {
        assert!(is_local("127.1.2.3:80".parse().unwrap()));
        assert!(is_local("[::ffff:127.0.0.1]:80".parse().unwrap()));
        // TEST-NET-3: nobody's.
        assert!(!is_local("203.0.113.1:80".parse().unwrap()));
    }
}
