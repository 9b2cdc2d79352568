//! Every way a window can end, named rightly, with nothing left behind in the kernel's maps.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_send_buffer_size};
use rustix::pipe::{SpliceFlags, pipe, splice, tee};
use rustix::process::Signal;

use crate::load::{file, read, sendfile, tcp};
use crate::tool::{Guard, Recorder, Trace, dir, now, poke_cpus, signal, u};

fn only<'a>(trace: &'a Trace, path: &Path) -> &'a serde_json::Value {
    let found = trace.of_file(path);
    assert_eq!(found.len(), 1, "{}: {found:#?}", path.display());
    found[0]
}

fn expect(trace: &Trace, path: &Path, by: &[&str]) {
    let t = only(trace, path);
    assert_eq!(t["outcome"], "released", "{t}");
    let found = t["released_by"].as_str().unwrap();
    // The acknowledgement may be delayed until after the read: then it is the last to let go.
    let delayed = found == "ack" && t["ack_ns"] == t["release_ns"] && by.contains(&"receiver_read");
    assert!(delayed || by.contains(&found), "released by {found}, expected {by:?}: {t}");
}

fn record(work: impl FnOnce(&Path) -> u64) -> (tempfile::TempDir, Trace, u64) {
    let dir = dir();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let at = work(dir.path());
    poke_cpus();
    let trace = recorder.stop();
    (dir, trace, at)
}

fn splice_in(path: &Path, to: impl AsFd, bytes: usize) {
    let n = splice(File::open(path).unwrap(), Some(&mut 0), to, None, bytes, SpliceFlags::empty()).unwrap();
    assert_eq!(n, bytes);
}

#[test]
fn a_reset_by_the_peer() {
    let (dir, trace, _) = record(|dir| {
        // More than the peer's window: some of it is still unsent when the reset comes.
        let (path, content) = file(dir, "f", 1 << 20);
        let (sender, receiver) = tcp(false);
        set_socket_send_buffer_size(&sender, 4 << 20).unwrap();
        sendfile(&sender, &File::open(&path).unwrap(), 0, content.len());
        set_socket_linger(&receiver, Some(Duration::ZERO)).unwrap();
        drop(receiver);
        now()
    });
    for t in trace.of_file(&dir.path().join("f")) {
        assert_eq!(t["outcome"], "released", "{t}");
    }
    let last = *trace.of_file(&dir.path().join("f")).last().unwrap();
    assert_eq!(last["released_by"], "reset", "{last}");
    trace.expect_empty_maps();
}

#[test]
fn the_receiver_closes_with_unread_data() {
    let (dir, trace, _) = record(|dir| {
        let (path, _) = file(dir, "f", 20_000);
        let (sender, receiver) = tcp(false);
        sendfile(&sender, &File::open(&path).unwrap(), 0, 20_000);
        drop(receiver);
        now()
    });
    // All of it was in the receiver's queue, which its close purges.
    expect(&trace, &dir.path().join("f"), &["close"]);
    trace.expect_empty_maps();
}

/// In a child process: send to the address in the environment, say so, wait to be killed.
#[test]
fn role_sender() {
    let Ok(to) = std::env::var("ZCT_ROLE_SENDER") else { return };
    let file = File::open(std::env::var("ZCT_ROLE_FILE").unwrap()).unwrap();
    let socket = std::net::TcpStream::connect(to).unwrap();
    set_socket_send_buffer_size(&socket, 4 << 20).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    // Traced from outside: wait for a line first.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    sendfile(&socket, &file, 0, len);
    println!("\nsent");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn the_sender_is_killed_with_data_in_flight() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 512 * 1024);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut sender = Guard(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ends::role_sender", "--nocapture"])
            .env("ZCT_ROLE_SENDER", listener.local_addr().unwrap().to_string())
            .env("ZCT_ROLE_FILE", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let (mut receiver, _) = listener.accept().unwrap();
    let pid = sender.0.id().to_string();
    let recorder = Recorder::start(&dir.path().join("t.zct"), &["--pid", &pid, "--linger", "20s"]);
    sender.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let lines = BufReader::new(sender.0.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|l| l == "sent"));
    signal(&sender.0, Signal::KILL);
    sender.0.wait().unwrap();
    let killed = now();
    let got = read(&mut receiver, content.len());
    assert!(got == content);
    drop(receiver);
    poke_cpus();
    // The traced process is gone: the recording ends by itself once its windows have closed.
    let trace = recorder.finish();
    expect(&trace, &path, &["receiver_read", "ack"]);
    assert!(u(&only(&trace, &path)["release_ns"]) > killed, "released before the receiver read");
    trace.expect_empty_maps();
}

