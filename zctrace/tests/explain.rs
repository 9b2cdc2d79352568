//! `zctrace explain`, as a user runs it: on the demo's recording and on ones made here.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed; numbers are small"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use bytemuck::{Pod, Zeroable};
use zctrace::engine::rules::RULES;
use zctrace::event::{frame, user_frame};
use zctrace::model::{Fact, Outcome};
use zctrace::trace::Writer;
use zctrace_common::kernel::{
    self, Ack, ChangeEnter, ChangeExit, Extent, Head, HeadFree, Mapped, OpEnter, OpExit, Pipe, Removed,
    RxRead, Sock, change, end, family, free_flag, head_flag, op, op_flag, pipe_why, proto,
};
use zctrace_common::user::{self, Checkpoint, Loss, Start, Stop, loss};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/demo.zct");
const WATCHES: [&str; 4] = [
    "writeback:writeback_dirty_folio",
    "filemap:mm_filemap_delete_from_page_cache",
    "io_uring:io_uring_submit_req",
    "io_uring:io_uring_complete",
];
const MS: u64 = 1_000_000;
/// When the transfer is submitted.
const SUBMIT: u64 = 1000 * MS;
const SENDER: u64 = 10 << 32 | 10;
const WRITER: u64 = 20 << 32 | 21;
const SOCK: u64 = 7;
const DEV: u32 = 8 << 20 | 1;

/// Runs `zctrace explain`; answers stdout, stderr and the exit code.
fn explain(args: &[&str]) -> (String, String, i32) {
    let done = Command::new(env!("CARGO_BIN_EXE_zctrace")).arg("explain").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr), done.status.code().unwrap())
}

/// A recording in the making; times are milliseconds from the submit.
struct Tape {
    frames: Vec<Vec<u8>>,
    dir: tempfile::TempDir,
    seq: u64,
    /// Frames of the user half.
    said: u64,
}

fn comm(name: &[u8]) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name);
    comm
}

