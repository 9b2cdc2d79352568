#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::model::{
    Api, Copied, Fact, FileId, FileRef, LossWhat, Outcome, Reason, ReleasedBy, TraceInfo, Transfer,
    TransferId, Verdict,
};
use crate::sink::fixture;

fn text_of(s: &Summary, style: Style) -> String {
    let mut out = Vec::new();
    report(&mut out, s, style, "out.zct").unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(s: &Summary) -> String {
    let text = text_of(s, Style::Plain);
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert!(!line.chars().any(text::acts), "{line:?}");
    }
    text
}

fn add(s: &mut Summary, t: Transfer) {
    s.add(&Fact::Transfer(Box::new(t)));
}

/// Everything a report can show.
fn eventful() -> Summary {
    let mut s = Summary::default();
    let mut info = fixture::info();
    info.kernel = "6.12\x1b[2J".into();
    s.add(&Fact::Trace(Box::new(info)));
    for ms in [1, 2, 2, 2, 30, 2_400] {
        add(&mut s, fixture::transfer(ms));
    }
    let mut fast = fixture::transfer(0);
    fast.release_ns = Some(fast.submit_ns + 20_000);
    add(
        &mut s,
        Transfer {
            api: Api::Splice,
            released_by: Some(ReleasedBy::Copied),
            verdict: Verdict::Mutated,
            rules: vec!["write-in-window", "retransmit-after-write"],
            mutations: vec![fixture::mutation().id],
            ..fast
        },
    );
    s.add(&Fact::Mutation(Box::new(fixture::mutation())));
    let clean = Transfer { verdict: Verdict::Clean, reasons: Vec::new(), ..fixture::transfer(1) };
    add(&mut s, clean);
    add(&mut s, Transfer { id: TransferId { cpu: 3, seq: 18 }, ..fixture::held() });
    let unknown =
        Transfer { outcome: Outcome::Unknown, release_ns: None, released_by: None, ..fixture::transfer(1) };
    add(
        &mut s,
        Transfer { reasons: vec![Reason::Loss, Reason::OutOfOrder, Reason::MutationsUnwatched], ..unknown },
    );
    s.add(&fixture::loss(LossWhat::Ring, 3));
    s
}

