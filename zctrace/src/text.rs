//! The one place that turns numbers and codes into words, and makes hostile strings harmless.

use std::borrow::Cow;

use zctrace_common::kernel::{family, proto};

use crate::model::{
    Api, Content, Copied, FileRef, LossWhat, MemoryKind, Mutation, MutationKind, Outcome, Phase, ProbeState,
    Reason, ReleasedBy, SeenBy, SockAddr, TraceInfo, Transfer, Verdict,
};

/// A duration, three digits: `1.23 ms`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn ns(ns: u64) -> String {
    let n = ns as f64;
    // 999.5 of a unit would round to 1000: that is 1.00 of the next.
    for (unit, size, from) in [("s", 1e9, 999.5e6), ("ms", 1e6, 999.5e3), ("µs", 1e3, 1e3)] {
        if n >= from {
            return three(n / size, unit);
        }
    }
    format!("{ns} ns")
}

/// A size: `64.0 KiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(bytes: u64) -> String {
    let n = bytes as f64;
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        let size = (1u64 << shift) as f64;
        if n >= size {
            return three(n / size, unit);
        }
    }
    format!("{bytes} B")
}

fn three(n: f64, unit: &str) -> String {
    if n >= 99.95 {
        format!("{n:.0} {unit}")
    } else if n >= 9.995 {
        format!("{n:.1} {unit}")
    } else {
        format!("{n:.2} {unit}")
    }
}

/// `1 transfer`, `2 transfers`
#[must_use]
pub fn transfers(n: u64) -> String {
    format!("{n} transfer{}", if n == 1 { "" } else { "s" })
}

/// Kernel device number as `major:minor`.
#[must_use]
pub fn dev(dev: u32) -> String {
    format!("{}:{}", dev >> 20, dev & 0xf_ffff)
}

/// `sendfile`
#[must_use]
pub fn api(api: Api) -> &'static str {
    match api {
        Api::Sendfile => "sendfile",
        Api::Splice => "splice",
        Api::Vmsplice => "vmsplice",
        Api::MsgZerocopy => "msg_zerocopy",
        Api::IoUringSplice => "io_uring_splice",
        Api::IoUringSendZc => "io_uring_send_zc",
        Api::IoUringSendmsgZc => "io_uring_sendmsg_zc",
        Api::Kernel => "kernel",
    }
}

/// `(code, sentence)`
#[must_use]
pub fn copied(by: Copied) -> (&'static str, &'static str) {
    match by {
        Copied::DirectIo => ("direct-io", "the file is open with O_DIRECT"),
        Copied::SpliceRead => ("copy-splice-read", "its file system copies for splice"),
        Copied::NoScatterGather => ("no-scatter-gather", "the route's device has no scatter-gather"),
        Copied::NotAsked => ("no-so-zerocopy", "the socket has no SO_ZEROCOPY, so MSG_ZEROCOPY was ignored"),
        Copied::Mptcp => ("mptcp", "MPTCP copies"),
        Copied::Tls => ("ktls-software", "kTLS encrypts into pages of its own"),
        Copied::Loopback => ("loopback", "a receiver on this machine gets a copy"),
        Copied::Notified => ("notified", "the notification says so"),
    }
}

/// `anonymous`
#[must_use]
pub fn memory(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::Anonymous => "anonymous",
        MemoryKind::SharedFile => "shared_file",
        MemoryKind::PrivateFile => "private_file",
        MemoryKind::Huge => "huge",
        MemoryKind::Unknown => "unknown",
    }
}

/// What a transfer lent: its file, or its memory.
#[must_use]
pub fn source(t: &Transfer) -> Cow<'_, str> {
    match (&t.file, &t.memory) {
        (Some(file), _) => self::file(file),
        (None, Some(m)) => format!("{} memory", memory(m.kind)).into(),
        (None, None) => "memory".into(),
    }
}

/// What a change changed.
#[must_use]
pub fn changed(m: &Mutation) -> Cow<'_, str> {
    m.file.as_ref().map_or_else(|| "memory".into(), file)
}

/// As [`range`]; addresses are in hexadecimal.
#[must_use]
pub fn span(file: Option<&FileRef>, off: u64, len: Option<u64>) -> String {
    match (file, len) {
        (Some(_), len) => range(off, len),
        (None, Some(len)) => format!("{off:#x}+{len}"),
        (None, None) => format!("{off:#x}+…"),
    }
}

/// `receiver_read`
#[must_use]
pub fn released_by(by: ReleasedBy) -> &'static str {
    match by {
        ReleasedBy::Ack => "ack",
        ReleasedBy::TxComplete => "tx_complete",
        ReleasedBy::ReceiverRead => "receiver_read",
        ReleasedBy::Copied => "copied",
        ReleasedBy::PipeDrained => "pipe_drained",
        ReleasedBy::Close => "close",
        ReleasedBy::Reset => "reset",
        ReleasedBy::Drop => "drop",
    }
}

