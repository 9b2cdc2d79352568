//! The receiver as judge: pages are overwritten at random times around their release; no page whose
//! bytes changed at the receiver may have been overwritten after `release_ns`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::load::{Lend, Over, PAGE, file, sendfile, splice_through, tcp, uring_splice};
use crate::tool::{Recorder, dir, dir_on_tmpfs, now, poke_cpus, rng, spin_until, u};
use zctrace::sim::Rng;

const MARK: u8 = 0xee;

struct Round {
    path: PathBuf,
    over: Over,
    /// For each page: when the overwrite began, and whether the receiver saw it.
    pages: Vec<(u64, bool)>,
}

/// Reads in random pieces with random pauses.
fn receive(from: &mut impl Read, bytes: usize, stall: u64, mut rng: Rng) -> Vec<u8> {
    spin_until(now() + stall);
    let mut got = vec![0; bytes];
    let mut at = 0;
    while at < bytes {
        let want = (rng.within(1, 99_999) as usize).min(bytes - at);
        at += from.read(&mut got[at..at + want]).unwrap();
        if rng.below(4) == 0 {
            spin_until(now() + rng.below(300_000));
        }
    }
    got
}

fn overwrite(path: &Path, pages: usize, start: u64, spread: u64, mut rng: Rng) -> Vec<u64> {
    let file = File::options().write(true).open(path).unwrap();
    let mut plan: Vec<(u64, usize)> = (0..pages).map(|p| (start + rng.below(spread), p)).collect();
    plan.sort_unstable();
    let mut began = vec![0; pages];
    for (at, page) in plan {
        spin_until(at);
        began[page] = now();
        file.write_all_at(&[MARK; PAGE], (page * PAGE) as u64).unwrap();
    }
    began
}

fn send(to: impl AsFd, path: &Path, bytes: usize, lend: Lend) {
    let open = File::open(path).unwrap();
    match lend {
        Lend::Sendfile => drop(sendfile(to, &open, 0, bytes)),
        Lend::Splice => drop(splice_through(to, &open, 0, bytes)),
        Lend::Uring => {
            let mut at = 0;
            while at < bytes {
                at += uring_splice(&to, &open, at as u64, bytes - at);
            }
        }
    }
}

fn round(dir: &Path, n: usize, over: Over, rng: &mut Rng) -> Round {
    let pages = if over == Over::Udp { rng.within(1, 11) } else { rng.within(1, 64) } as usize;
    let bytes = pages * PAGE;
    let (path, _) = file(dir, &format!("{over:?}-{n}"), bytes);
    let stall = rng.below(1_500_000);
    let lend = Lend::ALL[rng.index(3)];
    let (for_reader, for_writer) = (rng.fork(), rng.fork());
    let start = now();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || overwrite(&path, pages, start, 2 * stall + 500_000, for_writer))
    };
    let got = match over {
        Over::Tcp4 | Over::Tcp6 => {
            let (to, mut from) = tcp(over == Over::Tcp6);
            let reader = std::thread::spawn(move || receive(&mut from, bytes, stall, for_reader));
            send(&to, &path, bytes, lend);
            reader.join().unwrap()
        }
        Over::Unix => {
            let (to, mut from) = std::os::unix::net::UnixStream::pair().unwrap();
            let reader = std::thread::spawn(move || receive(&mut from, bytes, stall, for_reader));
            send(&to, &path, bytes, lend);
            reader.join().unwrap()
        }
        Over::Udp => {
            let from = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            let to = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            to.connect(from.local_addr().unwrap()).unwrap();
            send(&to, &path, bytes, lend);
            spin_until(now() + stall);
            let mut got = vec![0; bytes];
            let mut at = 0;
            from.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            while at < bytes {
                at += from.recv(&mut got[at..]).unwrap();
            }
            got
        }
    };
    let began = writer.join().unwrap();
    let seen = got.chunks(PAGE).map(|page| page.contains(&MARK));
    Round { path, over, pages: began.into_iter().zip(seen).collect() }
}

