//! The one place that turns numbers and codes into words, and makes hostile strings harmless.

use std::borrow::Cow;

use crate::model::{Api, LossWhat, Outcome, Reason, ReleasedBy, SockAddr, Verdict};

/// A duration, three digits: `1.23 ms`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn ns(ns: u64) -> String {
    let n = ns as f64;
    for (unit, size) in [("s", 1e9), ("ms", 1e6), ("µs", 1e3)] {
        if n >= size {
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
    if n >= 100.0 {
        format!("{n:.0} {unit}")
    } else if n >= 10.0 {
        format!("{n:.1} {unit}")
    } else {
        format!("{n:.2} {unit}")
    }
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

/// `(code, sentence)`
#[must_use]
pub fn reason(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Loss => ("loss", "records were lost while the window was open"),
        Reason::MapFull => ("map-full", "a kernel map was full while the window was open"),
        Reason::ProbeSkipped => ("probe-skipped", "the kernel skipped a probe while the window was open"),
        Reason::FreeMissed => ("free-missed", "the free of its pages may have been missed"),
        Reason::RecordingCut => ("recording-cut", "the recording ends before its fate was certain"),
        Reason::OutOfOrder => ("out-of-order", "received out of order on this machine: its pages may have been passed on unseen"),
        Reason::ReceiverSpliced => ("receiver-spliced", "the receiver splices: its pages may live on in a pipe"),
        Reason::FragsMoved => ("frags-moved", "its pages moved to a packet the tracer does not know"),
        Reason::PipeChanged => ("pipe-changed", "its pipe was resized, or the slots do not add up"),
        Reason::UpperLayer => ("upper-layer", "an upper-layer protocol such as kTLS hides its pages"),
        Reason::MutationsUnwatched => ("mutations-unwatched", "this version does not watch for changes to lent pages"),
        Reason::ProbeMissing => ("probe-missing", "a probe this claim needs is missing"),
        Reason::ReturnMissed => ("return-missed", "the return of a call was not seen"),
    }
}

/// `ring`
#[must_use]
pub fn loss(what: LossWhat) -> &'static str {
    match what {
        LossWhat::Ring => "ring",
        LossWhat::LearnMiss => "learn_miss",
        LossWhat::FreeMiss => "free_miss",
        LossWhat::MapFull => "map_full",
    }
}

/// `inet`; the number where it has no name here.
#[must_use]
pub fn family(family: u16) -> Cow<'static, str> {
    match family {
        1 => "unix".into(),
        2 => "inet".into(),
        10 => "inet6".into(),
        n => n.to_string().into(),
    }
}

/// `tcp`; `None` for AF_UNIX.
#[must_use]
pub fn proto(proto: u16) -> Option<Cow<'static, str>> {
    match proto {
        0 => None,
        6 => Some("tcp".into()),
        17 => Some("udp".into()),
        262 => Some("mptcp".into()),
        n => Some(n.to_string().into()),
    }
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

/// Whether a character changes more than the cell it is in.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
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
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(ns(999), "999 ns");
        assert_eq!(ns(1_234), "1.23 µs");
        assert_eq!(ns(12_340_000), "12.3 ms");
        assert_eq!(ns(123_400_000_000), "123 s");
        assert_eq!(bytes(65_536), "64.0 KiB");
        assert_eq!(bytes(5), "5 B");
        assert_eq!(dev((8 << 20) | 1), "8:1");
    }

    #[test]
    fn hostile_strings_cannot_act() {
        assert_eq!(harmless(b"plain.txt"), "plain.txt");
        assert_eq!(harmless(b"\x1b[2Jx"), "\\x1b[2Jx");
        assert_eq!(harmless(b"a\nb\tc\r"), "a\\nb\\tc\\x0d");
        assert_eq!(harmless("\u{202e}gpj".as_bytes()), "\\u{202e}gpj");
        assert_eq!(harmless("\u{9b}31m".as_bytes()), "\\x9b31m");
        assert_eq!(harmless(b"\xff\xfe"), "\\xff\\xfe");
        assert_eq!(harmless("日本".as_bytes()), "日本");
    }

    #[test]
    fn the_middle_goes_first() {
        assert_eq!(shorten("/var/www/html/index.html", 12), "/va…dex.html");
        assert_eq!(shorten("short", 12), "short");
    }

    #[test]
    fn addresses() {
        assert_eq!(addr(&SockAddr::Inet("::1".parse().unwrap_or([0; 4].into()), 80)).as_deref(), Some("[::1]:80"));
        assert_eq!(addr(&SockAddr::Unix(b"\0x\x1b".as_slice().into())).as_deref(), Some("@x\\x1b"));
        assert_eq!(addr(&SockAddr::None), None);
    }
}
