//! Recordings that were cut, flipped, torn, doubled and mixed up, through everything that reads one: no crash, no
//! wrong row, what is good is kept, and what is lost is told.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; sizes are small"
)]

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use zctrace::board::link::{self, link};
use zctrace::engine::Engine;
use zctrace::model::{Fact, Outcome, Transfer, TransferId, Verdict};
use zctrace::pipeline::{self, Pipeline};
use zctrace::replay::Place;
use zctrace::sim::{Delivery, Knobs, Rng, story};
use zctrace::sink::{Collect, JsonLines, Summary, report};
use zctrace::stages::Stages;
use zctrace::trace::{End, Known, TraceError, Writer};
use zctrace::{explain, text};

use self::page::Page;

const DEMO: &[u8] = include_bytes!("../demo/demo.zct");
const FILE_HEADER: usize = 16;
const BLOCK_HEADER: usize = 48;

/// What is read of a recording.
struct Reading {
    facts: Vec<Fact>,
    summary: Summary,
    end: Option<End>,
}

/// As `report --json` and `report` read it.
fn read(bytes: &[u8]) -> Result<Reading, TraceError> {
    let (facts, json) = (Collect::default(), Page::default());
    let outputs: Vec<Box<dyn zctrace::sink::Sink>> =
        vec![Box::new(facts.clone()), Box::new(JsonLines::new(json.clone()))];
    let mut pipeline = Pipeline::new(None, outputs);
    let end = pipeline::replay_from(bytes, &mut pipeline).map_err(|e| e.downcast::<TraceError>().unwrap())?;
    let mut summary = pipeline.finish().unwrap();
    summary.cut = end.is_some();
    let mut page = Vec::new();
    report(&mut page, &summary, false, "recording.zct").unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(!page.chars().any(|c| c != '\n' && text::acts(c)), "{page}");
    let json = json.take();
    for line in std::str::from_utf8(&json).unwrap().lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["type"].is_string());
    }
    Ok(Reading { facts: facts.take(), summary, end })
}

/// A recording that is whole.
struct Whole {
    name: String,
    bytes: Vec<u8>,
    /// Where blocks begin, and where the last one ends.
    edges: Vec<usize>,
    facts: Vec<Fact>,
    /// How many of those are stated once the blocks before that edge were read.
    stated: Vec<usize>,
}

fn edges(bytes: &[u8]) -> Vec<usize> {
    let mut edges = vec![FILE_HEADER];
    while let Some(header) = bytes.get(edges[edges.len() - 1]..).filter(|b| b.len() >= BLOCK_HEADER) {
        let stored = u32::from_le_bytes(header[16..20].try_into().unwrap()) as usize;
        edges.push(edges[edges.len() - 1] + BLOCK_HEADER + stored);
    }
    edges
}

impl Whole {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let edges = edges(bytes);
        assert_eq!(edges.last(), Some(&bytes.len()));
        let whole = read(bytes).unwrap();
        assert_eq!(whole.end, None, "{name}");
        let stated = edges
            .iter()
            .map(|edge| {
                let facts = Collect::default();
                let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
                pipeline::replay_from(&bytes[..*edge], &mut pipeline).unwrap();
                facts.take().len()
            })
            .collect();
        Self { name: name.into(), bytes: bytes.into(), edges, facts: whole.facts, stated }
    }

    fn blocks(&self) -> usize {
        self.edges.len() - 1
    }

    fn block(&self, n: usize) -> &[u8] {
        &self.bytes[self.edges[n]..self.edges[n + 1]]
    }
}

/// A story in blocks, with saved states between them.
fn told(seed: u64, aligned: bool) -> Whole {
    let knobs = Knobs { steps: 400, races: false, wind_up: seed.is_multiple_of(2) };
    let lose = if seed.is_multiple_of(3) { 20 } else { 0 };
    let how = Delivery { seed, between: 12, shuffle: false, lose };
    let mut rng = Rng::new(seed);
    let mut writer = Writer::new(Vec::new()).unwrap();
    let mut stages = Stages::default();
    for frame in &story(seed, knobs).deliver(&how).frames {
        writer.push(frame).unwrap();
        stages.frame(frame, &mut |_: Fact, _: &Engine| Ok::<(), ()>(())).unwrap();
        let barrier = frame[..2] == zctrace_common::user::kind::CHECKPOINT.to_le_bytes();
        // As a recorder does, and as blocks end that are full.
        if if aligned { barrier && rng.chance(80) } else { rng.chance(9) } {
            writer.flush().unwrap();
        }
        if barrier && rng.chance(4) {
            writer.state(stages.engine().now(), &stages.save().unwrap()).unwrap();
        }
    }
    let whole = Whole::new(&format!("story {seed} {aligned}"), &writer.finish().unwrap());
    assert!(whole.blocks() > 6, "{}: {}", whole.name, whole.blocks());
    whole
}

