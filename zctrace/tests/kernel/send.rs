//! `zctrace send`: it must not complete before the peer's bytes are safe, and must say so if they are not.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionread;
use serde_json::Value;
use zctrace::model::Mode;
use zctrace::send::{Certainty, Completion, Evidence, Tracer, Transmission};

use crate::load::{file, tcp};
use crate::netns::Pair;
use crate::tool::{BIN, Guard, dir, now, output, rng, spin_until, u};

const BYTES: usize = 64 * 1024;

/// A `zctrace send` that runs.
struct Sender(Guard);

/// How it ended.
struct Sent {
    code: i32,
    said: Option<Value>,
    errors: String,
}

impl Sender {
    fn start(path: &Path, to: &str, args: &[&str]) -> Self {
        let mut command = Command::new(BIN);
        command.arg("send").arg(path).arg(to).arg("--json").args(args);
        Self::of(&mut command)
    }

    fn of(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Guard(command.spawn().unwrap()))
    }

    fn runs(&mut self) -> bool {
        self.0.0.try_wait().unwrap().is_none()
    }

    fn end(mut self) -> Sent {
        let child: &mut Child = &mut self.0.0;
        let (mut out, mut errors) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let code = child.wait().unwrap().code().unwrap();
        Sent { code, said: serde_json::from_str(&out).ok(), errors }
    }
}

impl Sent {
    fn said(&self) -> &Value {
        self.said.as_ref().unwrap_or_else(|| panic!("{}: {}", self.code, self.errors))
    }
}

fn await_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed().as_secs() < 20, "{what}");
        std::thread::yield_now();
    }
}

/// Everything is in the receiver's queue.
fn await_queued(receiver: impl AsFd, bytes: usize) {
    await_until("it was never sent", || ioctl_fionread(&receiver).unwrap() >= bytes as u64);
}

