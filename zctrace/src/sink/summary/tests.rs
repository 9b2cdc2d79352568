use super::*;
use crate::sink::fixture::{loss, transfer};

fn add(s: &mut Summary, t: Transfer) {
    s.add(&Fact::Transfer(Box::new(t)));
}

#[test]
fn quantiles_have_three_digits_and_the_largest_is_exact() {
    let mut d = Distribution::default();
    assert_eq!((d.quantile(0.5), d.max()), (None, None));
    d.add(1_234_567);
    assert_eq!(
        (d.quantile(0.5), d.quantile(1.0), d.max()),
        (Some(1_234_567), Some(1_234_567), Some(1_234_567))
    );
    for ns in 1..=1000 {
        d.add(ns * 1000);
    }
    assert_eq!((d.count(), d.quantile(0.5)), (1001, Some(501_247)));
    d.add(u64::MAX);
    assert_eq!(d.max(), Some(u64::MAX));
}

#[test]
fn decades_are_exact() {
    let mut d = Distribution::default();
    assert_eq!(d.decades(), []);
    for ns in [0, 9, 99_999, 100_000, 100_001] {
        d.add(ns);
    }
    let n: Vec<_> = d.decades().iter().map(|(_, n)| *n).collect();
    assert_eq!(n, [2, 0, 0, 0, 1, 2]);
    assert_eq!((d.decades().first(), d.decades().last()), (Some(&(0, 2)), Some(&(100_000, 2))));
}

#[test]
fn totals() {
    let mut s = Summary::default();
    add(&mut s, transfer(1));
    add(&mut s, Transfer { outcome: Outcome::Held, release_ns: None, released_by: None, ..transfer(2) });
    add(&mut s, Transfer { outcome: Outcome::Unknown, release_ns: None, released_by: None, ..transfer(3) });
    add(&mut s, Transfer { verdict: Verdict::Mutated, api: Api::Splice, ..transfer(4) });
    s.add(&loss(LossWhat::Ring, 7));
    s.add(&loss(LossWhat::FreeMiss, 9));
    assert_eq!((s.transfers(), s.released(), s.held(), s.unknown(), s.mutated()), (4, 2, 1, 1, 1));
    assert_eq!(s.lost_records(), 7, "only frames are records");
    assert_eq!((s.all.bytes, s.all.gap.count()), (4 * 65_536, 2));
    assert_eq!(
        s.apis.iter().map(|(a, g)| (*a, g.transfers)).collect::<Vec<_>>(),
        [(Api::Sendfile, 3), (Api::Splice, 1)]
    );
    assert_eq!(s.stuck.len(), 1);
    assert_eq!(
        summary_line(&s),
        "4 transfers, 256 KiB, 2 released, 1 still held, 1 unknown, 1 MUTATED, gap p99 4.00 ms, 7 RECORDS LOST"
    );
}

#[test]
fn the_worst_are_few_and_in_order() {
    let mut s = Summary::default();
    for n in [3, 9, 1, 7, 5, 8, 2, 9] {
        add(&mut s, transfer(n));
    }
    let gaps: Vec<_> = s.worst.iter().filter_map(|t| t.gap_ns()).map(|ns| ns / 1_000_000).collect();
    assert_eq!(gaps, [9, 9, 8, 7, 5]);
}

#[test]
fn files_are_bounded() {
    let mut s = Summary::default();
    for ino in 0..FILES as u64 + 3 {
        let mut t = transfer(1);
        t.file.iter_mut().for_each(|f| f.id.ino = ino);
        add(&mut s, t);
    }
    let mut known = transfer(1);
    known.file.iter_mut().for_each(|f| f.id.ino = 0);
    add(&mut s, known);
    let count = |transfers| Count { transfers, bytes: transfers * 65_536, mutated: 0 };
    assert_eq!((s.files.len(), s.others), (FILES, count(3)));
    assert_eq!(s.files.iter().next().map(|(_, n)| *n), Some(count(2)));
}
