//! Laws of the replay, against a replay that is done once and from the beginning.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed; sizes are small"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use zctrace_common::user::{Start, kind};

use super::index::SPACING;
use super::player::Player;
use super::walk::{Budget, Place, Step, Until, Walk};
use crate::board::Picture;
use crate::board::link::{Command, Go, Sight, Viewer, link};
use crate::event::user_frame;
use crate::model::{Fact, TransferId, Verdict};
use crate::pipeline::{self, Pipeline};
use crate::sim::{Delivery, Knobs, Rng, story};
use crate::sink::Collect;
use crate::sink::Summary;
use crate::trace::{End, Reader, TraceError, Writer, span};

const SIGHTS: [Sight; 3] = [Sight::Anything, Sight::Mutation, Sight::Unknown];
/// Small enough that walks are kept everywhere.
const TINY: u64 = 2000;

/// Frames in blocks of any size.
fn bytes_of(frames: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for frame in frames {
        writer.push(frame).unwrap();
        if rng.chance(3) {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap()
}

fn frames(seed: u64, steps: u32) -> Vec<Vec<u8>> {
    let even = seed.is_multiple_of(2);
    let told = story(seed, Knobs { steps, races: even, wind_up: !seed.is_multiple_of(3) });
    let lose = if even { 5 } else { 0 };
    told.deliver(&Delivery { seed, between: 60, shuffle: false, lose }).frames
}

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn recording(seed: u64) -> NamedTempFile {
    file_of(&bytes_of(&frames(seed, 1500), &mut Rng::new(seed)))
}

/// What a replay that looks at nothing meanwhile says.
fn plain(path: &Path) -> (Vec<Fact>, Summary, Option<End>) {
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
    let end = pipeline::replay(path, &mut pipeline).unwrap();
    let summary = pipeline.finish().unwrap();
    let facts = facts.take();
    (facts, summary, end)
}

fn walk(path: &Path) -> Walk {
    Walk::new(Arc::new(File::open(path).unwrap()), Place::default()).unwrap()
}

fn go(walk: &mut Walk, until: Until) -> Step {
    walk.step(until, &mut Budget::steps(u64::MAX), &mut ())
}

/// One that knows its whole recording.
fn player(path: &Path) -> Player {
    let mut player = Player::open(path, Place::default(), TINY).unwrap();
    arrive(&mut player, &mut Rng::new(1));
    player
}

/// In slices of any size.
fn arrive(player: &mut Player, rng: &mut Rng) {
    while player.is_seeking() {
        player.seek_on(Budget::steps(rng.within(1, 5000)));
    }
}

fn ask(player: &mut Player, go: Go, rng: &mut Rng) {
    player.command(&Command::Go(go));
    arrive(player, rng);
}

/// What can be seen of a picture, in short.
fn seen(p: &Picture) -> String {
    let open: Vec<_> = p.open.iter().map(|i| (i.t.id, i.stage, i.so_far.len())).collect();
    let closed: Vec<_> = p.closed.iter().map(|i| (i.t.id, i.t.verdict)).collect();
    let mutations: Vec<_> = p.mutations.iter().map(|m| (m.id, m.at_ns)).collect();
    let groups: Vec<_> = [&p.files, &p.peers, &p.sockets, &p.processes]
        .into_iter()
        .flatten()
        .map(|r| (&r.group.key, r.lent, r.group.stats.transfers))
        .collect();
    let all = &p.all.stats;
    format!(
        "{} {open:?} {closed:?} {mutations:?} {groups:?} {} {} {} {} {:?} {:?} {:?} {:?}",
        p.now_ns, all.transfers, all.bytes, all.mutated, all.unknown, p.lent, p.losses, p.seconds, p.loss_log
    )
}

fn is_a(fact: &Fact, sight: Sight) -> bool {
    match fact {
        Fact::Transfer(t) => match sight {
            Sight::Anything => true,
            Sight::Mutation => t.verdict == Verdict::Mutated,
            Sight::Unknown => t.verdict == Verdict::Unknown,
        },
        Fact::Mutation(_) => sight == Sight::Anything,
        Fact::Trace(_) | Fact::Loss(_) => false,
    }
}

/// How many facts there were when each of these came.
fn ordinals(facts: &[Fact], sight: Sight) -> Vec<u64> {
    let counted = facts.iter().filter(|f| is_a(f, Sight::Anything));
    counted.zip(1u64..).filter(|(f, _)| is_a(f, sight)).map(|(_, n)| n).collect()
}

fn totals_are(walk: &Walk, facts: &[Fact], summary: &Summary) {
    for sight in SIGHTS {
        assert_eq!(walk.counts().get(sight), ordinals(facts, sight).len() as u64, "{sight:?}");
    }
    let picture = walk.picture(None);
    let all = &picture.all.stats;
    assert_eq!((all.transfers, all.bytes), (summary.transfers(), summary.all.bytes));
    assert_eq!((all.mutated, all.unknown), (summary.mutated(), summary.unsure()));
    assert_eq!(picture.losses, summary.losses);
    assert_eq!(picture.info.as_deref(), summary.infos.first());
    assert!(picture.open.is_empty(), "everything was stated");
    // Few enough that all are kept.
    let mut ids: Vec<TransferId> = picture.closed.iter().map(|i| i.t.id).collect();
    let mut stated: Vec<TransferId> = facts
        .iter()
        .filter_map(|f| match f {
            Fact::Transfer(t) => Some(t.id),
            _ => None,
        })
        .collect();
    ids.sort_unstable();
    stated.sort_unstable();
    assert_eq!(ids, stated);
}

#[test]
fn in_slices_it_says_what_a_report_says() {
    for seed in 0..40 {
        let file = recording(seed);
        let (facts, summary, end) = plain(file.path());
        assert_eq!(end, None);
        let mut rng = Rng::new(seed);
        let mut walk = walk(file.path());
        let mut slices = 0;
        while walk.step(Until::End, &mut Budget::steps(rng.within(1, 100)), &mut ()) != Step::Over {
            slices += 1;
            // Looking changes nothing, and a clone goes on as itself would.
            let _ = walk.picture(None);
            walk = walk.clone();
        }
        assert!(slices > 3);
        totals_are(&walk, &facts, &summary);
        assert_eq!(walk.problem(), None);
    }
}

/// Facts that the trace's own filters hide are not there at all.
#[test]
fn what_is_hidden_does_not_count() {
    let mut frames = frames(3, 1500);
    let info = br#"{"tool":"sim","kernel":"sim","filters":[],"probes":[
        {"name":"writeback:writeback_dirty_folio","state":"attached"},
        {"name":"filemap:mm_filemap_delete_from_page_cache","state":"attached"},
        {"name":"io_uring:io_uring_submit_req","state":"attached"},
        {"name":"io_uring:io_uring_complete","state":"attached"}],
        "shown":{"paths":[],"peer":null,"min_gap_ns":null,"only_mutated":true}}"#;
    let start = Start { mono_ns: 1, real_ns: 1 };
    frames[0] = user_frame(kind::START, 0, 1, &start, info);
    let file = file_of(&bytes_of(&frames, &mut Rng::new(3)));
    let (facts, summary, _) = plain(file.path());
    assert!(summary.mutated() > 0 && summary.transfers() == summary.mutated());
    let mut walk = walk(file.path());
    assert_eq!(go(&mut walk, Until::End), Step::Over);
    totals_are(&walk, &facts, &summary);
}

