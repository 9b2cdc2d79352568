//! The receiver as judge of verdicts: other processes change files in every way there is, at random
//! times around their transfer. No `clean` transfer may have reached its receiver changed, no
//! `mutated` one may lack a change, and whoever changed bytes inside a window is named.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::pipe::{SpliceFlags, pipe, splice};
use serde_json::Value;
use zctrace::sim::Rng;

use crate::load::{Lend, Over, PAGE, drain, file, tcp, uring_splice};
use crate::mounted::Mounted;
use crate::tool::{Recorder, Trace, dir, dir_on_tmpfs, now, poke_cpus, rng, spin_until, u};
use crate::writer::{Did, WAYS, Way, Writer};

struct Round {
    path: PathBuf,
    content: Vec<u8>,
    got: Vec<u8>,
    did: Vec<Did>,
    writer: u32,
}

/// Sends the whole file as it is now, or what is left of it, but no more than `most`; answers how much.
fn send(to: impl AsFd, path: &Path, lend: Lend, most: usize) -> usize {
    let Ok(open) = File::open(path) else {
        return 0;
    };
    let whole = (open.metadata().unwrap().len() as usize).min(most);
    let mut at = 0;
    let (read, write) = pipe().unwrap();
    while (at as usize) < whole {
        let left = whole - at as usize;
        let n = match lend {
            Lend::Splice => {
                let most = left.min(64 * 1024);
                let n = splice(&open, Some(&mut at), &write, None, most, SpliceFlags::empty()).unwrap();
                drain(&read, &to, n);
                n
            }
            Lend::Sendfile => rustix::fs::sendfile(&to, &open, Some(&mut at), left).unwrap(),
            Lend::Uring => {
                let n = uring_splice(&to, &open, at, left);
                at += n as u64;
                n
            }
        };
        if n == 0 {
            break;
        }
    }
    at as usize
}

/// Reads to the end, in random pieces with random pauses.
fn receive(mut from: impl std::io::Read, stall: u64, mut rng: Rng) -> Vec<u8> {
    spin_until(now() + stall);
    let mut got = Vec::new();
    let mut piece = vec![0; 100_000];
    loop {
        let want = rng.within(1, 99_999) as usize;
        let n = from.read(&mut piece[..want]).unwrap();
        if n == 0 {
            return got;
        }
        got.extend_from_slice(&piece[..n]);
        if rng.below(4) == 0 {
            spin_until(now() + rng.below(300_000));
        }
    }
}

fn transmit(path: &Path, over: Over, stall: u64, rng: &mut Rng) -> Vec<u8> {
    let lend = Lend::ALL[rng.index(3)];
    let for_reader = rng.fork();
    match over {
        Over::Tcp4 | Over::Tcp6 => {
            let (to, from) = tcp(over == Over::Tcp6);
            let reader = std::thread::spawn(move || receive(from, stall, for_reader));
            send(&to, path, lend, usize::MAX);
            to.shutdown(Shutdown::Write).unwrap();
            reader.join().unwrap()
        }
        Over::Unix => {
            let (to, from) = std::os::unix::net::UnixStream::pair().unwrap();
            let reader = std::thread::spawn(move || receive(from, stall, for_reader));
            send(&to, path, lend, usize::MAX);
            to.shutdown(Shutdown::Write).unwrap();
            reader.join().unwrap()
        }
        Over::Udp => {
            let from = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            let to = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            to.connect(from.local_addr().unwrap()).unwrap();
            // What one datagram holds.
            let bytes = send(&to, path, lend, 15 * PAGE);
            spin_until(now() + stall);
            from.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut got = vec![0; bytes];
            let mut at = 0;
            while at < bytes {
                at += from.recv(&mut got[at..]).unwrap();
            }
            got
        }
    }
}

/// Where a way changes a file of so many bytes.
fn somewhere(way: Way, bytes: u64, rng: &mut Rng) -> (u64, u64) {
    let page = PAGE as u64;
    match way.name {
        "open_trunc" | "uring_open_trunc" => return (0, bytes),
        // What a sender that looks at the size meanwhile may lend.
        "append" => return (bytes, rng.within(1, 8 * page)),
        // Up to the end is refused; so is a file of one page.
        "collapse" | "insert" => {
            let off = rng.below(bytes / page) * page;
            return (off, page);
        }
        _ => {}
    }
    let off = rng.below(bytes);
    let len = rng.within(1, 8 * page).min(bytes - off);
    if way.aligned {
        let off = off / page * page;
        return (off, (len.div_ceil(page) * page).min(bytes - off));
    }
    (off, len)
}

