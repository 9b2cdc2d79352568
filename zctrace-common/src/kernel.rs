//! Frames stated by the BPF programs: facts, never conclusions.
//!
//! Identities (`sock`, `pipe`, `head`) are numbers unique within a trace: `cpu << 48 | seq` of the
//! frame that introduced them.

use bytemuck::{Pod, Zeroable};

/// Frame kinds of the kernel half.
pub mod kind {
    /// [`super::OpEnter`]
    pub const OP_ENTER: u16 = 1;
    /// [`super::OpExit`]
    pub const OP_EXIT: u16 = 2;
    /// [`super::Sock`]
    pub const SOCK: u16 = 3;
    /// [`super::SockEnd`]
    pub const SOCK_END: u16 = 4;
    /// [`super::Head`]
    pub const HEAD: u16 = 5;
    /// [`super::HeadLen`]
    pub const HEAD_LEN: u16 = 6;
    /// [`super::HeadFree`]
    pub const HEAD_FREE: u16 = 7;
    /// [`super::Ack`]
    pub const ACK: u16 = 8;
    /// [`super::Retransmit`]
    pub const RETRANSMIT: u16 = 9;
    /// [`super::Extent`]
    pub const EXTENT: u16 = 10;
    /// [`super::Pipe`]
    pub const PIPE: u16 = 11;
    /// [`super::Path`]
    pub const PATH: u16 = 12;
    /// [`super::Proc`]
    pub const PROC: u16 = 13;
    /// [`super::MapFull`]
    pub const MAP_FULL: u16 = 14;
    /// [`super::RxRead`]
    pub const RX_READ: u16 = 15;
    /// [`super::ChangeEnter`]
    pub const CHANGE_ENTER: u16 = 16;
    /// [`super::ChangeExit`]
    pub const CHANGE_EXIT: u16 = 17;
    /// [`super::Removed`]
    pub const REMOVED: u16 = 18;
    /// [`super::Dirtied`]
    pub const DIRTIED: u16 = 19;
    /// [`super::Mapped`]
    pub const MAPPED: u16 = 20;
    /// [`super::Print`]
    pub const PRINT: u16 = 21;
    /// [`super::OpAt`]
    pub const OP_AT: u16 = 22;
    /// [`super::Notify`]
    pub const NOTIFY: u16 = 23;
}

/// Values of [`OpEnter::op`].
pub mod op {
    /// `sendfile(2)`
    pub const SENDFILE: u8 = 1;
    /// `splice(2)`
    pub const SPLICE: u8 = 2;
    /// `tee(2)`
    pub const TEE: u8 = 3;
    /// `vmsplice(2)` into a pipe
    pub const VMSPLICE: u8 = 4;
    /// `send(2)` and its family with `MSG_ZEROCOPY`
    pub const MSG_ZEROCOPY: u8 = 5;
    /// `IORING_OP_SPLICE`
    pub const URING_SPLICE: u8 = 6;
    /// `IORING_OP_SEND_ZC`
    pub const URING_SEND_ZC: u8 = 7;
    /// `IORING_OP_SENDMSG_ZC`
    pub const URING_SENDMSG_ZC: u8 = 8;
    /// None of them: a thread of the kernel sends (`PF_KTHREAD`, or `sk->sk_kern_sock`). In no [`super::OpEnter`].
    pub const KERNEL: u8 = 9;
}

/// Values of [`OpEnter::src_kind`] and [`OpEnter::dst_kind`].
pub mod end {
    /// Not looked at, or none of the others.
    pub const OTHER: u8 = 0;
    /// Regular file or block device: page cache.
    pub const FILE: u8 = 1;
    /// A pipe; the id is in `src`/`dst`, 0 when it is not tracked.
    pub const PIPE: u8 = 2;
    /// A socket; the id is in `src`/`dst`, 0 when it is not tracked.
    pub const SOCK: u8 = 3;
    /// Memory of the process.
    pub const MEMORY: u8 = 4;
}

