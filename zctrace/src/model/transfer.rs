//! One submitted operation that lends pages, and its fate.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::MutationId;

/// `cpu` and `seq` of the frame that stated the submit: unique in a trace, the same on every replay.
/// In a merged recording, the upper half of `cpu` is the number of the part: 0 in any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransferId {
    /// CPU of the submit.
    pub cpu: u32,
    /// Its per-CPU sequence number.
    pub seq: u64,
}

impl TransferId {
    /// Before every other.
    pub const MIN: Self = Self { cpu: 0, seq: 0 };
    /// Which part of a merged recording it is of.
    #[must_use]
    pub fn part(self) -> u16 {
        (self.cpu >> 16) as u16
    }

    /// The same, of that part.
    #[must_use]
    pub fn of_part(self, part: u16) -> Self {
        Self { cpu: u32::from(part) << 16 | (self.cpu & 0xffff), ..self }
    }

    /// After every other.
    pub const MAX: Self = Self { cpu: u32::MAX, seq: u64::MAX };
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part() != 0 {
            write!(f, "{}:", self.part())?;
        }
        write!(f, "{}-{}", self.cpu & 0xffff, self.seq)
    }
}

/// The interface that lent the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Api {
    /// `sendfile(2)`
    Sendfile,
    /// `splice(2)`
    Splice,
    /// `vmsplice(2)` into a pipe
    Vmsplice,
    /// `send(2)` and its family with `MSG_ZEROCOPY`
    MsgZerocopy,
    /// `IORING_OP_SPLICE`
    IoUringSplice,
    /// `IORING_OP_SEND_ZC`
    IoUringSendZc,
    /// `IORING_OP_SENDMSG_ZC`
    IoUringSendmsgZc,
    /// The kernel itself: a file server, a network block device, a network file system.
    Kernel,
}

impl Api {
    /// Whether the program is told when its memory is free (`struct ubuf_info`): the packets of such a send are
    /// copied for a receiver on this machine.
    #[must_use]
    pub fn notifies(self) -> bool {
        matches!(self, Self::MsgZerocopy | Self::IoUringSendZc | Self::IoUringSendmsgZc)
    }
}

/// Why no page was lent: the kernel copied the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Copied {
    /// The file is open with O_DIRECT: `copy_splice_read()` reads past the page cache.
    DirectIo,
    /// The file's `splice_read` is `copy_splice_read()`.
    SpliceRead,
    /// The route has no NETIF_F_SG.
    NoScatterGather,
    /// MSG_ZEROCOPY without SO_ZEROCOPY: it is ignored.
    NotAsked,
    /// `mptcp_sendmsg()` copies.
    Mptcp,
    /// kTLS in software: `tls_do_encryption()` writes to other pages.
    Tls,
    /// The receiver is on this machine and gets a copy (`skb_orphan_frags_rx()`); what is not
    /// acknowledged is lent all the same.
    Loopback,
    /// The notification says so.
    Notified,
}

/// What a piece of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemoryKind {
    /// Anonymous.
    Anonymous,
    /// A shared mapping of a file.
    SharedFile,
    /// A private mapping of a file.
    PrivateFile,
    /// Huge pages.
    Huge,
    /// Not known: its mapping could not be looked at.
    Unknown,
}

/// Memory of the process that was lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Memory {
    /// What the mapping at its first byte is.
    pub kind: MemoryKind,
    /// Address of its first byte, in the process.
    pub address: u64,
    /// Buffers it is in.
    pub buffers: u16,
    /// Registered with a ring.
    pub registered: bool,
}

/// What bytes are bytes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A file; offsets count from its start.
    File(FileId),
    /// The memory of this process; offsets are addresses.
    Memory(u32),
}

/// How the last reference was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReleasedBy {
    /// The peer's acknowledgement freed the last head.
    Ack,
    /// The device freed the last head after the acknowledgement, or without one.
    TxComplete,
    /// A receiver on this machine read the bytes.
    ReceiverRead,
    /// The kernel copied the bytes: the pages were never lent on.
    Copied,
    /// The pipe was drained by a copy.
    PipeDrained,
    /// A socket or pipe was closed with the bytes in it.
    Close,
    /// The peer reset the connection.
    Reset,
    /// The network dropped the packet.
    Drop,
}

/// Whether step 2 was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Seen.
    Released,
    /// Still lent when the trace ended.
    Held,
    /// Something that was lost or cannot be observed could have hidden it.
    Unknown,
}