#[test]
fn a_unix_socket_closed_with_unread_data() {
    let (dir, trace, _) = record(|dir| {
        let (path, _) = file(dir, "f", 30_000);
        let (sender, receiver) = UnixStream::pair().unwrap();
        sendfile(&sender, &File::open(&path).unwrap(), 0, 30_000);
        drop(receiver);
        now()
    });
    expect(&trace, &dir.path().join("f"), &["close"]);
    trace.expect_empty_maps();
}

#[test]
fn a_unix_receiver_reads() {
    let (dir, trace, read_at) = record(|dir| {
        let (path, content) = file(dir, "f", 30_000);
        let (sender, mut receiver) = UnixStream::pair().unwrap();
        sendfile(&sender, &File::open(&path).unwrap(), 0, 30_000);
        let before = now();
        assert!(read(&mut receiver, content.len()) == content);
        before
    });
    let path = dir.path().join("f");
    expect(&trace, &path, &["receiver_read"]);
    assert!(u(&only(&trace, &path)["release_ns"]) > read_at);
    trace.expect_empty_maps();
}

#[test]
fn a_pipe_closed_with_unread_data() {
    let (dir, trace, closing) = record(|dir| {
        let (path, _) = file(dir, "f", 40_000);
        let (reader, writer) = pipe().unwrap();
        splice_in(&path, &writer, 40_000);
        drop(reader);
        let closing = now();
        drop(writer);
        closing
    });
    let path = dir.path().join("f");
    expect(&trace, &path, &["close"]);
    assert!(u(&only(&trace, &path)["release_ns"]) >= closing);
    trace.expect_empty_maps();
}

#[test]
fn a_pipe_drained_by_reads() {
    let (dir, trace, last_read) = record(|dir| {
        let (path, content) = file(dir, "f", 40_000);
        let (reader, writer) = pipe().unwrap();
        splice_in(&path, &writer, 40_000);
        let mut reader = File::from(reader);
        assert!(read(&mut reader, 39_999) == content[..39_999]);
        let last_read = now();
        read(&mut reader, 1);
        last_read
    });
    let path = dir.path().join("f");
    expect(&trace, &path, &["pipe_drained"]);
    assert!(u(&only(&trace, &path)["release_ns"]) >= last_read, "released with a byte still in the pipe");
    trace.expect_empty_maps();
}

#[test]
fn tee_holds_until_both_pipes_are_drained() {
    let (dir, trace, second) = record(|dir| {
        let (path, content) = file(dir, "f", 40_000);
        let (r1, w1) = pipe().unwrap();
        let (r2, w2) = pipe().unwrap();
        splice_in(&path, &w1, 40_000);
        assert_eq!(tee(&r1, &w2, 40_000, SpliceFlags::empty()).unwrap(), 40_000);
        assert!(read(&mut File::from(r1), 40_000) == content);
        let second = now();
        assert!(read(&mut File::from(r2), 40_000) == content);
        second
    });
    let path = dir.path().join("f");
    expect(&trace, &path, &["pipe_drained"]);
    assert!(
        u(&only(&trace, &path)["release_ns"]) >= second,
        "released with the copy still in the second pipe"
    );
    trace.expect_empty_maps();
}

