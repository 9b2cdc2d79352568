//! Changes that no event shows: only the bytes do.
#![expect(unsafe_code, reason = "mappings and io_uring take raw pointers")]

use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;

use io_uring::{IoUring, opcode, types};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde_json::Value;

use crate::load::{PAGE, file, read, sendfile, tcp};
use crate::tool::{BIN, Recorder, Trace, dir, dir_on_tmpfs};

const BYTES: usize = 10 * PAGE;

/// A shared writable mapping of a file's first bytes.
struct Mapping(*mut u8, usize);

impl Mapping {
    fn of(file: &File, bytes: usize) -> Self {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let at = unsafe { mmap(std::ptr::null_mut(), bytes, prot, MapFlags::SHARED, file, 0) };
        Self(at.unwrap().cast(), bytes)
    }

    /// As they were: but now the pages are dirty and writable, and no store to them makes an event.
    fn touch(&self) {
        for i in (0..self.1).step_by(PAGE) {
            unsafe { self.0.add(i).write_volatile(self.0.add(i).read_volatile()) };
        }
    }

    fn store(&self, at: usize, byte: u8) {
        unsafe { self.0.add(at).write_volatile(byte) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let _ = unsafe { munmap(self.0.cast(), self.1) };
    }
}

fn writable(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

fn traced(dir: &Path, fingerprint: &str) -> Recorder {
    let pid = std::process::id().to_string();
    Recorder::start(&dir.join("t.zct"), &["--pid", &pid, "--fingerprint", fingerprint])
}

/// Lends the file, changes it, lets the receiver read. Answers the transfer and what it got.
fn lend(
    recorder: Recorder,
    path: &Path,
    (sender, mut receiver): (TcpStream, TcpStream),
    change: impl FnOnce(),
) -> (Value, Trace, Vec<u8>) {
    sendfile(&sender, &File::open(path).unwrap(), 0, BYTES);
    change();
    let got = read(&mut receiver, BYTES);
    drop((sender, receiver));
    let trace = recorder.stop();
    let found = trace.of_file(path);
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].clone(), trace, got)
}