fn all() -> Vec<Whole> {
    let mut all = vec![Whole::new("demo", DEMO)];
    all.extend((0..6).map(|seed| told(seed, seed % 2 == 0)));
    all
}

fn transfers<'a>(facts: &'a [Fact], how: &str) -> BTreeMap<TransferId, &'a Transfer> {
    let mut all = BTreeMap::new();
    for fact in facts {
        if let Fact::Transfer(t) = fact {
            assert!(all.insert(t.id, &**t).is_none(), "{how}: {} is stated twice", t.id);
        }
    }
    all
}

/// Never a wrong row, what is good is kept, and what is lost is told.
fn check(whole: &Whole, bytes: &[u8], how: &str) {
    let how = format!("{}, {how}", whole.name);
    let same = whole.bytes.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let now = match read(bytes) {
        Ok(now) => now,
        Err(e) => {
            assert!(same < FILE_HEADER, "{how}: {e}");
            return;
        }
    };
    // What was read before is there.
    let good = whole.edges.iter().rposition(|edge| *edge <= same);
    if let Some(n) = good {
        let before = whole.stated[n];
        assert_eq!(now.facts.get(..before), whole.facts.get(..before), "{how}");
    }
    let Some(end) = &now.end else {
        assert!(now.facts == whole.facts, "{how}: it is not noticed");
        return;
    };
    rows_hold(whole, &now.facts, &how);
    let (End::Cut { good: at, rest } | End::Damaged { at, rest, .. } | End::Disordered { at, rest }) = end
    else {
        panic!("{how}: {end}")
    };
    assert!(good.is_none_or(|n| *at >= whole.edges[n] as u64), "{how}: {end}");
    assert_eq!((at + rest.bytes, rest.more), (bytes.len() as u64, false), "{how}: {end}");
    let said = end.to_string();
    assert!(said.contains(&at.to_string()) && said.contains("nown "), "{how}: {end}");
    let stated = now.facts.iter().any(|f| matches!(f, Fact::Transfer(t) if t.outcome != Outcome::Unknown));
    assert!(rest.known != Known::Nothing || !stated, "{how}: {end}");
}

/// What is certain is what the whole recording says; nothing is counted twice.
fn rows_hold(whole: &Whole, facts: &[Fact], how: &str) {
    let truth = transfers(&whole.facts, how);
    for (id, t) in transfers(facts, how) {
        if t.outcome == Outcome::Unknown {
            assert!(t.verdict == Verdict::Unknown && !t.reasons.is_empty(), "{how}: {t:?}");
        } else {
            assert_eq!(Some(&t), truth.get(&id), "{how}");
        }
    }
    let of = |facts: &[Fact]| -> Vec<String> {
        facts
            .iter()
            .filter_map(|f| match f {
                Fact::Loss(l) => Some(format!("{l:?}")),
                Fact::Mutation(m) => {
                    Some(format!("{:?} {:?} {:?} {} {}", m.kind, m.tid, m.file, m.offset, m.at_ns))
                }
                _ => None,
            })
            .collect()
    };
    let (known, stated) = (of(&whole.facts), of(facts));
    let (all, once): (BTreeSet<_>, BTreeSet<_>) = (known.iter().collect(), stated.iter().collect());
    assert_eq!(once.len(), stated.len(), "{how}: something is stated twice");
    let new: Vec<_> = once.difference(&all).collect();
    assert!(new.is_empty(), "{how}: it never was: {new:?}");
}

