//! Every map: who writes, who reads. All preallocated: allocating inside a kfree hook recurses.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use zctrace_common::{call, counter};

use crate::{
    change::Plan,
    content::{Content, Scratch},
    lend::Call,
    watch::Watched,
};

/// Frames. Written by `emit` only; the loader sets the size and reads.
#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// `counter::*`. Written by `emit`, read by the loader.
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Whose turn it is, for each pair of programs. Only [`crate::twice`] uses it.
#[map]
pub static TURNS: PerCpuArray<Turn> = PerCpuArray::with_max_entries(counter::turn::COUNT, 0);

/// `counter::gate::*`. Written by `track`, read by hooks that run often for others.
#[map]
pub static GATES: Array<u64> = Array::with_max_entries(counter::gate::COUNT, 0);

/// Receiving TCP sockets on this machine, by `struct sock *`.
#[map]
pub static RECEIVERS: HashMap<u64, Receiver> = HashMap::with_max_entries(16384, 0);

/// Slab caches of tracked sockets: a free from any other cache is not a socket.
#[map]
pub static SLABS: Array<[u64; SLAB_COUNT]> = Array::with_max_entries(1, 0);
pub const SLAB_COUNT: usize = 8;

/// Traced processes (tgid). Written by the loader and the process hooks.
#[map]
pub static PIDS: HashMap<u32, u32> = HashMap::with_max_entries(8192, 0);

/// Traced files. Written by the loader.
#[map]
pub static FILES: HashMap<FileKey, u32> = HashMap::with_max_entries(1024, 0);

/// Inodes whose path has been stated.
#[map]
pub static SEEN: LruHashMap<SeenKey, u32> = LruHashMap::with_max_entries(16384, 0);

/// Tracked sockets by `struct sock *`.
#[map]
pub static SOCKS: HashMap<u64, SockEnt> = HashMap::with_max_entries(16384, 0);

/// Tracked skb heads by `skb->head`.
#[map]
pub static HEADS: HashMap<u64, HeadEnt> = HashMap::with_max_entries(65536, 0);

/// Tracked pipes by `struct pipe_inode_info *`.
#[map]
pub static PIPES: HashMap<u64, PipeEnt> = HashMap::with_max_entries(8192, 0);

/// Tasks inside a traced call, by tid.
#[map]
pub static OPS: HashMap<u32, OpEnt> = HashMap::with_max_entries(8192, 0);

/// What is about to lend, on this CPU: for system calls, and for requests. Not on the stack, where the
/// verifier would tell its states apart by it.
#[map]
pub static CALL: PerCpuArray<Call> = PerCpuArray::with_max_entries(2, 0);

/// Requests of io_uring that lend, by `struct io_kiocb *`.
#[map]
pub static REQUESTS: HashMap<u64, OpEnt> = HashMap::with_max_entries(8192, 0);

/// Their notifications, which are requests too, by `struct io_kiocb *`.
#[map]
pub static NOTIFS: HashMap<u64, NotifEnt> = HashMap::with_max_entries(16384, 0);

/// What each system call is (`call::*`): native numbers, then those of 32-bit programs. Written by
/// the loader.
#[map]
pub static CALLS: Array<u8> = Array::with_max_entries(2 * call::NUMBERS, 0);

/// Files that have been lent, by `struct inode *` of their pages.
#[map]
pub static WATCHED: HashMap<u64, WatchEnt> = HashMap::with_max_entries(65536, 0);

/// Tasks inside a call that changes a watched file, by tid.
#[map]
pub static CHANGES: HashMap<u32, ChangeEnt> = HashMap::with_max_entries(8192, 0);

/// Requests of io_uring that change a watched file, by `struct io_kiocb *`.
#[map]
pub static URING: HashMap<u64, ChangeEnt> = HashMap::with_max_entries(8192, 0);

/// Changes of files that nobody watched when they were asked for, by task or `struct io_kiocb *`: the
/// `struct inode *`. Only [`crate::pending`] uses it.
#[map]
pub static PENDING: HashMap<u64, u64> = HashMap::with_max_entries(8192, 0);

/// How many of them there are, by a hash of the inode.
#[map]
pub static WAITING: Array<u64> = Array::with_max_entries(WAITING_SLOTS, 0);