#[test]
fn backwards_leads_where_forwards_did() {
    for seed in 0..12 {
        let file = recording(seed);
        let mut player = player(file.path());
        assert!(player.index.len() > 5, "walks are kept: {}", player.index.len());
        let (first, last) = player.picture().cursor.unwrap().span;
        let mut rng = Rng::new(seed);
        for _ in 0..20 {
            let t = rng.within(first, last - 1);
            ask(&mut player, Go::At(t), &mut rng);
            let mut once = walk(file.path());
            assert_eq!(go(&mut once, Until::Time(t)), Step::There);
            let picture = player.picture();
            assert_eq!(picture.now_ns, t);
            assert_eq!(seen(&picture), seen(&once.picture(None)));
        }
        let mut once = walk(file.path());
        go(&mut once, Until::End);
        ask(&mut player, Go::To(1.0), &mut rng);
        assert_eq!(seen(&player.picture()), seen(&once.picture(None)));
        assert_eq!(player.picture().now_ns, last);
        ask(&mut player, Go::To(0.0), &mut rng);
        assert_eq!(player.picture().now_ns, first);
        ask(&mut player, Go::Scrub(0.5), &mut rng);
        assert!(player.picture().now_ns.abs_diff(first.midpoint(last)) < 2);
        ask(&mut player, Go::Scrub(-1.0), &mut rng);
        assert_eq!(player.picture().now_ns, first);
    }
}

