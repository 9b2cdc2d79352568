//! Across a veth pair between two network namespaces: devices without offloads (software GSO), and
//! a link that goes away for a while (retransmission).

use std::fs::File;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::load::{file, read, sendfile};
use crate::tool::{Recorder, Trace, dir, poke_cpus, u};

/// Two namespaces of this process's own, gone when dropped.
pub(crate) struct Pair {
    pub(crate) names: [String; 2],
}

fn ip(args: &[&str]) {
    let out = Command::new("ip").args(args).output().expect("this test cannot run without iproute2");
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Pair {
    pub(crate) fn new(tag: &str) -> Self {
        let names = ["a", "b"].map(|s| format!("zct{tag}{}{s}", std::process::id()));
        let pair = Self { names };
        let [a, b] = &pair.names;
        ip(&["netns", "add", a]);
        ip(&["netns", "add", b]);
        ip(&["-n", a, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", b]);
        for (ns, addr) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", ns, "addr", "add", addr, "dev", "v0"]);
            ip(&["-n", ns, "link", "set", "v0", "up"]);
            ip(&["-n", ns, "link", "set", "lo", "up"]);
        }
        pair
    }

    pub(crate) fn turn_off(&self, offloads: &[&str]) {
        for ns in &self.names {
            let out = Command::new("ip")
                .args(["netns", "exec", ns, "ethtool", "-K", "v0"])
                .args(offloads.iter().flat_map(|name| [*name, "off"]))
                .output()
                .expect("ip");
            assert!(out.status.success(), "ethtool: {}", String::from_utf8_lossy(&out.stderr));
        }
    }

    /// Runs `work` in one of them. On a thread of its own: a namespace belongs to a thread.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        which: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let ns = File::open(format!("/run/netns/{}", self.names[which])).unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(ns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
        .join()
        .unwrap()
    }

    /// A connection from the first to the second.
    pub(crate) fn connect(&self) -> (TcpStream, TcpStream) {
        self.connect_to(self.inside(1, || TcpListener::bind(("10.77.0.2", 0)).unwrap()))
    }

    fn connect_to(&self, listener: TcpListener) -> (TcpStream, TcpStream) {
        let to = listener.local_addr().unwrap();
        let sender = self.inside(0, move || TcpStream::connect(to).unwrap());
        let (receiver, _) = listener.accept().unwrap();
        (sender, receiver)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for ns in &self.names {
            let _ = Command::new("ip").args(["netns", "del", ns]).status();
        }
    }
}

#[test]
fn a_device_without_offloads() {
    let dir = dir();
    let pair = Pair::new("o");
    pair.turn_off(&["tso", "gso", "gro"]);
    let (path, content) = file(dir.path(), "f", 2_000_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = pair.connect();
    let expected = content.clone();
    let reader = std::thread::spawn(move || assert!(read(&mut receiver, expected.len()) == expected));
    let open = File::open(&path).unwrap();
    for at in (0..content.len()).step_by(100_000) {
        sendfile(&sender, &open, at as u64, 100_000);
    }
    reader.join().unwrap();
    drop(sender);
    poke_cpus();
    let trace = recorder.stop();
    println!("without offloads: {}", trace.summary());
    trace.expect_released(1.0);
    assert_eq!(trace.of_file(&path).iter().map(|t| u(&t["bytes"])).sum::<u64>(), content.len() as u64);
}

/// Sends into a link that is down, and lets the retransmissions through; answers what was said of it,
/// and what the receiver got.
fn lost_and_sent_again(tag: &str, meanwhile: impl FnOnce(&Path)) -> (Value, Trace, Vec<u8>) {
    let dir = dir();
    let pair = Pair::new(tag);
    let (path, content) = file(dir.path(), "f", 60_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = pair.connect();
    let link = |state: &str| ip(&["-n", &pair.names[1], "link", "set", "v0", state]);
    link("down");
    sendfile(&sender, &File::open(&path).unwrap(), 0, content.len());
    meanwhile(&path);
    // Until the sender has tried again.
    await_until("nothing was retransmitted", || info(tag, &sender, "backoff:") >= 2);
    link("up");
    let got = read(&mut receiver, content.len());
    drop((sender, receiver));
    poke_cpus();
    let trace = recorder.stop();
    trace.expect_released(1.0);
    let found = trace.of_file(&path);
    assert_eq!(found.len(), 1);
    let found = found[0].clone();
    println!("retransmissions: {found}");
    assert!(u(&found["retransmits"]) >= 1, "{found}");
    assert!(u(&found["gap_ns"]) > 100_000_000, "{found}");
    (found, trace, got)
}

#[test]
fn retransmissions() {
    let (found, _, got) = lost_and_sent_again("r", |_| {});
    let dir = dir();
    assert!(got == file(dir.path(), "f", got.len()).1);
    assert_eq!(found["verdict"], "clean", "{found}");
}

#[test]
fn a_write_before_the_retransmission() {
    const MARK: [u8; 100] = [0xee; 100];
    // In the first segment, which is all that is sent again while the link is down.
    const AT: usize = 200;
    let (found, trace, got) = lost_and_sent_again("w", |path| {
        File::options().write(true).open(path).unwrap().write_all_at(&MARK, AT as u64).unwrap();
    });
    assert!(got[AT..AT + MARK.len()] == MARK, "the retransmission carried the old bytes");
    assert_eq!(found["verdict"], "mutated", "{found}");
    let rules: Vec<_> = found["rules"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert_eq!(rules, ["write-in-window", "retransmit-after-write"]);
    let mutations = trace.of_type("mutation");
    assert_eq!(mutations.len(), 1);
    assert_eq!((&mutations[0]["offset"], &mutations[0]["len"]), (&AT.into(), &MARK.len().into()));
    assert_eq!(mutations[0]["hits"][0]["phase"], "in_flight", "{}", mutations[0]);
}

/// The receiver reads what the window lets through; what follows is lost, and changed before it is sent
/// again.
#[test]
fn the_first_transmission_and_the_next_carry_other_bytes() {
    // Where what overtook a lost packet went cannot always be followed: about one time in 25.
    assert!((0..5).any(|_| first_and_next()), "its end was not known each time");
}

/// False: its end is not known, because packets came out of order.
fn first_and_next() -> bool {
    const BYTES: usize = 100_000;
    let dir = dir();
    let pair = Pair::new("m");
    // Each packet is small enough for the device, or too large.
    pair.turn_off(&["tso", "gso", "gro"]);
    let mtu = |bytes: &str| ip(&["-n", &pair.names[1], "link", "set", "v0", "mtu", bytes]);
    let (path, content) = file(dir.path(), "f", BYTES);
    let pid = std::process::id().to_string();
    let recorder = Recorder::start(&dir.path().join("t.zct"), &["--pid", &pid, "--fingerprint", "full"]);
    let listener = pair.inside(1, || TcpListener::bind(("10.77.0.2", 0)).unwrap());
    set_socket_recv_buffer_size(&listener, 16 * 1024).unwrap();
    let (sender, mut receiver) = pair.connect_to(listener);
    let calls = sendfile(&sender, &File::open(&path).unwrap(), 0, BYTES);
    assert_eq!(calls, 1, "the send buffer is too small for this test");

    let mut got = read(&mut receiver, 4000);
    mtu("600");
    // What is here already was sent before; to read it asks for more, and that is lost.
    receiver.set_nonblocking(true).unwrap();
    let mut rest = vec![0; BYTES];
    await_until("nothing was retransmitted", || {
        while let Ok(n) = receiver.read(&mut rest) {
            got.extend_from_slice(&rest[..n]);
        }
        info("m", &sender, "retrans:0/") >= 1
    });
    let old = got.len();
    assert!(old < BYTES, "nothing was lost");
    assert!(got == content[..old], "it was changed too early");
    File::options().write(true).open(&path).unwrap().write_all_at(&vec![0xee; BYTES], 0).unwrap();
    mtu("1500");
    receiver.set_nonblocking(false).unwrap();
    got.extend(read(&mut receiver, BYTES - old));
    drop((sender, receiver));
    poke_cpus();
    let trace = recorder.stop();
    let found = trace.of_file(&path);
    let overtaken = found.iter().any(|t| t["reasons"].as_array().unwrap().contains(&"out-of-order".into()));
    if overtaken {
        println!("out of order: {found:?}");
        assert!(
            found.iter().all(|t| (&t["outcome"], &t["verdict"]) == (&"unknown".into(), &"unknown".into()))
        );
        return false;
    }
    trace.expect_released(1.0);
    println!("{old} bytes as they were, the others changed: {found:?}");
    assert!(got[..old] == content[..old] && got[old..].iter().all(|b| *b == 0xee));
    assert_eq!(found.len(), 1);
    let t = found[0];
    assert_eq!((&t["verdict"], &t["content"]), (&"mutated".into(), &"mixed".into()), "{t}");
    assert!(t["rules"].as_array().unwrap().contains(&"retransmit-after-write".into()), "{t}");
    true
}

fn await_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(started.elapsed().as_secs() < 20, "{what}");
        std::thread::yield_now();
    }
}

/// A number of `TCP_INFO`, by the name that `ss` gives it; 0 where it gives none.
fn info(tag: &str, sender: &TcpStream, name: &str) -> u32 {
    let port = sender.local_addr().unwrap().port();
    let ns = std::fs::read_dir("/run/netns").unwrap().flatten().find(|e| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.starts_with(&format!("zct{tag}"))
            && name.ends_with('a')
            && name.contains(&std::process::id().to_string())
    });
    let Some(ns) = ns else { return 0 };
    let out = Command::new("ip")
        .args(["netns", "exec", ns.file_name().to_str().unwrap(), "ss", "-tinH", &format!("sport = :{port}")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let words = text.split_whitespace().find_map(|w| w.strip_prefix(name).map(str::to_owned));
    words.and_then(|w| w.parse().ok()).unwrap_or(0)
}