/// What that means.
#[must_use]
pub fn released_by_sentence(by: ReleasedBy) -> &'static str {
    match by {
        ReleasedBy::Ack => "the peer's acknowledgement freed the last packet",
        ReleasedBy::TxComplete => {
            "the device freed the last packet, after the acknowledgement or without one"
        }
        ReleasedBy::ReceiverRead => "a receiver on this machine read the bytes",
        ReleasedBy::Copied => "the kernel copied: the pages were never lent on",
        ReleasedBy::PipeDrained => "somebody copied the bytes out of the pipe",
        ReleasedBy::Close => "a socket or pipe was closed with the bytes in it",
        ReleasedBy::Reset => "the peer reset the connection",
        ReleasedBy::Drop => "the network dropped the packet",
    }
}

/// `released`
#[must_use]
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Released => "released",
        Outcome::Held => "held",
        Outcome::Unknown => "unknown",
    }
}

/// `clean`
#[must_use]
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Mutated => "mutated",
        Verdict::Unknown => "unknown",
    }
}

/// `sent_old`
#[must_use]
pub fn content(content: Content) -> &'static str {
    match content {
        Content::SentOld => "sent_old",
        Content::SentNew => "sent_new",
        Content::Mixed => "mixed",
    }
}

/// What that means.
#[must_use]
pub fn content_sentence(content: Content) -> &'static str {
    match content {
        Content::SentOld => "the peer got the bytes as they were at the submit",
        Content::SentNew => "where they changed, the peer got other bytes than those of the submit",
        Content::Mixed => "some went out as they were and some changed, or the same bytes both ways",
    }
}

/// `direct_write`
#[must_use]
pub fn mutation(kind: MutationKind) -> &'static str {
    match kind {
        MutationKind::Write => "write",
        MutationKind::IoUringWrite => "io_uring_write",
        MutationKind::MmapStore => "mmap_store",
        MutationKind::DirectWrite => "direct_write",
        MutationKind::Truncate => "truncate",
        MutationKind::Punch => "punch",
        MutationKind::Collapse => "collapse",
        MutationKind::Insert => "insert",
        MutationKind::ZeroRange => "zero_range",
        MutationKind::CopyRange => "copy_range",
        MutationKind::SpliceWrite => "splice_write",
        MutationKind::Removed => "removed",
        MutationKind::Unattributed => "unattributed",
    }
}

/// `before_xmit`
#[must_use]
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::BeforeXmit => "before_xmit",
        Phase::InFlight => "in_flight",
        Phase::AfterAck => "after_ack",
    }
}

/// `syscall`
#[must_use]
pub fn seen_by(by: SeenBy) -> &'static str {
    match by {
        SeenBy::Syscall => "syscall",
        SeenBy::Tracepoint => "tracepoint",
        SeenBy::Fingerprint => "fingerprint",
    }
}

/// `(code, sentence)`
#[must_use]
pub fn reason(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Loss => ("loss", "records were lost while the window was open"),
        Reason::MapFull => ("map-full", "a kernel map was full while the window was open"),
        Reason::ProbeSkipped => ("probe-skipped", "the kernel skipped a probe while the window was open"),
        Reason::FreeMissed => ("free-missed", "the free of its pages may have been missed"),
        Reason::RecordingCut => ("recording-cut", "the recording ends before its fate was certain"),
        Reason::OutOfOrder => (
            "out-of-order",
            "received out of order on this machine: its pages may have been passed on unseen",
        ),
        Reason::ReceiverSpliced => {
            ("receiver-spliced", "the receiver splices: its pages may live on in a pipe")
        }
        Reason::FragsMoved => ("frags-moved", "its pages moved to a packet the tracer does not know"),
        Reason::PipeChanged => ("pipe-changed", "its pipe was resized, or the slots do not add up"),
        Reason::UpperLayer => ("upper-layer", "an upper-layer protocol such as kTLS hides its pages"),
        Reason::MutationsUnwatched => {
            ("mutations-unwatched", "changes to lent pages were not watched, or a probe for them was missing")
        }
        Reason::WatchSkipped => {
            ("watch-skipped", "the kernel skipped a probe that watches for changes while the window was open")
        }
        Reason::WritableMapping => {
            ("writable-mapping", "a shared writable mapping of the file: a store through it makes no event")
        }
        Reason::FileUnwatched => ("file-unwatched", "more files were lent than can be watched for changes"),
        Reason::FileBusy => ("file-busy", "somebody was already changing the file when it was first lent"),
        Reason::FileStacked => (
            "file-stacked",
            "its pages belong to a file below (overlayfs) or to a device: changes made there are not seen",
        ),
        Reason::ChangesFull => ("changes-full", "more changes to the file than are kept while it was lent"),
        Reason::ChangeRunning => {
            ("change-running", "a call that changes the file began in the window, and its end was not seen")
        }
        Reason::ContentChanged => {
            ("content-changed", "its content changed, and not everybody who may have changed it is on record")
        }
        Reason::StillLent => ("still-lent", "still lent when the trace ended: it can still change"),
        Reason::ProbeMissing => ("probe-missing", "a probe this claim needs is missing"),
        Reason::ReturnMissed => ("return-missed", "the return of a call was not seen"),
        Reason::SubmitUnseen => (
            "submit-unseen",
            "sent by the kernel itself: what changed between its submit and the first transmit is not known",
        ),
        Reason::SendsAtOnce => {
            ("sends-at-once", "several sends at once on one socket: whose packet is whose is not known")
        }
        Reason::NotConnected => (
            "not-connected",
            "the socket was not connected when it was first seen: its sequence numbers are not known",
        ),
        Reason::MemoryUnwatched => ("memory-unwatched", "memory of a process: a store to it makes no event"),
        Reason::MemoryScattered => {
            ("memory-scattered", "several buffers: only the mapping of the first was looked at")
        }
    }
}