#[test]
fn next_and_previous_find_each_one() {
    for seed in 0..12 {
        let file = recording(seed);
        let (facts, ..) = plain(file.path());
        let mut known = player(file.path());
        let mut rng = Rng::new(seed);
        for sight in SIGHTS {
            let all = ordinals(&facts, sight);
            // One after the other: first on the way, then with everything known, then back.
            let mut fresh = Player::open(file.path(), Place::default(), TINY).unwrap();
            ask(&mut known, Go::To(0.0), &mut rng);
            for player in [&mut fresh, &mut known] {
                for n in &all {
                    ask(player, Go::Next(sight), &mut rng);
                    assert_eq!(player.here.counts().get(Sight::Anything), *n, "{sight:?} {seed}");
                    assert!(player.here.is_at(sight));
                }
                let last = seen(&player.picture());
                ask(player, Go::Next(sight), &mut rng);
                assert_eq!(seen(&player.picture()), last, "there is none: it stays");
                for n in all.iter().rev().skip(1) {
                    ask(player, Go::Previous(sight), &mut rng);
                    assert_eq!(player.here.counts().get(Sight::Anything), *n, "{sight:?} {seed}");
                }
                let first = seen(&player.picture());
                ask(player, Go::Previous(sight), &mut rng);
                assert_eq!(seen(&player.picture()), first, "there is none: it stays");
            }
        }
    }
}

#[test]
fn next_and_previous_from_anywhere() {
    for seed in 0..12 {
        let file = recording(seed);
        let (facts, ..) = plain(file.path());
        let mut player = player(file.path());
        let (first, last) = player.picture().cursor.unwrap().span;
        let mut rng = Rng::new(seed);
        for i in 0..60 {
            let sight = SIGHTS[i % 3];
            let all = ordinals(&facts, sight);
            ask(&mut player, Go::At(rng.within(first, last)), &mut rng);
            let (here, at) = (player.here.counts().get(Sight::Anything), player.here.is_at(sight));
            let n = all.partition_point(|n| *n <= here);
            let (before, after) = (n.checked_sub(1 + usize::from(at)).map(|n| all[n]), all.get(n).copied());
            ask(&mut player, Go::Next(sight), &mut rng);
            assert_eq!(player.here.counts().get(Sight::Anything), after.unwrap_or(here));
            if after.is_some() {
                let place = seen(&player.picture());
                ask(&mut player, Go::Next(sight), &mut rng);
                if all.len() > n + 1 {
                    ask(&mut player, Go::Previous(sight), &mut rng);
                }
                assert_eq!(seen(&player.picture()), place, "there and back");
                ask(&mut player, Go::Previous(sight), &mut rng);
                let back = n.checked_sub(1).map(|n| all[n]);
                assert_eq!(player.here.counts().get(Sight::Anything), back.unwrap_or(all[n]));
            } else {
                ask(&mut player, Go::Previous(sight), &mut rng);
                assert_eq!(player.here.counts().get(Sight::Anything), before.unwrap_or(here));
            }
        }
    }
}

/// Several at once, as from a key that is held down.
#[test]
fn many_at_once() {
    let file = recording(5);
    let (facts, ..) = plain(file.path());
    let all = ordinals(&facts, Sight::Mutation);
    assert!(all.len() > 5);
    let mut rng = Rng::new(5);
    for known in [false, true] {
        let mut player = Player::open(file.path(), Place::default(), TINY).unwrap();
        if known {
            arrive(&mut player, &mut rng);
            ask(&mut player, Go::To(0.0), &mut rng);
        }
        (0..5).for_each(|_| player.command(&Command::Go(Go::Next(Sight::Mutation))));
        player.command(&Command::Go(Go::Previous(Sight::Mutation)));
        arrive(&mut player, &mut rng);
        assert_eq!(player.here.counts().get(Sight::Anything), all[3]);
        (0..10_000).for_each(|_| player.command(&Command::Go(Go::Next(Sight::Mutation))));
        arrive(&mut player, &mut rng);
        assert_eq!(
            player.here.counts().get(Sight::Anything),
            *all.last().unwrap(),
            "the last, if not so many"
        );
        (0..10_000).for_each(|_| player.command(&Command::Go(Go::Previous(Sight::Mutation))));
        arrive(&mut player, &mut rng);
        assert_eq!(player.here.counts().get(Sight::Anything), all[0]);
    }
}