fn rules(t: &Value) -> Vec<&str> {
    t["rules"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect()
}

#[test]
fn a_store_through_a_dirty_mapping() {
    for dir in [dir(), dir_on_tmpfs()] {
        for fingerprint in ["off", "full"] {
            let (path, content) = file(dir.path(), fingerprint, BYTES);
            let mapping = Mapping::of(&writable(&path), BYTES);
            mapping.touch();
            let recorder = traced(dir.path(), fingerprint);
            let (t, trace, got) = lend(recorder, &path, tcp(false), || mapping.store(5 * PAGE + 7, 0xee));
            assert_eq!(got[5 * PAGE + 7], 0xee);
            assert_eq!(got.iter().zip(&content).filter(|(a, b)| a != b).count(), 1);
            let mutations = trace.of_type("mutation");
            if fingerprint == "off" {
                assert_eq!((&t["verdict"], mutations.len()), (&"unknown".into(), 0), "{t}");
                assert_eq!(rules(&t), ["writable-mapping-unwatched"]);
                continue;
            }
            assert_eq!((&t["verdict"], mutations.len()), (&"mutated".into(), 1), "{t}");
            assert_eq!(rules(&t), ["write-in-window"]);
            let m = mutations[0];
            assert_eq!((&m["kind"], &m["seen_by"]), (&"mmap_store".into(), &"fingerprint".into()), "{m}");
            assert_eq!((&m["offset"], &m["len"]), (&(5 * PAGE).into(), &PAGE.into()), "{m}");
            assert!(m["pid"].is_null() && t["reasons"].as_array().unwrap().is_empty(), "{m} {t}");
            let (file, id) = (dir.path().join("t.zct"), t["id"].as_str().unwrap());
            let out = Command::new(BIN).arg("explain").arg(file).arg(id).output().unwrap();
            let told = String::from_utf8_lossy(&out.stdout);
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(told.contains("CHANGE m1 looked at when let go of"), "{told}");
            assert!(told.contains("20480+4096 CHANGED since it was lent"), "{told}");
        }
    }
}

#[test]
fn a_mapping_that_nobody_stores_through() {
    for dir in [dir(), dir_on_tmpfs()] {
        let (path, content) = file(dir.path(), "f", BYTES);
        let mapping = Mapping::of(&writable(&path), BYTES);
        mapping.touch();
        let recorder = traced(dir.path(), "full");
        let (t, _, got) = lend(recorder, &path, tcp(true), || {});
        assert!(got == content);
        assert_eq!((&t["verdict"], &t["content"]), (&"clean".into(), &"sent_old".into()), "{t}");
    }
}

#[test]
fn samples_find_a_file_that_changed_all_over() {
    const PAGES: usize = 250;
    let dir = dir();
    let (path, _) = file(dir.path(), "f", PAGES * PAGE);
    let mapping = Mapping::of(&writable(&path), PAGES * PAGE);
    mapping.touch();
    let recorder = traced(dir.path(), "sample");
    let (sender, mut receiver) = tcp(false);
    let open = File::open(&path).unwrap();
    // Together they lend more pages than no sample is likely to be among.
    let mut changed = 0;
    for first in (0..PAGES).step_by(10) {
        sendfile(&sender, &open, (first * PAGE) as u64, BYTES);
        (first * PAGE..first * PAGE + BYTES).for_each(|i| mapping.store(i, 0xee));
        changed += read(&mut receiver, BYTES).iter().filter(|b| **b == 0xee).count();
    }
    assert_eq!(changed, PAGES * PAGE);
    drop((sender, receiver));
    let trace = recorder.stop();
    let found = trace.of_type("mutation");
    let pages: u64 = found.iter().map(|m| m["len"].as_u64().unwrap() / PAGE as u64).sum();
    println!("{pages} of {PAGES} pages were samples");
    assert!((1..PAGES as u64 / 2).contains(&pages), "{pages} of {PAGES} pages are samples");
    assert!(found.iter().all(|m| m["kind"] == "mmap_store" && m["seen_by"] == "fingerprint"));
    // Of the others nobody knows: the mapping is there.
    assert!(trace.transfers().iter().all(|t| t["verdict"] != "clean"));
}

/// The pages are pinned by io_uring, and nothing maps them any more: then a request stores into them.
/// No call on the file, no mapping of it; the same happens when a device or a kernel bug writes.
#[test]
fn a_change_behind_the_kernels_accounting() {
    let dir = dir_on_tmpfs();
    let (path, content) = file(dir.path(), "f", BYTES);
    let mapping = Mapping::of(&writable(&path), BYTES);
    let start = mapping.0;
    let mut ring = IoUring::new(4).unwrap();
    let pinned = [libc::iovec { iov_base: start.cast(), iov_len: BYTES }];
    unsafe { ring.submitter().register_buffers(&pinned) }.unwrap();
    drop(mapping);
    let (from, mut to) = std::io::pipe().unwrap();
    to.write_all(&[0xee; 100]).unwrap();

    let recorder = traced(dir.path(), "full");
    let (t, trace, got) = lend(recorder, &path, tcp(false), || {
        let at = start.wrapping_add(3 * PAGE + 50);
        let entry = opcode::ReadFixed::new(types::Fd(from.as_raw_fd()), at, 100, 0).build();
        unsafe { ring.submission().push(&entry).unwrap() };
        ring.submit_and_wait(1).unwrap();
        assert_eq!(ring.completion().next().unwrap().result(), 100);
    });
    assert!(got[3 * PAGE + 50..][..100] == [0xee; 100]);
    assert!(got[..3 * PAGE + 50] == content[..3 * PAGE + 50]);
    assert_eq!((&t["verdict"], rules(&t)), (&"mutated".into(), vec!["unattributed-change"]), "{t}");
    let mutations = trace.of_type("mutation");
    assert_eq!(mutations.len(), 1);
    let m = mutations[0];
    assert_eq!((&m["kind"], &m["seen_by"]), (&"unattributed".into(), &"fingerprint".into()), "{m}");
    assert_eq!((&m["offset"], &m["len"]), (&(3 * PAGE).into(), &PAGE.into()), "{m}");
}
