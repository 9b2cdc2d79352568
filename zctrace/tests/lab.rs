//! The cast of `zctrace lab` on this kernel: what must be so, and a table of everything.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use zctrace::lab::{Api, Cell, Observed, Receiver, Stage, Transport, Writer, cells, run};

fn stage() -> (tempfile::TempDir, Stage) {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new(dir.path().to_owned());
    (dir, stage)
}

/// A cell from its words.
fn cell(text: &str) -> Cell {
    cells().into_iter().find(|c| c.to_string() == text).expect("no such cell")
}

/// What no cell may violate.
fn check(o: &Observed) {
    let Some(said) = o.said else {
        assert!(o.skipped.is_some(), "{o:?}");
        return;
    };
    let label = o.cell;
    assert!(o.began_ns <= said.submit_ns && said.submit_ns <= said.return_ns, "{label}: {o:?}");
    assert!(said.return_ns <= o.ended_ns, "{label}: {o:?}");
    assert_eq!(o.stale_or_wrong, 0, "{label}: {o:?}");
    if o.skipped.is_some() {
        return;
    }
    assert_eq!(said.bytes, label.transport.bytes() as u64, "{label}: {o:?}");
    assert_eq!(o.changed_ns.is_none(), label.writer == Writer::None, "{label}: {o:?}");
    assert_eq!(said.notify.is_some(), label.api.notifies(), "{label}: {o:?}");
    let reads = !matches!(label.receiver, Receiver::Closing | Receiver::Resetting);
    assert_eq!(o.read_ns.is_some(), reads, "{label}: {o:?}");
    assert_eq!(o.got, if reads { said.bytes } else { 0 }, "{label}: {o:?}");
    let copies = matches!(label.api, Api::Copy | Api::UringCopy);
    if copies || label.writer == Writer::None || label.receiver == Receiver::Fast {
        assert_eq!(o.new_bytes, 0, "{label}: {o:?}");
    }
    // A program that waits for the notification is safe.
    if let (Some(notify), Some((began, _))) = (said.notify, o.changed_ns)
        && notify.at_ns < began
    {
        assert_eq!(o.new_bytes, 0, "{label}: {o:?}");
    }
}

/// Plays one, which must be possible.
fn play(text: &str) -> Observed {
    let (_dir, mut stage) = stage();
    let seen = run(cell(text), &mut stage);
    println!("{}", row(&seen));
    assert_eq!(seen.skipped, None, "{text}");
    check(&seen);
    seen
}

/// Newer kernels let only CAP_NET_ADMIN lose packets.
fn may_lose() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        println!("SKIPPED: losing packets needs root");
    }
    may
}

#[test]
fn the_table() {
    let all = cells();
    println!("{} cells", all.len());
    assert_eq!(all, cells());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    for api in Api::ALL {
        assert!(all.iter().any(|c| c.api == *api), "{api}");
    }
    for c in &all {
        assert_eq!(cell(&c.to_string()), *c);
        let json = serde_json::to_string(c).unwrap();
        assert_eq!(serde_json::from_str::<Cell>(&json).unwrap(), *c, "{json}");
        assert!(json.contains(&format!("\"api\":\"{}\"", c.api)), "{json}");
    }
}

#[test]
fn a_copy_never_changes() {
    for api in ["copy", "uring_copy"] {
        for transport in Transport::ALL {
            for writer in ["write", "mmap", "truncate"] {
                play(&format!("{api} page_cache {transport} stalled {writer}"));
            }
        }
        if may_lose() {
            play(&format!("{api} page_cache tcp4 losing write"));
        }
    }
}

#[test]
fn file_pages_are_lent_until_they_are_read() {
    for api in ["sendfile", "splice", "io_uring_splice", "io_uring_splice_fixed"] {
        for transport in Transport::ALL {
            for writer in ["write", "mmap"] {
                let seen = play(&format!("{api} page_cache {transport} stalled {writer}"));
                assert_eq!(seen.new_bytes, 5000, "{api} {transport} {writer}");
            }
            play(&format!("{api} page_cache {transport} fast write"));
        }
    }
}

