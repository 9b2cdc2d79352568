#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use super::super::fixture::{PID, fact, seen, transfer};
use super::*;

/// One cell; the receiver got so many new bytes, the trace is what `change` makes of it.
fn one(text: &str, new: u64, release: Option<u64>, change: impl FnOnce(&mut Transfer)) -> Judged {
    let mut seen = seen(text, 1000);
    seen.new_bytes = new;
    let mut t = transfer(&seen, release);
    change(&mut t);
    judge(vec![seen], &[fact(t)], PID).remove(0)
}

const STALLED: &str = "sendfile page_cache tcp4 stalled write";

#[test]
fn each_cell_gets_its_own_transfers() {
    let cells = [seen(STALLED, 1000), seen("splice page_cache unix fast none", 5000)];
    let mut facts: Vec<Fact> = cells.iter().map(|c| fact(transfer(c, Some(800)))).collect();
    let mut other = transfer(&cells[0], Some(800));
    other.pid = PID + 1;
    facts.push(fact(other));
    let mut late = transfer(&cells[1], Some(800));
    late.submit_ns = 7000;
    facts.push(fact(late));
    facts.reverse();
    let judged = judge(cells.to_vec(), &facts, PID);
    let ids: Vec<Vec<u64>> = judged.iter().map(|c| c.transfers.iter().map(|t| t.id.seq).collect()).collect();
    assert_eq!(ids, [[1000], [5000]]);
    assert!(judged.iter().all(|c| c.contradictions.is_empty()), "{judged:?}");
}

#[test]
fn a_change_that_arrives_while_lent() {
    let c = one(STALLED, 5000, Some(800), |_| {});
    assert_eq!(c.contradictions, []);
    assert_eq!((c.safe(), c.exposure_ns(), c.reached()), (Safe::Read, Some(600), true));
    assert_eq!((c.return_off_ns(), c.notify_off_ns()), (Some(10), None));
}

#[test]
fn a_release_that_came_too_early() {
    // The change began at 400.
    let c = one(STALLED, 5000, Some(400), |_| {});
    assert_eq!(c.contradictions, [Contradiction::ReachedAfterRelease]);
    assert_eq!(one(STALLED, 5000, Some(401), |_| {}).contradictions, []);
    // What is not known contradicts nothing.
    let c = one(STALLED, 5000, None, |_| {});
    assert_eq!((c.contradictions.len(), c.safe(), c.safe_ns()), (0, Safe::Unknown, None));
    assert_eq!(one(STALLED, 0, Some(150), |_| {}).contradictions, []);
}

#[test]
fn clean_although_it_arrived() {
    let c = one(STALLED, 5000, Some(800), |t| t.verdict = Verdict::Clean);
    assert_eq!(c.contradictions, [Contradiction::CleanButReached]);
    assert_eq!(one(STALLED, 0, Some(800), |t| t.verdict = Verdict::Clean).contradictions, []);
    assert_eq!(one(STALLED, 5000, Some(800), |t| t.verdict = Verdict::Unknown).contradictions, []);
}

#[test]
fn fingerprints_that_say_something_else() {
    let content = |new, content| one(STALLED, new, Some(800), |t| t.content = Some(content)).contradictions;
    assert_eq!(content(5000, Content::SentOld), [Contradiction::WrongContent(Content::SentOld)]);
    assert_eq!(content(0, Content::SentNew), [Contradiction::WrongContent(Content::SentNew)]);
    assert_eq!(content(5000, Content::SentNew), []);
    assert_eq!(content(5000, Content::Mixed), []);
    assert_eq!(content(0, Content::SentOld), []);
}

#[test]
fn bytes_that_do_not_add_up() {
    let c = one(STALLED, 0, Some(800), |t| t.bytes -= 1);
    assert_eq!(c.contradictions, [Contradiction::WrongBytes(65535, 65536)]);
    let c = judge(vec![seen(STALLED, 1000)], &[], PID).remove(0);
    assert_eq!(c.contradictions, [Contradiction::WrongBytes(0, 65536)]);
    let mut wrong = seen(STALLED, 1000);
    wrong.stale_or_wrong = 3;
    let trace = [fact(transfer(&wrong, Some(800)))];
    assert_eq!(judge(vec![wrong], &trace, PID)[0].contradictions, [Contradiction::NobodysBytes(3)]);
}

#[test]
fn a_copy_lends_nothing() {
    let c = judge(vec![seen("copy page_cache tcp4 stalled write", 1000)], &[], PID).remove(0);
    assert_eq!(c.contradictions, []);
    assert_eq!((c.safe(), c.exposure_ns(), c.reached()), (Safe::Done, Some(0), false));
    let c = one("copy page_cache tcp4 stalled write", 0, Some(800), |_| {});
    assert_eq!(c.contradictions, [Contradiction::WrongBytes(65536, 0)]);
}

#[test]
fn notifications() {
    let text = "msg_zerocopy anonymous tcp4 stalled write";
    let c = one(text, 0, Some(280), |t| t.released_by = Some(ReleasedBy::TxComplete));
    assert_eq!((c.done(), c.safe(), c.exposure_ns()), (Done::Notify, Safe::Done, Some(0)));
    assert_eq!((c.took_ns(), c.notify_off_ns()), (Some(200), Some(10)));
    // A finding: the memory was lent on.
    let c = one(text, 0, Some(350), |t| t.released_by = Some(ReleasedBy::TxComplete));
    assert_eq!((c.safe(), c.exposure_ns()), (Safe::Acknowledged, Some(50)));
    assert!(c.lent_after_notice() && c.contradictions.is_empty());
    // The change came first: that it arrived is what the API says.
    let mut early = seen("msg_zerocopy anonymous tcp4 losing write", 1000);
    early.new_bytes = 5000;
    early.changed_ns = Some((1250, 1260));
    let trace = [fact(transfer(&early, Some(290)))];
    let c = judge(vec![early], &trace, PID).remove(0);
    assert_eq!((c.contradictions.len(), c.reached(), c.changed_after_done()), (0, false, false));
}

#[test]
fn who_lets_go_last_is_chance() {
    let by = |text, by, at| one(text, 0, Some(at), |t| t.released_by = Some(by)).safe();
    assert_eq!(by(STALLED, ReleasedBy::Ack, 800), Safe::Read);
    assert_eq!(by(STALLED, ReleasedBy::Ack, 450), Safe::Acknowledged);
    assert_eq!(by(STALLED, ReleasedBy::Ack, 200), Safe::Done);
    let closing = "sendfile page_cache tcp4 closing write";
    assert_eq!(by(closing, ReleasedBy::Close, 800), Safe::Gone);
    assert_eq!(by(closing, ReleasedBy::ReceiverRead, 800), Safe::Gone);
    assert!(one(closing, 0, Some(800), |_| {}).misnamed());
    assert!(!one(STALLED, 0, Some(800), |_| {}).misnamed());
}

#[test]
fn what_was_not_played_is_not_judged() {
    let mut skipped = seen(STALLED, 1000);
    skipped.skipped = Some("no such thing".into());
    let c = judge(vec![skipped], &[], PID).remove(0);
    assert!(!c.played() && c.contradictions.is_empty());
}
