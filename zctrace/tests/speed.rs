//! Reading a recording stays fast. Times on a machine that does other things at the same time mean little, so what
//! one record costs is compared with a yardstick that is built and run alike: an entry of a tree, made and dropped.
//! For the figures: `TRANSFERS=1000000 cargo test --release -p zctrace --test speed -- --nocapture`
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod long;

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use zctrace::engine::Engine;
use zctrace::event::{Decoded, decode};
use zctrace::order::{Order, Ordered};
use zctrace::trace::Reader;

/// Entries of the yardstick that are there at once.
const THERE: u64 = 1000;
/// How many yardsticks a record may cost: several times what it does. (Unoptimized, what is inlined counts more.)
const MOST: f64 = if cfg!(debug_assertions) { 8.0 } else { 5.0 };

/// Nanoseconds that this thread has run, whatever others did meanwhile.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of minutes")]
fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

fn took(run: impl FnOnce()) -> f64 {
    let began = cpu();
    run();
    cpu() - began
}

fn yardstick(entries: u64) {
    let mut tree: BTreeMap<u64, [u64; 16]> = BTreeMap::new();
    for n in 0..entries {
        // In no order.
        let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        tree.insert(key(n), [n; 16]);
        if let Some(old) = n.checked_sub(THERE) {
            tree.remove(&key(old));
        }
    }
    black_box(tree);
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn a_record_costs_little() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.zct");
    let transfers = std::env::var("TRANSFERS").map_or(20_000, |n| n.parse().unwrap());
    long::record(&path, transfers, 100, 1000);

    let (mut order, mut events) = (Order::default(), Ordered::new());
    let read = took(|| {
        let mut reader = Reader::new(File::open(&path).unwrap()).unwrap();
        reader
            .read::<std::io::Error>(&mut |bytes| {
                if let Decoded::Frame(header, event) = decode(bytes) {
                    order.push_into(header, event, &mut events);
                }
                Ok(())
            })
            .unwrap();
    });
    let (mut engine, mut facts, mut stated) = (Engine::new(), Vec::new(), 0);
    let engine_took = took(|| {
        for (header, event) in &events {
            engine.push(header, event, &mut facts);
            for fact in facts.drain(..) {
                stated += 1;
                engine.reuse(fact);
            }
        }
    });
    assert!(stated >= transfers);

    let records = events.len() as u64;
    let yard = took(|| yardstick(records)) / records as f64;
    let each = |ns: f64| ns / records as f64;
    let rate = |ns: f64| 1e3 / each(ns);
    println!(
        "{records} records: read at {:.2} million/s, judged at {:.2} million/s; one costs {:.2} and {:.2} yardsticks of {yard:.0} ns",
        rate(read),
        rate(engine_took),
        each(read) / yard,
        each(engine_took) / yard
    );
    assert!(each(engine_took) < MOST * yard, "the engine has become slow");
    assert!(each(read) < MOST * yard, "reading has become slow");
}
