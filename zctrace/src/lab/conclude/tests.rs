#![expect(clippy::indexing_slicing, clippy::expect_used, reason = "a test that cannot go on has failed")]

use super::super::fixture::{PID, fact, seen, transfer};
use super::super::{cells, judge};
use super::*;
use crate::model::{ReleasedBy, Transfer};

/// All cells of an API; where a change comes before the read, it arrives.
fn atlas(api: &str, change: impl Fn(&mut super::super::Observed, &mut Transfer)) -> Atlas {
    let mut facts = Vec::new();
    let seen: Vec<_> = (1u64..)
        .zip(cells().into_iter().filter(|c| c.api.name() == api))
        .map(|(n, cell)| {
            let mut seen = seen(&cell.to_string(), n * 10_000);
            seen.new_bytes = if cell.changes_unread() && !cell.api.is_copy() { 5000 } else { 0 };
            let mut t = transfer(&seen, Some(800 + n));
            change(&mut seen, &mut t);
            if !cell.api.is_copy() {
                facts.push(fact(t));
            }
            seen
        })
        .collect();
    Atlas::new(judge(seen, &facts, PID), &facts, Duration::from_secs(1))
}

#[test]
fn what_is_the_same_everywhere_is_one_row() {
    let a = atlas("sendfile", |_, _| {});
    assert_eq!(a.rows.len(), 1, "{:#?}", a.rows);
    let row = &a.rows[0];
    assert_eq!((row.transports.len(), row.memory.len(), row.any_memory), (6, 1, false));
    assert_eq!(row.conclusion.safe, [Safe::Read].into());
    assert_eq!((row.conclusion.pages, row.conclusion.after), (Pages::Lent, Share::All));
    assert_eq!((row.after.cells, row.after.of), (24, 24));
    assert_eq!(row.after.receivers, [Receiver::Stalled, Receiver::Losing].into());
    assert_eq!(row.conclusion.before, Share::Untried);
    assert_eq!((a.total.contradict, a.total.unknown, a.total.agree), (0, 0, 72));
}

#[test]
fn what_differs_is_a_row_of_its_own() {
    let a = atlas("sendfile", |seen, t| {
        if seen.cell.transport == Transport::Udp6 {
            seen.new_bytes = 0;
            t.release_ns = t.return_ns;
            t.released_by = Some(ReleasedBy::Copied);
            t.copied = Some(Copied::Loopback);
        }
    });
    assert_eq!(a.rows.len(), 2, "{:#?}", a.rows);
    let row = &a.rows[1];
    assert_eq!(row.transports, [Transport::Udp6].into());
    assert_eq!((row.conclusion.pages, row.conclusion.after), (Pages::Copied, Share::None));
    assert_eq!(row.conclusion.safe, [Safe::Done].into());
    assert_eq!(row.exposure_ns, Some((0, 0)));
}

#[test]
fn one_unknown_changes_no_conclusion() {
    let with = atlas("splice", |seen, t| {
        if seen.cell.to_string() == "splice page_cache tcp4 stalled mmap" {
            t.outcome = Outcome::Unknown;
            t.release_ns = None;
            t.released_by = None;
        }
    });
    let without = atlas("splice", |_, _| {});
    assert_eq!(with.rows[0].conclusion, without.rows[0].conclusion);
    assert_eq!((with.rows.len(), with.total.unknown, with.total.contradict), (1, 1, 0));
}

#[test]
fn copies_are_safe_at_return() {
    let a = atlas("copy", |_, _| {});
    assert_eq!(a.rows.len(), 1);
    let c = &a.rows[0].conclusion;
    assert_eq!((c.pages, c.after, c.safe.clone()), (Pages::Copied, Share::None, [Safe::Done].into()));
    assert_eq!(a.rows[0].exposure_ns, Some((0, 0)));
}

#[test]
fn memory_is_named_only_where_it_matters() {
    let a = atlas("io_uring_send_zc_fixed", |seen, t| {
        t.release_ns = t.notify_ns;
        seen.new_bytes = 0;
        if seen.cell.memory == Memory::FileMapping {
            seen.skipped = Some("no".into());
        }
    });
    let names: Vec<_> =
        a.rows.iter().map(|r| (super::super::words::memory(r), r.conclusion.skipped.clone())).collect();
    assert_eq!(names, [("anonymous hugetlb".into(), None), ("file_mapping".into(), Some("no".into()))]);
    assert!(a.total.skipped > 0);
    let a = atlas("io_uring_send_zc", |seen, t| {
        t.release_ns = t.notify_ns;
        seen.new_bytes = 0;
    });
    assert!(a.rows.len() == 1 && a.rows[0].any_memory, "{:#?}", a.rows);
}

#[test]
fn printed_alike_everywhere() {
    let a = atlas("sendfile", |seen, _| {
        if seen.cell.receiver == Receiver::Losing {
            seen.new_bytes = 0;
        }
    });
    let mut plain = Vec::new();
    super::super::table(&mut plain, &a, false).expect("writing to memory");
    let plain = String::from_utf8(plain).expect("text");
    assert!(plain.lines().all(|l| l.chars().count() <= 100), "{plain}");
    assert!(plain.contains("a change reached stalled receivers only") && !plain.contains('\x1b'), "{plain}");
    let mut colours = Vec::new();
    super::super::table(&mut colours, &a, true).expect("writing to memory");
    assert!(String::from_utf8(colours).expect("text").contains("\x1b[1;31m"));
    let mut json = Vec::new();
    super::super::json_lines(&mut json, &a).expect("writing to memory");
    let kinds: Vec<String> = String::from_utf8(json)
        .expect("text")
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["type"].to_string())
        .collect();
    let count = |kind: &str| kinds.iter().filter(|k| k.contains(kind)).count();
    assert_eq!((count("lab_cell"), count("lab_row"), count("lab_summary")), (72, a.rows.len(), 1));
    let page = super::super::page(&a);
    assert!(page.contains("18 of 18 arrived"));
    assert_eq!(page.matches("<tr").count(), 72 + a.rows.len() + 1 + 3);
}