fn round(dir: &Path, n: usize, over: Over, writer: &mut Writer, rng: &mut Rng) -> Round {
    let pages = if over == Over::Udp { rng.within(1, 11) } else { rng.within(1, 64) };
    let (path, content) = file(dir, &format!("{over:?}-{n}"), pages as usize * PAGE);
    if rng.below(2) == 0 {
        // Clean pages take other ways through the kernel than dirty ones.
        File::open(&path).unwrap().sync_all().unwrap();
    }
    let stall = rng.below(1_500_000);
    let start = now() + 200_000;
    let mut plan: Vec<(u64, Way)> = (0..rng.within(1, 2))
        .map(|_| (start + rng.below(2 * stall + 500_000), WAYS[rng.index(WAYS.len())]))
        .collect();
    plan.sort_unstable_by_key(|(at, _)| *at);
    // A store beyond the end of the file would end the writer; behind a replaced file is another; the
    // end of a file that was cut lies inside of what is lent.
    let alone = ["mmap", "mmap_dirty", "rename", "unlink", "reuse", "append"];
    if let Some(only) = plan.iter().position(|(_, way)| way.to_the_end || alone.contains(&way.name)) {
        plan = vec![plan[only]];
    }
    let mut told = Vec::new();
    for (at, way) in plan {
        let (off, len) = somewhere(way, content.len() as u64, rng);
        writer.tell(way, at, off, len, &path);
        told.push((way, off, len));
    }
    spin_until(start);
    let got = transmit(&path, over, stall, rng);
    let did = told.into_iter().map(|(way, off, len)| writer.did(way, off, len)).collect();
    for extra in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(extra.unwrap().path()).unwrap();
    }
    Round { path, content, got, did, writer: writer.pid() }
}

#[derive(Default)]
struct Score {
    wrong: Vec<String>,
    transfers: u64,
    pages: u64,
    /// Of each way: inside a window and named; inside and not; changed at the receiver.
    ways: BTreeMap<&'static str, [u64; 3]>,
    verdicts: BTreeMap<String, u64>,
    phases: BTreeMap<String, u64>,
    contents: BTreeMap<String, u64>,
    edges: u64,
    unsure: u64,
    /// Every byte is looked at: a store through a mapping is no excuse.
    full: bool,
}

impl Score {
    fn fail(&mut self, what: &str, round: &Round, t: &Value) {
        let differ = |i: &usize| round.got.get(*i) != round.content.get(*i);
        let all = 0..round.got.len().max(round.content.len());
        let (first, last) = (all.clone().find(differ), all.rev().find(differ));
        self.wrong
            .push(format!("{what}: {t}\n  did {:?}\n  got other bytes {first:?}..={last:?}", round.did));
    }

    /// What fingerprints say the peer got, against what it got.
    fn content(&mut self, round: &Round, t: &Value, changed: bool) {
        let (content, edge) = (t["content"].as_str(), round.did.iter().any(|d| d.begin < u(&t["submit_ns"])));
        match content {
            // What came before the submit is old by then.
            Some("sent_old") if changed && !edge => self.fail("SENT_OLD, but it got changed bytes", round, t),
            Some("sent_new") if !changed => self.fail("SENT_NEW, but it got the old bytes", round, t),
            // Over loopback nothing is sent twice with time for a change between.
            Some("mixed") if !changed => self.fail("MIXED, but it got the old bytes", round, t),
            _ => {}
        }
        *self.contents.entry(content.unwrap_or("-").into()).or_default() += 1;
    }

    /// Bytes that it may change in what is lent. XFS cuts the page cache where pages end, and shifts from
    /// the block before.
    fn range(round: &Round, d: &Did) -> (u64, u64) {
        let page = PAGE as u64;
        let (off, end) = d.range();
        if !round.path.components().any(|c| c.as_os_str() == "xfs") {
            return (off, end);
        }
        match d.way.kind {
            Some("punch" | "zero_range") => (off / page * page, end.div_ceil(page) * page),
            Some("collapse" | "insert") => (off.saturating_sub(page), end),
            _ => (off, end),
        }
    }

