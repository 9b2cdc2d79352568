//! Target `filter`: the language of the search line.

use std::cell::OnceCell;

use zctrace::board::filter::{Filter, Subject};
use zctrace::board::{Board, Picture};
use zctrace::engine::Engine;
use zctrace::event::{Decoded, decode};
use zctrace::order::Order;
use zctrace::select::Select;
use zctrace::sim::{Delivery, Knobs, story};
use zctrace::text;

thread_local! {
    static PICTURE: OnceCell<Picture> = const { OnceCell::new() };
}

/// Something of everything.
fn picture() -> Picture {
    let told = story(3, Knobs { steps: 400, races: false, wind_up: false });
    let frames = told.deliver(&Delivery { seed: 1, between: 40, shuffle: false, lose: 0 }).frames;
    let (mut order, mut engine, mut board) = (Order::default(), Engine::new(), Board::default());
    let mut facts = Vec::new();
    for frame in frames.iter().take(frames.len() * 3 / 4) {
        if let Decoded::Frame(header, event) = decode(frame) {
            order.push(header, event, &mut |h, e| engine.push(h, e, &mut facts));
        }
        facts.drain(..).for_each(|fact| board.fact(fact, engine.now()));
    }
    board.picture(&engine, &Select::default(), engine.now(), None)
}

/// Any text: a filter that answers of everything, or an error with its place and without harm.
pub fn filter(bytes: &[u8]) {
    let Ok(said) = std::str::from_utf8(bytes) else {
        return;
    };
    let filter = match Filter::parse(said) {
        Ok(filter) => filter,
        Err(e) => {
            assert!(said.get(e.at.clone()).is_some(), "no place in {said:?}: {e:?}");
            assert!(!e.message.chars().any(text::acts), "{:?}", e.message);
            return;
        }
    };
    assert_eq!(filter.text(), said.trim());
    assert_eq!(filter.is_empty(), filter.text().is_empty());
    PICTURE.with(|p| {
        let p = p.get_or_init(picture);
        let items = p.items().filter(|i| filter.item(i, p)).count();
        let changes = p.mutations.iter().filter(|m| filter.mutation(m, p)).count();
        let rows = p.files.iter().chain(&p.peers).chain(&p.sockets).chain(&p.processes);
        let rows = rows.filter(|r| filter.row(r, p)).count();
        if filter.is_empty() {
            assert_eq!((items, changes), (p.items().count(), p.mutations.len()));
        }
        let foreign = filter.foreign(Subject::Transfer).count();
        assert!(foreign == 0 || !filter.is_empty());
        assert!(rows <= p.files.len() + p.peers.len() + p.sockets.len() + p.processes.len());
    });
}
