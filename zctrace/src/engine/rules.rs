//! What can be said of a transfer, as named rules: each looks at the evidence and either applies or
//! does not. The verdict follows from those that do.

use crate::model::{MutationKind, Outcome, Reason, Resent, Transfer, Verdict};

/// Nanoseconds after which an open window is called stuck.
pub const STUCK_NS: u64 = 30_000_000_000;

/// One change that fell into the window.
#[derive(Clone, Copy, Debug)]
pub struct Hurt {
    /// How.
    pub kind: MutationKind,
    /// When it began, nanoseconds; 0: not seen.
    pub begin: u64,
    /// Pages left the page cache by it.
    pub removed: bool,
    /// File offset of the first byte.
    pub off: u64,
    /// Bytes; `u64::MAX`: all that follow.
    pub len: u64,
}

impl Hurt {
    /// What is lent kept the bytes it had.
    fn leaves_stale(&self) -> bool {
        match self.kind {
            MutationKind::Removed => true,
            MutationKind::DirectWrite => self.removed,
            _ => false,
        }
    }
}

/// Everything a rule may look at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The transfer, its outcome decided.
    pub transfer: &'a Transfer,
    /// Changes in its window.
    pub hurts: &'a [Hurt],
    /// The file was cut below what was asked for while the call ran.
    pub shrank: bool,
    /// Where its bytes are is not known exactly: its release may be that of others, which is later.
    pub wide: bool,
    /// The last time known to the trace, nanoseconds.
    pub now: u64,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name: in JSON, in the report, for `zctrace explain --rule`.
    pub name: &'static str,
    /// What it means and what to do, one paragraph.
    pub help: &'static str,
    /// The verdict where it applies; `None`: it only points something out.
    pub verdict: Option<Verdict>,
    applies: fn(&Evidence<'_>) -> bool,
}

impl Rule {
    /// Whether it applies.
    #[must_use]
    pub fn applies(&self, e: &Evidence<'_>) -> bool {
        (self.applies)(e)
    }
}

fn any(e: &Evidence<'_>, kinds: &[MutationKind]) -> bool {
    e.hurts.iter().any(|h| kinds.contains(&h.kind))
}

/// Every rule, the gravest first.
pub const RULES: &[Rule] = &[
    Rule {
        name: "unattributed-change",
        help: "The content of a lent page changed (`--fingerprint` compares it), and neither a call nor a writable \
               mapping accounts for it. \
               Something wrote behind the kernel's bookkeeping: a driver, a device, or a kernel bug of the family that \
               lets a splice write into the page cache. Note the file and the range, compare the file with a known good \
               copy, and treat the machine as suspect.",
        verdict: Some(Verdict::Mutated),
        applies: |e| any(e, &[MutationKind::Unattributed]),
    },
    Rule {
        name: "write-in-window",
        help: "Somebody wrote to bytes of the file that were lent to this transfer and not released. The peer may have \
               got the old bytes, the new ones, or some of each. Do not write to a file in place while it is being \
               served: write a new file and rename it over the old one; what is lent then stays as it was.",
        verdict: Some(Verdict::Mutated),
        applies: |e| {
            use MutationKind::{CopyRange, DirectWrite, IoUringWrite, MmapStore, SpliceWrite, Write};
            let kinds = [Write, IoUringWrite, MmapStore, CopyRange, SpliceWrite, DirectWrite];
            e.hurts.iter().any(|h| kinds.contains(&h.kind) && !h.leaves_stale())
        },
    },
    Rule {
        name: "truncated-in-flight",
        help: "The file was truncated, or a range was punched, zeroed, collapsed or inserted, while its bytes were lent. \
               Whole pages that leave the page cache keep their old bytes until they are sent; a page that stays is \
               zeroed in place, and the peer may get the zeroes. Replace the file by rename instead of truncating it.",
        verdict: Some(Verdict::Mutated),
        applies: |e| {
            use MutationKind::{Collapse, Insert, Punch, Truncate, ZeroRange};
            any(e, &[Truncate, Punch, Collapse, Insert, ZeroRange])
        },
    },
    Rule {
        name: "stale-after-removal",
        help: "Lent pages were taken out of the page cache, by a write past it (O_DIRECT) or by no call on record. The \
               transfer still holds the old pages, so the peer gets what the file held before, whatever it holds now.",
        verdict: Some(Verdict::Mutated),
        applies: |e| e.hurts.iter().any(Hurt::leaves_stale),
    },
    Rule {
        name: "retransmit-after-write",
        help: "Bytes of this transfer were sent again after they had changed. The first transmission and the \
               retransmission may carry different bytes for the same TCP sequence numbers; which of them the peer kept \
               depends on what arrived first.",
        verdict: None,
        applies: |e| {
            // Of a wide one it is not known which of its bytes are where.
            let later = |r: &Resent, h: &Hurt| h.begin < r.at && (e.wide || r.overlaps(h.off, h.len));
            e.transfer.resent.iter().any(|r| e.hurts.iter().any(|h| later(r, h)))
        },
    },
    Rule {
        name: "writable-mapping-unwatched",
        help: "A process has, or made, a shared writable mapping of the file while it was lent. A store through such a \
               mapping makes no system call and often no event, so that no change was seen proves nothing. Trace with \
               `--fingerprint full`: it compares what went out with what was lent.",
        verdict: Some(Verdict::Unknown),
        applies: |e| e.transfer.reasons.contains(&Reason::WritableMapping),
    },
    Rule {
        name: "notify-early",
        help: "The application was told that its memory is free (a notification on the error queue, or a completion \
               with IORING_CQE_F_NOTIF), and more than a millisecond later (100 where the \
               same task was held up in between) a packet still held it. What the \
               application writes there after the notification may still be sent: a bug of the kernel or of a \
               driver. Note the kernel's version and the device.",
        verdict: None,
        applies: |e| {
            let t = e.transfer;
            let late = t.notify_ns.zip(t.release_ns).is_some_and(|(told, free)| free > told);
            t.outcome == Outcome::Released && late && !e.wide
        },
    },
    Rule {
        name: "premature-reuse",
        help: "The memory that was lent to this transfer was changed before it was free. An API that lends memory \
               (MSG_ZEROCOPY, io_uring SEND_ZC, vmsplice) leaves it to the application to wait: for the notification \
               where there is one; with vmsplice, until the peer has acknowledged what was read from the pipe. Send \
               from another buffer meanwhile.",
        verdict: None,
        applies: |e| e.transfer.memory.is_some() && e.hurts.iter().any(|h| !h.leaves_stale()),
    },
    Rule {
        name: "short-send-file-shrank",
        help: "The call moved fewer bytes than it was asked to, and the file was cut short while it ran. A sender that \
               announced the old length (a Content-Length, a protocol header) owes its peer bytes that do not exist any \
               more.",
        verdict: None,
        applies: |e| e.shrank && e.transfer.bytes < e.transfer.requested,
    },
    Rule {
        name: "stuck-window",
        help: "The pages were lent for more than 30 seconds. A peer that does not read, or a pipe that nobody drains, \
               keeps them open to change for as long as it likes. Look at the socket (`ss -tnmo`): a zero window means \
               the peer stalls, a growing retransmission timer means the network does.",
        verdict: None,
        applies: |e| {
            let t = e.transfer;
            let until = if t.outcome == Outcome::Held { Some(e.now) } else { t.release_ns };
            until.is_some_and(|until| until.saturating_sub(t.submit_ns) > STUCK_NS)
        },
    },
];

/// The rule of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.name == name)
}