/// Values of [`OpEnter::memory`]: what the first byte of a memory source is, as its mapping says.
pub mod memory {
    /// The source is no memory.
    pub const NONE: u8 = 0;
    /// Anonymous.
    pub const ANONYMOUS: u8 = 1;
    /// A shared mapping of a file: pages of the page cache.
    pub const SHARED: u8 = 2;
    /// A private mapping of a file: of the page cache, or copies of those.
    pub const PRIVATE: u8 = 3;
    /// Huge pages (`MAP_HUGETLB`).
    pub const HUGE: u8 = 4;
    /// `mmap_lock` was taken, or nothing is mapped there.
    pub const UNKNOWN: u8 = 5;
}

/// Bits of [`OpEnter::more`].
pub mod op_more {
    /// A request of io_uring: it goes on and ends by [`super::OpAt::call`] and
    /// [`super::OpExit::call`], the id of its [`super::OpEnter`], whatever task that is in.
    pub const REQUEST: u8 = 1;
    /// It waits behind another request, or for a worker: positions are stated when it starts.
    pub const QUEUED: u8 = 2;
    /// The socket has no SO_ZEROCOPY: MSG_ZEROCOPY is ignored, and the bytes are copied.
    pub const NOT_ASKED: u8 = 4;
    /// A buffer that was registered with the ring.
    pub const REGISTERED: u8 = 8;
}

/// Bits of [`OpEnter::flags`].
pub mod op_flag {
    /// The task passed the filters and the operation lends file pages: it opens a transfer.
    pub const OPENS: u8 = 1;
    /// The file is open with O_DIRECT: `copy_splice_read()`.
    pub const DIRECT: u8 = 2;
    /// The socket's route has no NETIF_F_SG: `tcp_sendmsg_locked()` copies.
    pub const NO_SG: u8 = 4;
    /// The socket has an upper-layer protocol that sends (kTLS on a device, ...): frags do not show the
    /// file's pages.
    pub const ULP: u8 = 8;
    /// `file->f_op->splice_read` is `copy_splice_read()`.
    pub const COPY_READ: u8 = 16;
    /// The output file or SPLICE_F_NONBLOCK makes the call non-blocking.
    pub const NONBLOCK: u8 = 32;
    /// kTLS in software (`TLS_SW`): what is sent is encrypted into other pages.
    pub const TLS: u8 = 64;
}

/// Bits of [`OpEnter::watch`]: what is known of changes to a file that is lent.
pub mod watch {
    /// Somebody has a shared writable mapping of the file (`mapping->i_mmap_writable > 0`).
    pub const MAPPED: u32 = 1;
    /// Somebody is changing the file (`inode_lock()`), and may have been before it was watched.
    pub const BUSY: u32 = 2;
    /// No room to watch the file.
    pub const FULL: u32 = 4;
    /// The file lies on another file system's file (`sb->s_stack_depth > 0`: overlayfs), or is a
    /// block device: its pages change below it.
    pub const BELOW: u32 = 8;
}

/// A zero-copy system call was entered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct OpEnter {
    /// `op::*`
    pub op: u8,
    /// `end::*`
    pub src_kind: u8,
    /// `end::*`
    pub dst_kind: u8,
    /// `op_flag::*`
    pub flags: u8,
    /// `super_block.s_dev` of a file source (kernel encoding: major << 20 | minor).
    pub dev: u32,
    /// `inode.i_ino` of a file source.
    pub ino: u64,
    /// Pipe or socket id of the source.
    pub src: u64,
    /// Pipe or socket id of the destination.
    pub dst: u64,
    /// File offset in bytes, or the pipe's `tail` (slot number).
    pub src_pos: u64,
    /// TCP: `tcp_sock.write_seq`. Pipe: `head` (slot number).
    pub dst_pos: u64,
    /// Pipe source: `offset` of the buffer at `tail`, bytes within its page.
    pub src_off: u32,
    /// Pipe source: `head` at the same moment.
    pub src_head: u32,
    /// Bytes asked for.
    pub count: u64,
    /// `bpf_get_current_cgroup_id()`
    pub cgroup: u64,
    /// Name of the task, NUL-padded, hostile.
    pub comm: [u8; 16],
    /// `inode.i_generation` of a file source: tells files apart that had the same number.
    pub generation: u32,
    /// `watch::*`
    pub watch: u32,
    /// Memory source: user address of its first byte.
    pub addr: u64,
    /// `sk->sk_zckey`: the number of the next notification on the socket's error queue.
    pub zckey: u32,
    /// Memory source: how many buffers it is in.
    pub segments: u16,
    /// `memory::*`
    pub memory: u8,
    /// `op_more::*`
    pub more: u8,
}

