#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use super::*;
use crate::model::{Fact, Outcome, Transfer, TransferId, Verdict};
use crate::pipeline::Pipeline;
use crate::sim::{Load, Rng, server};
use crate::sink::{Collect, Sink as _, Style, fixture};
use crate::text;

/// Facts of a simulated server.
fn facts(load: &Load) -> Vec<Fact> {
    let all = Collect::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(all.clone())]);
    for frame in server(load) {
        pipeline.frame(&frame).unwrap();
    }
    pipeline.finish().unwrap();
    all.take()
}

fn side(facts: &[Fact]) -> Side {
    let mut side = Side::default();
    facts.iter().for_each(|f| side.fact(f).unwrap());
    side
}

/// Without stalls: those come a few in a recording, and where they fall is no noise that 20 stretches can tell.
fn load(seed: u64, slower: u64) -> Load {
    Load { seed, transfers: 2_400, slower, stalls: 0, changes: 0, ..Load::default() }
}

/// Two halves of one recording.
fn halves(facts: &[Fact]) -> [Side; 2] {
    let at = |f: &Fact| if let Fact::Transfer(t) = f { Some(t.submit_ns) } else { None };
    let mut times: Vec<u64> = facts.iter().filter_map(at).collect();
    times.sort_unstable();
    let middle = times[times.len() / 2];
    let of = |first: bool| {
        let half: Vec<Fact> =
            facts.iter().filter(|f| at(f).is_none_or(|t| (t < middle) == first)).cloned().collect();
        side(&half)
    };
    [of(true), of(false)]
}

fn none() -> [Option<String>; 2] {
    [None, None]
}

fn beyond(d: &Diff) -> usize {
    d.sections.iter().flat_map(|s| &s.lines).filter(|l| l.change >= Change::Better).count()
}

#[test]
fn halves_of_the_same_are_within_noise_as_often_as_is_said() {
    let n = 40;
    let mut wrong = 0;
    for seed in 0..n {
        let [a, b] = halves(&facts(&load(seed, 1_000)));
        let d = compare(&a, &b, none());
        assert!(d.compared > 10);
        wrong += usize::from(beyond(&d) > 0);
    }
    println!("{wrong} of {n} pairs of halves differ");
    // One in 20 is 2 of 40; more than 6 would come about once in 70 times.
    assert!(wrong <= 6, "{wrong} of {n}");
}

#[test]
fn half_as_long_again_is_found() {
    let n = 8;
    let mut found = 0;
    for seed in 0..n {
        // Long enough that the network's moods average out.
        let long = |load: Load| side(&facts(&Load { transfers: 5_000, ..load }));
        let (a, b) = (long(load(seed, 1_000)), long(load(seed + 500, 1_500)));
        let d = compare(&a, &b, none());
        let api = &d.sections[0];
        assert!(matches!(api.key, Key::Api(_)));
        let gap = &api.lines[0];
        assert_eq!(gap.what, "gap p50");
        found += usize::from(gap.change == Change::Worse && d.is_worse());
        let (ratio, low, high) = gap.ratio.unwrap();
        assert!((1.2..1.9).contains(&ratio) && low < ratio && ratio < high, "{gap:?}");
        // The other way round it is better.
        let back = compare(&b, &a, none());
        assert!(!back.sections[0].lines.iter().any(|l| l.change == Change::Worse));
    }
    println!("{found} of {n} found");
    assert!(found >= 7, "{found} of {n}");
}

#[test]
fn what_alone_can_explain_it_is_said_first() {
    let mut other = fixture::info();
    other.kernel = "6.13\x1b[2J".into();
    other.filters = Vec::new();
    other.probes.clear();
    let a = side(&[Fact::Trace(Box::new(fixture::info())), Fact::Transfer(Box::new(fixture::transfer(1)))]);
    let b = side(&[Fact::Trace(Box::new(other)), fixture::loss(crate::model::LossWhat::Ring, 3)]);
    let d = compare(&a, &b, [None, Some("cut off".into())]);
    let expected = [
        "B is not whole: cut off",
        "B: LOST 3 records: transfers open at that time are `unknown`",
        "B has no transfers",
        "kernels differ: A 6.12.1, B 6.13\\x1b[2J",
        "filters differ: A pid=4242, B none",
        "missing probes differ: A tcp:tcp_probe, B none",
    ];
    assert_eq!(d.warnings, expected);
    assert_eq!(beyond(&d), 0);
    assert_eq!(d.sections[0].change(), Change::TooFew);
}

fn many(n: u64, mutated: u64) -> Side {
    let mut rng = Rng::new(3);
    let mut facts = vec![Fact::Trace(Box::new(fixture::info()))];
    for i in 0..n {
        let mut t = fixture::transfer(1 + rng.below(5));
        (t.id, t.comm) = (TransferId { cpu: 0, seq: i }, b"e\x1b[2J\xff".as_slice().into());
        t.submit_ns += i * 1_000_000;
        t.return_ns = t.return_ns.map(|ns| ns + i * 1_000_000);
        t.release_ns = t.release_ns.map(|ns| ns + i * 1_000_000);
        t.verdict = if i.is_multiple_of(n / mutated.max(1)) && mutated > 0 {
            Verdict::Mutated
        } else {
            Verdict::Clean
        };
        facts.push(Fact::Transfer(Box::new(t)));
    }
    side(&facts)
}

#[test]
fn new_mutations_are_found_and_told() {
    let d = compare(&many(2_000, 0), &many(2_000, 100), none());
    let line = d.sections[0].lines.iter().find(|l| l.what == "mutated").unwrap();
    assert_eq!((line.values, line.change), ([Some(0), Some(100)], Change::Worse));
    assert!(d.is_worse());
    // A single one is not beyond noise, but none of A is like it.
    let d = compare(&many(2_000, 0), &many(2_000, 1), none());
    assert_eq!(beyond(&d), 0);
    assert!(d.is_worse());
    assert!(!compare(&many(2_000, 1), &many(2_000, 0), none()).is_worse());
}

#[test]
fn it_fits_and_harms_nobody() {
    let names = ["a.zct".to_owned(), "b.zct".to_owned()];
    let hostile = Load { names: Some(b"\x1b[2J<b>\xff\xe2\x80\xae\n".to_vec()), ..load(1, 1_000) };
    let pairs = [
        (many(2_000, 0), many(1_500, 30)),
        (side(&facts(&load(1, 1_000))), side(&facts(&hostile))),
        (side(&[]), many(10, 0)),
        (many(50, 0), many(50, 0)),
    ];
    for (a, b) in &pairs {
        let d = compare(a, b, none());
        let mut out = Vec::new();
        print(&mut out, &d, &names, Style::Plain).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.chars().any(text::acts), "{line:?}");
        }
        let json = json(&d, &names).to_string();
        assert!(!json.chars().any(text::acts), "{json}");
    }
}

#[test]
fn memory_is_bounded() {
    let mut side = Side::default();
    for i in 0..50_000u64 {
        let mut t: Transfer = fixture::transfer(1);
        t.id.seq = i;
        t.comm = format!("p{i}").into_bytes().into();
        t.file.iter_mut().for_each(|f| f.path = Some(format!("/f{i}").into_bytes().into()));
        t.outcome = Outcome::Released;
        side.fact(&Fact::Transfer(Box::new(t))).unwrap();
    }
    let d = compare(&side, &side, none());
    assert_eq!(d.sections.len(), 1 + 500 + 500);
    assert_eq!((d.other_files, d.other_processes), ([49_500; 2], [49_500; 2]));
    assert_eq!(d.sections[0].transfers, [50_000; 2]);
}