/// `ring`
#[must_use]
pub fn loss(what: LossWhat) -> &'static str {
    match what {
        LossWhat::Ring => "ring",
        LossWhat::LearnMiss => "learn_miss",
        LossWhat::FreeMiss => "free_miss",
        LossWhat::WatchMiss => "watch_miss",
        LossWhat::MapFull => "map_full",
    }
}

/// What a loss means for the answers.
#[must_use]
pub fn loss_sentence(what: LossWhat, n: u64) -> String {
    match what {
        LossWhat::Ring => format!("LOST {n} records: transfers open at that time are `unknown`"),
        LossWhat::LearnMiss => {
            format!("SKIPPED {n} probe runs: transfers open at that time are `unknown`")
        }
        LossWhat::FreeMiss => {
            format!("SKIPPED {n} free-watching probe runs: some windows may seem open too long")
        }
        LossWhat::WatchMiss => {
            format!("SKIPPED {n} change-watching probe runs: transfers open at that time are `unknown`")
        }
        LossWhat::MapFull => {
            format!("a kernel map was FULL {n} times: transfers open at that time are `unknown`")
        }
    }
}

/// `inet`; the number where it has no name here.
#[must_use]
pub fn family(number: u16) -> Cow<'static, str> {
    match number {
        family::UNIX => "unix".into(),
        family::INET => "inet".into(),
        family::INET6 => "inet6".into(),
        n => n.to_string().into(),
    }
}

/// `tcp`; `None` for AF_UNIX.
#[must_use]
pub fn proto(number: u16) -> Option<Cow<'static, str>> {
    match number {
        0 => None,
        proto::TCP => Some("tcp".into()),
        proto::UDP => Some("udp".into()),
        262 => Some("mptcp".into()),
        n => Some(n.to_string().into()),
    }
}

/// The path, harmless; where none is known, `ino 12 on 8:1`.
#[must_use]
pub fn file(file: &FileRef) -> Cow<'_, str> {
    match file.path.as_deref() {
        Some(path) => harmless(path),
        None => format!("ino {} on {}", file.id.ino, dev(file.id.dev)).into(),
    }
}

/// Who made a change, harmless: `cp/123`.
#[must_use]
pub fn writer(m: &Mutation) -> String {
    process(m.pid, &m.comm)
}

/// A process, harmless: `cp/123`.
#[must_use]
pub fn process(pid: Option<u32>, comm: &[u8]) -> String {
    pid.map_or_else(|| "nobody on record".into(), |pid| format!("{}/{pid}", harmless(comm)))
}

/// `4096+512`; `4096+…`: all bytes that follow.
#[must_use]
pub fn range(off: u64, len: Option<u64>) -> String {
    len.map_or_else(|| format!("{off}+…"), |len| format!("{off}+{len}"))
}

/// The missing ones among these probes, a harmless sentence each.
pub fn missing(info: &TraceInfo) -> impl Iterator<Item = String> {
    let probes = info.probes.iter().filter(|p| p.state == ProbeState::Missing).map(|p| {
        let why = p.reason.as_deref().unwrap_or("no reason was recorded");
        format!("MISSING probe {}: {why}", p.name)
    });
    let content = info.fingerprint.reason.iter().map(|why| format!("NO fingerprints: {why}"));
    probes.chain(content).map(|line| harmless(line.as_bytes()).into_owned())
}

/// `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, `@abstract`; `None` when unnamed.
#[must_use]
pub fn addr(addr: &SockAddr) -> Option<String> {
    match addr {
        SockAddr::Inet(ip, port) => Some(std::net::SocketAddr::new(*ip, *port).to_string()),
        SockAddr::Unix(name) => Some(match name.split_first() {
            Some((0, rest)) => format!("@{}", harmless(rest)),
            _ => harmless(name).into_owned(),
        }),
        SockAddr::None => None,
    }
}

/// Whether a character changes more than the cell it is in: controls (C0, DEL, C1), characters that
/// draw nothing, line ends, bidi marks and overrides, tags.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A hostile string as text that draws nothing, moves nothing and ends nothing.
#[must_use]
pub fn harmless(raw: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(raw)
        && !text.chars().any(acts)
    {
        return text.into();
    }
    let mut out = String::new();
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                c if acts(c) && u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c if acts(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.into()
}

/// A path of at most `width` characters, its middle left out.
#[must_use]
pub fn shorten(text: &str, width: usize) -> String {
    let n = text.chars().count();
    if n <= width || width < 4 {
        return text.into();
    }
    let head = (width - 1) / 3;
    let tail = width - 1 - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(n - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests;