#[test]
fn an_eventful_trace() {
    assert_eq!(
        plain(&eventful()),
        "\
zctrace 0.1.0 on Linux 6.12\\x1b[2J (fileserver), last event after 3.63 s,
traced: pid=4242
! LOST 3 records: transfers open at that time are `unknown`
! MISSING probe tcp:tcp_probe: not in this kernel

Did anything change while it was lent? YES
  The bytes of 1 of 10 transfers could have changed while they were lent.
  Changed by e\\x1b[2J\\xff/7 (write: 1 change, 1 window).
  In 8 transfers more a change could have gone unseen.
  1 transfer was still lent when the trace ended.
  > zctrace explain out.zct 3-17  every record behind the first of them
  > zctrace explain --rule write-in-window  what that means, and what to do
  > sudo zctrace doctor  which probes this kernel does not have, and why
  > zctrace explain out.zct 3-18  what the oldest that is still lent waits for

10 transfers, 640 KiB
  MUTATED          1   their bytes could have changed while they were lent:
                   1     retransmit-after-write
                   1     write-in-window
  clean            1   no change to their bytes while they were lent
  unsure           8   whether their bytes changed is not known:
                   1     records were lost while the window was open
                   1     received out of order on this machine: its pages may
                         have been passed on unseen
                   8     changes to lent pages were not watched, or a probe for
                         them was missing
  released         8   7 receiver_read, 1 copied
  held             1   still lent when the trace ended
  unknown          1   whether they were released is not known

sendfile, 8 transfers                  p50       p90       p99       max
  gap       submit to release      2.00 ms    2.40 s    2.40 s    2.40 s
  exposure  return to release      1.50 ms    2.40 s    2.40 s    2.40 s
  gap from  1.00 ms  ████████████████████████████████████████ 5
  gap from  10.0 ms  ████████                                 1
  gap from   100 ms                                           0
  gap from   1.00 s  ████████                                 1

splice, 2 transfers                    p50       p90       p99       max
  gap       submit to release      20.0 µs   20.0 µs   20.0 µs   20.0 µs
  exposure  return to release         0 ns      0 ns      0 ns      0 ns
  gap from  10.0 µs  ████████████████████████████████████████ 1

Who changed lent bytes: changes, windows hit, who, how
          1          1  e\\x1b[2J\\xff/7            1 write

First changes to lent bytes: id, who, how, file, range, windows hit
  m1   e\\x1b[2J\\xff/7     write         /srv/www/site.tar  5000+100          1

Still lent, oldest first: for at least, id, file, to, bytes
   2.40 s 3-18       ino 99 on 0:27          in a pipe             64.0 KiB

Longest gaps: gap, id, file, to, ended by
   2.40 s 3-17       /srv/www/site.tar       192.168.1.7:54321     receiver_read
  30.0 ms 3-17       /srv/www/site.tar       192.168.1.7:54321     receiver_read
  2.00 ms 3-17       /srv/www/site.tar       192.168.1.7:54321     receiver_read
  2.00 ms 3-17       /srv/www/site.tar       192.168.1.7:54321     receiver_read
  2.00 ms 3-17       /srv/www/site.tar       192.168.1.7:54321     receiver_read

Files by bytes lent: bytes, transfers, mutated, file
    576 KiB          9        1  /srv/www/site.tar
   64.0 KiB          1        -  ino 99 on 0:27
"
    );
}

#[test]
fn why_it_was_not_zero_copy() {
    let mut s = Summary::default();
    for why in [Copied::Tls, Copied::NotAsked, Copied::Tls] {
        add(&mut s, Transfer { copied: Some(why), ..fixture::transfer(1) });
    }
    let text = plain(&s);
    let expected = "  copied           3   not zero-copy:
                   1     the socket has no SO_ZEROCOPY, so MSG_ZEROCOPY was
                         ignored
                   2     kTLS encrypts into pages of its own
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn an_empty_trace() {
    let mut s = Summary::default();
    let info = TraceInfo { filters: Vec::new(), probes: Vec::new(), ..fixture::info() };
    s.add(&Fact::Trace(Box::new(info)));
    assert_eq!(
        plain(&s),
        "\
zctrace 0.1.0 on Linux 6.12.1 (fileserver), traced: everything

Nothing that lends pages was seen. Was the traced process sending with
sendfile(), splice(), vmsplice(), MSG_ZEROCOPY or io_uring?
"
    );
    assert!(plain(&Summary::default()).starts_with("This recording has no header"));
}

#[test]
fn nothing_is_left_of_a_cut_recording() {
    let mut s = Summary::default();
    s.cut = true;
    let text = plain(&s);
    assert!(
        text.ends_with("What is left of this recording has no transfer that came to its end.\n"),
        "{text}"
    );
}

#[test]
fn hosts_are_told_where_there_are_several() {
    let mut s = eventful();
    assert!(!plain(&s).contains(" on fileserver"));
    s.add(&Fact::Trace(Box::new(TraceInfo { part: 1, host: "edge\x07".into(), ..fixture::info() })));
    let mut there = fixture::transfer(4);
    there.id = there.id.of_part(1);
    add(&mut s, there);
    let text = plain(&s);
    for expected in [
        "\n1: zctrace 0.1.0 on Linux 6.12.1 (edge\\x07), traced: pid=4242\n",
        "! edge\\x07: MISSING probe tcp:tcp_probe: not in this kernel\n",
        "nginx/4242 on edge\\x07",
        "/srv/www/site.tar on edge\\x07",
        " 1:3-17 ",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn the_answer_is_no_only_where_it_is() {
    let clean = || Transfer { verdict: Verdict::Clean, reasons: Vec::new(), ..fixture::transfer(1) };
    let mut s = Summary::default();
    add(&mut s, clean());
    assert!(plain(&s).contains("while it was lent? NO\n  The bytes of the one transfer did not change"));
    add(&mut s, fixture::transfer(1));
    let text = plain(&s);
    assert!(text.contains("NOT KNOWN\n  No change was seen, but in 1 of 2 transfers one could"), "{text}");
    assert!(text.contains("> zctrace explain out.zct 3-17  why the first of them is not certain"), "{text}");
}

#[test]
fn the_longest_words_fit() {
    let mut s = eventful();
    for ino in 0..20u64 {
        let mut t = fixture::transfer(ino);
        let long = format!("/{}/{ino}", "long-name-".repeat(30));
        t.file = Some(FileRef {
            id: FileId { dev: u32::MAX, ino: u64::MAX - ino, generation: 0 },
            path: (ino > 3).then(|| long.as_bytes().into()),
        });
        t.released_by = [
            ReleasedBy::Ack,
            ReleasedBy::TxComplete,
            ReleasedBy::PipeDrained,
            ReleasedBy::Close,
            ReleasedBy::Reset,
            ReleasedBy::Drop,
        ]
        .get(usize::try_from(ino).unwrap() % 6)
        .copied();
        add(&mut s, t);
    }
    let text = plain(&s);
    assert!(text.ends_with("  896 KiB         14        -  14 more files\n"), "{text}");
}

#[test]
fn colours_are_a_switch() {
    let s = eventful();
    let coloured = text_of(&s, Style::from(true));
    assert!(coloured.contains("\x1b[1;31m! LOST 3 records"));
    let stripped = coloured.replace("\x1b[1;31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "");
    assert_eq!(stripped, text_of(&s, Style::from(false)));
}

#[test]
fn bars() {
    assert_eq!(bar(0, 10), "");
    assert_eq!(bar(1, u64::MAX), "▏");
    assert_eq!(bar(u64::MAX, u64::MAX), "█".repeat(BAR));
    assert_eq!(bar(9, 64), "█████▋");
}