    fn judge(&mut self, round: &Round, t: &Value, mutations: &BTreeMap<&str, &Value>) {
        let (off, bytes) = (u(&t["offset"]), u(&t["bytes"]));
        let (submit, release) = (u(&t["submit_ns"]), t["release_ns"].as_u64());
        let verdict = t["verdict"].as_str().unwrap();
        let mine: Vec<&Value> =
            t["mutations"].as_array().unwrap().iter().map(|id| mutations[id.as_str().unwrap()]).collect();
        let range = off as usize..(off + bytes) as usize;
        // A file that grew has more than it had.
        let changed = Some(&round.got[range.clone()]) != round.content.get(range);
        self.transfers += 1;
        self.pages += bytes.div_ceil(PAGE as u64);
        *self.verdicts.entry(format!("{verdict} {}", t["reasons"])).or_default() += 1;

        self.content(round, t, changed);
        if verdict == "clean" && changed {
            if round.did.iter().any(|d| d.begin < submit) {
                // It may have come before the submit: then it was there all along.
                self.edges += 1;
            } else {
                self.fail("CLEAN, but the receiver got changed bytes", round, t);
            }
        }
        if (verdict == "mutated") == mine.is_empty() && verdict != "unknown" {
            self.fail("verdict and mutations do not agree", round, t);
        }
        for m in &mine {
            let by = round.did.iter().find(|d| {
                // It made the pages dirty before its time.
                let early = d.way.name == "mmap_dirty";
                let times = (early || d.begin <= u(&m["at_ns"])) && u(&m["end_ns"]) <= d.end;
                // Begun before anybody watched the file: at first only what it does to folios shows.
                let unseen = d.begin < submit && m["seen_by"] == "tracepoint";
                let kind = unseen || d.way.kind == m["kind"].as_str();
                if m["seen_by"] == "fingerprint" {
                    // Between two looks, and nobody knows by whom.
                    let meets = (early || d.begin <= u(&m["end_ns"])) && u(&m["at_ns"]) <= d.end;
                    return d.way.kind == Some("mmap_store") && kind && meets && m["pid"].is_null();
                }
                d.ret >= 0 && kind && times && u(&m["pid"]) == u64::from(round.writer)
            });
            if by.is_none() {
                self.fail(&format!("nobody did {m}"), round, t);
            }
            for hit in m["hits"].as_array().unwrap().iter().filter(|h| h["transfer"] == t["id"]) {
                *self.phases.entry(hit["phase"].as_str().unwrap().into()).or_default() += 1;
            }
        }
        let overlapping = |d: &&Did| {
            d.ret >= 0
                && d.way.kind.is_some()
                && Self::range(round, d).0 < off + bytes
                && off < Self::range(round, d).1
        };
        for d in round.did.iter().filter(overlapping) {
            let by_event = |m: &&&Value| m["seen_by"] != "fingerprint";
            let is = |m: &&Value| {
                let (off, end) = Self::range(round, d);
                let whole = if d.way.to_the_end { Value::Null } else { (end - off).into() };
                let exact = u(&m["offset"]) == off && m["len"] == whole;
                // Of a store, the event has the page.
                let page = d.way.kind == Some("mmap_store");
                let times = d.begin <= u(&m["at_ns"]) && u(&m["end_ns"]) <= d.end;
                let seen =
                    m["seen_by"] == "fingerprint" && u(&m["at_ns"]) <= d.end && d.begin <= u(&m["end_ns"]);
                (exact || page) && m["kind"].as_str() == d.way.kind && (times || seen)
            };
            let named = mine.iter().any(is);
            let exactly = mine.iter().filter(by_event).any(is);
            let Some(release) = release else { continue };
            if submit <= d.begin && d.end <= release {
                let way = self.ways.entry(d.way.name).or_default();
                way[usize::from(!named)] += 1;
                way[2] += u64::from(changed);
                let store = d.way.kind == Some("mmap_store") && verdict != "clean";
                // What it stored may be seen only once nobody reads it any more.
                let late = d.way.kind == Some("mmap_store") && !changed;
                if !named && !store && !late {
                    self.fail(&format!("not named: {d:?}"), round, t);
                }
            } else if (d.end < submit || release < d.begin) && exactly {
                self.fail(&format!("named, but outside of the window: {d:?}"), round, t);
            }
        }
        let stores = round.did.iter().any(|d| d.way.name.starts_with("mmap"));
        self.unsure += u64::from(verdict == "unknown" && (self.full || !stores));
    }
}

#[test]
fn no_clean_transfer_was_changed_and_every_change_is_named() {
    let (disk, tmpfs) = (dir(), dir_on_tmpfs());
    all_ways("off", &[disk.path(), tmpfs.path()], pages());
}

#[test]
fn what_fingerprints_say_is_what_the_receiver_got() {
    let (disk, tmpfs) = (dir(), dir_on_tmpfs());
    all_ways("full", &[disk.path(), tmpfs.path()], pages());
}

