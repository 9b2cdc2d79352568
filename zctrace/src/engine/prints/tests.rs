#![expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::model::{Api, FileId, FileRef, TransferId};

/// A page of the file, byte for byte; the sum of a piece is linear in its bytes.
type Bytes = Vec<u8>;

fn sum(bytes: &[u8], from: u64, to: u64) -> u64 {
    let key = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (from..to).fold(0, |sum, i| sum.wrapping_add(u64::from(bytes[i as usize]).wrapping_mul(key(i % PAGE))))
}

fn transfer(offset: u64, bytes: u64) -> Transfer {
    Transfer {
        file: Some(FileRef { id: FileId::default(), path: None }),
        offset,
        requested: bytes,
        bytes,
        ..Transfer::opened(TransferId::MIN, Api::Sendfile, 0)
    }
}

/// Looks at `[from, to)` at one moment, page by page.
fn look(prints: &mut Prints, when: u8, at: u64, content: &[u8], from: u64, to: u64) {
    let mut a = from;
    while a < to {
        let b = ((a / PAGE + 1) * PAGE).min(to);
        prints.add(Piece { when, since: at, at, from: a, to: b, sum: Some(sum(content, a, b)) });
        a = b;
    }
}

const OLD: u8 = 1;
const NEW: u8 = 2;

fn file(byte: u8) -> Bytes {
    (0..4 * PAGE).map(|i| byte.wrapping_add((i % 251) as u8)).collect()
}

/// Bytes `[0, 8192)`, looked at at 10 (submit), 20, ... (transmits), and 90 (release).
fn story(sent: &[&Bytes], released: &Bytes) -> Prints {
    let mut prints = Prints::default();
    look(&mut prints, when::SUBMIT, 10, &file(OLD), 0, 8192);
    for (i, content) in sent.iter().enumerate() {
        look(&mut prints, when::XMIT, 20 + 10 * i as u64, content, 0, 8192);
    }
    look(&mut prints, when::RELEASE, 90, released, 0, 8192);
    prints
}

fn told(prints: &Prints) -> Told {
    prints.tell(&transfer(0, 8192), Mode::Full, true, &[], &[])
}

#[test]
fn nothing_changed() {
    let told = told(&story(&[&file(OLD)], &file(OLD)));
    assert_eq!(told, Told { content: Some(Content::SentOld), whole: true, ..Told::default() });
}

#[test]
fn it_changed_before_it_went_out() {
    let told = told(&story(&[&file(NEW)], &file(NEW)));
    assert_eq!(told.content, Some(Content::SentNew));
    assert_eq!(told.changed, [Changed { off: 0, len: 8192, after: 10, before: 20 }]);
    assert!(told.whole);
}

#[test]
fn it_changed_after_it_went_out_and_whoever_reads_it_here_may_have_read_it_later() {
    let told = told(&story(&[&file(OLD)], &file(NEW)));
    assert_eq!(told.content, None);
    assert_eq!(told.changed, [Changed { off: 0, len: 8192, after: 20, before: 90 }]);
}

#[test]
fn the_same_bytes_went_out_twice_with_another_content() {
    let told = told(&story(&[&file(OLD), &file(NEW)], &file(NEW)));
    assert_eq!(told.content, Some(Content::Mixed));
    assert_eq!(told.changed, [Changed { off: 0, len: 8192, after: 20, before: 30 }]);
}

#[test]
fn one_transfer_carried_both() {
    // The first page is let go of before the write, the second goes out after it.
    let mut prints = Prints::default();
    look(&mut prints, when::SUBMIT, 10, &file(OLD), 0, 8192);
    look(&mut prints, when::XMIT, 20, &file(OLD), 0, 4096);
    look(&mut prints, when::RELEASE, 30, &file(OLD), 0, 4096);
    look(&mut prints, when::XMIT, 50, &file(NEW), 4096, 8192);
    look(&mut prints, when::RELEASE, 60, &file(NEW), 4096, 8192);
    let write = Known { off: 0, len: 8192, begin: 40 };
    let told = prints.tell(&transfer(0, 8192), Mode::Full, true, &[write], &[]);
    assert_eq!(told, Told { content: Some(Content::Mixed), whole: true, ..Told::default() });
}