/// Over what.
#[derive(Clone, Copy, Debug)]
enum Way {
    Tcp,
    Unix,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A receiver's end.
trait Receiver: Read + AsFd + Send {}
impl<T: Read + AsFd + Send> Receiver for T {}

fn listen(way: Way, dir: &Path) -> (Listener, String) {
    match way {
        Way::Tcp => {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let to = listener.local_addr().unwrap().to_string();
            (Listener::Tcp(listener), to)
        }
        Way::Unix => {
            let path = dir.join("socket");
            (Listener::Unix(UnixListener::bind(&path).unwrap()), format!("unix:{}", path.display()))
        }
    }
}

fn accept(listener: &Listener) -> Box<dyn Receiver> {
    match listener {
        Listener::Tcp(l) => Box::new(l.accept().unwrap().0),
        Listener::Unix(l) => Box::new(l.accept().unwrap().0),
    }
}

fn rest(receiver: &mut dyn Receiver) -> Vec<u8> {
    let mut got = Vec::new();
    receiver.read_to_end(&mut got).unwrap();
    got
}

/// Sends to a receiver that has everything in its queue while `meanwhile` runs, and then reads. Answers also
/// what it got, and when it began to read.
fn stalled(
    way: Way,
    args: &[&str],
    meanwhile: impl FnOnce(&Path, &mut Sender),
) -> (Sent, Vec<u8>, Vec<u8>, u64) {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", BYTES);
    let (listener, to) = listen(way, dir.path());
    let mut sender = Sender::start(&path, &to, args);
    let mut receiver = accept(&listener);
    await_queued(&receiver, BYTES);
    meanwhile(&path, &mut sender);
    assert!(sender.runs(), "{way:?} {args:?}: complete although nobody has read");
    let read = now();
    let got = rest(&mut *receiver);
    (sender.end(), got, content, read)
}

const TRACED: &[&str] = &["--trace"];
const UNTRACED: &[&str] = &["--no-trace"];

#[test]
fn it_is_not_complete_before_the_receiver_read() {
    for way in [Way::Tcp, Way::Unix] {
        for args in [TRACED, UNTRACED] {
            let (sent, got, content, read) = stalled(way, args, |_, _| {});
            assert!(got == content);
            let said = sent.said();
            assert_eq!((sent.code, &said["certain"]), (0, &true.into()), "{way:?} {args:?}: {said}");
            let release = u(&said["release_ns"]);
            println!(
                "{way:?} {args:?}: complete {} µs after the read began",
                release.saturating_sub(read) / 1000
            );
            assert!(release >= read, "{way:?} {args:?}: {} before the read: {said}", read - release);
        }
    }
}

#[test]
fn a_truncation_is_an_error() {
    for way in [Way::Tcp, Way::Unix] {
        for args in [TRACED, UNTRACED] {
            let dir = dir();
            let (path, _) = file(dir.path(), "f", BYTES);
            let (listener, to) = listen(way, dir.path());
            let sender = Sender::start(&path, &to, args);
            let receiver = accept(&listener);
            await_queued(&receiver, BYTES);
            File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
            // The receiver never reads: the failure must not wait for it.
            let sent = sender.end();
            assert_eq!(sent.code, 4, "{way:?} {args:?}: {}", sent.errors);
            let want = "was truncated from 65536 to 1000 bytes";
            assert!(sent.errors.contains(want), "{way:?} {args:?}: {}", sent.errors);
        }
    }
}

/// Truncated and filled again: its size says nothing.
#[test]
fn a_truncation_that_was_undone_is_an_error() {
    let (sent, ..) = stalled(Way::Tcp, TRACED, |path, _| {
        let (.., errors) = output(Command::new("cp").arg("/bin/true").arg(path));
        assert_eq!(errors, "");
        File::options().write(true).open(path).unwrap().set_len(BYTES as u64).unwrap();
    });
    assert_eq!(sent.code, 4, "{}", sent.errors);
    assert!(sent.errors.contains("by cp/"), "{}", sent.errors);
}

#[test]
fn a_change_is_told_with_who_made_it() {
    let overwrite = |path: &Path, _: &mut Sender| {
        let of = format!("of={}", path.display());
        let dd = ["if=/dev/zero", &of, "bs=4096", "seek=3", "count=2", "conv=notrunc", "status=none"];
        assert_eq!(output(Command::new("dd").args(dd)).0, 0);
    };
    for way in [Way::Tcp, Way::Unix] {
        let (sent, got, content, _) = stalled(way, TRACED, overwrite);
        assert!(got != content, "the change came too late");
        let said = sent.said();
        assert_eq!((sent.code, &said["certain"]), (1, &false.into()), "{said}");
        assert_eq!(said["may_differ"]["code"], "changed", "{said}");
        let m = &said["traced"]["mutations"][0];
        assert_eq!(
            (&m["comm"], &m["kind"], &m["offset"]),
            (&"dd".into(), &"write".into(), &(3 * 4096).into())
        );

        let (sent, got, content, _) = stalled(way, UNTRACED, overwrite);
        assert!(got != content, "the change came too late");
        assert_eq!(sent.code, 1, "{}", sent.said());
    }
}

/// A change that sets the times back: only the tracer, or the lease, shows it.
#[test]
fn a_change_that_hides_is_found_by_the_lease() {
    let (sent, got, content, _) = stalled(Way::Unix, UNTRACED, |path, _| {
        let file = File::options().write(true).open(path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(&[0xee; 100], 5000).unwrap();
        file.set_modified(before).unwrap();
    });
    assert!(got != content, "the change came too late");
    let said = sent.said();
    assert_eq!((sent.code, &said["may_differ"]["code"]), (1, &"opened-for-writing".into()), "{said}");
}

#[test]
fn somebody_who_may_write_leaves_nothing_certain() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", BYTES);
    let writer = File::options().write(true).open(&path).unwrap();
    let (listener, to) = listen(Way::Tcp, dir.path());
    let sender = Sender::start(&path, &to, UNTRACED);
    assert!(rest(&mut *accept(&listener)) == content);
    let sent = sender.end();
    drop(writer);
    let said = sent.said();
    assert_eq!((sent.code, &said["may_differ"]["code"]), (1, &"unwatched".into()), "{said}");
}

#[test]
fn nobody_listens_or_reads_on() {
    let dir = dir();
    let (path, _) = file(dir.path(), "f", BYTES);
    // Nobody has that port now.
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let sent = Sender::start(&path, &port.to_string(), UNTRACED).end();
    assert_eq!(sent.code, 4, "{}", sent.errors);
    assert!(sent.errors.contains("refused"), "{}", sent.errors);

    for way in [Way::Tcp, Way::Unix] {
        for args in [TRACED, UNTRACED] {
            let here = dir.path().join(format!("{way:?}{}", args[0]));
            std::fs::create_dir(&here).unwrap();
            let (listener, to) = listen(way, &here);
            let sender = Sender::start(&path, &to, args);
            let receiver = accept(&listener);
            await_queued(&receiver, BYTES);
            // With something unread: a reset.
            drop(receiver);
            let sent = sender.end();
            assert_eq!(sent.code, 4, "{way:?} {args:?}: {:?} {}", sent.said, sent.errors);
            assert!(sent.errors.contains("reset"), "{way:?} {args:?}: {}", sent.errors);
        }
    }
}

#[test]
fn a_timeout() {
    for way in [Way::Tcp, Way::Unix] {
        for args in [["--trace", "--timeout", "300ms"], ["--no-trace", "--timeout", "300ms"]] {
            let dir = dir();
            // More than any queue takes.
            let (path, _) = file(dir.path(), "f", 32 << 20);
            let (listener, to) = listen(way, dir.path());
            let sender = Sender::start(&path, &to, &args);
            let receiver = accept(&listener);
            let sent = sender.end();
            drop(receiver);
            let said = sent.said();
            assert_eq!((sent.code, &said["state"]), (1, &"timed_out".into()), "{way:?} {args:?}: {said}");
            assert!(u(&said["moved"]) < 32 << 20, "{said}");
        }
    }
}

#[test]
fn a_copy_is_complete_at_once_and_certain() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", BYTES);
    let (listener, to) = listen(Way::Tcp, dir.path());
    let sent = Sender::start(&path, &to, &["--no-trace", "--copy-if-unsure"]).end();
    File::options().write(true).open(&path).unwrap().write_all_at(&vec![0xee; BYTES], 0).unwrap();
    assert!(rest(&mut *accept(&listener)) == content);
    assert_eq!((sent.code, &sent.said()["evidence"]), (0, &"copied".into()));
}