/// A queued request of io_uring starts: where its ends stand.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct OpAt {
    /// Id of its [`OpEnter`].
    pub call: u64,
    /// As in [`OpEnter`].
    pub src_pos: u64,
    /// As in [`OpEnter`].
    pub dst_pos: u64,
    /// As in [`OpEnter`].
    pub src_off: u32,
    /// As in [`OpEnter`].
    pub src_head: u32,
}

/// Bits of [`OpExit::flags`].
pub mod op_exit {
    /// A notification follows (`IORING_CQE_F_MORE`).
    pub const NOTIFIES: u32 = 1;
    /// Its completion was not seen: its memory is another request's by now.
    pub const UNSEEN: u32 = 2;
    /// It did not go to the socket or pipe that it named when it was submitted.
    pub const ELSEWHERE: u32 = 4;
    /// The socket has an upper-layer protocol that sends now: `op_flag::ULP` or `op_flag::TLS`.
    pub const ULP: u32 = 8;
    /// kTLS in software has encrypted all that it was given: no open record, none that is not ready.
    pub const ENCRYPTED: u32 = 16;
}

/// The system call of the same task (`Header::task`), or the request, returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct OpExit {
    /// Bytes moved, or a negative errno.
    pub ret: i64,
    /// Pipe source: `tail` now.
    pub src_pos: u64,
    /// TCP: `write_seq` now. Pipe: `head` now.
    pub dst_pos: u64,
    /// Pipe source: `offset` of the buffer at `tail` now; 0 when the pipe is empty.
    pub src_off: u32,
    /// Pipe source: `head` now.
    pub src_head: u32,
    /// Of a request: id of its [`OpEnter`]. 0: the call of this task.
    pub call: u64,
    /// Memory source: `sk->sk_zckey` now.
    pub zckey: u32,
    /// `op_exit::*`
    pub flags: u32,
}

/// Bits of [`Notify::flags`].
pub mod notify_flag {
    /// The kernel says that it copied (`SO_EE_CODE_ZEROCOPY_COPIED`, `IORING_NOTIF_USAGE_ZC_COPIED`).
    pub const COPIED: u32 = 1;
    /// It says whether it copied.
    pub const CLAIMS: u32 = 2;
}

/// The application is told that its memory is free: `sock:inet_sk_error_report` for the error queue,
/// `io_uring_complete` for a completion with `IORING_CQE_F_NOTIF`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Notify {
    /// Socket id.
    pub sock: u64,
    /// io_uring: id of the [`OpEnter`]; else 0.
    pub call: u64,
    /// Error queue: the first number (`ee_info`).
    pub first: u32,
    /// Error queue: the last (`ee_data`). Numbers wrap.
    pub last: u32,
    /// `notify_flag::*`
    pub flags: u32,
    /// 0.
    pub pad: u32,
}

/// Values of [`Sock::family`] that are told apart.
pub mod family {
    /// `AF_UNIX`
    pub const UNIX: u16 = 1;
    /// `AF_INET`
    pub const INET: u16 = 2;
    /// `AF_INET6`
    pub const INET6: u16 = 10;
}