/// Any command at any moment.
#[test]
fn whatever_is_asked() {
    for seed in 0..30 {
        let file = recording(seed);
        let mut rng = Rng::new(seed);
        let mut player = Player::open(file.path(), Place::default(), TINY).unwrap();
        for _ in 0..300 {
            let sight = SIGHTS[rng.index(3)];
            let part = [0.0, 0.3, 1.0, -0.2, f64::NAN, f64::INFINITY, f64::NEG_INFINITY][rng.index(7)];
            let go = [
                Go::PlayPause,
                Go::Faster,
                Go::Slower,
                Go::Next(sight),
                Go::Previous(sight),
                Go::Scrub(part),
                Go::To(part),
                Go::At(rng.number()),
            ][rng.index(8)];
            player.command(&Command::Go(go));
            player.seek_on(Budget::steps(rng.within(0, 300)));
            if rng.chance(10) {
                player.explore(Budget::steps(rng.within(0, 300)));
            }
            let picture = player.picture();
            let cursor = picture.cursor.unwrap();
            assert!((0.0..=1.0).contains(&cursor.known) && cursor.span.0 <= cursor.span.1);
        }
        ask(&mut player, Go::To(1.0), &mut rng);
        let mut once = walk(file.path());
        go(&mut once, Until::End);
        assert_eq!(seen(&player.picture()), seen(&once.picture(None)));
    }
}

#[test]
fn a_broken_recording_keeps_what_is_good() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut bytes = bytes_of(&frames(seed, 500), &mut rng);
        for _ in 0..rng.within(1, 3) {
            let at = rng.index(bytes.len() - 20) + 16;
            match rng.below(3) {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << rng.below(8),
                _ => drop(bytes.drain(at..bytes.len().min(at + 7))),
            }
            if bytes.len() < 64 {
                break;
            }
        }
        let file = file_of(&bytes);
        let (facts, summary, end) = plain(file.path());
        let end = end.expect("it is broken");
        let mut player = player(file.path());
        totals_are(&player.here, &facts, &summary);
        let cursor = player.picture().cursor.unwrap();
        assert_eq!(cursor.problem, Some(end.to_string()));
        assert!(cursor.known == 1.0 && !cursor.seeking);
        let last = seen(&player.picture());
        for sight in SIGHTS {
            ask(&mut player, Go::Previous(sight), &mut rng);
            ask(&mut player, Go::Next(sight), &mut rng);
        }
        ask(&mut player, Go::To(0.5), &mut rng);
        ask(&mut player, Go::To(1.0), &mut rng);
        assert_eq!(seen(&player.picture()), last);
    }
}

#[test]
fn it_cannot_be_opened() {
    let error = |path: &Path| Player::open(path, Place::default(), SPACING).unwrap_err();
    for (bytes, says) in [(&b""[..], "is empty"), (&b"#!/bin/sh"[..], "not a zctrace recording")] {
        let file = file_of(bytes);
        let e = error(file.path());
        assert!(pipeline::is_bad_file(&e));
        assert!(format!("{e:#}").contains(says) && format!("{e:#}").contains(file.path().to_str().unwrap()));
    }
    let e = error(tempfile::tempdir().unwrap().path());
    assert!(matches!(e.downcast_ref(), Some(TraceError::Directory)), "{e:#}");
    let e = error(Path::new("/nowhere/at/all"));
    assert!(format!("{e:#}").contains("No such file"), "{e:#}");
}

