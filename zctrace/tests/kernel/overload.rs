//! A ring far too small on purpose: what is lost is counted, exactly, and nothing is claimed that
//! the loss could have made wrong.

use std::fs::File;

use crate::load::{file, read, sendfile, tcp};
use crate::tool::{Recorder, dir, now, u};

#[test]
fn recorded_and_lost_make_up_produced() {
    let dir = dir();
    let recorder =
        Recorder::with(&dir.path().join("t.zct"), &["--pid", &std::process::id().to_string()], |c| {
            c.env("ZCTRACE_RING_BYTES", "4096");
        });
    let flows: Vec<_> = (0..4)
        .map(|i| {
            let (path, content) = file(dir.path(), &format!("f{i}"), 4096);
            std::thread::spawn(move || {
                let (sender, mut receiver) = tcp(false);
                let open = File::open(&path).unwrap();
                let mut reads = Vec::new();
                for n in 0..2000 {
                    sendfile(&sender, &open, 0, 4096);
                    // Some are left unread for a while: a false release has time to show.
                    if n % 8 == 7 {
                        let before = now();
                        for _ in 0..8 {
                            assert!(read(&mut receiver, 4096) == content);
                        }
                        reads.push(before);
                    }
                }
                (path, reads)
            })
        })
        .collect();
    let flows: Vec<_> = flows.into_iter().map(|f| f.join().unwrap()).collect();
    let file = recorder.file.clone();
    let trace = recorder.stop();
    let s = trace.summary();
    let lost = u(&s["lost_records"]);
    assert!(lost > 0, "the ring was not too small: {s}");
    let listed: u64 =
        trace.of_type("loss").iter().filter(|l| l["what"] == "ring").map(|l| u(&l["records"])).sum();
    assert_eq!(listed, lost);
    let (produced, delivered, counted) = stop_frame(&file);
    println!("overload: produced {produced} = recorded {delivered} + lost {counted}; {s}");
    assert_eq!(produced, delivered + counted);
    assert_eq!(counted, lost);
    for t in trace.transfers() {
        assert_ne!(t["verdict"], "clean", "{t}");
        let Some(release) = t["release_ns"].as_u64() else { continue };
        assert_eq!(t["outcome"], "released");
        // The read that took its bytes is the first that began after its submit.
        let (_, reads) = flows.iter().find(|(p, _)| t["file"]["path"] == p.to_str().unwrap()).unwrap();
        let submit = u(&t["submit_ns"]);
        let read = reads.iter().find(|r| **r > submit).unwrap();
        assert!(release >= *read, "released {} ns before anybody read it: {t}", read - release);
    }
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