/// Values of [`Sock::proto`] that are told apart.
pub mod proto {
    /// `IPPROTO_TCP`
    pub const TCP: u16 = 6;
    /// `IPPROTO_UDP`
    pub const UDP: u16 = 17;
}

/// A socket is tracked from now on. Its identity is stated once and never refreshed: ports are
/// zeroed by `inet_put_port()` before a dying socket's last tracepoints.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Sock {
    /// This socket's id.
    pub sock: u64,
    /// `sk->__sk_common.skc_cookie`; 0 when the kernel has not made one.
    pub cookie: u64,
    /// AF_*
    pub family: u16,
    /// IPPROTO_*; 0 for AF_UNIX.
    pub proto: u16,
    /// SOCK_*
    pub sock_type: u16,
    /// Local port, host order.
    pub lport: u16,
    /// Remote port, host order.
    pub rport: u16,
    /// Bytes valid in `name`.
    pub name_len: u16,
    /// TCP: `snd_una` at this moment.
    pub snd_una: u32,
    /// IPv4 in the first four bytes, or IPv6; network order.
    pub laddr: [u8; 16],
    /// As `laddr`.
    pub raddr: [u8; 16],
    /// AF_UNIX: `sun_path` of this socket or, if unbound, of its peer; hostile.
    pub name: [u8; 108],
    /// 1 when `name` is the peer's.
    pub name_is_peer: u32,
    /// 1: the kernel's own, and what its packets hold of files is stated in [`Extent`]s.
    pub kernel: u32,
    /// TCP: `sk->sk_state` at this moment.
    pub state: u32,
}

/// TCP_CLOSE, as [`Sock::state`]: it has no sequence numbers yet.
pub const TCP_CLOSE: u32 = 7;

/// Values of [`SockEnd::why`].
pub mod sock_end {
    /// `tcp:tcp_receive_reset`: the peer reset the connection.
    pub const RESET: u32 = 1;
    /// `sock:inet_sock_set_state` to TCP_CLOSE: nothing unsent will ever be sent.
    pub const CLOSE: u32 = 2;
    /// `__sk_destruct()` freed the socket.
    pub const FREED: u32 = 3;
}

/// A tracked socket reached an end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SockEnd {
    /// Socket id.
    pub sock: u64,
    /// `sock_end::*`
    pub why: u32,
    /// TCP: `snd_una` at this moment (not for `FREED`).
    pub snd_una: u32,
}

/// Bits of [`Head::flags`].
pub mod head_flag {
    /// Handed to a loopback device.
    pub const LOOPBACK: u32 = 1;
    /// Learned at `net_dev_start_xmit` and not before: a software GSO segment.
    pub const SEGMENT: u32 = 2;
    /// `seq` is meaningful (TCP).
    pub const SEQ: u32 = 4;
    /// The id is known already; this replaces its range.
    pub const AGAIN: u32 = 8;
    /// Learned in the moment before its free (AF_UNIX).
    pub const AT_FREE: u32 = 16;
    /// Learned in a receive queue on this machine, where frags of other heads may be merged into it.
    pub const RX: u32 = 32;
    /// Its frags are memory of a process (`SKBFL_ZEROCOPY_ENABLE`): a receiver on this machine gets
    /// copies (`skb_orphan_frags_rx()`).
    pub const USER: u32 = 64;
}

/// An skb head (`skb->head`, where `skb_shared_info` lives) with paged data of a tracked socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Head {
    /// This head's id.
    pub head: u64,
    /// Socket id.
    pub sock: u64,
    /// TCP: sequence number of the first byte in the frags.
    pub seq: u32,
    /// Bytes in the frags (`skb->data_len`).
    pub len: u32,
    /// `head_flag::*`
    pub flags: u32,
    /// 0.
    pub pad: u32,
}

/// The frags of a known head now hold `len` bytes from its first byte on: the receive side merged
/// a neighbour into it (`skb_try_coalesce()`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct HeadLen {
    /// Head id.
    pub head: u64,
    /// Bytes in the frags.
    pub len: u32,
    /// 0.
    pub pad: u32,
    /// Socket id.
    pub sock: u64,
}

