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
    let losses = [LossWhat::Ring, LossWhat::LearnMiss, LossWhat::FreeMiss, LossWhat::MapFull];
    assert_eq!(losses.map(loss).join(" "), "ring learn_miss free_miss map_full");
    assert_eq!([1, 2, 10, 38].map(|f| family(f).into_owned()).join(" "), "unix inet inet6 38");
    assert_eq!([6, 17, 262, 132].map(|p| proto(p).unwrap().into_owned()).join(" "), "tcp udp mptcp 132");
    assert_eq!(proto(0), None);
}

#[test]
fn losses_say_what_they_cost() {
    assert_eq!(loss_sentence(LossWhat::Ring, 3), "LOST 3 records: transfers open at that time are `unknown`");
    assert_eq!(
        loss_sentence(LossWhat::FreeMiss, 1),
        "SKIPPED 1 free-watching probe runs: some windows may seem open too long"
    );
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
        ("a\u{200f}b\u{61c}c\u{2066}d".as_bytes(), "a\\u{200f}b\\u{61c}c\\u{2066}d"),
        ("\u{9b}31m".as_bytes(), "\\x9b31m"),
        ("\u{ad}\u{feff}\u{e0041}".as_bytes(), "\\xad\\u{feff}\\u{e0041}"),
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
