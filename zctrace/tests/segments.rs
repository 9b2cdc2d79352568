//! Recordings in several files, read from the middle, while they are written, and merged: what is said of a part
//! is what the whole says of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use zctrace::event::{Decoded, Event, decode, encode};
use zctrace::explain;
use zctrace::input::{Asked, Moment};
use zctrace::merge::merge;
use zctrace::model::{Fact, Outcome, TraceInfo, Transfer};
use zctrace::pipeline::{self, Pipeline};
use zctrace::recorder::{Recorder, Rotation, segment};
use zctrace::sim::{Delivery, Knobs, story};
use zctrace::sink::{Collect, Story, Style};
use zctrace::trace::End;

const KNOBS: Knobs = Knobs { steps: 1500, races: false, wind_up: true };

/// Frames of a story, of that host.
fn frames(seed: u64, host: &str) -> Vec<Vec<u8>> {
    let mut frames =
        story(seed, KNOBS).deliver(&Delivery { seed, between: 30, shuffle: false, lose: 0 }).frames;
    let Decoded::Frame(header, Event::Start(info)) = decode(&frames[0]) else { panic!("no header") };
    frames[0] = encode(&header, &Event::Start(Box::new(TraceInfo { host: host.into(), ..*info })));
    frames
}

/// Records them as they come; answers what was said live.
fn record(frames: &[Vec<u8>], to: Recorder) -> Vec<Fact> {
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(Some(to), vec![Box::new(facts.clone())]);
    frames.iter().for_each(|f| pipeline.frame(f).unwrap());
    pipeline.finish().unwrap();
    facts.take()
}

fn read(asked: &Asked) -> anyhow::Result<(Vec<Fact>, Option<End>)> {
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
    let end = pipeline::read(asked, &mut pipeline, &mut |_| Ok(()))?;
    pipeline.finish()?;
    Ok((facts.take(), end))
}

fn all(files: &[PathBuf]) -> Asked {
    Asked { files: files.into(), ..Asked::default() }
}

/// The number of the segment is not what was said live.
fn but_series(facts: Vec<Fact>) -> Vec<Fact> {
    let mut facts = facts;
    for fact in &mut facts {
        if let Fact::Trace(info) = fact {
            info.series = None;
        }
    }
    facts
}

fn transfers(facts: &[Fact]) -> Vec<&Transfer> {
    facts.iter().filter_map(|f| if let Fact::Transfer(t) = f { Some(&**t) } else { None }).collect()
}

fn rotating(dir: &Path, bytes: u64, keep: Option<u64>) -> Recorder {
    let rotation = Rotation { bytes: Some(bytes), every: None, keep };
    Recorder::rotating(&dir.join("t.zct"), rotation).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

fn error(asked: &Asked) -> String {
    format!("{:#}", read(asked).unwrap_err())
}

#[test]
fn names_of_segments() {
    assert_eq!(segment(Path::new("/a/trace.zct"), 3), Path::new("/a/trace.0003.zct"));
    assert_eq!(segment(Path::new("trace"), 12_345), Path::new("trace.12345.zct"));
}

#[test]
fn segments_that_do_not_fit() {
    let dir = TempDir::new().unwrap();
    record(&frames(1, "a"), rotating(dir.path(), 4000, None));
    let files = files(dir.path());
    assert!(files.len() > 4, "{files:?}");
    let other = TempDir::new().unwrap();
    record(&frames(2, "a"), rotating(other.path(), 4000, None));
    let plain = other.path().join("plain.zct");
    record(&frames(2, "a"), Recorder::single(File::create(&plain).unwrap()).unwrap());

    let e = error(&all(&[files[0].clone(), files[2].clone()]));
    assert!(e.contains("segment 1") && e.contains("segment 3") && e.contains("in between"), "{e}");
    let e = error(&all(&[files[0].clone(), files[0].clone()]));
    assert!(e.contains("each once"), "{e}");
    let e = error(&all(&[files[0].clone(), other.path().join("t.0002.zct")]));
    assert!(e.contains("two recordings") && e.contains("zctrace merge"), "{e}");
    let e = error(&all(&[files[0].clone(), plain]));
    assert!(e.contains("of its own") && e.contains("zctrace merge"), "{e}");
}

#[test]
fn old_segments_are_removed() {
    let dir = TempDir::new().unwrap();
    let live = record(&frames(3, "a"), rotating(dir.path(), 4000, Some(3)));
    let files = files(dir.path());
    assert_eq!(files.len(), 3, "{files:?}");
    let (kept, end) = read(&all(&files)).unwrap();
    assert_eq!(end, None);
    let (live, kept) = (transfers(&live), transfers(&kept));
    assert!(!kept.is_empty() && kept.len() < live.len());
    assert_eq!(live[live.len() - kept.len()..], kept, "its last segments are its last transfers");
}

#[test]
fn a_segment_whose_state_is_damaged() {
    let dir = TempDir::new().unwrap();
    record(&frames(1, "a"), rotating(dir.path(), 4000, None));
    let path = &files(dir.path())[2];
    let mut bytes = std::fs::read(path).unwrap();
    let second = bytes[20..].windows(4).position(|w| w == b"ZBLK").unwrap() + 20;
    bytes[second + 60] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let e = error(&Asked::file(path));
    assert!(e.contains("segment 3") && e.contains("damaged"), "{e}");
}

/// Every checksum of it is right.
#[test]
fn a_state_of_another_recording() {
    let dir = TempDir::new().unwrap();
    record(&frames(1, "a"), rotating(dir.path(), 4000, None));
    let other = TempDir::new().unwrap();
    record(&frames(2, "a"), rotating(other.path(), 4000, None));
    let blocks = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let ends: Vec<usize> = (20..bytes.len()).filter(|at| bytes[*at..].starts_with(b"ZBLK")).collect();
        (bytes, ends)
    };
    let (mine, my_ends) = blocks(&files(dir.path())[1]);
    let (other, ends) = blocks(&files(other.path())[1]);
    let mixed = [&mine[..my_ends[0]], &other[ends[0]..ends[1]], &mine[my_ends[1]..]].concat();
    let path = dir.path().join("mixed.zct");
    std::fs::write(&path, mixed).unwrap();
    let e = error(&Asked::file(&path));
    assert!(e.contains("of another recording"), "{e}");
}

