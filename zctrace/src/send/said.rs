//! What is said of a send: its end, the evidence, and what nobody promises.

use std::fmt;
use std::io;

use crate::model::{Content, Mutation, Reason, ReleasedBy, Verdict};
use crate::text;

/// How far a send is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes to be sent.
    pub bytes: u64,
    /// Taken up from the file.
    pub taken: u64,
    /// Given to the socket.
    pub moved: u64,
    /// Of those, in the socket's queue: TCP: not acknowledged; AF_UNIX: memory, which is more than bytes.
    pub queued: Option<u64>,
    /// Traced: bytes that are lent now.
    pub lent: Option<u64>,
}

/// A send that is complete. Times are ns of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Bytes sent.
    pub bytes: u64,
    /// The submission began.
    pub submit_ns: u64,
    /// The file was taken up, or its first part where it was too large: the submission is over.
    pub taken_ns: u64,
    /// The socket had taken everything. This is what other interfaces call done.
    pub return_ns: u64,
    /// Step 2: from here on no change to the file can reach the peer. `None`: it cannot be known.
    pub released_ns: Option<u64>,
    /// How it is known.
    pub evidence: Evidence,
    /// Whether the peer's bytes are the file's.
    pub bytes_are: Certainty,
    /// What this evidence leaves open.
    pub not_promised: Vec<NotPromised>,
    /// Why there is no better evidence, where it was asked for.
    pub instead: Option<String>,
}

/// What a completion rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The tracer saw the last reference go, of every byte.
    Traced(Traced),
    /// Every byte is acknowledged.
    Acknowledged,
    /// A receiver on this machine has nothing left to read.
    ReadByReceiver,
    /// The socket's queue is empty; it has no acknowledgements.
    QueueEmpty,
    /// Nothing was lent: the program sent a copy of its own.
    Copied,
}

/// What the tracer says of all transfers of a send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Transfers it consisted of.
    pub transfers: u64,
    /// What ended them; sorted, without repeats.
    pub released_by: Vec<ReleasedBy>,
    /// Of all, the worst.
    pub verdict: Option<Verdict>,
    /// With fingerprints: the same of all of them, or nothing.
    pub content: Option<Content>,
    /// Why a verdict is unknown; sorted, without repeats.
    pub reasons: Vec<Reason>,
    /// Changes while lent.
    pub mutations: Vec<Mutation>,
}

/// Whether each byte that the peer gets is one that the file had at that place during the submission:
/// between `submit_ns` and `taken_ns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is.
    Certain,
    /// It may not be.
    MayDiffer(MayDiffer),
}

/// Why bytes may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayDiffer {
    /// Somebody changed them while they were lent: who is in the evidence.
    Changed,
    /// The file's size or time of change is another one now.
    TimesChanged,
    /// Somebody opened the file for writing, or cut it, before step 2 was known.
    OpenedForWriting,
    /// The tracer cannot exclude a change: why is in the evidence.
    CannotExclude,
    /// Nobody watched the file.
    Unwatched,
    /// When they are read for the last time is not known.
    ReleaseUnknown,
    /// What did not fit was taken up later than the rest.
    TakenLater,
}

impl MayDiffer {
    /// A short name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::TimesChanged => "times-changed",
            Self::OpenedForWriting => "opened-for-writing",
            Self::CannotExclude => "cannot-exclude",
            Self::Unwatched => "unwatched",
            Self::ReleaseUnknown => "release-unknown",
            Self::TakenLater => "taken-later",
        }
    }

    /// What it means.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Changed => "it was changed while its pages were lent",
            Self::TimesChanged => "its size or modification time changed before the end",
            Self::OpenedForWriting => "somebody opened it for writing before the end",
            Self::CannotExclude => "the tracer cannot exclude that it was changed while its pages were lent",
            Self::Unwatched => "nobody watched it: a change in between may leave no trace",
            Self::ReleaseUnknown => "its pages may still be lent, and nothing tells until when",
            Self::TakenLater => {
                "it is too large to be taken up at once: a change before a later part was shows nowhere"
            }
        }
    }
}

/// Something that the evidence does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotPromised {
    /// That the pages are free: a receiver on this machine may not have read.
    Release,
    /// That the receiver's machine is another one.
    OtherMachine,
    /// That the receiver, on this machine, copied.
    ReceiverKeeps,
    /// That no packet sniffer has the pages.
    Sniffer,
    /// That no device still holds a packet.
    Device,
    /// That a program at the other end has read.
    PeerRead,
    /// That it arrived.
    Delivery,
    /// Stores that no event shows.
    UnseenStores,
}

