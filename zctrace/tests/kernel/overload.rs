//! A ring far too small on purpose: what is lost is counted, exactly, and nothing is claimed that
//! the loss could have made wrong.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::set_tcp_quickack;

use crate::load::{file, read, sendfile, tcp};
use crate::tool::{Recorder, dir, now, u};

struct Flow {
    path: PathBuf,
    /// When each transfer was about to be submitted, and its read began.
    submits: Vec<u64>,
    reads: Vec<u64>,
    /// The reader got something else than was there at the submit.
    changed: Vec<bool>,
}

/// `n` transfers on a connection of their own, `unread` of them left in the queue at a time; the file
/// is sometimes overwritten meanwhile.
fn flow(dir: &Path, name: &str, n: usize, unread: usize, pause: u64) -> Flow {
    let (path, mut content) = file(dir, name, 4096);
    let (sender, mut receiver) = tcp(false);
    let open = File::options().read(true).write(true).open(&path).unwrap();
    let (mut submits, mut reads, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n / unread {
        // Acknowledged long before it is read: without its head's record a release by the ack would be early.
        set_tcp_quickack(&receiver, true).unwrap();
        for _ in 0..unread {
            submits.push(now());
            sendfile(&sender, &open, 0, 4096);
        }
        // A false release has time to show.
        let until = now() + pause;
        while now() < until {
            std::hint::spin_loop();
        }
        let old = content.clone();
        if i % 3 == 0 {
            content.fill(i as u8);
            open.write_all_at(&content, 0).unwrap();
        }
        for _ in 0..unread {
            reads.push(now());
            let got = read(&mut receiver, 4096);
            assert!(got == content);
            changed.push(got != old);
        }
    }
    Flow { path, submits, reads, changed }
}

#[test]
fn recorded_and_lost_make_up_produced() {
    let mut judged = 0;
    for ring in [4096, 16_384, 65_536] {
        let (lost, released) = storm(ring);
        assert!(lost > 0 || ring > 4096, "the ring was not too small");
        judged += released;
    }
    // Otherwise that no release was false would prove nothing.
    assert!(judged > 0, "no transfer was released");
}

/// Calm, storm, calm. Answers how many records were lost and how many releases were claimed, all right.
fn storm(ring: u32) -> (u64, u64) {
    let dir = dir();
    let recorder =
        Recorder::with(&dir.path().join("t.zct"), &["--pid", &std::process::id().to_string()], |c| {
            c.env("ZCTRACE_RING_BYTES", ring.to_string());
        });
    // Slow enough that even a page of ring is emptied in between, over several checkpoints.
    let mut flows = vec![flow(dir.path(), "calm", 40, 1, 15_000_000)];
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let dir = dir.path().to_path_buf();
            std::thread::spawn(move || flow(&dir, &format!("storm{i}"), 2000, 8, 50_000))
        })
        .collect();
    flows.extend(threads.into_iter().map(|t| t.join().unwrap()));
    flows.push(flow(dir.path(), "calm-again", 40, 1, 15_000_000));
    let file = recorder.file.clone();
    let trace = recorder.stop();
    let lost = u(&trace.summary()["lost_records"]);
    let listed: u64 =
        trace.of_type("loss").iter().filter(|l| l["what"] == "ring").map(|l| u(&l["records"])).sum();
    assert_eq!(listed, lost);
    let (produced, delivered, counted) = stop_frame(&file);
    assert_eq!(produced, delivered + counted);
    assert_eq!(counted, lost);
    let (mut released, mut earliest) = (0, u64::MAX);
    for t in trace.transfers() {
        let Some(release) = t["release_ns"].as_u64() else { continue };
        assert_eq!(t["outcome"], "released");
        let flow = flows.iter().find(|f| t["file"]["path"] == f.path.to_str().unwrap()).unwrap();
        let submit = u(&t["submit_ns"]);
        // One call each, so the last one noted before is this one.
        let which = flow.submits.partition_point(|s| *s <= submit) - 1;
        let read = flow.reads[which];
        match t["verdict"].as_str().unwrap() {
            "clean" => assert!(!flow.changed[which], "clean, but changed: {t}"),
            "mutated" => assert!(flow.changed[which], "mutated, but as it was: {t}"),
            _ => {}
        }
        assert!(release >= read, "released {} ns before anybody read it: {t}", read - release);
        released += 1;
        earliest = earliest.min(release - read);
    }
    let seen = trace.transfers().len();
    println!(
        "overload: ring {ring}: produced {produced} = recorded {delivered} + lost {lost}; 8080 transfers, {seen} seen, {released} released{}",
        if released > 0 {
            format!(", the earliest {earliest} ns after its read began")
        } else {
            String::new()
        }
    );
    (lost, released)
}

/// `(produced, delivered, lost)` of the STOP frame, and the frames that are really there.
fn stop_frame(path: &std::path::Path) -> (u64, u64, u64) {
    use zctrace::event::{Decoded, Event, decode};
    let mut kernel_frames = 0;
    let mut stop = None;
    let mut reader = zctrace::trace::Reader::new(File::open(path).unwrap()).unwrap();
    reader
        .read::<std::io::Error>(&mut |bytes| {
            match decode(bytes) {
                Decoded::Frame(_, Event::Stop(s)) => stop = Some(s),
                Decoded::Frame(h, _) if h.cpu != zctrace_common::frame::USER_CPU => kernel_frames += 1,
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    let stop = stop.unwrap();
    assert_eq!(stop.delivered, kernel_frames, "frames in the file");
    (stop.produced, stop.delivered, stop.lost)
}
