//! Changes that were asked for before their file was lent, and came after. Nothing shows one before it is over,
//! which may be later than the trace says anything of the transfer: the file is not idle.
#![expect(unsafe_code, reason = "io_uring takes raw pointers")]

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write as _, pipe};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use io_uring::{IoUring, opcode, squeue, types};
use rustix::pipe::{SpliceFlags, splice};

use crate::load::{PAGE, file, read, sendfile, tcp};
use crate::tool::{Recorder, dir, now, spin_until};

const BYTES: usize = 10 * PAGE;
/// What the receiver is sent instead.
const MARK: [u8; PAGE] = [0xee; PAGE];

/// A traced file that is not lent yet.
struct Stage {
    dir: tempfile::TempDir,
    path: PathBuf,
    content: Vec<u8>,
    recorder: Recorder,
}

impl Stage {
    /// Also the ends of a pipe, and the file to write to.
    fn new() -> (Self, PipeReader, PipeWriter, File) {
        let dir = dir();
        let (path, content) = file(dir.path(), "f", BYTES);
        let (from, into) = pipe().unwrap();
        let recorder = Recorder::this(&dir.path().join("t.zct"));
        let to = File::options().write(true).open(&path).unwrap();
        (Self { dir, path, content, recorder }, from, into, to)
    }

    /// Lends the file while something waits to write to it, then lets it write the mark.
    fn lend(self, go_on: impl FnOnce()) {
        let Self { dir: _dir, path, content, recorder } = self;
        let (sender, mut receiver) = tcp(false);
        sendfile(&sender, &File::open(&path).unwrap(), 0, BYTES);
        go_on();
        let until = now() + 5_000_000_000;
        while std::fs::read(&path).unwrap()[..PAGE] != MARK {
            assert!(now() < until, "nothing was written");
            spin_until(now() + 100_000);
        }
        let got = read(&mut receiver, BYTES);
        assert!(got[..PAGE] == MARK && got[PAGE..] == content[PAGE..BYTES], "the change did not arrive");
        drop((sender, receiver));
        let trace = recorder.stop();
        trace.expect_released(1.0);
        let found = trace.of_file(&path);
        assert_eq!(found.len(), 1, "{found:?}");
        let reasons = found[0]["reasons"].as_array().unwrap();
        assert!(reasons.contains(&"file-busy".into()), "{}", found[0]);
        assert_ne!(found[0]["verdict"], "clean", "{}", found[0]);
    }
}

#[test]
fn a_splice_that_waits_for_its_pipe() {
    let (stage, from, into, to) = Stage::new();
    let (said, tid) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        said.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let mut off = 0;
        splice(from, None, to, Some(&mut off), BYTES, SpliceFlags::empty()).unwrap();
    });
    await_splice(tid.recv().unwrap());
    stage.lend(|| (&into).write_all(&MARK).unwrap());
    writer.join().unwrap();
}

#[test]
fn a_request_that_waits_for_its_pipe() {
    let (stage, from, into, to) = Stage::new();
    let mut ring = IoUring::new(4).unwrap();
    let (from, to) = (types::Fd(from.as_raw_fd()), types::Fd(to.as_raw_fd()));
    let entry = opcode::Splice::new(from, -1, to, 0, BYTES as u32).build();
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit().unwrap();
    stage.lend(|| {
        (&into).write_all(&MARK).unwrap();
        ring.submit_and_wait(1).unwrap();
    });
}

/// A write that is linked to what takes long is begun by nobody yet.
#[test]
fn a_write_behind_another_request() {
    let (stage, from, into, to) = Stage::new();
    let mut ring = IoUring::new(4).unwrap();
    let mut buffer = vec![0; PAGE];
    let (at, len) = (buffer.as_mut_ptr(), PAGE as u32);
    let first = opcode::Read::new(types::Fd(from.as_raw_fd()), at, len).build();
    let then = opcode::Write::new(types::Fd(to.as_raw_fd()), at, len).offset(0).build();
    let both = [first.flags(squeue::Flags::IO_LINK), then];
    unsafe { ring.submission().push_multiple(&both).unwrap() };
    ring.submit().unwrap();
    stage.lend(|| {
        (&into).write_all(&MARK).unwrap();
        ring.submit_and_wait(2).unwrap();
    });
}

/// Until the thread is in the call.
fn await_splice(tid: i32) {
    let until = now() + 5_000_000_000;
    loop {
        let call = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap_or_default();
        if call.starts_with(&format!("{} ", libc::SYS_splice)) {
            return;
        }
        assert!(now() < until, "it does not wait");
        std::thread::yield_now();
    }
}