#[test]
fn cut_at_every_byte_of_the_last_two_blocks() {
    for whole in all() {
        let from = whole.edges[whole.blocks().saturating_sub(2)];
        for cut in from..whole.bytes.len() {
            check(&whole, &whole.bytes[..cut], &format!("cut at {cut} of {}", whole.bytes.len()));
        }
        println!("{}: {} cuts", whole.name, whole.bytes.len() - from);
    }
}

/// A header with those words, and a sum that checks.
fn claim(block: &mut [u8], at: usize, word: u32) {
    block[at..at + 4].copy_from_slice(&word.to_le_bytes());
    let sum = crc32fast::hash(&block[..44]);
    block[44..48].copy_from_slice(&sum.to_le_bytes());
}

/// Something that happens to files, and its name.
fn hurt(whole: &Whole, other: &Whole, rng: &mut Rng) -> (Vec<u8>, String) {
    let mut bytes = whole.bytes.clone();
    let at = FILE_HEADER + rng.index(bytes.len() - FILE_HEADER);
    let (a, b) = (rng.index(whole.blocks()), rng.index(whole.blocks()));
    let edge = |n: usize| whole.edges[n];
    let n = rng.within(1, 64) as usize;
    let noise: Vec<u8> = (0..n).map(|_| rng.below(256) as u8).collect();
    let what = match rng.below(14) {
        0 => {
            bytes[at] ^= 1 << rng.below(8);
            format!("bit at {at}")
        }
        1 => {
            let to = bytes.len().min(at + n);
            bytes[at..to].copy_from_slice(&noise[..to - at]);
            format!("{n} bytes overwritten at {at}")
        }
        2 => {
            drop(bytes.splice(at..at, noise));
            format!("{n} bytes inserted at {at}")
        }
        3 => {
            let to = bytes.len().min(at + n);
            drop(bytes.drain(at..to));
            format!("{n} bytes removed at {at}")
        }
        4 => {
            drop(bytes.drain(edge(a)..edge(a + 1)));
            format!("block {a} removed")
        }
        5 => {
            let block = whole.block(a).to_vec();
            drop(bytes.splice(edge(b)..edge(b), block));
            format!("block {a} doubled at {b}")
        }
        6 => {
            let (a, b) = (a.min(b), a.max(b));
            bytes.truncate(edge(a));
            bytes.extend_from_slice(whole.block(b));
            bytes.extend_from_slice(&whole.bytes[edge(a + 1).min(edge(b))..edge(b)]);
            if a < b {
                bytes.extend_from_slice(whole.block(a));
            }
            bytes.extend_from_slice(&whole.bytes[edge(b + 1)..]);
            format!("blocks {a} and {b} swapped")
        }
        7 => {
            bytes[at..].fill(0);
            format!("zeros from {at} on")
        }
        8 => {
            bytes.truncate(at);
            bytes.extend_from_slice(&noise);
            format!("noise from {at} on")
        }
        9 => {
            let (field, word) = (8 + 4 * rng.index(3), rng.number() as u32);
            claim(&mut bytes[edge(a)..], field, word);
            format!("block {a} claims {word} at {field}")
        }
        10 => {
            let c = rng.index(other.blocks());
            let block = other.block(c).to_vec();
            // In front of everything it would be the beginning of the other.
            drop(bytes.splice(edge(a + 1)..edge(a + 1), block));
            format!("block {c} of {} behind {a}", other.name)
        }
        11 => {
            // From its first block on it is a whole one.
            let c = 1 + rng.index(other.blocks() - 1);
            bytes.truncate(edge(a));
            bytes.extend_from_slice(&other.bytes[other.edges[c]..]);
            format!("the end of {} from its block {c} at {a}", other.name)
        }
        12 => {
            let version = rng.below(4) as u8;
            bytes[8] = version;
            format!("version {version}")
        }
        _ => {
            bytes.extend_from_slice(&if rng.chance(50) { vec![0; 4096] } else { other.bytes.clone() });
            "something behind its end".into()
        }
    };
    (bytes, what)
}