/// The kernel of the receiver is this one, but its addresses are not ours.
#[test]
fn a_receiver_in_another_namespace() {
    let dir = dir();
    let pair = Pair::new("s");
    for (n, args) in [TRACED, UNTRACED].into_iter().enumerate() {
        let (path, content) = file(dir.path(), &format!("{n}"), BYTES);
        let listener = pair.inside(1, || TcpListener::bind(("10.77.0.2", 0)).unwrap());
        let to = listener.local_addr().unwrap().to_string();
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &pair.names[0], BIN, "send"])
            .arg(&path)
            .arg(&to)
            .arg("--json")
            .args(args);
        let mut sender = Sender::of(&mut command);
        let (mut receiver, _) = listener.accept().unwrap();
        await_queued(&receiver, BYTES);
        if args == TRACED {
            assert!(sender.runs(), "complete although nobody has read");
            let read = now();
            assert!(rest(&mut receiver) == content);
            let sent = sender.end();
            let said = sent.said();
            assert_eq!(sent.code, 0, "{said}");
            assert!(u(&said["release_ns"]) >= read, "{said}");
        } else {
            // It is acknowledged: that is all that can be known, and what it says.
            let sent = sender.end();
            let said = sent.said();
            assert_eq!(
                (&said["evidence"], &said["not_promised"][0]["code"]),
                (&"acknowledged".into(), &"other-machine".into()),
                "{said}"
            );
            assert!(rest(&mut receiver) == content);
        }
    }
}

/// Whoever cannot trace is told, and gets the rest.
#[test]
fn without_privileges() {
    let dir = dir();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (path, content) = file(dir.path(), "f", BYTES);
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    // The tests' own program may be where nobody else can read it.
    let program = dir.path().join("zctrace");
    std::fs::copy(BIN, &program).unwrap();
    let nobody = |args: &[&str], to: &str| {
        let mut command = Command::new(&program);
        command.arg("send").arg(&path).arg(to).arg("--json").args(args);
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        Sender::of(&mut command)
    };
    let (listener, to) = listen(Way::Tcp, dir.path());
    let sent = nobody(TRACED, &to).end();
    assert_eq!(sent.code, 3, "{}", sent.errors);

    let mut sender = nobody(&[], &to);
    let mut receiver = accept(&listener);
    await_queued(&receiver, BYTES);
    assert!(sender.runs(), "complete although nobody has read");
    assert!(rest(&mut *receiver) == content);
    let sent = sender.end();
    assert_eq!((sent.code, &sent.said()["evidence"]), (0, &"read_by_receiver".into()), "{}", sent.said());
    assert!(sent.errors.contains("not traced"), "{}", sent.errors);
}

#[test]
fn usage() {
    let dir = dir();
    let (path, _) = file(dir.path(), "f", 100);
    for (to, args) in [
        ("nowhere", &[][..]),
        ("127.0.0.1:99999", &[]),
        ("udp:127.0.0.1", &[]),
        ("127.0.0.1:1", &["--offset", "101"]),
        ("127.0.0.1:1", &["--length", "101"]),
        ("127.0.0.1:1", &["--trace", "--no-trace"]),
    ] {
        assert_eq!(Sender::start(&path, to, args).end().code, 2, "{to} {args:?}");
    }
}