#[test]
fn no_change_arrives_after_the_release() {
    let (disk, tmpfs) = (dir(), dir_on_tmpfs());
    let mut rng = rng("judge");
    let recorder = Recorder::this(&disk.path().join("t.zct"));
    let workers: Vec<_> = (0..4)
        .map(|w| {
            let mut rng = rng.fork();
            let dir = if w % 2 == 0 { disk.path() } else { tmpfs.path() }.join(format!("w{w}"));
            std::fs::create_dir(&dir).unwrap();
            std::thread::spawn(move || {
                let overs = [Over::Tcp4, Over::Tcp6, Over::Unix, Over::Tcp4, Over::Udp];
                let mut rounds = Vec::new();
                let mut pages = 0;
                while pages < 6_000 {
                    let n = rounds.len();
                    let done = round(&dir, n, overs[n % overs.len()], &mut rng);
                    pages += done.pages.len();
                    rounds.push(done);
                }
                rounds
            })
        })
        .collect();
    let rounds: Vec<Round> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    poke_cpus();
    let trace = recorder.stop();
    trace.expect_released(0.999);
    // When it was overwritten x unseen/seen. Before the submit nothing was lent yet.
    let mut matrix = [[0u64; 2]; 3];
    let (mut undecided, mut wrong) = (0u64, Vec::new());
    let mut over: BTreeMap<(String, String), u64> = BTreeMap::new();
    for round in &rounds {
        for (page, (began, seen)) in round.pages.iter().enumerate() {
            let offset = (page * PAGE) as u64;
            // Splices move 64 KiB at a time: the transfer that carried this page.
            let carried = trace
                .of_file_at(&round.path, offset)
                .unwrap_or_else(|| panic!("no transfer carried {} at {offset}", round.path.display()));
            let Some(release) = carried["release_ns"].as_u64() else {
                undecided += 1;
                continue;
            };
            let after = *began >= release;
            let row = if after { 2 } else { usize::from(*began >= u(&carried["submit_ns"])) };
            matrix[row][usize::from(*seen)] += 1;
            *over.entry((format!("{:?}", round.over), carried["api"].to_string())).or_default() += 1;
            if after && *seen {
                wrong.push(format!(
                    "{:?} page {page} overwritten {} ns after the release was seen: {carried}",
                    round.over,
                    began - release
                ));
            }
        }
    }
    println!("judge: overwritten  | seen by receiver | not seen");
    for (row, name) in ["before submit", "in the window", "after release"].iter().enumerate() {
        println!("  {name:<17} | {:>16} | {:>8}", matrix[row][1], matrix[row][0]);
    }
    println!("  undecided {undecided}; pages by way: {over:?}");
    assert_eq!(over.len(), 12, "four kinds of socket, three APIs: {over:?}");
    let total: u64 = matrix.iter().flatten().sum();
    assert!(total >= 20_000, "only {total} pages");
    // Both sides must have been exercised, or this proves nothing.
    assert!(matrix[1][1] > 500 && matrix[2][0] > 500, "{matrix:?}");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    assert!(u(&trace.summary()["transfers"]) >= rounds.len() as u64);
}

impl crate::tool::Trace {
    /// The transfer that carried this byte of this file; files here are sent once.
    fn of_file_at(&self, path: &Path, offset: u64) -> Option<&serde_json::Value> {
        let path = path.to_str().unwrap();
        self.lines.iter().find(|t| {
            t["type"] == "transfer"
                && t["file"]["path"] == path
                && u(&t["offset"]) <= offset
                && offset < u(&t["offset"]) + u(&t["bytes"])
        })
    }
}

/// Of each API that lends a file's pages, so many; each overwritten when the API has said that it is done, and
/// read only then. The new bytes arrive, so none was released before.
#[test]
fn nothing_is_released_before_a_change_that_arrives() {
    const EACH: usize = 5_000;
    const BYTES: usize = 3 * PAGE;
    let dir = dir();
    let (path, _) = file(dir.path(), "f", BYTES);
    let writer = File::options().write(true).open(&path).unwrap();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (to, mut from) = tcp(false);
    let mut changes = Vec::new();
    for n in 0..EACH * Lend::ALL.len() {
        let before = now();
        send(&to, &path, BYTES, Lend::ALL[n % 3]);
        let mark = 0x80 | n as u8;
        writer.write_all_at(&[mark; BYTES], 0).unwrap();
        let changed = now();
        let mut got = vec![0; BYTES];
        from.read_exact(&mut got).unwrap();
        assert!(got.iter().all(|b| *b == mark), "a copy was sent: this proves nothing");
        changes.push((before, changed));
    }
    drop((to, from));
    poke_cpus();
    let trace = recorder.stop();
    trace.expect_released(0.999);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for t in trace.of_file(&path) {
        let n = changes.partition_point(|(before, _)| *before <= u(&t["submit_ns"])) - 1;
        assert!(t["release_ns"].as_u64().is_none_or(|at| at >= changes[n].1), "{:?} {t}", changes[n]);
        assert!(u(&t["return_ns"]) <= changes[n].1, "{t}");
        *counts.entry(t["api"].as_str().unwrap().into()).or_default() += 1;
    }
    println!("released after the change that arrived: {counts:?}");
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [EACH as u64; 3]);
}
