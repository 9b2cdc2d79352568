//! Target `state`: a saved state, and a trace that goes on from it.

use zctrace::engine::Engine;
use zctrace::model::Fact;
use zctrace::stages::Stages;

use super::pick::Pick;
use super::tale;

/// Any bytes as a state: refused, or something that can go on, be looked at, saved and ended.
pub fn state(bytes: &[u8]) {
    let mut pick = Pick::new(bytes);
    let n = pick.short();
    let Ok(mut stages) = Stages::restore(pick.take(n)) else {
        return;
    };
    let mut facts = Vec::new();
    let mut take = |fact: Fact, _: &Engine| -> Result<(), ()> {
        facts.push(fact);
        Ok(())
    };
    let saved = stages.save().unwrap_or_default();
    assert!(Stages::restore(&saved).is_ok(), "what was restored cannot be saved");
    for frame in tale::frames(pick.rest()) {
        assert!(stages.frame(&frame, &mut take).is_ok());
    }
    look(stages.engine());
    assert!(stages.finish(&mut take).is_ok());
}

fn look(engine: &Engine) {
    let mut view = engine.view();
    let all: Vec<_> = view.unstated().collect();
    for u in all.into_iter().take(16) {
        let t = view.named(u);
        drop((view.is_changed(u), view.changes_so_far(u, 100), view.lent(t.id)));
    }
}

/// A state as [`state`] reads it, of the first part of a made-up trace; the rest is what goes on.
pub fn seed(bytes: &[u8]) -> Vec<u8> {
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let mut stages = Stages::default();
    for frame in tale::frames(first) {
        let _ = stages.frame(&frame, &mut |_: Fact, _: &Engine| Ok::<(), ()>(()));
    }
    let saved = stages.save().unwrap_or_default();
    let n = u16::try_from(saved.len()).unwrap_or_default();
    [&n.to_be_bytes(), saved.as_slice(), rest].concat()
}
