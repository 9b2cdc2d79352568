//! Sends without a tracer: what needs no privileges.
#![cfg(feature = "live")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zctrace::send::{
    Certainty, Completion, Evidence, MayDiffer, NotPromised, Pending, SendError, Transmission,
};

const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

fn file(dir: &Path, bytes: usize) -> (PathBuf, File, Vec<u8>) {
    let path = dir.join("f");
    let content: Vec<u8> = (0..bytes).map(|i| (i / 4096 * 31 + i).to_le_bytes()[0]).collect();
    std::fs::write(&path, &content).unwrap();
    let open = File::open(&path).unwrap();
    (path, open, content)
}

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (sender, listener.accept().unwrap().0)
}

fn finish(pending: &mut Pending) -> Completion {
    pending.wait(LIMIT).unwrap().expect("it never completed")
}

fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut got = Vec::new();
        from.read_to_end(&mut got).unwrap();
        got
    })
}

#[test]
fn every_byte_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let (_, open, content) = file(dir.path(), 5_000_001);
    for (offset, len) in
        [(0, 5_000_001), (1, 5_000_000), (4095, 2), (4097, 3_000_000), (5_000_000, 1), (7, 0)]
    {
        for nonblocking in [false, true] {
            let (sender, receiver) = UnixStream::pair().unwrap();
            sender.set_nonblocking(nonblocking).unwrap();
            let got = reader(receiver);
            let mut pending = Transmission::new().submit(&open, offset, len, &sender).unwrap();
            let done = finish(&mut pending);
            assert_eq!(pending.poll().unwrap().as_ref(), Some(&done));
            drop((pending, sender));
            let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset + len).unwrap());
            assert!(got.join().unwrap() == content[from..to], "{offset} {len} {nonblocking}");
            assert_eq!((done.bytes, &done.evidence), (len, &Evidence::ReadByReceiver));
            assert!(done.submit_ns <= done.taken_ns && done.taken_ns <= done.return_ns);
            assert!(Some(done.return_ns) <= done.released_ns);
        }
    }
}

#[test]
fn poll_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    // More than the queue takes: the kernel waits, the program does not.
    let (_, open, content) = file(dir.path(), 2_000_000);
    let (sender, receiver) = tcp();
    let mut pending = Transmission::new().submit(&open, 0, 2_000_000, &sender).unwrap();
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(pending.poll().unwrap(), None);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "poll waits: {:?}", began.elapsed());
    assert_eq!(pending.wait(Some(Duration::from_millis(20))).unwrap(), None);
    assert_eq!(pending.progress().bytes, 2_000_000);
    let got = reader(receiver);
    let done = finish(&mut pending);
    drop((pending, sender));
    assert!(got.join().unwrap() == content);
    assert_eq!(done.evidence, Evidence::ReadByReceiver);
}

#[test]
fn it_is_not_complete_before_the_receiver_read() {
    let dir = tempfile::tempdir().unwrap();
    let (_, open, content) = file(dir.path(), 64 * 1024);
    let (sender, mut receiver) = tcp();
    let mut pending = Transmission::new().submit(&open, 0, 64 * 1024, &sender).unwrap();
    let mut got = vec![0; content.len()];
    // All is here: the sender has been told so.
    while receiver.peek(&mut got).unwrap() < got.len() {}
    while pending.progress().queued != Some(0) {
        assert_eq!(pending.poll().unwrap(), None);
    }
    receiver.read_exact(&mut got[..1000]).unwrap();
    assert_eq!(pending.wait(Some(Duration::from_millis(50))).unwrap(), None);
    receiver.read_exact(&mut got[1000..]).unwrap();
    assert!(got == content);
    assert!(finish(&mut pending).released_ns.is_some());
}

#[test]
fn giving_up_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (_, open, content) = file(dir.path(), 2_000_000);
    let (sender, receiver) = UnixStream::pair().unwrap();
    let pending = Transmission::new().submit(&open, 0, 2_000_000, &sender).unwrap();
    let began = Instant::now();
    drop((pending, sender));
    let got = reader(receiver).join().unwrap();
    assert!(got.len() < content.len() && got == content[..got.len()]);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn files_that_are_too_short() {
    let dir = tempfile::tempdir().unwrap();
    let (path, open, _) = file(dir.path(), 2_000_000);
    let (sender, _receiver) = tcp();
    let submitted = Transmission::new().submit(&open, 1, 2_000_000, &sender);
    assert!(matches!(submitted, Err(SendError::TooShort { size: 2_000_000, end: 2_000_001 })));

    let mut pending = Transmission::new().submit(&open, 0, 2_000_000, &sender).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    match pending.wait(LIMIT) {
        Err(SendError::Truncated { from: 2_000_000, to: 10, of: 2_000_000, .. }) => {}
        other => unreachable!("{other:?}"),
    }
    assert!(matches!(pending.poll(), Err(SendError::Over)));
}