/// Bits of [`HeadFree::flags`].
pub mod free_flag {
    /// `snd_una` is meaningful.
    pub const UNA: u32 = 1;
    /// A local socket had received it.
    pub const RX: u32 = 2;
    /// ... and that socket's receive side was shut down by then, the bytes unread.
    pub const RX_SHUT: u32 = 4;
    /// ... out of order, and where its frags went could not be followed.
    pub const RX_OOO: u32 = 8;
    /// ... and somebody splices from that socket: frags may live on in a pipe.
    pub const RX_SPLICED: u32 = 16;
    /// `skb:kfree_skb`: dropped.
    pub const DROPPED: u32 = 32;
    /// The free itself was missed; the memory turned up as another head.
    pub const REUSED: u32 = 64;
    /// Frags were moved away (`nr_frags == 0`): nothing was released here.
    pub const MOVED: u32 = 128;
    /// Its frags are not those that it had: copies took their place (`skb_copy_ubufs()`).
    pub const REPLACED: u32 = 256;
}

/// `skb_free_head()`: the head is freed, its frags were dropped just before by
/// `skb_release_data()`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct HeadFree {
    /// Head id.
    pub head: u64,
    /// Bytes its frags held, read again at the free.
    pub len: u32,
    /// TCP: sender's `snd_una` at the free.
    pub snd_una: u32,
    /// `free_flag::*`
    pub flags: u32,
    /// 0.
    pub pad: u32,
}

/// A tracked TCP socket is about to process an acknowledgement (`tcp:tcp_probe`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Ack {
    /// Socket id.
    pub sock: u64,
    /// Everything before this sequence number is acknowledged.
    pub una: u32,
    /// 0.
    pub pad: u32,
}

/// `tcp:tcp_retransmit_skb`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Retransmit {
    /// Socket id.
    pub sock: u64,
    /// First sequence number retransmitted.
    pub seq: u32,
    /// One past the last.
    pub end: u32,
}

/// A run of file bytes in a head's frags. Stated for sockets without sequence numbers, and for those of
/// the kernel. Where `ino` is 0: of a process's memory; then `off` says nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Extent {
    /// Head id.
    pub head: u64,
    /// `inode.i_ino`
    pub ino: u64,
    /// File offset, bytes.
    pub off: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// Bytes.
    pub len: u32,
    /// Where in the frags it begins, bytes.
    pub pos: u32,
    /// Of a socket of the kernel: `inode.i_generation`.
    pub generation: u32,
    /// The same: `watch::*`
    pub watch: u32,
    /// 0.
    pub pad: u32,
}

/// Values of [`Pipe::why`].
pub mod pipe_why {
    /// Tracked from now on.
    pub const NEW: u32 = 0;
    /// A read-family system call on the pipe returned.
    pub const READ: u32 = 1;
    /// `free_pipe_info()`: every end is closed.
    pub const FREED: u32 = 2;
    /// `fcntl(F_SETPIPE_SZ)`: `pipe_resize_ring()` numbers the slots anew. Also stated when a splice
    /// whose entry was not followed took from the pipe: what its slots held is not known any more.
    pub const RESIZED: u32 = 3;
}

/// Where a tracked pipe stands.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Pipe {
    /// Pipe id.
    pub pipe: u64,
    /// Next slot to fill.
    pub head: u32,
    /// Next slot to drain.
    pub tail: u32,
    /// `offset` of the buffer at `tail`; 0 when empty.
    pub off: u32,
    /// `pipe_why::*`
    pub why: u32,
}

/// Bytes of [`Path::text`].
pub const PATH_TEXT: usize = 768;

/// Where a file was found, once per inode: names from the file up to the root, each followed by a
/// NUL, hostile.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Path {
    /// `inode.i_ino`
    pub ino: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// Bytes used in `text`.
    pub used: u32,
    /// 1 when the walk reached the root of the mount tree.
    pub whole: u32,
    /// `inode.i_generation`
    pub generation: u32,
    /// The names.
    pub text: [u8; PATH_TEXT],
}