#[test]
fn hurt_a_thousand_times() {
    let all = all();
    let mut rng = Rng::new(7);
    let mut noticed = BTreeMap::<String, u32>::new();
    for round in 0..2000 {
        let (whole, other) = (&all[round % all.len()], &all[rng.index(all.len())]);
        let (mut bytes, mut how) = hurt(whole, other, &mut rng);
        if rng.chance(10) {
            let cut = rng.index(bytes.len());
            bytes.truncate(cut);
            how += &format!(", cut at {cut}");
        }
        check(whole, &bytes, &format!("round {round}: {how}"));
        let kind = match read(&bytes) {
            Ok(Reading { end: None, .. }) => "no harm".into(),
            Ok(Reading { end: Some(End::Damaged { why, .. }), .. }) => why.to_owned(),
            Ok(Reading { end: Some(End::Disordered { .. }), .. }) => "in disorder".into(),
            Ok(_) => "cut off".into(),
            Err(e) => e.to_string(),
        };
        *noticed.entry(kind).or_default() += 1;
    }
    println!("{noticed:#?}");
    assert!(noticed.len() > 6);
}

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn explained_as_far_as_it_goes() {
    let all = all();
    let mut rng = Rng::new(8);
    for round in 0..200 {
        let (whole, other) = (&all[round % all.len()], &all[rng.index(all.len())]);
        let (bytes, how) = hurt(whole, other, &mut rng);
        let file = file_of(&bytes);
        let Ok(now) = read(&bytes) else { continue };
        for (id, t) in transfers(&now.facts, &how).into_iter().take(4) {
            let (found, end) = explain::transfer(file.as_file(), id).unwrap();
            let mut behind = found.unwrap_or_else(|| panic!("{how}: {id} is not found"));
            assert_eq!((&behind.transfer, &end), (t, &now.end), "{how}");
            let mut out = Vec::new();
            let mut story = zctrace::sink::Story::begin(&mut out, false.into(), &behind).unwrap();
            explain::events(file.as_file(), 0, &mut |h, e| Ok(story.event(&mut behind, h, e)?)).unwrap();
            story.end(&behind).unwrap();
        }
    }
}

#[test]
fn replayed_as_far_as_it_goes() {
    let all = all();
    let mut rng = Rng::new(9);
    for round in 0..60 {
        let (whole, other) = (&all[round % all.len()], &all[rng.index(all.len())]);
        let (bytes, how) = hurt(whole, other, &mut rng);
        let Ok(now) = read(&bytes) else { continue };
        let file = file_of(&bytes);
        let (viewer, maker) = link();
        let path = file.path().to_owned();
        let player = std::thread::spawn(move || zctrace::replay::run(&path, Place::default(), &maker));
        let deadline = Instant::now() + Duration::from_secs(60);
        let last = loop {
            assert!(Instant::now() < deadline, "{how}: it does not come to its end");
            viewer.want();
            let picture = viewer.newest().unwrap();
            if let Some(p) = picture.filter(|p| p.cursor.as_ref().is_some_and(|c| !c.seeking)) {
                break p;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(last.all.stats.transfers, now.summary.transfers(), "{how}");
        assert_eq!(last.all.stats.mutated, now.summary.mutated(), "{how}");
        let problem = last.cursor.as_ref().and_then(|c| c.problem.clone());
        assert_eq!(problem, now.end.map(|e| e.to_string()), "{how}");
        viewer.send(link::Command::Quit);
        player.join().unwrap().unwrap();
    }
}

/// Runs the tool; answers stdout, stderr and the exit code.
fn zctrace(command: &mut Command) -> (String, String, i32) {
    let done = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr), done.status.code().unwrap())
}

fn tool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zctrace"));
    command.args(args);
    command
}