/// Whether the bytes changed inside the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Evidence is complete and shows no change.
    Clean,
    /// They could have changed.
    Mutated,
    /// Evidence is incomplete.
    Unknown,
}

impl Verdict {
    /// For what is said of several transfers at once, the largest counts: a change that was seen is worse
    /// than one that cannot be excluded.
    #[must_use]
    pub fn gravity(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Unknown => 1,
            Self::Mutated => 2,
        }
    }
}

/// Which version of the bytes went out, as far as fingerprints saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Content {
    /// What was lent at the submit.
    SentOld,
    /// Where the bytes changed, something else.
    SentNew,
    /// Some of each, or the same bytes were sent again with another content.
    Mixed,
}

/// Why an outcome or a verdict is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Records were lost while the window was open.
    Loss,
    /// A kernel map was full while the window was open.
    MapFull,
    /// A learning program was skipped while the window was open.
    ProbeSkipped,
    /// A program that sees frees was skipped; the release may have been missed.
    FreeMissed,
    /// The recording ends in the middle.
    RecordingCut,
    /// Received out of order on this machine: frags may have moved to a head we do not know.
    OutOfOrder,
    /// The local receiver splices: pages may live on in a pipe.
    ReceiverSpliced,
    /// Frags moved to a head we do not know.
    FragsMoved,
    /// The pipe was resized or its slots do not add up.
    PipeChanged,
    /// An upper-layer protocol hides the pages: kTLS on a device, or one whose record is still open.
    UpperLayer,
    /// Nothing watched for changes: a recording of an older version, or a probe was missing.
    MutationsUnwatched,
    /// A program that watches for changes was skipped while the window was open.
    WatchSkipped,
    /// Somebody could store through a shared mapping without any event.
    WritableMapping,
    /// No room to watch the file.
    FileUnwatched,
    /// Somebody was already changing the file when the watch began.
    FileBusy,
    /// Its pages belong to a file below, or to a device.
    FileStacked,
    /// More changes than are kept.
    ChangesFull,
    /// A call that began in the window may still be changing the file, or its end was lost.
    ChangeRunning,
    /// The content changed, and what is known of who changes the file is incomplete.
    ContentChanged,
    /// Still lent when the trace ended: what is not released can still change.
    StillLent,
    /// A probe that this claim needs is missing.
    ProbeMissing,
    /// The call's return was not seen.
    ReturnMissed,
    /// Stores to memory make no event.
    MemoryUnwatched,
    /// Several sends at once on one socket cannot be told apart.
    SendsAtOnce,
    /// The socket was not connected when it was first seen.
    NotConnected,
    /// Of several buffers, only what the first is a part of is known.
    MemoryScattered,
    /// The kernel sent it, and when it began to is not known: changes before the first transmit may count.
    SubmitUnseen,
}

/// Which file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Device, kernel encoding (`major << 20 | minor`).
    pub dev: u32,
    /// Inode number.
    pub ino: u64,
    /// `inode->i_generation`: a number may be given to another file after a removal.
    pub generation: u32,
}

/// The file whose pages were lent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// Which.
    pub id: FileId,
    /// Where it was found, raw bytes, hostile. `None` when no walk succeeded.
    pub path: Option<Arc<[u8]>>,
}

/// One end of a socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SockAddr {
    /// Address and port.
    Inet(IpAddr, u16),
    /// `sun_path`, raw bytes, hostile; a leading NUL marks the abstract namespace.
    Unix(Arc<[u8]>),
    /// Unnamed.
    None,
}

/// A socket's identity, as it was when first seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SockRef {
    /// The trace's own number for it.
    pub id: u64,
    /// The kernel's cookie (`ss -e` shows it), when it has one.
    pub cookie: Option<u64>,
    /// AF_*
    pub family: u16,
    /// IPPROTO_*, 0 for AF_UNIX.
    pub proto: u16,
    /// This end.
    pub local: SockAddr,
    /// The other end.
    pub remote: SockAddr,
}

/// Bytes that were sent again (`tcp_retransmit_skb`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// File offset of the first byte, or its address.
    pub off: u64,
    /// Bytes; `u64::MAX`: which is not known.
    pub len: u64,
    /// When, for the first time, nanoseconds.
    pub first: u64,
    /// When, for the last time, nanoseconds.
    pub at: u64,
    /// How often.
    pub times: u32,
}

impl Resent {
    /// Once, then.
    #[must_use]
    pub fn once(off: u64, len: u64, at: u64) -> Self {
        Self { off, len, first: at, at, times: 1 }
    }

