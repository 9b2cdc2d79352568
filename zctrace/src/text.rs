//! The one place that turns numbers and codes into words, and makes hostile strings harmless.

use std::borrow::Cow;

use crate::model::{Api, LossWhat, Outcome, Reason, ReleasedBy, SockAddr, Verdict};

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
        Reason::MapFull => (
            "map-full",
            "a kernel map was full while the window was open",
        ),
        Reason::ProbeSkipped => (
            "probe-skipped",
            "the kernel skipped a probe while the window was open",
        ),
        Reason::FreeMissed => ("free-missed", "the free of its pages may have been missed"),
        Reason::RecordingCut => (
            "recording-cut",
            "the recording ends before its fate was certain",
        ),
        Reason::OutOfOrder => (
            "out-of-order",
            "received out of order on this machine: its pages may have been passed on unseen",
        ),
        Reason::ReceiverSpliced => (
            "receiver-spliced",
            "the receiver splices: its pages may live on in a pipe",
        ),
        Reason::FragsMoved => (
            "frags-moved",
            "its pages moved to a packet the tracer does not know",
        ),
        Reason::PipeChanged => (
            "pipe-changed",
            "its pipe was resized, or the slots do not add up",
        ),
        Reason::UpperLayer => (
            "upper-layer",
            "an upper-layer protocol such as kTLS hides its pages",
        ),
        Reason::MutationsUnwatched => (
            "mutations-unwatched",
            "this version does not watch for changes to lent pages",
        ),
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
                c if acts(c) && u32::from(c) < 0x100 => {
                    out.push_str(&format!("\\x{:02x}", u32::from(c)))
                }
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
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (n, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (1_234, "1.23 µs"),
            (9_999, "10.0 µs"),
            (99_960, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (12_340_000, "12.3 ms"),
            (999_999_999, "1.00 s"),
            (123_400_000_000, "123 s"),
            (7_200_000_000_000, "7200 s"),
        ] {
            assert_eq!(ns(n), text, "{n}");
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (n, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.00 KiB"),
            (65_536, "64.0 KiB"),
            (1_023 << 10, "1023 KiB"),
            (3 << 19, "1.50 MiB"),
            (5 << 30, "5.00 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(n), text, "{n}");
        }
    }

    #[test]
    fn devices() {
        assert_eq!(dev((8 << 20) | 1), "8:1");
        assert_eq!(dev(u32::MAX), "4095:1048575");
    }

    #[test]
    fn contract_words() {
        let words: Vec<_> = [Api::Sendfile, Api::Splice].map(api).into();
        assert_eq!(words, ["sendfile", "splice"]);
        use ReleasedBy as By;
        let by = [
            By::Ack,
            By::TxComplete,
            By::ReceiverRead,
            By::Copied,
            By::PipeDrained,
            By::Close,
            By::Reset,
            By::Drop,
        ];
        assert_eq!(
            by.map(released_by).join(" "),
            "ack tx_complete receiver_read copied pipe_drained close reset drop"
        );
        let outcomes = [Outcome::Released, Outcome::Held, Outcome::Unknown];
        assert_eq!(outcomes.map(outcome).join(" "), "released held unknown");
        let verdicts = [Verdict::Clean, Verdict::Mutated, Verdict::Unknown];
        assert_eq!(verdicts.map(verdict).join(" "), "clean mutated unknown");
        let losses = [
            LossWhat::Ring,
            LossWhat::LearnMiss,
            LossWhat::FreeMiss,
            LossWhat::MapFull,
        ];
        assert_eq!(
            losses.map(loss).join(" "),
            "ring learn_miss free_miss map_full"
        );
        assert_eq!(
            [1, 2, 10, 38].map(|f| family(f).into_owned()).join(" "),
            "unix inet inet6 38"
        );
        assert_eq!(
            [6, 17, 262, 132]
                .map(|p| proto(p).unwrap().into_owned())
                .join(" "),
            "tcp udp mptcp 132"
        );
        assert_eq!(proto(0), None);
    }

    #[test]
    fn reasons_are_kebab_case_words_and_a_sentence() {
        let all = [
            Reason::Loss,
            Reason::MapFull,
            Reason::ProbeSkipped,
            Reason::FreeMissed,
            Reason::RecordingCut,
            Reason::OutOfOrder,
            Reason::ReceiverSpliced,
            Reason::FragsMoved,
            Reason::PipeChanged,
            Reason::UpperLayer,
            Reason::MutationsUnwatched,
            Reason::ProbeMissing,
            Reason::ReturnMissed,
        ];
        assert_eq!(
            all.map(|r| reason(r).0).join(" "),
            "loss map-full probe-skipped free-missed recording-cut out-of-order receiver-spliced frags-moved \
             pipe-changed upper-layer mutations-unwatched probe-missing return-missed"
        );
        for r in all {
            assert!(!reason(r).1.is_empty() && !reason(r).1.ends_with('.'));
        }
    }

    #[test]
    fn hostile_strings_cannot_act() {
        for (raw, text) in [
            (b"plain.txt".as_slice(), "plain.txt"),
            (b"\x1b[2Jx", "\\x1b[2Jx"),
            (b"a\nb\tc\r\0\x7f", "a\\nb\\tc\\x0d\\x00\\x7f"),
            ("\u{202e}gpj".as_bytes(), "\\u{202e}gpj"),
            (
                "a\u{200f}b\u{61c}c\u{2066}d".as_bytes(),
                "a\\u{200f}b\\u{61c}c\\u{2066}d",
            ),
            ("\u{9b}31m".as_bytes(), "\\x9b31m"),
            (
                "\u{ad}\u{feff}\u{e0041}".as_bytes(),
                "\\xad\\u{feff}\\u{e0041}",
            ),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"ok\xe2\x82", "ok\\xe2\\x82"),
            ("日本 Grüße".as_bytes(), "日本 Grüße"),
            (b"", ""),
        ] {
            assert_eq!(harmless(raw), text);
            assert!(!harmless(raw).chars().any(acts));
        }
        assert!(matches!(harmless(b"plain.txt"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_middle_goes_first() {
        assert_eq!(shorten("/var/www/html/index.html", 12), "/va…dex.html");
        assert_eq!(shorten("/ü/日本語/index.html", 12), "/ü/…dex.html");
        assert_eq!(shorten("short", 12), "short");
        assert_eq!(shorten("", 0), "");
    }

    #[test]
    fn addresses() {
        let inet = |ip: &str, port| SockAddr::Inet(ip.parse().unwrap(), port);
        let unix = |name: &[u8]| SockAddr::Unix(name.into());
        for (a, text) in [
            (inet("127.0.0.1", 80), Some("127.0.0.1:80")),
            (inet("::1", 80), Some("[::1]:80")),
            (inet("::ffff:10.0.0.1", 443), Some("[::ffff:10.0.0.1]:443")),
            (unix(b"/run/x.sock"), Some("/run/x.sock")),
            (unix(b"/run/\x1b"), Some("/run/\\x1b")),
            (unix(b"\0x\x1b"), Some("@x\\x1b")),
            (SockAddr::None, None),
        ] {
            assert_eq!(addr(&a).as_deref(), text);
        }
    }
}