#[test]
fn a_change_that_somebody_is_known_for_is_not_told_again() {
    let prints = story(&[&file(NEW)], &file(NEW));
    let write = Known { off: 5000, len: 10, begin: 15 };
    let told = prints.tell(&transfer(0, 8192), Mode::Full, true, &[write], &[]);
    assert_eq!(told.changed, [Changed { off: 0, len: 4096, after: 10, before: 20 }]);
    // What ended while it was looked at for the first time may be why, and may not be.
    let told = prints.tell(&transfer(0, 8192), Mode::Full, true, &[], &[write]);
    assert_eq!(told.changed, [Changed { off: 0, len: 4096, after: 10, before: 20 }]);
    assert!(told.unsure);
}

#[test]
fn a_gap_claims_nothing() {
    for missing in 0..3u8 {
        let mut prints = Prints::default();
        for (i, when) in [when::SUBMIT, when::XMIT, when::RELEASE].into_iter().enumerate() {
            let end = if i == usize::from(missing) { 8191 } else { 8192 };
            look(&mut prints, when, 10 * (i as u64 + 1), &file(OLD), 0, end);
        }
        let told = told(&prints);
        assert_eq!((told.content, told.whole, told.changed.len()), (None, false, 0), "{missing}");
    }
    assert_eq!(told(&Prints::default()), Told::default());
    let mut blind = story(&[&file(OLD)], &file(OLD));
    blind.blind = true;
    assert_eq!((told(&blind).content, told(&blind).whole), (None, false));
}

#[test]
fn bytes_of_which_the_sum_is_not_known_are_a_gap() {
    let mut prints = story(&[&file(OLD)], &file(OLD));
    prints.add(Piece { when: when::XMIT, since: 40, at: 40, from: 100, to: 200, sum: None });
    assert_eq!((told(&prints).content, told(&prints).whole), (None, false));
}

#[test]
fn a_part_that_went_out_again_and_fits_to_nothing_may_have_been_another() {
    let mut prints = story(&[&file(OLD)], &file(OLD));
    look(&mut prints, when::XMIT, 40, &file(OLD), 0, 1448);
    assert_eq!(told(&prints).content, None);
    look(&mut prints, when::XMIT, 50, &file(OLD), 1448, 4096);
    assert_eq!(told(&prints).content, Some(Content::SentOld));
}

#[test]
fn a_part_let_go_of_is_no_matter_if_it_was_looked_at_again() {
    let mut prints = story(&[&file(OLD)], &file(OLD));
    look(&mut prints, when::RELEASE, 40, &file(OLD), 100, 4096);
    assert_eq!(told(&prints).content, Some(Content::SentOld));
    look(&mut prints, when::RELEASE, 95, &file(OLD), 100, 4096);
    assert_eq!(told(&prints).content, None);
}

#[test]
fn a_call_that_stopped_inside_of_a_page() {
    let stopped = |second: &Bytes| {
        let mut prints = Prints::default();
        look(&mut prints, when::SUBMIT, 10, &file(OLD), 0, 8192);
        look(&mut prints, when::XMIT, 20, second, 0, 5000);
        look(&mut prints, when::RELEASE, 30, second, 0, 5000);
        look(&mut prints, when::RETURN, 40, second, 4096, 5000);
        look(&mut prints, when::RETURN, 40, second, 5000, 8192);
        prints.tell(&transfer(0, 5000), Mode::Full, true, &[], &[])
    };
    assert_eq!(stopped(&file(OLD)).content, Some(Content::SentOld));
    // The second page is not what it was; which half changed nobody knows.
    let told = stopped(&file(NEW));
    assert_eq!((told.content, told.whole), (None, false));
    assert_eq!(told.changed, [Changed { off: 0, len: 4096, after: 10, before: 20 }]);
}

