//! What must hold of the facts of any frames, and of what is printed of them.

use std::collections::{BTreeMap, BTreeSet};

use zctrace::board::Board;
use zctrace::engine::Engine;
use zctrace::event::{Decoded, Event, decode};
use zctrace::model::{Fact, MutationId, Outcome, Transfer, TransferId, Verdict};
use zctrace::order::Order;
use zctrace::select::Select;
use zctrace::sink::{JsonLines, Lines, Sink, Summary, report};
use zctrace::text;
use zctrace_common::frame::Header;
use zctrace_common::user::loss;

/// Whether the frames keep to what a tracer promises: numbers that are counted, barriers that are true.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Kept,
    None,
}

struct Run {
    facts: Vec<Fact>,
    /// Times in which releases may have been missed.
    lossy: Vec<(u64, u64)>,
}

/// Frames in, facts out, looked at meanwhile as a screen does.
fn run(frames: &[Vec<u8>]) -> Run {
    let (mut order, mut engine, mut facts) = (Order::default(), Engine::new(), Vec::new());
    let (mut board, mut shown, mut looks) = (Board::default(), 0, 0u32);
    let mut lossy = Vec::new();
    let bytes: usize = frames.iter().map(Vec::len).sum();
    let mut step = |h: &Header, e: &Event| {
        if let Event::Loss(l) = e
            && matches!(l.what, loss::RING | loss::LEARN_MISS | loss::MAP_FULL)
        {
            lossy.push((l.from_ns, h.ts));
        }
        engine.push(h, e, &mut facts);
        for fact in facts.get(shown..).unwrap_or_default() {
            board.fact(fact.clone(), engine.now());
        }
        shown = facts.len();
        assert!(engine.remembered() <= bytes, "it remembers more than it was told");
        if matches!(e, Event::Checkpoint(_)) && looks < 8 {
            looks += 1;
            look(&engine);
            drop(board.picture(&engine, &Select::default(), h.ts, None));
        }
    };
    for bytes in frames {
        if let Decoded::Frame(header, event) = decode(bytes) {
            order.push(header, event, &mut step);
        }
    }
    order.finish(&mut step);
    engine.finish(&mut facts);
    assert_eq!(engine.open_windows(), 0);
    Run { facts, lossy }
}

/// What a viewer asks of an engine.
fn look(engine: &Engine) {
    let mut view = engine.view();
    let all: Vec<_> = view.unstated().collect();
    for u in all.into_iter().take(64) {
        let changed = view.is_changed(u);
        let changes = view.changes_so_far(u, usize::MAX);
        assert!(changed.is_none_or(|c| c != changes.is_empty()));
        let t = view.named(u);
        let (from, end) = (t.offset, t.offset.saturating_add(u.bytes));
        for (off, len) in view.lent(t.id).unwrap_or_default() {
            assert!(off >= from && off.saturating_add(len) <= end, "{off}+{len} of {t:?}");
        }
    }
}

/// Runs the whole line on frames, and judges.
pub(super) fn facts_hold(frames: &[Vec<u8>], promise: Promise) {
    let one = run(frames);
    let two = run(frames);
    assert_eq!(one.facts, two.facts, "the same frames give the same facts");
    let bytes: usize = frames.iter().map(Vec::len).sum();
    assert!(one.facts.len() <= bytes, "more facts than bytes");
    let mut stated: BTreeMap<TransferId, BTreeSet<MutationId>> = BTreeMap::new();
    let mut changes = BTreeSet::new();
    for fact in &one.facts {
        match fact {
            Fact::Transfer(t) => {
                transfer_holds(t);
                if promise == Promise::Kept {
                    times_hold(t, &one.lossy);
                    assert!(!stated.contains_key(&t.id), "stated twice: {t:?}");
                }
                stated.entry(t.id).or_default().extend(&t.mutations);
            }
            Fact::Mutation(m) => {
                assert!(changes.insert(m.id), "stated twice: {m:?}");
                assert!(!m.hits.is_empty(), "{m:?}");
                for hit in &m.hits {
                    let known = stated.get_mut(&hit.transfer);
                    let known = known.is_some_and(|all| all.remove(&m.id));
                    assert!(known || promise == Promise::None, "before what it hit: {m:?}");
                }
            }
            _ => {}
        }
    }
    assert!(
        promise == Promise::None || stated.values().all(BTreeSet::is_empty),
        "a change is never stated: {stated:?}"
    );
    printed_is_harmless(&one.facts);
}

/// Whatever happened, these go together.
fn transfer_holds(t: &Transfer) {
    let released = t.outcome == Outcome::Released;
    assert_eq!(released, t.release_ns.is_some(), "{t:?}");
    assert_eq!(released, t.released_by.is_some(), "{t:?}");
    match t.verdict {
        Verdict::Clean => assert!(released && t.reasons.is_empty() && t.mutations.is_empty(), "{t:?}"),
        Verdict::Mutated => assert!(t.outcome != Outcome::Unknown && !t.rules.is_empty(), "{t:?}"),
        Verdict::Unknown => assert!(!t.reasons.is_empty(), "{t:?}"),
    }
    let sorted = t.reasons.is_sorted_by(|a, b| a < b);
    assert!(sorted, "{t:?}");
    assert!(t.moved().is_none_or(|n| n <= t.bytes));
}

/// In order, and nothing that was open while something was lost is released.
fn times_hold(t: &Transfer, lossy: &[(u64, u64)]) {
    let Some(release) = t.release_ns else {
        return;
    };
    assert!(release >= t.submit_ns, "{t:?}");
    for (from, to) in lossy {
        assert!(t.submit_ns > *to || release <= *from, "open in a loss ({from}, {to}]: {t:?}");
    }
}

/// Every output: whole JSON objects, and text that does nothing to a terminal.
fn printed_is_harmless(facts: &[Fact]) {
    let (mut json, mut lines) = (Vec::new(), Vec::new());
    let mut summary = Summary::default();
    let mut select = Select::default();
    {
        let (mut one, mut other) = (JsonLines::new(&mut json), Lines::new(&mut lines));
        for fact in facts {
            if let Fact::Trace(info) = fact {
                select.show(&info.shown);
            }
            select.shows(fact);
            summary.add(fact);
            assert!(one.fact(fact).is_ok() && other.fact(fact).is_ok());
        }
        assert!(one.finish(&summary).is_ok() && other.finish(&summary).is_ok());
    }
    for line in harmless(&json).lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        assert!(object.get("type").is_some_and(serde_json::Value::is_string), "{line}");
    }
    harmless(&lines);
    let mut page = Vec::new();
    assert!(report(&mut page, &summary, false, "recording.zct").is_ok());
    harmless(&page);
}

/// As text.
pub(super) fn harmless(bytes: &[u8]) -> &str {
    let said = std::str::from_utf8(bytes).unwrap_or("\0");
    let bad = said.chars().find(|c| *c != '\n' && text::acts(*c));
    assert!(bad.is_none(), "{bad:?} leaves in {said:?}");
    said
}