/// Values of [`Proc::what`].
pub mod proc_what {
    /// A followed process forked `pid`.
    pub const FORK: u32 = 1;
    /// The last thread of `pid` exits.
    pub const EXIT: u32 = 2;
}

/// A filtered process came or went.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Proc {
    /// Process (tgid).
    pub pid: u32,
    /// `proc_what::*`
    pub what: u32,
}

/// The receiver on this machine has copied everything before `copied` to its user
/// (`tcp:tcp_rcv_space_adjust`). Its skbs may be parked for a free on another CPU
/// (`skb_attempt_defer_free()`); nobody reads them there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RxRead {
    /// Id of the *sending* socket.
    pub sock: u64,
    /// The receiver's `copied_seq`, in the sender's sequence numbers.
    pub copied: u32,
    /// 0.
    pub pad: u32,
}

/// Values of [`MapFull::map`].
pub mod full_map {
    /// Heads: a release could be claimed too early.
    pub const HEADS: u32 = 1;
    /// Sockets: transfers on it are not seen.
    pub const SOCKS: u32 = 2;
    /// Pipes: transfers into it are not seen.
    pub const PIPES: u32 = 3;
    /// Tasks inside a call: the transfer is not seen.
    pub const OPS: u32 = 4;
}

/// A map had no room: something about this socket or pipe is not tracked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct MapFull {
    /// `full_map::*`
    pub map: u32,
    /// 0.
    pub pad: u32,
    /// Socket id where known, else 0.
    pub id: u64,
}

/// Values of [`ChangeEnter::what`].
pub mod change {
    /// `write`, `pwrite64`, `writev`, `pwritev`, `pwritev2`, `io_submit`
    pub const WRITE: u8 = 1;
    /// `splice` or `sendfile` into the file.
    pub const SPLICE: u8 = 2;
    /// `copy_file_range`, `ioctl(FICLONE)`, `ioctl(FICLONERANGE)`
    pub const COPY: u8 = 3;
    /// `truncate`, `ftruncate`, `open(O_TRUNC)`
    pub const TRUNCATE: u8 = 4;
    /// `fallocate(FALLOC_FL_PUNCH_HOLE)`
    pub const PUNCH: u8 = 5;
    /// `fallocate(FALLOC_FL_ZERO_RANGE)`
    pub const ZERO: u8 = 6;
    /// `fallocate(FALLOC_FL_COLLAPSE_RANGE)`: what follows moves down.
    pub const COLLAPSE: u8 = 7;
    /// `fallocate(FALLOC_FL_INSERT_RANGE)`: what follows moves up.
    pub const INSERT: u8 = 8;
}

/// Bits of [`ChangeEnter::flags`].
pub mod change_flag {
    /// The file is open with O_DIRECT, or the write asked for it.
    pub const DIRECT: u8 = 1;
    /// The call names its file by path: which one is only known when it returns.
    pub const BY_PATH: u8 = 2;
    /// Stated when it returned: the file was not watched when it began.
    pub const LATE: u8 = 4;
    /// Submitted through io_uring: another task may run it.
    pub const URING: u8 = 8;
}

/// A call that may change a watched file was entered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ChangeEnter {
    /// This change's id.
    pub change: u64,
    /// `inode.i_ino`, 0 with `BY_PATH`.
    pub ino: u64,
    /// File offset in bytes, as far as known.
    pub off: u64,
    /// Bytes; `u64::MAX`: not known, or all that follow.
    pub len: u64,
    /// `inode.i_size` then.
    pub size: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// `change::*`
    pub what: u8,
    /// `change_flag::*`
    pub flags: u8,
    /// 0.
    pub pad: u16,
    /// `inode.i_generation`
    pub generation: u32,
    /// 0.
    pub pad2: u32,
    /// Name of the task, NUL-padded, hostile.
    pub comm: [u8; 16],
}