#[test]
fn a_span_and_its_marks() {
    for seed in 0..10 {
        let file = recording(seed);
        let (facts, summary, _) = plain(file.path());
        let mut player = Player::open(file.path(), Place::default(), TINY).unwrap();
        let early = player.picture().cursor.unwrap();
        assert_eq!(early.known, 16.0 / file.as_file().metadata().unwrap().len() as f64);
        arrive(&mut player, &mut Rng::new(seed));
        let cursor = player.picture().cursor.unwrap();
        assert_eq!(early.span, cursor.span, "it is known before anything was read");
        assert_eq!(summary.infos[0].start_ns, cursor.span.0);
        assert_eq!(cursor.span.1, player.here.now());
        assert_eq!(cursor.marks.len(), 256);
        let sum =
            |of: fn(&crate::board::picture::Mark) -> u32| u64::from(cursor.marks.iter().map(of).sum::<u32>());
        let all = &player.picture().all.stats.clone();
        assert_eq!(sum(|m| m.transfers), all.transfers);
        assert_eq!(sum(|m| m.mutated), all.mutated);
        assert_eq!(sum(|m| m.unknown), all.unknown);
        let losses = facts.iter().filter(|f| matches!(f, Fact::Loss(_))).count() as u64;
        assert_eq!(sum(|m| m.losses), losses);
        // A mark is where its facts are.
        let mut rng = Rng::new(seed);
        ask(&mut player, Go::Previous(Sight::Anything), &mut rng);
        ask(&mut player, Go::To(0.5), &mut rng);
        let half: u32 = cursor.marks.iter().take(128).map(|m| m.transfers).sum();
        let there = player.picture().all.stats.transfers;
        assert!(u64::from(half).abs_diff(there) <= all.transfers / 20 + 2, "{half} {there}");
    }
}

#[test]
fn a_span_is_not_believed() {
    let bytes = bytes_of(&frames(1, 300), &mut Rng::new(1));
    let file = file_of(&bytes[..bytes.len() / 2]);
    let mut player = player(file.path());
    let cursor = player.picture().cursor.unwrap();
    assert_eq!(cursor.span.1, player.here.clock());
    let late = Instant::now().checked_add(Duration::from_secs(60)).unwrap();
    assert_eq!(span(file.as_file(), late).unwrap(), cursor.span);
    assert_eq!(span(file_of(&bytes[..20]).as_file(), late), None);
    assert_eq!(span(file_of(b"").as_file(), late), None);
    // Time that goes to its end and back.
    let mut wild = frames(1, 300);
    let stop = wild.pop().unwrap();
    let body = zctrace_common::user::Checkpoint { delivered: 0, lost: 0 };
    wild.push(user_frame(kind::CHECKPOINT, 0, u64::MAX, &body, &[]));
    wild.push(stop);
    let file = file_of(&bytes_of(&wild, &mut Rng::new(1)));
    player = self::player(file.path());
    let mut rng = Rng::new(1);
    for to in [Go::To(0.5), Go::Next(Sight::Anything), Go::At(u64::MAX), Go::To(0.0), Go::PlayPause] {
        ask(&mut player, to, &mut rng);
    }
}

#[test]
fn blocks_one_by_one_are_the_stream() {
    let bytes = bytes_of(&frames(2, 400), &mut Rng::new(2));
    let mut all = Vec::new();
    let mut whole = Reader::new(bytes.as_slice()).unwrap();
    let end = whole.read::<TraceError>(&mut |f| {
        all.push(f.to_vec());
        Ok(())
    });
    assert_eq!(end.unwrap(), End::Complete);
    let mut got = Vec::new();
    let mut reader = Reader::new(bytes.as_slice()).unwrap();
    let end = loop {
        let mut take = |f: &[u8]| {
            got.push(f.to_vec());
            Ok(())
        };
        // A clone stands at the same place, and moves by itself.
        let mut clone = reader.clone();
        clone.read_block::<TraceError>(&mut |_| Ok(())).unwrap();
        if let Some(end) = reader.read_block::<TraceError>(&mut take).unwrap() {
            break end;
        }
        assert_eq!(clone.at(), reader.at());
    };
    assert_eq!((got, end), (all, End::Complete));
    assert_eq!(reader.at(), bytes.len() as u64);
}

/// Waits for a picture like that.
fn await_picture(viewer: &Viewer, what: &str, is: impl Fn(&Picture) -> bool) -> Arc<Picture> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = None;
    while Instant::now() < deadline {
        viewer.want();
        if let Ok(Some(picture)) = viewer.newest() {
            if is(&picture) {
                return picture;
            }
            last = picture.cursor.clone().map(|c| (picture.now_ns, Cursorish(c.seeking, c.speed, c.known)));
        }
        std::thread::yield_now();
    }
    panic!("{what}: {last:?}");
}