/// A power of two.
pub const WAITING_SLOTS: u32 = 4096;

/// Sockets that threads of the kernel send on, by `struct sock *`.
#[map]
pub static BY_KERNEL: LruHashMap<u64, u32> = LruHashMap::with_max_entries(4096, 0);

/// Room for content. Only `content` and `print` use it.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(4, 0);

/// Where content is, and factors. Written by the loader and by `zct_calibrate`.
#[map]
pub static CONTENT: Array<Content> = Array::with_max_entries(1, 0);

/// Answers of `zct_calibrate`. Read by the loader.
#[map]
pub static ANSWER: Array<u64> = Array::with_max_entries(1, 0);

/// Sockets somebody splices from, by `struct sock *`.
#[map]
pub static RX_SPLICE: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WatchEnt {
    /// The file as its senders know it.
    pub ino: u64,
    /// The largest `i_size` seen since the last change ended.
    pub size: u64,
    /// `i_ino` and `i_sb` of the inode: its memory may be another file's by now.
    pub host: u64,
    pub sb: u64,
    pub dev: u32,
    pub generation: u32,
    /// 1: since it is watched, there was a moment when nobody was changing it.
    pub idle: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ChangeEnt {
    pub id: u64,
    pub of: Watched,
    pub plan: Plan,
    /// 1: pages of the file left the page cache.
    pub removed: u64,
    /// Named by a path: the first watched `struct inode *` of which the call touched a folio.
    pub touched: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Turn {
    /// 1 while the first program of the pair is at work on this CPU.
    pub inside: u64,
    /// The event it did last, until the second program has seen that.
    pub done: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FileKey {
    pub ino: u64,
    pub dev: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SeenKey {
    pub ino: u64,
    pub dev: u32,
    pub generation: u32,
    pub dentry: u64,
    /// Hash and length of its name: a rename keeps the dentry.
    pub name: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SockEnt {
    pub id: u64,
    pub family: u16,
    pub proto: u16,
    /// TCP: the newest acknowledgement stated.
    pub acked: u32,
    /// 1: memory is sent here.
    pub memory: u32,
    /// 1: the kernel's own.
    pub kernel: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NotifEnt {
    /// Id of the `OpEnter`.
    pub call: u64,
    /// Socket id.
    pub sock: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct HeadEnt {
    pub id: u64,
    pub sock: u64,
    pub sk: u64,
    /// The receiving socket on this machine.
    pub rx: u64,
    /// The receive queue's tail when this head arrived: it may be merged into that.
    pub merge: u64,
    /// Of memory: `struct page *` of the first frag; else 0.
    pub page: u64,
    pub seq: u32,
    pub len: u32,
    /// Offset of `skb_shared_info` from the head.
    pub end: u32,
    /// `free_flag::*` gathered so far.
    pub flags: u32,
    /// 1 for TCP.
    pub tcp: u32,
    /// 1 when it reached its receiver out of order.
    pub ooo: u32,
    /// Bytes from the first on whose fingerprints at the release have been stated.
    pub printed: u32,
    pub pad: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Receiver {
    /// Id of the sending socket.
    pub sock: u64,
    /// The newest `copied_seq` stated.
    pub copied: u32,
    pub pad: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PipeEnt {
    pub id: u64,
    /// Slots before this one may hold lent pages.
    pub lent: u32,
    /// Producers inside a call.
    pub busy: u32,
    /// Counted in `gate::PIPES`.
    pub active: u32,
    /// 1: memory has been put into it.
    pub memory: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpEnt {
    /// Of a request, the id of its `OpEnter`; of a call 0.
    pub id: u64,
    pub src: u64,
    pub dst: u64,
    pub src_kind: u8,
    pub dst_kind: u8,
    pub opens: u8,
    /// 1: a request that has not started.
    pub queued: u8,
    /// Pipe destination: head at enter.
    pub dst_pos: u32,
    /// With fingerprints: the `struct address_space *` it lends from, where, and how much.
    pub mapping: u64,
    pub off: u64,
    pub count: u64,
    /// Of memory that is no file's, where it is; 0: none, or in several buffers.
    pub addr: u64,
    /// 1: a request that has no completion, unless it fails.
    pub skips: u64,
}