#[test]
fn what_is_lost_is_sent_again_as_it_is_then() {
    if !may_lose() {
        return;
    }
    for transport in ["tcp4", "tcp6"] {
        let seen = play(&format!("sendfile page_cache {transport} losing write"));
        assert_eq!(seen.new_bytes, 5000, "{transport}");
        // Nothing is acknowledged: the notification has not come, and the memory is not free.
        let seen = play(&format!("msg_zerocopy anonymous {transport} losing write"));
        assert!(seen.said.unwrap().notify.unwrap().at_ns > seen.changed_ns.unwrap().1);
        assert_eq!(seen.new_bytes, 5000, "{transport}");
    }
}

#[test]
fn vmsplice_never_says_when_it_is_safe() {
    for transport in Transport::ALL {
        let seen = play(&format!("vmsplice anonymous {transport} stalled write"));
        assert_eq!(seen.new_bytes, 5000, "{transport}");
    }
}

#[test]
fn msg_zerocopy_over_loopback_is_a_copy() {
    for transport in ["tcp4", "tcp6", "udp4", "udp6"] {
        let seen = play(&format!("msg_zerocopy anonymous {transport} stalled write"));
        let notify = seen.said.unwrap().notify.unwrap();
        assert_eq!(notify.copied, Some(true), "{transport}");
        assert!(notify.at_ns < seen.changed_ns.unwrap().0, "{transport}: it needed the receiver's help");
    }
}

#[test]
fn a_receiver_that_goes_away() {
    for receiver in ["closing", "resetting"] {
        play(&format!("sendfile page_cache tcp4 {receiver} write"));
        play(&format!("msg_zerocopy anonymous tcp4 {receiver} write"));
    }
    play("splice page_cache pipe closing write");
}

/// Times in µs from the submission: return, notification, change, read.
fn row(o: &Observed) -> String {
    let Cell { api, memory, transport, receiver, writer } = o.cell;
    let name = format!("{api:<24}{memory:<13}{transport:<5} {receiver:<10}{writer:<9}");
    let Some(said) = o.said else {
        return format!("{name} {}", o.skipped.as_deref().unwrap_or("?"));
    };
    let after = |ns: u64| {
        let us = ns.saturating_sub(said.submit_ns) as f64 / 1000.0;
        format!("{us:.0}")
    };
    let or_dash = |ns: Option<u64>| ns.map_or("-".to_owned(), after);
    let copied = match said.notify.map(|n| n.copied) {
        Some(Some(true)) => "copied",
        Some(Some(false)) => "lent",
        Some(None) => "unsaid",
        None => "",
    };
    format!(
        "{name} return {:>6} notify {:>6} {copied:<6} change {:>6} read {:>6} got {:>6} new {:>6} wrong {} all {:>6} {}",
        after(said.return_ns),
        or_dash(said.notify.map(|n| n.at_ns)),
        or_dash(o.changed_ns.map(|c| c.0)),
        or_dash(o.read_ns),
        o.got,
        o.new_bytes,
        o.stale_or_wrong,
        (o.ended_ns - o.began_ns) / 1000,
        o.skipped.as_deref().unwrap_or("")
    )
}

#[test]
#[ignore = "prints a row for every cell; a person reads it"]
fn everything() {
    let (_dir, mut stage) = stage();
    let started = std::time::Instant::now();
    let mut took: BTreeMap<(Api, Receiver), (u32, u64)> = BTreeMap::new();
    let mut skipped = 0;
    let mut wrong = Vec::new();
    for c in cells() {
        let seen = run(c, &mut stage);
        println!("{}", row(&seen));
        let sum = took.entry((c.api, c.receiver)).or_default();
        sum.0 += 1;
        sum.1 += seen.ended_ns - seen.began_ns;
        skipped += u32::from(seen.skipped.is_some());
        if std::panic::catch_unwind(|| check(&seen)).is_err() {
            wrong.push(row(&seen));
        }
    }
    println!("{} cells, {skipped} skipped, {:?}", cells().len(), started.elapsed());
    for ((api, receiver), (n, ns)) in took {
        println!("{api:<24}{receiver:<10}{n:>4} cells, {:>6} us each", ns / u64::from(n) / 1000);
    }
    drop(stage);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