#[test]
fn from_pipe_to_pipe_to_socket() {
    let (dir, trace, before) = record(|dir| {
        let (path, content) = file(dir, "f", 40_000);
        let (r1, w1) = pipe().unwrap();
        let (r2, w2) = pipe().unwrap();
        let (sender, mut receiver) = tcp(false);
        splice_in(&path, &w1, 40_000);
        let mut moved = 0;
        while moved < 40_000 {
            moved += splice(&r1, None, &w2, None, 7_000.min(40_000 - moved), SpliceFlags::empty()).unwrap();
        }
        let mut moved = 0;
        while moved < 40_000 {
            moved +=
                splice(&r2, None, &sender, None, 9_000.min(40_000 - moved), SpliceFlags::empty()).unwrap();
        }
        let before = now();
        assert!(read(&mut receiver, 40_000) == content);
        before
    });
    let path = dir.path().join("f");
    expect(&trace, &path, &["receiver_read"]);
    let t = only(&trace, &path);
    assert!(u(&t["release_ns"]) >= before, "{t}");
    assert_eq!(t["socket"]["family"], "inet", "{t}");
    trace.expect_empty_maps();
}

#[test]
fn direct_io_copies() {
    use std::os::unix::fs::OpenOptionsExt as _;
    let (dir, trace, _) = record(|dir| {
        let (path, content) = file(dir, "f", 64 * 1024);
        let (sender, mut receiver) = tcp(false);
        let direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path).unwrap();
        sendfile(&sender, &direct, 0, content.len());
        assert!(read(&mut receiver, content.len()) == content);
        now()
    });
    for t in trace.of_file(&dir.path().join("f")) {
        assert_eq!(t["zero_copy"], false, "{t}");
        assert_eq!(t["released_by"], "copied", "{t}");
        assert_eq!(t["release_ns"], t["return_ns"], "{t}");
    }
}

#[test]
fn a_receiver_that_splices_leaves_it_unknown() {
    let (dir, trace, _) = record(|dir| {
        let (path, content) = file(dir, "f", 20_000);
        let (sender, receiver) = tcp(false);
        let (r, w) = pipe().unwrap();
        sendfile(&sender, &File::open(&path).unwrap(), 0, content.len());
        let mut moved = 0;
        while moved < content.len() {
            moved += splice(&receiver, None, &w, None, content.len() - moved, SpliceFlags::empty()).unwrap();
        }
        // The pages are in this pipe now, where a change of the file still shows.
        let writer = File::options().write(true).open(&path).unwrap();
        writer.write_all_at(&vec![0xee; content.len()], 0).unwrap();
        drop((sender, receiver));
        poke_cpus();
        let got = read(&mut File::from(r), content.len());
        assert!(got != content, "the pipe holds copies: this test proves nothing");
        now()
    });
    let path = dir.path().join("f");
    let t = only(&trace, &path);
    assert_eq!(t["outcome"], "unknown", "{t}");
    assert!(t["reasons"].as_array().unwrap().iter().any(|r| r == "receiver-spliced"), "{t}");
    assert_eq!(t["release_ns"], serde_json::Value::Null);
    trace.expect_empty_maps();
}

#[test]
fn a_consumer_that_waits_before_the_pipe_is_known() {
    let (dir, trace, before) = record(|dir| {
        let (path, content) = file(dir, "f", 40_000);
        let (r, w) = pipe().unwrap();
        let (sender, mut receiver) = tcp(false);
        let (tell, told) = std::sync::mpsc::channel();
        let consumer = std::thread::spawn(move || {
            tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
            let mut moved = 0;
            while moved < 40_000 {
                moved += splice(&r, None, &sender, None, 40_000 - moved, SpliceFlags::empty()).unwrap();
            }
            sender
        });
        let task = Path::new("/proc").join(told.recv().unwrap()).join("syscall");
        // Until it sleeps in splice(2), which is system call 275 on x86-64 and 76 on arm64.
        let number = libc::SYS_splice.to_string();
        while std::fs::read_to_string(&task).unwrap().split(' ').next() != Some(&number) {
            std::thread::yield_now();
        }
        splice_in(&path, &w, 40_000);
        let sender = consumer.join().unwrap();
        let before = now();
        assert!(read(&mut receiver, 40_000) == content);
        drop(sender);
        before
    });
    let path = dir.path().join("f");
    expect(&trace, &path, &["receiver_read"]);
    assert!(u(&only(&trace, &path)["release_ns"]) >= before, "{}", only(&trace, &path));
    trace.expect_empty_maps();
}