impl NotPromised {
    /// A short name, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::OtherMachine => "other-machine",
            Self::ReceiverKeeps => "receiver-keeps",
            Self::Sniffer => "sniffer",
            Self::Device => "device",
            Self::PeerRead => "peer-read",
            Self::Delivery => "delivery",
            Self::UnseenStores => "unseen-stores",
        }
    }

    /// What is not promised.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Release => {
                "that the pages are free: the receiver is on this machine, or there is no acknowledgement, and what it has not read can still change"
            }
            Self::OtherMachine => {
                "that the peer is another machine: a container or virtual machine here may have acknowledged bytes that it has not read, and they can still change"
            }
            Self::ReceiverKeeps => {
                "that the receiver let go of the pages: it may have spliced or mapped them instead of copying"
            }
            Self::Sniffer => "that no packet sniffer on this machine still has them",
            Self::Device => {
                "that no device still holds a packet sent twice: it may be read again, but the peer has these bytes and drops it"
            }
            Self::PeerRead => "that the program at the other end has read: its kernel has the bytes",
            Self::Delivery => "that it arrived: datagrams may be lost",
            Self::UnseenStores => {
                "that nothing changed behind the kernel's accounting: without --fingerprint full the content is not compared"
            }
        }
    }
}

/// Why a send failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is shorter than what is to be sent.
    #[error("the file has {size} bytes, and not {end}")]
    TooShort {
        /// Bytes that it has.
        size: u64,
        /// Bytes that it would need.
        end: u64,
    },
    /// It became shorter meanwhile.
    #[error("{}", truncated(*.from, *.to, *.sent, *.of, .by.as_deref()))]
    Truncated {
        /// Its size at the submission, bytes.
        from: u64,
        /// The size it was cut to, as far as seen, bytes.
        to: u64,
        /// Bytes of it that the socket had taken, at least.
        sent: u64,
        /// Of so many.
        of: u64,
        /// Who cut it, where that is known.
        by: Option<String>,
    },
    /// The connection broke.
    #[error(
        "{source}: at least {sent} of {of} bytes had been given to the socket, and what of them the peer got is not known"
    )]
    Broken {
        /// Bytes that the socket had taken, at least.
        sent: u64,
        /// Of so many.
        of: u64,
        /// What with.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("reading the file: {0}")]
    File(io::Error),
    /// The socket is none, or has no peer.
    #[error("the socket: {0}")]
    NotASocket(io::Error),
    /// Neither TCP, UDP nor a stream of AF_UNIX.
    #[error("only TCP, UDP and streams of AF_UNIX can be sent to")]
    UnknownSocket,
    /// This kernel does not let this program splice through io_uring.
    #[error("io_uring: {0}")]
    Ring(io::Error),
    /// It has failed before.
    #[error("the send failed before")]
    Over,
}

fn truncated(from: u64, to: u64, sent: u64, of: u64, by: Option<&str>) -> String {
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    format!(
        "the file was truncated from {from} to {to} bytes{by} while it was being sent: at least {sent} of {of} bytes went out; \
         the peer may have got zeroes from offset {to} on"
    )
}

/// `cp/123`
pub(super) fn who(m: &Mutation) -> String {
    let comm = if m.comm.is_empty() { "somebody".into() } else { text::harmless(&m.comm) };
    m.pid.map_or_else(|| comm.to_string(), |pid| format!("{comm}/{pid}"))
}

impl Traced {
    /// The changes in words, such as `write by cp/123 at 4096+100`.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let change = |m: &Mutation| {
            format!("{} by {} at {}", text::mutation(m.kind), who(m), text::range(m.offset, m.len))
        };
        self.mutations.iter().map(change).collect()
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traced(t) => {
                let by: Vec<_> = t.released_by.iter().map(|by| text::released_by(*by)).collect();
                write!(f, "traced, {}", by.join("+"))
            }
            other => f.write_str(other.code()),
        }
    }
}

impl Evidence {
    /// A short name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Traced(_) => "traced",
            Self::Acknowledged => "acknowledged",
            Self::ReadByReceiver => "read_by_receiver",
            Self::QueueEmpty => "queue_empty",
            Self::Copied => "copied",
        }
    }
}