/// What could be read is on stdout, what could not is told on stderr, and the exit code says so too.
#[test]
fn the_tool_tells_what_is_lost() {
    let whole = told(1, false);
    let (n, edge) = (whole.bytes.len(), whole.edges[whole.blocks() - 1]);
    let file = file_of(&whole.bytes);
    let (all, err, code) = zctrace(&mut tool(&["report", "--json", file.path().to_str().unwrap()]));
    assert_eq!((err.as_str(), code), ("", 0));
    let certain = |out: &str| -> BTreeSet<String> {
        out.lines().filter(|l| l.contains("\"outcome\":\"released\"")).map(Into::into).collect()
    };
    let mut zeros = whole.bytes.clone();
    zeros[edge..].fill(0);
    let mut flipped = whole.bytes.clone();
    flipped[edge + BLOCK_HEADER + 3] ^= 16;
    let mut doubled = whole.bytes.clone();
    let block = whole.block(whole.blocks() - 2).to_vec();
    drop(doubled.splice(edge..edge, block));
    let (good, rest) = (edge.to_string(), (n - 5 - edge).to_string());
    for (bytes, says) in [
        (&whole.bytes[..n - 5], ["cut off", &good, &rest, "still being written"]),
        (&zeros, ["zero bytes", &good, "known up to", "lost power"]),
        (&flipped, ["contents do not check", &good, "were not", "compare"]),
        (&doubled, ["missing, doubled or in another order", "damaged at", "known up to", "compare"]),
    ] {
        let file = file_of(bytes);
        let path = file.path().to_str().unwrap();
        let (out, err, code) = zctrace(&mut tool(&["report", "--json", path]));
        assert_eq!(code, 4, "{err}");
        assert!(says.iter().all(|s| err.contains(s)) && err.contains(path), "{says:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        let kept = certain(&out);
        assert!(kept.len() > 3 && kept.is_subset(&certain(&all)), "{err}\n{out}");
        let (page, again, code) = zctrace(&mut tool(&["report", path]));
        assert_eq!((code, &again), (4, &err));
        assert!(page.contains("transfers"), "{page}");
    }
}

#[test]
fn what_is_no_recording() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut newer = DEMO.to_vec();
    newer[8..10].copy_from_slice(&999u16.to_le_bytes());
    let cases = [
        (put("empty", b""), "is empty"),
        (
            put("header", &DEMO[..FILE_HEADER]),
            "first 16 bytes are good and were read, and no end was written",
        ),
        (put("half", &DEMO[..9]), "not a zctrace recording"),
        (put("newer", &newer), "format 999, and this zctrace reads up to"),
        (put("script", b"#!/bin/sh\nexit\n"), "not a zctrace recording"),
        (dir.path().to_str().unwrap().to_owned(), "this is a directory"),
        (dir.path().join("none").to_str().unwrap().to_owned(), "No such file"),
    ];
    for (path, says) in &cases {
        for args in [&["report", path][..], &["report", "--json", path], &["explain", path, "0-1"]] {
            let (_, err, code) = zctrace(&mut tool(args));
            assert_eq!(code, 4, "{args:?}: {err}");
            assert!(err.contains(says) && err.contains(path.as_str()), "{args:?}: {err}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
}

/// Whoever runs this may be root, whom no mode keeps out.
#[test]
fn a_recording_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65534;
    let dir = tempfile::tempdir().unwrap();
    let (bin, file) = (dir.path().join("zctrace"), dir.path().join("t.zct"));
    std::fs::copy(env!("CARGO_BIN_EXE_zctrace"), &bin).unwrap();
    std::fs::write(&file, DEMO).unwrap();
    for (path, mode) in [(dir.path(), 0o755), (bin.as_path(), 0o755), (file.as_path(), 0)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = Command::new(&bin);
    command.arg("report").arg(&file);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let (out, err, code) = zctrace(&mut command);
    assert_eq!((out.as_str(), code), ("", 4), "{err}");
    assert!(err.contains("ermission denied") && err.contains("t.zct"), "{err}");
}

/// A report reads once, so it may come from anywhere; whoever reads twice says that it cannot.
#[test]
fn through_a_pipe() {
    let whole = told(1, false);
    let cut = &whole.bytes[..whole.bytes.len() - 5];
    let through = |args: &[&str], bytes: &[u8]| {
        let mut command = tool(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever does not read it all closes it.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(done.stdout), text(done.stderr), done.status.code().unwrap())
    };
    for bytes in [&whole.bytes, cut] {
        let file = file_of(bytes);
        let (out, err, code) = zctrace(&mut tool(&["report", "--json", file.path().to_str().unwrap()]));
        let (piped, said, piped_code) = through(&["report", "--json", "/dev/stdin"], bytes);
        assert_eq!((&piped, piped_code), (&out, code));
        assert_eq!(said, err.replace(file.path().to_str().unwrap(), "/dev/stdin"));
    }
    let (_, err, code) = through(&["explain", "/dev/stdin", "0-1"], &whole.bytes);
    assert!(code == 4 && err.contains("cannot be a pipe"), "{code} {err}");
}