fn pair(way: Way) -> (OwnedFd, Box<dyn Receiver>) {
    match way {
        Way::Tcp => {
            let (sender, receiver) = tcp(false);
            (sender.into(), Box::new(receiver))
        }
        Way::Unix => {
            let (sender, receiver) = UnixStream::pair().unwrap();
            (sender.into(), Box::new(receiver))
        }
    }
}

/// The file is overwritten as soon as it is complete; receivers read at random times, in random pieces.
fn rounds(name: &str, rounds: u32, ways: &[Way], tracer: Option<&Tracer>) {
    let mut rng = rng(name);
    let dir = dir();
    let mut after = Vec::new();
    for round in 0..rounds {
        let way = ways[round as usize % ways.len()];
        let len = 1 + rng.below(300_000) as usize;
        let offset = rng.below(3) * 1000;
        let (path, content) = file(dir.path(), "f", offset as usize + len);
        let (sender, mut receiver) = pair(way);
        let at = now() + rng.below(20_000_000);
        let pause = rng.below(200_000);
        let part = 1 + rng.below(100_000) as usize;
        let reader = std::thread::spawn(move || {
            spin_until(at);
            let mut got = Vec::new();
            let mut buffer = vec![0; part];
            let mut last = 0;
            loop {
                match receiver.read(&mut buffer).unwrap() {
                    0 => return (got, last),
                    n => got.extend_from_slice(&buffer[..n]),
                }
                last = now();
                spin_until(last + pause);
            }
        });
        let how = tracer.map_or_else(Transmission::new, Transmission::traced);
        let open = File::open(&path).unwrap();
        let mut pending = how.submit(&open, offset, len as u64, &sender).unwrap();
        let done: Completion =
            pending.wait(Some(Duration::from_secs(20))).unwrap().expect("it never completed");
        let told = now();
        File::options().write(true).open(&path).unwrap().write_all_at(&vec![0xee; content.len()], 0).unwrap();
        drop((pending, sender));
        let (got, last) = reader.join().unwrap();
        assert!(got == content[offset as usize..], "round {round}, {way:?}: changed bytes arrived: {done:?}");
        assert_eq!(done.bytes_are, Certainty::Certain, "round {round}, {way:?}: {done:?}");
        assert_eq!(matches!(done.evidence, Evidence::Traced(_)), tracer.is_some(), "round {round}: {done:?}");
        let release = done.released_ns.unwrap();
        assert!(release >= done.submit_ns && release <= told, "round {round}: {done:?}");
        after.push(told.saturating_sub(last) / 1000);
    }
    after.sort_unstable();
    println!(
        "{name}: {rounds} rounds, told {} µs after the last read (median), {} µs at most",
        after[after.len() / 2],
        after[after.len() - 1]
    );
}

#[test]
fn what_is_written_after_completion_never_arrives() {
    let tracer = Tracer::start(Mode::Off).unwrap();
    rounds("send, traced", 200, &[Way::Tcp, Way::Unix], Some(&tracer));
    let tracer = Tracer::start(Mode::Full).unwrap();
    rounds("send, traced, contents compared", 50, &[Way::Tcp, Way::Unix], Some(&tracer));
    rounds("send, not traced", 200, &[Way::Unix, Way::Tcp], None);
}

/// Several sends of one process have one tracer, and none takes another's transfers for its own.
#[test]
fn at_the_same_time() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", BYTES);
    let tracer = Tracer::start(Mode::Off).unwrap();
    let open = File::open(&path).unwrap();
    let mut all: Vec<_> = (0..8)
        .map(|i| {
            let (sender, receiver) = pair(if i % 2 == 0 { Way::Tcp } else { Way::Unix });
            let sent = Transmission::traced(&tracer).submit(&open, 0, BYTES as u64, &sender).unwrap();
            (sent, sender, receiver)
        })
        .collect();
    for i in 0..all.len() {
        for (pending, ..) in &mut all[i..] {
            assert_eq!(pending.poll().unwrap(), None);
        }
        let (pending, _, receiver) = &mut all[i];
        let read = now();
        let mut got = vec![0; BYTES];
        receiver.read_exact(&mut got).unwrap();
        assert!(got == content);
        let done = pending.wait(Some(Duration::from_secs(20))).unwrap().expect("it never completed");
        assert!(done.released_ns.unwrap() >= read, "{done:?}");
        assert_eq!(done.bytes_are, Certainty::Certain, "{done:?}");
    }
}