#[test]
fn a_peer_that_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let (_, open, _) = file(dir.path(), 2_000_000);
    let (sender, receiver) = UnixStream::pair().unwrap();
    let mut pending = Transmission::new().submit(&open, 0, 2_000_000, &sender).unwrap();
    drop(receiver);
    assert!(matches!(pending.wait(LIMIT), Err(SendError::Broken { of: 2_000_000, .. })));
}

#[test]
fn what_cannot_be_sent_to() {
    let dir = tempfile::tempdir().unwrap();
    let (_, open, _) = file(dir.path(), 100);
    let submit = |to: &dyn std::os::fd::AsFd| Transmission::new().submit(&open, 0, 100, to.as_fd()).map(drop);
    assert!(matches!(submit(&open), Err(SendError::NotASocket(_))));
    let (datagrams, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    assert!(matches!(submit(&datagrams), Err(SendError::UnknownSocket)));
    let alone = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    assert!(matches!(submit(&alone), Err(SendError::NotASocket(_))));
    let (sender, _receiver) = tcp();
    let from_dir = Transmission::new().submit(File::open(dir.path()).unwrap(), 0, 0, &sender);
    assert!(matches!(from_dir, Err(SendError::File(_))));
}

#[test]
fn a_copy_is_what_the_file_was() {
    let dir = tempfile::tempdir().unwrap();
    let (path, open, content) = file(dir.path(), 2_000_000);
    let (sender, receiver) = tcp();
    let how = Transmission::new().copy_if_unsure(true);
    let mut pending = how.submit(&open, 0, 2_000_000, &sender).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    writer.write_all_at(&vec![0xee; 2_000_000], 0).unwrap();
    let got = reader(receiver);
    let done = finish(&mut pending);
    drop((pending, sender));
    assert!(got.join().unwrap() == content);
    assert_eq!((done.evidence, done.bytes_are), (Evidence::Copied, Certainty::Certain));

    // Not all of it at once, and somebody may write.
    let (sender, receiver) = tcp();
    let got = reader(receiver);
    let done = finish(&mut how.ahead(100_000).submit(&open, 0, 2_000_000, &sender).unwrap());
    drop(sender);
    assert!(got.join().unwrap() == [0xee; 2_000_000]);
    assert_eq!(done.bytes_are, Certainty::MayDiffer(MayDiffer::TakenLater));
}

#[test]
fn only_a_lease_makes_it_certain() {
    let dir = tempfile::tempdir().unwrap();
    let (path, open, _) = file(dir.path(), 100_000);
    let send = || {
        let (sender, receiver) = UnixStream::pair().unwrap();
        let got = reader(receiver);
        let done = finish(&mut Transmission::new().submit(&open, 0, 100_000, &sender).unwrap());
        drop(sender);
        got.join().unwrap();
        done
    };
    assert_eq!(send().bytes_are, Certainty::Certain);
    let writer = File::options().write(true).open(&path).unwrap();
    assert_eq!(send().bytes_are, Certainty::MayDiffer(MayDiffer::Unwatched));
    drop(writer);

    // Whoever wants to write may, at once: and that is told.
    let (sender, receiver) = UnixStream::pair().unwrap();
    let mut pending = Transmission::new().submit(&open, 0, 100_000, &sender).unwrap();
    let opens = std::thread::spawn(move || File::options().write(true).open(path).unwrap());
    while !opens.is_finished() {
        assert_eq!(pending.poll().unwrap(), None);
    }
    let got = reader(receiver);
    let done = finish(&mut pending);
    drop((pending, sender, opens.join()));
    got.join().unwrap();
    assert_eq!(done.bytes_are, Certainty::MayDiffer(MayDiffer::OpenedForWriting));
}

#[test]
fn datagrams() {
    let dir = tempfile::tempdir().unwrap();
    let (_, open, content) = file(dir.path(), 50_000);
    let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    receiver.set_read_timeout(LIMIT).unwrap();
    let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    for size in [1200, 16 * 1024] {
        let mut pending = Transmission::new().datagram(size).submit(&open, 0, 50_000, &sender).unwrap();
        let mut got = Vec::new();
        let mut buffer = [0; 65536];
        while got.len() < content.len() {
            assert!(pending.poll().unwrap().is_none_or(|d| d.evidence == Evidence::QueueEmpty));
            let n = match receiver.recv(&mut buffer) {
                // io_uring's completions run on this thread: a call with a timeout is not restarted after them.
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                n => n.unwrap(),
            };
            assert_eq!(n, (content.len() - got.len()).min(size as usize));
            got.extend_from_slice(&buffer[..n]);
        }
        assert!(got == content);
        let done = finish(&mut pending);
        assert_eq!(done.released_ns, None, "nobody knows");
        assert!(done.not_promised.contains(&NotPromised::Release));
        assert!(done.not_promised.contains(&NotPromised::Delivery));
        assert_ne!(done.bytes_are, Certainty::Certain);
    }
}