#[derive(Debug)]
#[expect(dead_code, reason = "it is printed")]
struct Cursorish(bool, Option<f64>, f64);

fn at_rest(p: &Picture) -> bool {
    p.cursor.as_ref().is_some_and(|c| !c.seeking && c.speed.is_none())
}

#[test]
fn a_viewer_plays_it() {
    // The story is short: so long that nothing ends while somebody waits for something else.
    let mut frames = frames(7, 1500);
    let time = |f: &[u8]| u64::from_le_bytes(f[16..24].try_into().unwrap());
    let start = time(&frames[0]);
    for frame in &mut frames {
        let ts = start + (time(frame) - start) * 5000;
        frame[16..24].copy_from_slice(&ts.to_le_bytes());
    }
    let file = file_of(&bytes_of(&frames, &mut Rng::new(7)));
    let (_, summary, _) = plain(file.path());
    let (viewer, maker) = link();
    let path = file.path().to_owned();
    let played = std::thread::spawn(move || super::run(&path, Place::default(), &maker));
    let go = |go| viewer.send(Command::Go(go));
    let end = await_picture(&viewer, "the end", at_rest);
    let (first, last) = end.cursor.clone().unwrap().span;
    assert_eq!((end.all.stats.transfers, end.now_ns), (summary.transfers(), last));

    // At the end, playing begins anew.
    (0..20).for_each(|_| go(Go::Slower));
    go(Go::PlayPause);
    let playing = |p: &Picture| p.cursor.as_ref().is_some_and(|c| c.speed == Some(1.0 / 64.0) && !c.seeking);
    let one = await_picture(&viewer, "playing", |p| playing(p) && p.now_ns < last);
    let two = await_picture(&viewer, "going on", |p| p.now_ns > one.now_ns || at_rest(p));
    assert!(two.now_ns > one.now_ns);
    (0..20).for_each(|_| go(Go::Faster));
    let end = await_picture(&viewer, "the end, and a stop", |p| at_rest(p) && p.now_ns == last);
    assert_eq!(end.all.stats.transfers, summary.transfers());

    // A pause keeps the place.
    (0..20).for_each(|_| go(Go::Slower));
    go(Go::To(0.0));
    go(Go::PlayPause);
    await_picture(&viewer, "playing", |p| playing(p) && p.now_ns > first);
    go(Go::PlayPause);
    let pause = await_picture(&viewer, "a pause", at_rest);
    assert!(first < pause.now_ns && pause.now_ns <= last);

    go(Go::Next(Sight::Mutation));
    let next = await_picture(&viewer, "a mutation", |p| at_rest(p) && p.now_ns != pause.now_ns);
    assert!(next.now_ns > pause.now_ns && next.verdicts(Verdict::Mutated) > 0);
    let id = TransferId { cpu: 0, seq: 1 };
    viewer.send(Command::Focus(Some(id)));
    await_picture(&viewer, "focus", |p| p.focus.as_ref().is_some_and(|f| f.id == id));
    viewer.send(Command::Record(None));
    viewer.send(Command::Quit);
    played.join().unwrap().unwrap();
}

#[test]
fn nothing_new_is_not_shown() {
    let file = recording(8);
    let (viewer, maker) = link();
    let path = file.path().to_owned();
    let played = std::thread::spawn(move || super::run(&path, Place::default(), &maker));
    await_picture(&viewer, "the end", at_rest);
    // What was on its way when the last came.
    viewer.want();
    let _ = viewer.newest();
    viewer.send(Command::Focus(None));
    let one = await_picture(&viewer, "an answer", at_rest);
    // The wish stays until there is something to see.
    viewer.want();
    viewer.send(Command::Go(Go::To(0.5)));
    let two = await_picture(&viewer, "the middle", |p| at_rest(p) && p.now_ns < one.now_ns);
    assert!(two.now_ns < one.now_ns);
    drop(viewer);
    played.join().unwrap().unwrap();
}

#[test]
fn a_viewer_that_is_gone_ends_it() {
    let file = recording(9);
    let (viewer, maker) = link();
    drop(viewer);
    super::run(file.path(), Place::default(), &maker).unwrap();
}