    /// Which bytes is not known.
    #[must_use]
    pub fn anything(at: u64) -> Self {
        Self::once(0, u64::MAX, at)
    }

    /// Whether any of these bytes are among them.
    #[must_use]
    pub fn overlaps(&self, off: u64, len: u64) -> bool {
        off < self.off.saturating_add(self.len) && self.off < off.saturating_add(len)
    }
}

/// One submitted operation that lent pages to a socket or pipe. Times are CLOCK_MONOTONIC
/// nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Unique in the trace.
    pub id: TransferId,
    /// Interface.
    pub api: Api,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Name of the thread at submit, raw bytes without padding, hostile.
    pub comm: Arc<[u8]>,
    /// cgroup v2 path, when it could be resolved.
    pub cgroup: Option<Arc<str>>,
    /// File; `None`: memory that is no file's.
    pub file: Option<FileRef>,
    /// The memory that was lent, by an API that lends memory.
    pub memory: Option<Memory>,
    /// File offset of the first byte; where there is no file, its address.
    pub offset: u64,
    /// Bytes asked for.
    pub requested: u64,
    /// Bytes the call moved.
    pub bytes: u64,
    /// The socket the bytes went to; the last one, if several. `None`: they stayed in a pipe.
    pub socket: Option<Arc<SockRef>>,
    /// Why the kernel copied, where it did.
    pub copied: Option<Copied>,
    /// The operation was entered.
    pub submit_ns: u64,
    /// The last call that moved these bytes returned.
    pub return_ns: Option<u64>,
    /// The kernel told the application that its memory is free.
    pub notify_ns: Option<u64>,
    /// Whether it said that it copied; `None`: it did not say.
    pub notify_copied: Option<bool>,
    /// First hand-over to a network device.
    pub first_xmit_ns: Option<u64>,
    /// The peer acknowledged the last byte.
    pub ack_ns: Option<u64>,
    /// Step 2.
    pub release_ns: Option<u64>,
    /// Retransmissions that overlapped these bytes.
    pub retransmits: u32,
    /// Which bytes, and when: each range once.
    pub resent: Vec<Resent>,
    /// How step 2 came.
    pub released_by: Option<ReleasedBy>,
    /// Whether step 2 was seen.
    pub outcome: Outcome,
    /// Whether the bytes changed.
    pub verdict: Verdict,
    /// Which version went out; `None`: not known.
    pub content: Option<Content>,
    /// Why not certain; sorted, without repeats.
    pub reasons: Vec<Reason>,
    /// Names of the rules that apply, the gravest first.
    #[serde(skip)]
    pub rules: Vec<&'static str>,
    /// What changed in the window.
    pub mutations: Vec<MutationId>,
}

impl Transfer {
    /// Opened then, nanoseconds; nothing else is known of it.
    #[must_use]
    pub fn opened(id: TransferId, api: Api, submit_ns: u64) -> Self {
        Self {
            id,
            api,
            pid: 0,
            tid: 0,
            comm: Arc::default(),
            cgroup: None,
            file: None,
            memory: None,
            offset: 0,
            requested: 0,
            bytes: 0,
            socket: None,
            copied: None,
            submit_ns,
            return_ns: None,
            notify_ns: None,
            notify_copied: None,
            first_xmit_ns: None,
            ack_ns: None,
            release_ns: None,
            retransmits: 0,
            resent: Vec::new(),
            released_by: None,
            outcome: Outcome::Held,
            verdict: Verdict::Unknown,
            content: None,
            reasons: Vec::new(),
            rules: Vec::new(),
            mutations: Vec::new(),
        }
    }

    /// What its bytes are bytes of.
    #[must_use]
    pub fn source(&self) -> Source {
        self.file.as_ref().map_or(Source::Memory(self.pid), |f| Source::File(f.id))
    }

    /// Bytes that it lent; `None`: its call has not said.
    #[must_use]
    pub fn moved(&self) -> Option<u64> {
        (self.return_ns.is_some() || self.api == Api::Kernel).then_some(self.bytes)
    }

    /// Release − Submit, nanoseconds; `None` unless released.
    #[must_use]
    pub fn gap_ns(&self) -> Option<u64> {
        Some(self.release_ns?.saturating_sub(self.submit_ns))
    }

    /// Release − (Notify, else Return), nanoseconds: how long the application believed it was done
    /// while the pages were still lent. 0 when the pages were released before the call returned.
    #[must_use]
    pub fn exposure_ns(&self) -> Option<u64> {
        let told = self.notify_ns.or(self.return_ns)?;
        Some(self.release_ns?.saturating_sub(told))
    }
}