#[test]
fn samples_prove_a_change_but_not_that_there_was_none() {
    let sample = |p: &Prints| p.tell(&transfer(0, 8192), Mode::Sample, true, &[], &[]);
    let same = sample(&story(&[&file(OLD)], &file(OLD)));
    assert_eq!((same.content, same.whole), (None, false));
    let new = sample(&story(&[&file(NEW)], &file(NEW)));
    assert_eq!((new.content, new.changed.len(), new.whole), (None, 1, false));
}

#[test]
fn without_packets_only_the_end_is_known() {
    let mut prints = Prints::default();
    look(&mut prints, when::SUBMIT, 10, &file(OLD), 0, 8192);
    look(&mut prints, when::RELEASE, 30, &file(OLD), 0, 8192);
    let unix = |p: &Prints| p.tell(&transfer(0, 8192), Mode::Full, false, &[], &[]);
    assert_eq!(unix(&prints).content, Some(Content::SentOld));
    let mut prints = Prints::default();
    look(&mut prints, when::SUBMIT, 10, &file(OLD), 0, 8192);
    look(&mut prints, when::RELEASE, 30, &file(NEW), 0, 8192);
    assert_eq!(unix(&prints).content, None);
    assert_eq!(unix(&prints).changed, [Changed { off: 0, len: 8192, after: 10, before: 30 }]);
}

#[test]
fn many_pieces_are_bounded() {
    let mut prints = Prints::default();
    for i in 0..(MOST as u64 + 10) {
        prints.add(Piece { when: when::XMIT, since: i, at: i, from: i, to: i + 1, sum: Some(i) });
    }
    assert_eq!(prints.count, MOST);
    assert!(prints.blind);
}

/// One page's history: what it held from which moment on, and looks at parts of it.
#[derive(Clone, Debug)]
struct Look {
    when: u8,
    cuts: Vec<u64>,
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let cuts = prop::collection::vec(1..PAGE, 0..4);
    let xmits = prop::collection::vec(cuts.clone(), 1..3);
    (xmits, cuts).prop_map(|(xmits, release)| {
        let mut all: Vec<Look> = xmits.into_iter().map(|cuts| Look { when: when::XMIT, cuts }).collect();
        all.push(Look { when: when::RELEASE, cuts: release });
        all
    })
}

proptest! {
    /// However packets cut a page, and whenever its bytes change: nothing is said that is not so.
    #[test]
    fn what_is_told_is_so(looks in looks(), changes in prop::collection::vec((0..40u64, 0..PAGE), 0..3)) {
        // Each piece is looked at at a moment of its own.
        let at = |time: u64| {
            let mut bytes = file(OLD);
            for (when, byte) in &changes {
                if *when <= time {
                    bytes[*byte as usize] = bytes[*byte as usize].wrapping_add(1);
                }
            }
            bytes
        };
        let mut prints = Prints::default();
        look(&mut prints, when::SUBMIT, 0, &at(0), 0, PAGE);
        let (mut time, mut sent, mut seen) = (1, Vec::new(), Vec::new());
        for l in &looks {
            let mut cuts = l.cuts.clone();
            cuts.extend([0, PAGE]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut whole = Vec::new();
            for pair in cuts.windows(2) {
                let content = at(time);
                look(&mut prints, l.when, time, &content, pair[0], pair[1]);
                whole.extend_from_slice(&content[pair[0] as usize..pair[1] as usize]);
                time += 3;
            }
            seen.push(whole.clone());
            if l.when == when::XMIT {
                sent.push(whole);
            }
        }
        let old = at(0)[..PAGE as usize].to_vec();
        let t = prints.tell(&transfer(0, PAGE), Mode::Full, true, &[], &[]);
        prop_assert!(t.whole);
        match t.content {
            Some(Content::SentOld) => prop_assert!(sent.iter().all(|s| *s == old)),
            Some(Content::SentNew) => prop_assert!(sent.iter().all(|s| *s != old)),
            Some(Content::Mixed) => prop_assert!(sent.iter().any(|s| *s != sent[0])),
            None => {}
        }
        // Any look that saw a change says so.
        prop_assert_eq!(t.changed.is_empty(), seen.iter().all(|s| *s == old));
        for c in &t.changed {
            prop_assert!(changes.iter().any(|(when, _)| c.after <= *when && *when <= c.before));
        }
    }
}