#[test]
fn followed_while_it_is_written() {
    let dir = TempDir::new().unwrap();
    let (first, frames) = (dir.path().join("t.0001.zct"), frames(5, "a"));
    let to = rotating(dir.path(), 6000, None);
    let follower = std::thread::spawn(move || {
        read(&Asked { files: vec![first], follow: true, ..Asked::default() }).unwrap()
    });
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(Some(to), vec![Box::new(facts.clone())]);
    for (n, frame) in frames.iter().enumerate() {
        pipeline.frame(frame).unwrap();
        if n % 500 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    pipeline.finish().unwrap();
    let (followed, end) = follower.join().unwrap();
    assert_eq!(end, None);
    assert_eq!(but_series(followed), facts.take());
}

#[test]
fn whoever_follows_a_writer_that_died_is_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.zct");
    let mut pipeline =
        Pipeline::new(Some(Recorder::single(File::create(&path).unwrap()).unwrap()), Vec::new());
    let frames = frames(5, "a");
    frames[..frames.len() / 2].iter().for_each(|f| pipeline.frame(f).unwrap());
    let follower = std::thread::spawn(move || {
        read(&Asked { files: vec![path], follow: true, ..Asked::default() }).unwrap()
    });
    assert!(!follower.is_finished());
    drop(pipeline);
    let (facts, end) = follower.join().unwrap();
    assert!(matches!(end, Some(End::Cut { .. })), "{end:?}");
    assert!(transfers(&facts).iter().any(|t| t.outcome == Outcome::Released));
}

#[test]
fn merged_hosts() {
    let dir = TempDir::new().unwrap();
    let (one, cut) = (dir.path().join("one.zct"), dir.path().join("cut.zct"));
    let first = record(&frames(7, "alpha"), Recorder::single(File::create(&one).unwrap()).unwrap());
    record(&frames(8, "beta"), Recorder::single(File::create(&cut).unwrap()).unwrap());
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 10]).unwrap();
    let (second, _) = read(&Asked::file(&cut)).unwrap();
    let many = TempDir::new().unwrap();
    let third = record(&frames(9, "gamma"), rotating(many.path(), 4000, None));

    let out = dir.path().join("all.zct");
    let parts: Vec<PathBuf> = [one, cut].into_iter().chain(files(many.path())).collect();
    let ended = merge(&parts, File::create(&out).unwrap()).unwrap();
    let hosts: Vec<&str> = ended.iter().map(|e| e.host.as_str()).collect();
    let problems: Vec<bool> = ended.iter().map(|e| e.problem.is_some()).collect();
    let (merged, end) = read(&Asked::file(&out)).unwrap();
    assert_eq!(end, Some(End::Streams(1)));
    for (host, facts, cut) in [("alpha", first, false), ("beta", second, true), ("gamma", third, false)] {
        let at = hosts.iter().position(|h| *h == host).unwrap();
        assert_eq!(problems[at], cut);
        let part = u16::try_from(at).unwrap();
        let mine = |fact: &&Fact| match fact {
            Fact::Trace(info) => info.part == part,
            Fact::Transfer(t) => t.id.part() == part,
            Fact::Mutation(m) => m.id.part() == part,
            Fact::Loss(l) => l.part == part,
        };
        let here: Vec<Fact> = merged.iter().filter(mine).cloned().collect();
        let alone: Vec<Fact> = but_series(facts).into_iter().map(|f| f.of_part(part)).collect();
        assert_eq!(here, alone, "{host}");
    }
    let e = merge(&[out], File::create(dir.path().join("again.zct")).unwrap()).unwrap_err();
    assert!(format!("{e:#}").contains("merged already"), "{e:#}");
}