/// Every write to them copies, and files may share blocks.
#[test]
fn file_systems_that_clone() {
    let (xfs, btrfs) = (Mounted::new("xfs", &["-q"]), Mounted::new("btrfs", &["-q"]));
    for fingerprint in ["off", "full"] {
        all_ways(fingerprint, &[xfs.path(), btrfs.path()], pages() / 2);
    }
}

fn pages() -> u64 {
    std::env::var("ZCTRACE_JUDGE_PAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

fn all_ways(fingerprint: &str, dirs: &[&Path], pages: u64) {
    let mut rng = rng("verdicts");
    let pid = std::process::id().to_string();
    let traces = dir();
    let recorder =
        Recorder::start(&traces.path().join("t.zct"), &["--pid", &pid, "--fingerprint", fingerprint]);
    let workers: Vec<_> = (0..4u64)
        .map(|w| {
            let mut rng = rng.fork();
            let dir = dirs[w as usize % dirs.len()].join(format!("w{w}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::thread::spawn(move || {
                let mut writer = Writer::start();
                let overs = [Over::Tcp4, Over::Tcp6, Over::Unix, Over::Tcp4, Over::Udp];
                let mut rounds = Vec::new();
                let mut sent = 0;
                while sent < pages / 4 + 100 {
                    let n = rounds.len();
                    let done = round(&dir, n, overs[n % overs.len()], &mut writer, &mut rng);
                    sent += done.got.len().div_ceil(PAGE) as u64;
                    rounds.push(done);
                }
                rounds
            })
        })
        .collect();
    let rounds: Vec<Round> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    poke_cpus();
    let file = recorder.file.clone();
    let trace = Arc::new(recorder.stop());
    if let Some(to) = std::env::var_os("ZCTRACE_KEEP") {
        std::fs::copy(file, to).unwrap();
    }
    let score = judge(&trace, &rounds, fingerprint == "full");
    println!("verdicts: {} rounds, {} transfers, {} pages", rounds.len(), score.transfers, score.pages);
    for (verdict, n) in &score.verdicts {
        println!("  {n:>6} {verdict}");
    }
    println!("  way              | in a window: named | not named | changed at the receiver");
    for (way, [named, not, changed]) in &score.ways {
        println!("  {way:<16} | {named:>18} | {not:>9} | {changed:>8}");
    }
    println!("  content {:?}", score.contents);
    println!("  phases {:?}; at the edge of the submit {}", score.phases, score.edges);
    assert!(
        score.wrong.is_empty(),
        "{} wrong\n{}",
        score.wrong.len(),
        score.wrong[..score.wrong.len().min(4)].join("\n")
    );
    assert!(score.pages >= pages, "only {} pages", score.pages);
    // A slow file system more often is at work on a file when that is lent for the first time; its content
    // tells more.
    let slow = dirs.iter().any(|d| Mounted::holds(d)) && !score.full;
    let allowed = score.transfers * if slow { 10 } else { 1 } / 100;
    assert!(score.unsure < allowed.max(1), "{} of {} not known", score.unsure, score.transfers);
    if pages >= 50_000 {
        let clones = dirs.iter().all(|d| Mounted::holds(d));
        let rare = |w: &&Way| ["mmap", "mmap_dirty", "append"].contains(&w.name);
        let here = |w: &&Way| w.kind.is_some() && (w.name != "reflink" || clones);
        for way in WAYS.iter().filter(|w| here(w) && !rare(w)) {
            let named = score.ways.get(way.name).map_or(0, |w| w[0]);
            // Where calls take long, many are over too late.
            let least = if clones { 1 } else { 5 };
            assert!(named >= least, "{} fell into a window {named} times only", way.name);
        }
        assert_eq!(score.phases.len(), 3, "{:?}", score.phases);
    }
}

fn judge(trace: &Trace, rounds: &[Round], full: bool) -> Score {
    let mutations: BTreeMap<&str, &Value> =
        trace.of_type("mutation").into_iter().map(|m| (m["id"].as_str().unwrap(), m)).collect();
    let mut by_path: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for t in trace.transfers() {
        by_path.entry(t["file"]["path"].as_str().unwrap_or_default()).or_default().push(t);
    }
    let mut score = Score { full, ..Score::default() };
    for round in rounds {
        let sent = by_path.get(round.path.to_str().unwrap()).map_or(&[][..], Vec::as_slice);
        let bytes: u64 = sent.iter().map(|t| u(&t["bytes"])).sum();
        assert_eq!(bytes, round.got.len() as u64, "{} in transfers", round.path.display());
        for t in sent {
            score.judge(round, t, &mutations);
        }
    }
    score
}