/// Bits of [`ChangeExit::flags`].
pub mod exit_flag {
    /// Pages of the file left the page cache by this call.
    pub const REMOVED: u16 = 1;
    /// The call named its file by a path; this one became as short as the call said, and nothing else
    /// shows that it is the one.
    pub const BY_SIZE: u16 = 2;
}

/// That call returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ChangeExit {
    /// Id of the change.
    pub change: u64,
    /// `inode.i_ino`; 0: a file that is not watched.
    pub ino: u64,
    /// File offset of the first byte changed.
    pub off: u64,
    /// Bytes changed, `u64::MAX`: all that follow. 0 when it failed.
    pub len: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// `inode.i_generation`
    pub generation: u32,
    /// 1: another file may follow, and the end of the call.
    pub more: u16,
    /// `exit_flag::*`
    pub flags: u16,
    /// The result, where it is an errno that may leave bytes changed; else 0.
    pub errno: i32,
}

/// `filemap:mm_filemap_delete_from_page_cache`: a folio of a watched file left the page cache.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Removed {
    /// `inode.i_ino`
    pub ino: u64,
    /// File offset in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// `inode.i_generation`
    pub generation: u32,
    /// Name of the task, NUL-padded, hostile.
    pub comm: [u8; 16],
}

/// `writeback:writeback_dirty_folio`, outside of any call that writes: a store through a mapping
/// made a clean folio dirty (`page_mkwrite`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Dirtied {
    /// `inode.i_ino`
    pub ino: u64,
    /// File offset in bytes.
    pub off: u64,
    /// Bytes: the whole folio.
    pub len: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// `inode.i_generation`
    pub generation: u32,
    /// 1 when a shared writable mapping of the file exists.
    pub mapped: u32,
    /// 0.
    pub pad: u32,
    /// Name of the task, NUL-padded, hostile.
    pub comm: [u8; 16],
}

/// `mmap()` of a watched file returned a shared mapping that may be written.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Mapped {
    /// `inode.i_ino`
    pub ino: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// `inode.i_generation`
    pub generation: u32,
}

/// Values of [`Print::when`].
pub mod when {
    /// The call of the same task, or the request, is about to lend it. Stated after its [`super::OpEnter`], before the
    /// kernel enters the call.
    pub const SUBMIT: u8 = 1;
    /// It returned in the middle of a page. Stated before its [`super::OpExit`].
    pub const RETURN: u8 = 2;
    /// `net:net_dev_start_xmit`: handed to a device.
    pub const XMIT: u8 = 3;
    /// The head is about to be freed. Stated before its [`super::HeadFree`].
    pub const RELEASE: u8 = 4;
    /// A receiver on this machine has copied it. Stated before its [`super::RxRead`].
    pub const READ: u8 = 5;
}

/// Pages that one [`Print`] can describe.
pub const PRINT_PAGES: usize = 17;

/// Fingerprints of a run of file bytes, one for each page that it touches.
///
/// Each is the sum over the run's bytes in that page, each times a secret factor that its place in
/// the page decides, modulo 2^64: those of two pieces add up to that of both.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Print {
    /// Head id. At submit and return: id of the request's [`OpEnter`], or 0 for the task's call.
    pub head: u64,
    /// `inode.i_ino`; 0: memory of a process.
    pub ino: u64,
    /// File offset of the first byte. Of memory: at the submit its address; else where in its page it is.
    pub off: u64,
    /// `super_block.s_dev`
    pub dev: u32,
    /// Bytes.
    pub len: u32,
    /// Where in the head's frags the run begins, bytes.
    pub pos: u32,
    /// `when::*`
    pub when: u8,
    /// Pages.
    pub count: u8,
    /// 0.
    pub pad: u16,
    /// The first byte was looked at no earlier, nanoseconds; the last no later than the frame's `ts`.
    pub since: u64,
    /// One for each page.
    pub sums: [u64; PRINT_PAGES],
}