impl Tape {
    fn new(path: &[u8]) -> Self {
        let mut tape = Self { frames: Vec::new(), dir: tempfile::tempdir().unwrap(), seq: 0, said: 0 };
        let probes: Vec<String> =
            WATCHES.iter().map(|name| format!(r#"{{"name":"{name}","state":"attached"}}"#)).collect();
        let json =
            format!(r#"{{"tool":"zctrace","kernel":"6.18","filters":[],"probes":[{}]}}"#, probes.join(","));
        tape.user(
            user::kind::START,
            -1000,
            &Start { mono_ns: SUBMIT - 1000 * MS, real_ns: 1 },
            json.as_bytes(),
        );
        let mut text = [0; kernel::PATH_TEXT];
        text[..path.len()].copy_from_slice(path);
        let used = path.len() as u32;
        let path = kernel::Path { ino: 5, dev: DEV, used, whole: 1, generation: 0, text };
        tape.kernel(kernel::kind::PATH, -10, SENDER, &path);
        tape
    }

    fn kernel(&mut self, kind: u16, ms: i64, task: u64, body: &impl Pod) -> u64 {
        self.seq += 1;
        let ts = SUBMIT.saturating_add_signed(ms * MS as i64);
        self.frames.push(frame(kind, 0, self.seq, ts, task, body, b""));
        self.seq
    }

    fn user(&mut self, kind: u16, ms: i64, body: &impl Pod, text: &[u8]) {
        (self.seq, self.said) = (self.seq + 1, self.said + 1);
        let ts = SUBMIT.saturating_add_signed(ms * MS as i64);
        self.frames.push(user_frame(kind, self.said, ts, body, text));
    }

    fn sock(&mut self, proto: u16) {
        let addr = |last| {
            let mut addr = [0; 16];
            addr[..4].copy_from_slice(&[10, 0, 0, last]);
            addr
        };
        let (family, laddr, raddr) = (family::INET, addr(1), addr(2));
        let sock = Sock {
            sock: SOCK,
            family,
            proto,
            lport: 80,
            rport: 4000,
            snd_una: 1000,
            laddr,
            raddr,
            ..Zeroable::zeroed()
        };
        self.kernel(kernel::kind::SOCK, -5, SENDER, &sock);
    }

    /// `sendfile()` of 8 KiB from offset 4096, at sequence number 1000. Answers the transfer's id.
    fn sendfile(&mut self, name: &[u8]) -> String {
        let enter = OpEnter {
            op: op::SENDFILE,
            src_kind: end::FILE,
            dst_kind: end::SOCK,
            flags: op_flag::OPENS,
            dev: DEV,
            ino: 5,
            dst: SOCK,
            src_pos: 4096,
            dst_pos: 1000,
            count: 8192,
            comm: comm(name),
            ..OpEnter::default()
        };
        let seq = self.kernel(kernel::kind::OP_ENTER, 0, SENDER, &enter);
        self.head(1, 1, 1000, 8192);
        let exit = OpExit { ret: 8192, dst_pos: 9192, ..OpExit::default() };
        self.kernel(kernel::kind::OP_EXIT, 2, SENDER, &exit);
        format!("0-{seq}")
    }

    fn head(&mut self, ms: i64, head: u64, seq: u32, len: u32) {
        let head = Head { head, sock: SOCK, seq, len, flags: head_flag::SEQ, pad: 0 };
        self.kernel(kernel::kind::HEAD, ms, SENDER, &head);
    }

    fn write(&mut self, (from, to): (i64, i64), change: u64, off: u64, len: u64, name: &[u8]) {
        let enter = ChangeEnter {
            change,
            ino: 5,
            off,
            len,
            dev: DEV,
            what: change::WRITE,
            comm: comm(name),
            ..ChangeEnter::default()
        };
        self.kernel(kernel::kind::CHANGE_ENTER, from, WRITER, &enter);
        let exit = ChangeExit { change, ino: 5, off, len, dev: DEV, ..ChangeExit::default() };
        self.kernel(kernel::kind::CHANGE_EXIT, to, WRITER, &exit);
    }

    fn ack(&mut self, ms: i64, una: u32) {
        self.kernel(kernel::kind::ACK, ms, 0, &Ack { sock: SOCK, una, pad: 0 });
    }

    fn free(&mut self, ms: i64, head: u64) {
        self.kernel(kernel::kind::HEAD_FREE, ms, 0, &HeadFree { head, len: 8192, ..HeadFree::default() });
    }

    /// What is on the tape so far, in a file.
    fn file(&self) -> PathBuf {
        let path = self.dir.path().join("trace.zct");
        let mut writer = Writer::new(std::fs::File::create(&path).unwrap()).unwrap();
        for frame in &self.frames {
            writer.push(frame).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn stop(&mut self) -> PathBuf {
        self.user(user::kind::CHECKPOINT, 100_000, &Checkpoint::default(), b"");
        self.user(user::kind::STOP, 100_001, &Stop::default(), b"");
        self.file()
    }
}

fn told(path: &Path, id: &str) -> String {
    let (out, err, code) = explain(&[path.to_str().unwrap(), id]);
    assert_eq!((err.as_str(), code), ("", 0));
    for line in out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.chars().any(zctrace::text::acts), "{line:?}");
    }
    out
}

/// The text, each wrapped line made one again.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The places of these, which must be in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part);
        assert!(at.is_some(), "{part:?} is not where it should be in\n{text}");
        let at = at.unwrap();
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn the_demo() {
    let mut found = 0;
    zctrace::explain::facts(&std::fs::File::open(DEMO).unwrap(), 0, &mut |fact| {
        if let Fact::Transfer(t) = fact {
            found += 1;
            assert_eq!(t.outcome, Outcome::Released);
            let text = told(Path::new(DEMO), &t.id.to_string());
            let marks =
                ["write-in-window", "  0 ns  SUBMIT", "XMIT", "RETURN", "CHANGE m1", "ACK", "RELEASE"];
            in_order(&text, &marks);
            let rest = text.split("RELEASE").nth(1).unwrap();
            assert!(joined(rest).ends_with("nothing holds its bytes any more"), "{text}");
        }
        Ok(())
    })
    .unwrap();
    assert!(found > 0);
}

fn mutated() -> (Tape, String) {
    let mut tape = Tape::new(b"index.html\0www\0");
    tape.sock(proto::TCP);
    let id = tape.sendfile(b"nginx");
    tape.write((-3, -2), 90, 4096, 100, b"too-early");
    tape.write((3, 4), 91, 5000, 100, b"editor");
    tape.write((5, 6), 92, 20_000, 100, b"elsewhere");
    tape.ack(7, 5096);
    tape.ack(8, 9192);
    tape.free(9, 1);
    tape.write((10, 11), 93, 4096, 100, b"too-late");
    (tape, id)
}

#[test]
fn a_write_in_the_window() {
    let (mut tape, id) = mutated();
    let text = told(&tape.stop(), &id);
    in_order(
        &text,
        &[
            &format!("Transfer {id}: sendfile by nginx/10"),
            "file      /www/index.html",
            "bytes     4096+8192 of 8192",
            "tcp socket, from 10.0.0.1:80 to 10.0.0.2:4000",
            "outcome   released",
            "verdict   mutated",
            "m1",
            "rule      write-in-window: Somebody wrote",
        ],
    );
    let lines = joined(&text);
    in_order(
        &lines,
        &[
            "0 ns SUBMIT sendfile by nginx/10 entered: 4096+8192",
            "+1.00 ms XMIT packet handed to a device: seq 1000..9192, bytes 4096+8192",
            "+2.00 ms RETURN sendfile returned 8192",
            "+3.00 ms CHANGE m1 write by editor/20 of 5000+100 began",
            "+4.00 ms CHANGE m1 write by editor/20 of 5000+100 ended",
            "+5.00 ms write by elsewhere/20 of 20000+100 began",
            "+6.00 ms write by elsewhere/20 of 20000+100 ended; none of the lent bytes",
            "+7.00 ms acknowledged up to seq 5096: 4096 of its 8192 bytes",
            "+8.00 ms ACK acknowledged up to seq 9192: all its bytes",
            "+9.00 ms RELEASE skb head freed: seq 1000..9192, bytes 4096+8192; nothing holds",
        ],
    );
    assert!(!text.contains("too-"), "{text}");
}

#[test]
fn from_a_writer_to_what_it_hit() {
    let (mut tape, id) = mutated();
    let text = told(&tape.stop(), "m1");
    in_order(
        &joined(&text),
        &[
            "Change m1: write by editor/20 (thread 21)",
            "file /www/index.html",
            "bytes 5000+100",
            "1.00 s after the trace began; it took 1.00 ms",
            "1 transfer",
            &format!("{id} in_flight: transmitted, not yet acknowledged. It began +3.00 ms from the submit"),
            "sendfile by nginx/10 of 4096+8192",
            "released, mutated",
        ],
    );
}

#[test]
fn a_clean_one() {
    let mut tape = Tape::new(b"f\0");
    tape.sock(proto::TCP);
    let id = tape.sendfile(b"nginx");
    tape.ack(8, 9192);
    tape.free(9, 1);
    let text = joined(&told(&tape.stop(), &id));
    in_order(&text, &["verdict clean", "Watched from submit", "by rename, or unlinking it, is not a change"]);
}

#[test]
fn losses_mappings_and_pages() {
    let mut tape = Tape::new(b"f\0");
    tape.sock(proto::TCP);
    let id = tape.sendfile(b"nginx");
    let mapped = Mapped { ino: 5, dev: DEV, generation: 0 };
    tape.kernel(kernel::kind::MAPPED, 3, WRITER, &mapped);
    let removed = Removed { ino: 5, off: 4096, len: 4096, dev: DEV, generation: 0, comm: comm(b"kswapd0") };
    tape.kernel(kernel::kind::REMOVED, 4, WRITER, &removed);
    let lost = Loss { what: loss::RING, cpu: 0, from_ns: SUBMIT + 4 * MS, records: 3 };
    tape.user(user::kind::LOSS, 5, &lost, b"");
    let later = Loss { what: loss::RING, cpu: 0, from_ns: SUBMIT + 50 * MS, records: 77 };
    tape.ack(8, 9192);
    tape.free(9, 1);
    tape.user(user::kind::CHECKPOINT, 40, &Checkpoint::default(), b"");
    tape.user(user::kind::LOSS, 60, &later, b"");
    let text = joined(&told(&tape.stop(), &id));
    in_order(
        &text,
        &[
            "outcome unknown",
            "verdict unknown: whether m1",
            "not sure records were lost",
            "rule stale-after-removal",
            "pid 20 made a shared writable mapping",
            "CHANGE m1 page left the page cache, by kswapd0/20: 4096+4096",
            "LOSS LOST 3 records",
            "acknowledged up to seq 9192",
            "END its release is not known",
        ],
    );
    assert!(!text.contains("77") && !text.contains("RELEASE"), "{text}");
}

/// The packet is handed over and freed before the call returned that says whose bytes are in it.
#[test]
fn through_a_pipe() {
    let mut tape = Tape::new(b"f\0");
    tape.sock(proto::TCP);
    tape.kernel(kernel::kind::PIPE, -1, SENDER, &Pipe { pipe: 6, why: pipe_why::NEW, ..Pipe::default() });
    let enter = OpEnter {
        op: op::SPLICE,
        src_kind: end::FILE,
        dst_kind: end::PIPE,
        flags: op_flag::OPENS,
        dev: DEV,
        ino: 5,
        dst: 6,
        count: 8192,
        comm: comm(b"proxy"),
        ..OpEnter::default()
    };
    let id = tape.kernel(kernel::kind::OP_ENTER, 0, SENDER, &enter);
    let exit = OpExit { ret: 8192, dst_pos: 2, ..OpExit::default() };
    tape.kernel(kernel::kind::OP_EXIT, 1, SENDER, &exit);
    let mover = OpEnter {
        op: op::SPLICE,
        src_kind: end::PIPE,
        dst_kind: end::SOCK,
        src: 6,
        src_head: 2,
        dst: SOCK,
        dst_pos: 1000,
        count: 8192,
        comm: comm(b"proxy"),
        ..OpEnter::default()
    };
    tape.kernel(kernel::kind::OP_ENTER, 2, SENDER, &mover);
    tape.head(3, 1, 1000, 8192);
    tape.ack(4, 9192);
    tape.free(5, 1);
    tape.head(6, 2, 9192, 100);
    let exit = OpExit { ret: 8192, src_pos: 2, src_head: 2, dst_pos: 9192, ..OpExit::default() };
    tape.kernel(kernel::kind::OP_EXIT, 7, SENDER, &exit);
    let text = joined(&told(&tape.stop(), &format!("0-{id}")));
    in_order(
        &text,
        &[
            "outcome released by",
            "0 ns SUBMIT splice by proxy/10 entered: 0+8192 of the file to a pipe, slot 0",
            "+1.00 ms splice returned 8192, pipe slots 0..2",
            "+2.00 ms splice by proxy/10 entered: 8192 bytes from a pipe, slot 0, to a socket",
            "+3.00 ms XMIT packet handed to a device: seq 1000..9192, bytes 0+8192",
            "+4.00 ms ACK acknowledged up to seq 9192: all its bytes",
            "+5.00 ms skb head freed",
            "+7.00 ms RETURN+RELEASE splice returned 8192, seq 1000..9192, taken from pipe slots 0..2",
        ],
    );
    assert!(!text.contains("9192..9292"), "another's packet: {text}");
}

#[test]
fn packets_without_sequence_numbers() {
    let mut tape = Tape::new(b"f\0");
    tape.sock(proto::UDP);
    let id = {
        let enter = OpEnter {
            op: op::SENDFILE,
            src_kind: end::FILE,
            dst_kind: end::SOCK,
            flags: op_flag::OPENS,
            dev: DEV,
            ino: 5,
            dst: SOCK,
            count: 4096,
            comm: comm(b"dns"),
            ..OpEnter::default()
        };
        tape.kernel(kernel::kind::OP_ENTER, 0, SENDER, &enter)
    };
    let head = Head { head: 3, sock: SOCK, len: 4096, ..Head::default() };
    tape.kernel(kernel::kind::HEAD, 1, SENDER, &head);
    let extent = Extent { head: 3, ino: 5, off: 0, dev: DEV, len: 4096, ..Extent::default() };
    tape.kernel(kernel::kind::EXTENT, 1, SENDER, &extent);
    let exit = OpExit { ret: 4096, ..OpExit::default() };
    tape.kernel(kernel::kind::OP_EXIT, 2, SENDER, &exit);
    tape.free(3, 3);
    let text = joined(&told(&tape.stop(), &format!("0-{id}")));
    in_order(
        &text,
        &[
            "SUBMIT",
            "XMIT packet handed to a device",
            "packet carries 0+4096",
            "RETURN",
            "RELEASE skb head freed",
        ],
    );
}

#[test]
fn a_reader_on_this_machine() {
    let mut tape = Tape::new(b"f\0");
    tape.sock(proto::TCP);
    let id = tape.sendfile(b"nginx");
    tape.ack(3, 9192);
    let read = RxRead { sock: SOCK, copied: 5096, pad: 0 };
    tape.kernel(kernel::kind::RX_READ, 4, 0, &read);
    tape.kernel(kernel::kind::RX_READ, 5, 0, &RxRead { copied: 9192, ..read });
    let free = HeadFree { head: 1, len: 8192, flags: free_flag::RX, ..HeadFree::default() };
    tape.kernel(kernel::kind::HEAD_FREE, 6, 0, &free);
    let text = joined(&told(&tape.stop(), &id));
    in_order(
        &text,
        &[
            "released by receiver_read",
            "ACK acknowledged",
            "+4.00 ms a receiver on this machine has read up to seq 5096: 4096 of its 8192 bytes",
            "+5.00 ms RELEASE a receiver on this machine has read up to seq 9192: all its bytes",
        ],
    );
}

#[test]
fn still_lent() {
    let mut tape = Tape::new(b"f\0");
    tape.sock(proto::TCP);
    let id = tape.sendfile(b"nginx");
    let enter = ChangeEnter {
        change: 91,
        ino: 5,
        off: 4096,
        len: 1,
        dev: DEV,
        what: change::WRITE,
        comm: comm(b"slow"),
        ..ChangeEnter::default()
    };
    tape.kernel(kernel::kind::CHANGE_ENTER, 3, WRITER, &enter);
    let text = joined(&told(&tape.stop(), &id));
    in_order(
        &text,
        &[
            "outcome held",
            "(change-running)",
            "(still-lent)",
            "rule stuck-window",
            "RETURN",
            "+3.00 ms write by slow/20 of 4096+1 began",
            "END still lent when the trace ended",
        ],
    );
}

#[test]
fn hostile_names() {
    let mut tape = Tape::new("a\u{1b}[2Jb c\nd\u{202e}e\0\u{1b}]0;x\u{7}\0".as_bytes());
    tape.sock(proto::TCP);
    let id = tape.sendfile(b"\x1b[31m\n\xff\r\x07\x9b0123");
    tape.write((3, 4), 91, 5000, 100, b"\x1b]0;pwn\x07\n \xff\xfe\x08");
    tape.ack(8, 9192);
    tape.free(9, 1);
    let path = tape.stop();
    assert!(told(&path, &id).contains("\\x1b"));
    assert!(told(&path, "m1").contains("\\x1b"));
}

#[test]
fn a_recording_that_is_cut() {
    let (tape, id) = mutated();
    let path = tape.file();
    let file = path.to_str().unwrap();
    let (out, err, code) = explain(&[file, &id]);
    in_order(&out, &["outcome   unknown", "SUBMIT", "END"]);
    assert!(err.contains("the recording is cut off") && code == 4, "{err}");
    let (out, err, code) = explain(&[file, "9-9"]);
    assert!(out.is_empty() && code == 4);
    in_order(&err, &["no transfer 9-9", "the recording is cut off"]);
}

#[test]
fn what_is_not_there() {
    for (id, what) in [("0-4", "no transfer 0-4"), ("m3", "no change m3")] {
        let (out, err, code) = explain(&[DEMO, id]);
        assert!(out.is_empty() && code == 4, "{out}");
        in_order(&err, &[what, "--json` lists the ids"]);
    }
    let (_, err, code) = explain(&["/nowhere/at-all.zct", "0-4"]);
    assert!(code == 4 && err.contains("/nowhere/at-all.zct"), "{err}");
    let (_, err, code) = explain(&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "0-4"]);
    assert!(code == 4 && err.contains("not a zctrace recording"), "{err}");
}

#[test]
fn usage() {
    for id in ["", "3", "m", "m-3", "3-", "-3", "x-y", "99999999999-1"] {
        let (out, err, code) = explain(&[DEMO, "--", id]);
        assert!(out.is_empty() && code == 2 && err.contains("like 3-17"), "{id:?}: {code} {err}");
    }
    for args in [&[][..], &[DEMO], &[DEMO, "0-3", "--rules"], &["--rules", "--rule", "stuck-window"]] {
        let (out, _, code) = explain(args);
        assert!(out.is_empty() && code == 2, "{args:?}");
    }
    let (out, _, code) = explain(&["--help"]);
    assert!(code == 0 && out.contains("Examples:\n  zctrace report out.zct --json"), "{out}");
}

#[test]
fn every_rule() {
    let (list, _, code) = explain(&["--rules"]);
    assert_eq!((list.lines().count(), code), (RULES.len(), 0));
    for (rule, line) in RULES.iter().zip(list.lines()) {
        assert!(line.starts_with(rule.name), "{line}");
        let (out, _, code) = explain(&["--rule", rule.name]);
        assert!(code == 0 && out.lines().all(|l| l.chars().count() <= 80), "{out}");
        assert!(joined(&out).ends_with(&joined(rule.help)), "{out}");
    }
    let (out, err, code) = explain(&["--rule", "no-such"]);
    assert!(out.is_empty() && code == 2);
    assert!(RULES.iter().all(|rule| err.contains(rule.name)), "{err}");
}

#[test]
fn every_rule_is_in_the_docs() {
    let docs = include_str!("../../docs/accuracy.md");
    let rows: Vec<&str> = docs.lines().filter(|l| l.starts_with("| `")).collect();
    for rule in RULES {
        let verdict = rule.verdict.map_or("none: points out", zctrace::text::verdict);
        let start = format!("| `{}` | {verdict} |", rule.name);
        assert!(rows.iter().any(|row| row.starts_with(&start)), "docs/accuracy.md has no row {start}");
    }
}
