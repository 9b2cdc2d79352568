//! Where the kernel copies instead of lending: said with the reason, and true by the receiver's bytes.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::net::{AddressFamily, Protocol, SocketType, accept, bind, connect, getsockname, listen, socket};
use serde_json::Value;

use crate::lent::{Pages, ask_for_zerocopy, error_queue, send_zerocopy};
use crate::load::{PAGE, file, read, sendfile, splice_through, tcp, uring_splice};
use crate::netns::Pair;
use crate::tool::{Recorder, Trace, dir, now, poke_cpus, u};

fn only(trace: &Trace) -> Value {
    let found = trace.transfers();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

pub(crate) fn overwrite(path: &Path, bytes: usize) {
    File::options().write(true).open(path).unwrap().write_all_at(&vec![0xee; bytes], 0).unwrap();
}

/// Sends a file in every way, and overwrites it after each: the receiver gets what it was.
pub(crate) fn nothing_arrives_late(
    to: impl AsFd,
    from: &mut impl std::io::Read,
    path: &Path,
    content: &[u8],
) {
    let open = File::open(path).unwrap();
    let ways: [&dyn Fn() -> usize; 3] = [
        &|| sendfile(&to, &open, 0, content.len()),
        &|| splice_through(&to, &open, 0, content.len()),
        &|| uring_splice(&to, &open, 0, content.len()),
    ];
    for way in ways {
        way();
        overwrite(path, content.len());
        assert!(read(from, content.len()) == content, "a change after the return arrived");
        std::fs::write(path, content).unwrap();
    }
}

pub(crate) fn is_copied(t: &Value, because: &str) {
    assert_eq!((&t["zero_copy"], &t["copied_because"]), (&false.into(), &because.into()), "{t}");
    assert_eq!((&t["exposure_ns"], &t["released_by"]), (&0.into(), &"copied".into()), "{t}");
    assert_eq!((&t["verdict"], &t["outcome"]), (&"clean".into(), &"released".into()), "{t}");
}

/// What the trace says of [`nothing_arrives_late`].
pub(crate) fn each_way_was_copied(trace: &Trace, path: &Path, because: &str) {
    let found = trace.of_file(path);
    for api in ["sendfile", "splice", "io_uring_splice"] {
        assert!(found.iter().any(|t| t["api"] == api), "no {api}: {found:#?}");
    }
    found.into_iter().for_each(|t| is_copied(t, because));
}

#[test]
fn mptcp() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 48_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let mptcp = Protocol::from_raw(262.try_into().unwrap());
    let make = || socket(AddressFamily::INET, SocketType::STREAM, Some(mptcp)).unwrap();
    let (listener, sender) = (make(), make());
    bind(&listener, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    listen(&listener, 1).unwrap();
    connect(&sender, &getsockname(&listener).unwrap()).unwrap();
    let mut receiver = File::from(accept(&listener).unwrap());
    nothing_arrives_late(&sender, &mut receiver, &path, &content);
    drop((sender, receiver));
    let trace = recorder.stop_settled();
    each_way_was_copied(&trace, &path, "mptcp");
}

#[test]
fn zerocopy_that_was_not_asked_for() {
    let dir = dir();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tcp(false);
    let (sender, pages) = (OwnedFd::from(sender), Pages::anonymous(4));
    let sent = send_zerocopy(&sender, &[(pages.at, pages.len)]);
    read(&mut receiver, sent);
    drop((sender, receiver));
    let t = only(&recorder.stop_settled());
    assert_eq!((&t["api"], &t["copied_because"]), (&"msg_zerocopy".into(), &"no-so-zerocopy".into()), "{t}");
    assert_eq!((&t["notify_ns"], &t["exposure_ns"]), (&Value::Null, &0.into()), "{t}");
    assert_eq!(t["release_ns"], t["return_ns"], "{t}");
}

/// A device that takes no pages: TCP lends them all the same, because the kernel copies only what it hands to
/// the device (`validate_xmit_skb()`), and reads them again for a retransmission; UDP copies at once.
#[test]
fn a_device_without_scatter_gather() {
    let dir = dir();
    let pair = Pair::new("s");
    pair.turn_off(&["sg"]);
    let (path, content) = file(dir.path(), "f", 40_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (tcp, mut receiver) = pair.connect();
    sendfile(&tcp, &File::open(&path).unwrap(), 0, content.len());
    assert!(read(&mut receiver, content.len()) == content);
    let from = pair.inside(1, || UdpSocket::bind(("10.77.0.2", 0)).unwrap());
    let to = from.local_addr().unwrap();
    let udp = pair.inside(0, move || {
        let udp = UdpSocket::bind(("10.77.0.1", 0)).unwrap();
        udp.connect(to).unwrap();
        udp
    });
    let (udp, pages) = (OwnedFd::from(udp), Pages::anonymous(1));
    ask_for_zerocopy(&udp);
    let sent = send_zerocopy(&udp, &[(pages.at, 1000)]);
    error_queue(&udp);
    assert_eq!(from.recv(&mut [0; PAGE]).unwrap(), sent);
    drop((tcp, receiver, udp, from));
    poke_cpus();
    let trace = recorder.stop_settled();
    let [lent, copied] = trace.transfers()[..] else { panic!("{:#?}", trace.transfers()) };
    assert_eq!(lent["zero_copy"], true, "{lent}");
    assert!(u(&lent["release_ns"]) >= u(&lent["ack_ns"]), "{lent}");
    assert_eq!((&copied["copied_because"], &copied["notify_copied"]), (&"notified".into(), &true.into()));
}

#[test]
fn a_datagram_is_copied_on_its_way_to_another_namespace() {
    let dir = dir();
    let pair = Pair::new("u");
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let from = pair.inside(1, || UdpSocket::bind(("10.77.0.2", 0)).unwrap());
    let to = from.local_addr().unwrap();
    let sender = pair.inside(0, move || {
        let sender = UdpSocket::bind(("10.77.0.1", 0)).unwrap();
        sender.connect(to).unwrap();
        sender
    });
    let (sender, pages) = (OwnedFd::from(sender), Pages::anonymous(2));
    ask_for_zerocopy(&sender);
    // Two buffers, no more than fits a packet.
    let sent = send_zerocopy(&sender, &[(pages.at + 100, 400), (pages.at + PAGE, 600)]);
    let told = error_queue(&sender);
    let before = now();
    assert_eq!(from.recv(&mut [0; PAGE]).unwrap(), sent);
    drop((sender, from));
    poke_cpus();
    let t = only(&recorder.stop_settled());
    // The receiver's packet lives on, with other pages.
    assert!(u(&t["release_ns"]) <= told && u(&t["release_ns"]) < before, "{before} {t}");
    assert_eq!((&t["release_ns"], &t["notify_copied"]), (&t["notify_ns"], &true.into()), "{t}");
    assert_eq!(t["copied_because"], "notified", "{t}");
    assert_eq!((&t["memory"]["buffers"], &t["requested"]), (&2.into(), &1000.into()), "{t}");
    let reasons = t["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|r| r == "memory-scattered"), "{t}");
}
