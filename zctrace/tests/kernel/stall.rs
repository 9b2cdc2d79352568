//! A receiver that stalls for T: the gap ends when it has read, and not before.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

use crate::load::{file, read, sendfile, splice_through, tcp};
use crate::tool::{Recorder, dir, now, u};

struct Sent {
    path: std::path::PathBuf,
    submit: u64,
    read: u64,
    stall: Duration,
}

/// One transfer over a connection of its own.
fn one(dir: &std::path::Path, name: &str, len: usize, stall: Duration, splice: bool) -> Sent {
    let (path, content) = file(dir, name, len);
    let (sender, mut receiver) = tcp(false);
    rustix::net::sockopt::set_socket_send_buffer_size(&sender, 1 << 20).unwrap();
    let open = File::open(&path).unwrap();
    let submit = now();
    if splice {
        splice_through(&sender, &open, 0, len);
    } else {
        sendfile(&sender, &open, 0, len);
    }
    // The stall is what is tested.
    std::thread::sleep(stall);
    let got = read(&mut receiver, len);
    let read = now();
    assert!(got == content, "the receiver got other bytes than were sent");
    Sent { path, submit, read, stall }
}

#[test]
fn the_gap_ends_with_the_read() {
    let dir = dir();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let mut sent = Vec::new();
    for (ms, rounds, at_once) in
        [(0, 40, 1), (1, 20, 2), (10, 10, 4), (100, 4, 8), (500, 2, 8), (2000, 1, 16)]
    {
        for round in 0..rounds {
            let threads: Vec<_> = (0..at_once)
                .map(|i| {
                    let dir = dir.path().to_path_buf();
                    let len = [4096, 5000, 32 * 1024, 60_000][(round + i) % 4];
                    let name = format!("{ms}-{round}-{i}");
                    std::thread::spawn(move || {
                        one(&dir, &name, len, Duration::from_millis(ms), (round + i) % 2 == 0)
                    })
                })
                .collect();
            sent.extend(threads.into_iter().map(|t| t.join().unwrap()));
        }
    }
    let trace = recorder.stop();
    trace.expect_released(1.0);
    let mut late = Vec::new();
    let mut table: BTreeMap<Duration, Vec<u64>> = BTreeMap::new();
    for s in &sent {
        let found = trace.of_file(&s.path);
        assert_eq!(found.len(), 1, "{}", s.path.display());
        let t = found[0];
        let release = u(&t["release_ns"]);
        assert_eq!(u(&t["gap_ns"]), release - u(&t["submit_ns"]));
        // It cannot be over before the receiver began to read.
        assert!(release >= s.submit + s.stall.as_nanos() as u64, "released before the read: {t}");
        let off = release.abs_diff(s.read);
        table.entry(s.stall).or_default().push(off);
        if off > 2_000_000 {
            late.push((off, t.clone()));
        }
    }
    println!("stall: {} transfers, {} more than 2 ms from the read", sent.len(), late.len());
    println!("     stall | transfers | from the read, median | worst");
    for (stall, mut off) in table {
        off.sort_unstable();
        let (median, worst) = (off[off.len() / 2] / 1000, off[off.len() - 1] / 1000);
        println!("{:>7} ms | {:>9} | {median:>18} µs | {worst:>5} µs", stall.as_millis(), off.len());
    }
    for (off, t) in &late {
        println!("  {off} ns off: {t}");
    }
    assert!(late.len() * 100 <= sent.len(), "{} of {} are late", late.len(), sent.len());
}