/// What is behind a transfer of the second host is told by the ids that the whole recording has.
#[test]
fn explained_in_a_merged_recording() {
    let dir = TempDir::new().unwrap();
    let parts: Vec<PathBuf> = ["one.zct", "two.zct"].map(|name| dir.path().join(name)).into();
    for (n, path) in (7..).zip(&parts) {
        record(&frames(n, "host"), Recorder::single(File::create(path).unwrap()).unwrap());
    }
    let out = dir.path().join("all.zct");
    merge(&parts, File::create(&out).unwrap()).unwrap();
    let (all, _) = read(&Asked::file(&out)).unwrap();
    let file = File::open(&out).unwrap();
    let second = |t: &&Transfer| t.id.part() == 1 && !t.mutations.is_empty();
    for t in transfers(&all).into_iter().filter(second).take(5) {
        let mut behind = explain::transfer(&file, t.id).unwrap().0.unwrap();
        assert_eq!(behind.transfer, *t);
        assert!(behind.mutations.iter().all(|m| t.mutations.contains(&m.id)));
        assert_eq!(behind.mutations.len(), t.mutations.len());
        let mut said = Vec::new();
        let mut story = Story::begin(&mut said, Style::Plain, &behind).unwrap();
        explain::events(&file, 1, &mut |h, e| Ok(story.event(&mut behind, h, e)?)).unwrap();
        story.end(&behind).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(&format!("Transfer {}", t.id)) && said.contains("SUBMIT"), "{said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn segments_are_the_whole(seed: u64, bytes in 3000u64..20_000) {
        let dir = TempDir::new().unwrap();
        let live = record(&frames(seed, "a"), rotating(dir.path(), bytes, None));
        let files = files(dir.path());
        let (whole, end) = read(&all(&files)).unwrap();
        prop_assert_eq!(end, None);
        prop_assert_eq!(&but_series(whole), &live);
        let live = transfers(&live);
        for (n, file) in files.iter().enumerate() {
            let (alone, end) = read(&Asked::file(file)).unwrap();
            prop_assert_eq!(end, (n + 1 < files.len()).then_some(End::Next));
            for t in transfers(&alone) {
                // A call that has not returned may turn out to move nothing.
                let Some(said) = live.iter().find(|l| l.id == t.id) else {
                    prop_assert!(t.outcome != Outcome::Released, "{:?}", t);
                    continue;
                };
                if *said != t {
                    // Its end is in a later one.
                    prop_assert!(t.reasons.contains(&zctrace::model::Reason::RecordingCut), "{:?}", t);
                }
            }
        }
    }

    #[test]
    fn a_range_is_what_the_whole_says_of_it(seed: u64, every in 2000usize..20_000, a in 0.0..1.0f64, b in 0.0..1.0f64, segments: bool) {
        let dir = TempDir::new().unwrap();
        let to = if segments {
            rotating(dir.path(), every as u64, None)
        } else {
            Recorder::single(File::create(dir.path().join("t.zct")).unwrap()).unwrap()
        };
        let live = record(&frames(seed, "a"), to.state_every(every));
        let Fact::Trace(info) = &live[0] else { panic!("no header") };
        let live = transfers(&live);
        let last = live.iter().filter_map(|t| t.release_ns).max().unwrap() - info.start_ns;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a moment in between")]
        let moment = |part: f64| (last as f64 * part) as u64;
        let (from, to) = (moment(a.min(b)), moment(a.max(b)));
        let asked = Asked { files: files(dir.path()), from: Some(Moment::After(from)), to: Some(Moment::After(to)), follow: false };
        let (part, end) = read(&asked).unwrap();
        prop_assert_eq!(end, None);
        let (from, to) = (info.start_ns + from, info.start_ns + to);
        let then: Vec<&Transfer> = live.into_iter().filter(|t| t.submit_ns <= to && t.release_ns.is_none_or(|end| end >= from)).collect();
        let part = transfers(&part);
        // Of some it is never known when they end: they are said when their call returns.
        let said = |t: &Transfer| t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns);
        let then: Vec<&Transfer> = then.into_iter().filter(|t| part.contains(t) || t.outcome != Outcome::Unknown || said(t) >= from).collect();
        prop_assert_eq!(part, then);
    }
}
