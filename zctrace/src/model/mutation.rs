//! A change to bytes inside an open window: who, how, which range, when.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FileRef, TransferId};

/// Number of a mutation in its trace, in the order in which they were found to hit something, from 1.
/// 0: it has none yet. In a merged recording, the upper 16 bits are the number of the part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MutationId(pub u64);

impl fmt::Display for MutationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part() != 0 {
            write!(f, "{}:", self.part())?;
        }
        write!(f, "m{}", self.0 & NUMBER)
    }
}

/// What is not the part.
const NUMBER: u64 = u64::MAX >> 16;

impl MutationId {
    /// Which part of a merged recording it is of.
    #[must_use]
    pub fn part(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The same, of that part.
    #[must_use]
    pub fn of_part(self, part: u16) -> Self {
        Self(u64::from(part) << 48 | (self.0 & NUMBER))
    }
}

/// How the bytes were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MutationKind {
    /// `write` and its family.
    Write,
    /// A write submitted through io_uring.
    IoUringWrite,
    /// A store through a shared mapping.
    MmapStore,
    /// A write past the page cache (O_DIRECT): the lent pages keep the old bytes.
    DirectWrite,
    /// `truncate`, `ftruncate`, `open(O_TRUNC)`
    Truncate,
    /// `fallocate(FALLOC_FL_PUNCH_HOLE)`
    Punch,
    /// `fallocate(FALLOC_FL_COLLAPSE_RANGE)`
    Collapse,
    /// `fallocate(FALLOC_FL_INSERT_RANGE)`
    Insert,
    /// `fallocate(FALLOC_FL_ZERO_RANGE)`
    ZeroRange,
    /// `copy_file_range`, reflink.
    CopyRange,
    /// `splice` or `sendfile` into the file.
    SpliceWrite,
    /// Pages left the page cache, by no call that is known: what is lent is stale.
    Removed,
    /// Nobody is on record for it.
    Unattributed,
}

/// What showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SeenBy {
    /// The call.
    Syscall,
    /// Another tracepoint.
    Tracepoint,
    /// The content.
    Fingerprint,
}

/// Where in a transfer's life a mutation began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Before its first byte was handed to a device.
    BeforeXmit,
    /// Transmitted, not acknowledged: an unread queue or a retransmission can still carry the change.
    InFlight,
    /// Acknowledged and still lent.
    AfterAck,
}

/// One transfer that a mutation overlaps in time and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hit {
    /// Transfer.
    pub transfer: TransferId,
    /// Phase of that transfer when the mutation began.
    pub phase: Phase,
}

/// One change that fell into at least one window. Times are CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Unique in the trace.
    pub id: MutationId,
    /// How.
    pub kind: MutationKind,
    /// Who; `None` where nobody is on record.
    pub pid: Option<u32>,
    /// Thread.
    pub tid: Option<u32>,
    /// Name of the thread, raw bytes, hostile.
    pub comm: Arc<[u8]>,
    /// Which file; `None`: memory of the process that lent it.
    pub file: Option<FileRef>,
    /// File offset of the first byte changed; in memory, its address.
    pub offset: u64,
    /// Bytes; `None`: everything that follows.
    pub len: Option<u64>,
    /// It began; where that was not seen, it ended.
    pub at_ns: u64,
    /// It ended; `None`: not before the trace did.
    pub end_ns: Option<u64>,
    /// What showed it.
    pub seen_by: SeenBy,
    /// The windows it fell into, in the order in which they were stated.
    pub hits: Vec<Hit>,
}
