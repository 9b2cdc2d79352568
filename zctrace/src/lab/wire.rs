//! Transports, with both ends in this process, and what a receiver does with them.
//!
//! Loss is real and needs no network of its own, so nothing has to be cleaned up: a filter on the
//! receiving socket drops every segment before TCP has seen it, none is acknowledged, and the sender's
//! timer sends it again. (Newer kernels let only CAP_NET_ADMIN attach a filter to a TCP socket.)

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{DEADLINE, Transport, raw};

/// More than is ever sent: a receiver that reads nothing must not stop the sender.
const BUFFER: usize = 1 << 20;
/// `TCP_RTO_MIN_US`; older kernels do not have it.
const TCP_RTO_MIN_US: i32 = 45;
/// Two ticks of a kernel with 250 of them a second.
const RTO_MIN_US: i32 = 8000;
/// Where `struct tcp_info` has `tcpi_total_retrans` and `tcpi_data_segs_out`.
const TOTAL_RETRANS: usize = 100;
const DATA_SEGS_OUT: usize = 156;
/// `SO_MEMINFO`, and where it has `SK_MEMINFO_DROPS`.
const SO_MEMINFO: i32 = 55;
const DROPS: usize = 8 * 4;

/// Two connected ends.
pub(super) struct Wire {
    pub(super) transport: Transport,
    pub(super) sender: OwnedFd,
    receiver: OwnedFd,
    /// The sender's addresses: its own, and the one it sends to.
    pub(super) local: String,
    pub(super) remote: String,
}

/// The ends, and the sender's addresses.
struct Ends {
    sender: OwnedFd,
    receiver: OwnedFd,
    local: String,
    remote: String,
}

impl Wire {
    pub(super) fn new(transport: Transport) -> io::Result<Self> {
        let Ends { sender, receiver, local, remote } = match transport {
            Transport::Tcp4 => tcp("127.0.0.1:0", AddressFamily::INET)?,
            Transport::Tcp6 => tcp("[::1]:0", AddressFamily::INET6)?,
            Transport::Udp4 => udp("127.0.0.1:0")?,
            Transport::Udp6 => udp("[::1]:0")?,
            Transport::Unix => {
                let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
                without_address(socketpair(family, kind, SocketFlags::CLOEXEC, None)?)
            }
            Transport::Pipe => {
                let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
                without_address((into, out))
            }
        };
        // A call that would wait for room fails instead.
        if transport == Transport::Pipe {
            ioctl_fionbio(&sender, true)?;
        } else {
            sockopt::set_socket_send_buffer_size(&sender, BUFFER)?;
            sockopt::set_socket_timeout(&sender, Timeout::Send, Some(DEADLINE))?;
        }
        ioctl_fionbio(&receiver, true)?;
        Ok(Self { transport, sender, receiver, local, remote })
    }

    /// Reads until `want` bytes are there, and calls `between` before each read.
    pub(super) fn receive(
        &self,
        want: u64,
        mut between: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Vec<u8>> {
        let started = Instant::now();
        let mut got = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while (got.len() as u64) < want {
            between()?;
            match rustix::io::read(&self.receiver, &mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) if self.transport.is_udp() && n as u64 != want => {
                    return Err(io::Error::other(format!("the first datagram has {n} bytes")));
                }
                Ok(n) => got.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(Errno::AGAIN) => {
                    let rest = DEADLINE.checked_sub(started.elapsed()).ok_or(io::ErrorKind::TimedOut)?;
                    let mut fds = [PollFd::from_borrowed_fd(self.receiver.as_fd(), PollFlags::IN)];
                    let timeout = rest.try_into().map_err(io::Error::other)?;
                    match poll(&mut fds, Some(&timeout)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(e) => return Err(e.into()),
                    }
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(got)
    }

    /// What a receiver of datagrams has read may be kept by the CPU that allocated it until that receives a packet
    /// (`skb_attempt_defer_free()`). On a machine with traffic it does; here it gets one.
    pub(super) fn wake_cpus(&self) -> io::Result<()> {
        let all = sched_getaffinity(None)?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(socket.local_addr()?)?;
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
            let mut one = CpuSet::new();
            one.set(cpu);
            sched_setaffinity(None, &one)?;
            socket.send(b"x")?;
            socket.recv(&mut [0; 8])?;
        }
        Ok(sched_setaffinity(None, &all)?)
    }

    /// From now on nothing arrives.
    pub(super) fn lose(&self) -> io::Result<()> {
        raw::drop_arrivals(&self.receiver)
    }

    /// Waits until something has been sent again and all that was sent is lost; calls `between` meanwhile.
    pub(super) fn lost_again(&self, mut between: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            between()?;
            let sent: [u8; 160] = raw::option(&self.sender, libc::IPPROTO_TCP, libc::TCP_INFO)?;
            // What has left the sender may be on its way: in the queue of a CPU.
            let lost: [u8; 36] = raw::option(&self.receiver, libc::SOL_SOCKET, SO_MEMINFO)?;
            let again = number(&sent, TOTAL_RETRANS) > 0;
            if again && number(&lost, DROPS) >= number(&sent, DATA_SEGS_OUT) {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// What is sent again arrives.
    pub(super) fn lose_no_more(&self) -> io::Result<()> {
        raw::set_option(&self.receiver, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0)
    }

    /// Only the sender is left.
    pub(super) fn close(self) -> OwnedFd {
        self.sender
    }

    /// The same, and the sender is told that nothing was read.
    pub(super) fn reset(self) -> io::Result<OwnedFd> {
        sockopt::set_socket_linger(&self.receiver, Some(Duration::ZERO))?;
        Ok(self.sender)
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
}

fn without_address((sender, receiver): (OwnedFd, OwnedFd)) -> Ends {
    Ends { sender, receiver, local: String::new(), remote: String::new() }
}

fn tcp(any: &str, family: AddressFamily) -> io::Result<Ends> {
    let listener = TcpListener::bind(any)?;
    // The window that is offered at the start must take all of it.
    sockopt::set_socket_recv_buffer_size(&listener, BUFFER)?;
    let remote = listener.local_addr()?;
    let sender = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Loss takes less time. Older kernels take 200 ms.
    let _ = raw::set_option(&sender, libc::IPPROTO_TCP, TCP_RTO_MIN_US, RTO_MIN_US);
    connect(&sender, &remote)?;
    // The last bytes leave with the others.
    sockopt::set_tcp_nodelay(&sender, true)?;
    let local = SocketAddr::try_from(rustix::net::getsockname(&sender)?)?;
    loop {
        let (receiver, from) = listener.accept()?;
        // Anybody may connect to a port.
        if from == local {
            let (local, remote) = (local.to_string(), remote.to_string());
            return Ok(Ends { sender, receiver: receiver.into(), local, remote });
        }
    }
}

fn udp(any: &str) -> io::Result<Ends> {
    let (sender, receiver) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
    let (local, remote) = (sender.local_addr()?, receiver.local_addr()?);
    sender.connect(remote)?;
    receiver.connect(local)?;
    let (local, remote) = (local.to_string(), remote.to_string());
    Ok(Ends { sender: sender.into(), receiver: receiver.into(), local, remote })
}
