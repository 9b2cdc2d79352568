//! Memory lent to the network by every API that does so, while a writer stores to it at random times: the
//! receiver is the judge of `release_ns`, and the program itself of `notify_ns`.
#![expect(unsafe_code, reason = "memory is lent by its address, and stored to meanwhile")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, types};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::pipe::pipe;
use serde_json::Value;
use zctrace::sim::Rng;

use crate::load::{PAGE, drain, tcp};
use crate::tool::{Recorder, dir, now, poke_cpus, rng, spin_until, u};

const OLD: u8 = 0x11;
const MARK: u8 = 0xee;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Api {
    MsgZerocopy,
    SendZc,
    SendZcFixed,
    SendmsgZc,
    Vmsplice,
}

impl Api {
    const ALL: [Self; 5] =
        [Self::MsgZerocopy, Self::SendZc, Self::SendZcFixed, Self::SendmsgZc, Self::Vmsplice];

    fn name(self) -> &'static str {
        match self {
            Self::MsgZerocopy => "msg_zerocopy",
            Self::SendZc | Self::SendZcFixed => "io_uring_send_zc",
            Self::SendmsgZc => "io_uring_sendmsg_zc",
            Self::Vmsplice => "vmsplice",
        }
    }
}

/// Pages that a sender lends and a writer stores to.
pub(crate) struct Pages {
    pub(crate) at: usize,
    pub(crate) len: usize,
}

impl Pages {
    pub(crate) fn anonymous(pages: usize) -> Self {
        let len = pages * PAGE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let at = unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, MapFlags::PRIVATE) }.unwrap();
        unsafe { at.cast::<u8>().write_bytes(OLD, len) };
        Self { at: at as usize, len }
    }

    /// A read-only view of a file; the writer writes to the file.
    fn of(path: &Path, pages: usize) -> Self {
        let len = pages * PAGE;
        std::fs::write(path, vec![OLD; len]).unwrap();
        let file = File::open(path).unwrap();
        let at = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file, 0) };
        Self { at: at.unwrap() as usize, len }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = unsafe { munmap(self.at as *mut _, self.len) };
    }
}

enum Socket {
    Tcp(TcpStream, TcpStream),
    Udp(UdpSocket, UdpSocket),
}

impl Socket {
    fn new(udp: bool, v6: bool) -> Self {
        if udp {
            let any = if v6 { "[::1]:0" } else { "127.0.0.1:0" };
            let (to, from) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
            to.connect(from.local_addr().unwrap()).unwrap();
            from.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            set_socket_send_buffer_size(&to, 1 << 20).unwrap();
            Self::Udp(to, from)
        } else {
            let (to, from) = tcp(v6);
            set_socket_send_buffer_size(&to, 1 << 20).unwrap();
            Self::Tcp(to, from)
        }
    }

    fn sender(&self) -> OwnedFd {
        match self {
            Self::Tcp(to, _) => to.as_fd().try_clone_to_owned().unwrap(),
            Self::Udp(to, _) => to.as_fd().try_clone_to_owned().unwrap(),
        }
    }
}

/// What the program saw: when the call had returned, and when it was told.
#[derive(Clone, Copy, Debug)]
struct Saw {
    bytes: usize,
    told: Option<u64>,
}

/// Sends, and awaits the notification; `read` is called while it may depend on the receiver.
fn send(api: Api, ring: &mut IoUring, to: &OwnedFd, pages: &Pages, mut read: impl FnMut()) -> Saw {
    let at = pages.at as *const u8;
    match api {
        Api::MsgZerocopy => {
            ask_for_zerocopy(to);
            let bytes = send_zerocopy(to, &[(pages.at, pages.len)]);
            read();
            Saw { bytes, told: Some(error_queue(to)) }
        }
        Api::Vmsplice => {
            let (out, into) = pipe().unwrap();
            let slice = libc::iovec { iov_base: pages.at as *mut _, iov_len: pages.len };
            let n = unsafe { libc::vmsplice(into.as_raw_fd(), &raw const slice, 1, 0) };
            let bytes = usize::try_from(n).unwrap();
            drain(&out, to, bytes);
            read();
            Saw { bytes, told: None }
        }
        _ => {
            let (fd, len) = (types::Fd(to.as_raw_fd()), pages.len as u32);
            let mut slice = [libc::iovec { iov_base: pages.at as *mut _, iov_len: pages.len }];
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            (message.msg_iov, message.msg_iovlen) = (slice.as_mut_ptr(), 1);
            let entry = match api {
                Api::SendmsgZc => opcode::SendMsgZc::new(fd, &raw const message).build(),
                Api::SendZcFixed => {
                    unsafe { ring.submitter().register_buffers(&slice) }.unwrap();
                    opcode::SendZc::new(fd, at, len).buf_index(Some(0)).build()
                }
                _ => opcode::SendZc::new(fd, at, len).build(),
            };
            unsafe { ring.submission().push(&entry).unwrap() };
            ring.submit_and_wait(1).unwrap();
            let first = ring.completion().next().unwrap();
            let bytes = usize::try_from(first.result()).unwrap_or_else(|_| panic!("{api:?} {first:?}"));
            assert!(cqueue::more(first.flags()));
            read();
            ring.submit_and_wait(1).unwrap();
            let told = now();
            assert!(cqueue::notif(ring.completion().next().unwrap().flags()));
            if api == Api::SendZcFixed {
                ring.submitter().unregister_buffers().unwrap();
            }
            Saw { bytes, told: Some(told) }
        }
    }
}

/// SO_ZEROCOPY
pub(crate) fn ask_for_zerocopy(socket: &OwnedFd) {
    let on = 1i32;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_ZEROCOPY);
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), 4) };
    assert_eq!(set, 0);
}

/// `sendmsg()` of addresses and lengths, with MSG_ZEROCOPY.
pub(crate) fn send_zerocopy(to: &OwnedFd, buffers: &[(usize, usize)]) -> usize {
    let mut slices: Vec<_> =
        buffers.iter().map(|(at, len)| libc::iovec { iov_base: *at as *mut _, iov_len: *len }).collect();
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (slices.as_mut_ptr(), slices.len());
    let flags = libc::MSG_ZEROCOPY | libc::MSG_NOSIGNAL;
    let n = unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, flags) };
    usize::try_from(n).unwrap_or_else(|_| panic!("{}", std::io::Error::last_os_error()))
}

/// Awaits the socket's next notification.
pub(crate) fn error_queue(socket: &OwnedFd) -> u64 {
    let until = now() + 5_000_000_000;
    loop {
        assert!(now() < until, "no notification");
        let mut fds = [PollFd::new(socket, PollFlags::empty())];
        poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
        let mut control = [0u64; 32];
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) } >= 0 {
            return now();
        }
    }
}

struct Round {
    api: Api,
    udp: bool,
    tid: u64,
    address: u64,
    between: (u64, u64),
    saw: Saw,
    /// For each page: when the store began, and whether the receiver saw it.
    pages: Vec<(u64, bool)>,
}

/// One transfer. `dir`: where files may be made; `None`: nobody stores to what is lent.
fn round(api: Api, ring: &mut IoUring, dir: Option<&Path>, rng: &mut Rng) -> Round {
    let udp = api != Api::Vmsplice && rng.below(3) == 0;
    let count = rng.within(1, if udp { 8 } else { 16 }) as usize;
    let file = dir.filter(|_| rng.below(2) == 0 && api != Api::SendZcFixed).map(|dir| dir.join("mapped"));
    let pages = file.as_ref().map_or_else(|| Pages::anonymous(count), |path| Pages::of(path, count));
    let socket = Socket::new(udp, rng.below(2) == 0);
    let (stall, spread) = (rng.below(if dir.is_some() { 200_000 } else { 1 }), rng.within(1, 400_000));
    let stored = if dir.is_some() { count } else { 0 };
    let mut plan: Vec<(u64, usize)> = (0..stored).map(|page| (rng.below(spread), page)).collect();
    plan.sort_unstable();
    let start = now();
    let mut got = vec![0; pages.len];
    let (began, saw) = std::thread::scope(|scope| {
        let at = pages.at;
        let writer = scope.spawn(move || {
            let file = file.map(|path| File::options().write(true).open(path).unwrap());
            let mut began = vec![0; count];
            for (after, page) in plan {
                spin_until(start + after);
                began[page] = now();
                match &file {
                    Some(file) => {
                        use std::os::unix::fs::FileExt as _;
                        file.write_all_at(&[MARK; PAGE], (page * PAGE) as u64).unwrap();
                    }
                    None => {
                        let page = (at + page * PAGE) as *mut u8;
                        (0..PAGE).for_each(|i| unsafe { page.add(i).write_volatile(MARK) });
                    }
                }
            }
            began
        });
        let to = socket.sender();
        let saw = send(api, ring, &to, &pages, || {
            spin_until(now() + stall);
            match &socket {
                Socket::Tcp(_, from) => (&mut &*from).read_exact(&mut got).unwrap(),
                Socket::Udp(_, from) => assert_eq!(from.recv(&mut got).unwrap(), got.len()),
            }
        });
        (writer.join().unwrap(), saw)
    });
    let seen = got.chunks(PAGE).map(|page| page.contains(&MARK));
    let tid = u64::from(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
    let pages_seen = began.into_iter().zip(seen).collect();
    Round { api, udp, tid, address: pages.at as u64, between: (start, now()), saw, pages: pages_seen }
}

/// Lends this often by each API.
fn judge(name: &str, enough: usize, args: &[&str]) {
    let dir = dir();
    let mut rng = rng(name);
    let me = std::process::id().to_string();
    let recorder = Recorder::start(&dir.path().join("t.zct"), &[&["--pid", &me], args].concat());
    let workers: Vec<_> = (0..2)
        .map(|w| {
            let (mut rng, dir) = (rng.fork(), dir.path().join(format!("w{w}")));
            std::fs::create_dir(&dir).unwrap();
            std::thread::spawn(move || {
                let mut ring = IoUring::new(8).unwrap();
                (0..enough / 2 * Api::ALL.len())
                    .map(|n| round(Api::ALL[n % Api::ALL.len()], &mut ring, Some(&dir), &mut rng))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let rounds: Vec<Round> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    poke_cpus();
    let trace = recorder.stop();
    trace.expect_released(0.999);
    let mut by_thread: BTreeMap<u64, BTreeMap<u64, &Value>> = BTreeMap::new();
    for t in trace.transfers() {
        by_thread.entry(u(&t["tid"])).or_default().insert(u(&t["submit_ns"]), t);
    }
    let (mut wrong, mut counts, mut verdicts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    // Stored before, in and after the window; unseen and seen.
    let mut matrix = [[0u64; 2]; 3];
    let (mut told_early, mut undecided, mut unknown) = (0, 0, 0);
    for r in &rounds {
        let found: Vec<_> = by_thread[&r.tid].range(r.between.0..r.between.1).map(|(_, t)| *t).collect();
        let [t] = found[..] else { panic!("{:?}: {} transfers, {found:?}", r.api, found.len()) };
        *counts.entry((r.api, r.udp)).or_insert(0) += 1;
        assert_eq!(t["api"], r.api.name(), "{t}");
        assert_eq!(u(&t["memory"]["address"]), r.address, "{t}");
        assert_eq!(u(&t["bytes"]), r.saw.bytes as u64, "{t}");
        assert_eq!(t["file"].is_null(), t["memory"]["kind"] != "shared_file", "{t}");
        // Another thread was about to change the process's mappings.
        unknown += usize::from(t["memory"]["kind"] == "unknown");
        let (submit, returned) = (u(&t["submit_ns"]), u(&t["return_ns"]));
        assert!(submit <= returned, "{t}");
        let Some(release) = t["release_ns"].as_u64() else {
            undecided += 1;
            continue;
        };
        if let Some(saw) = r.saw.told {
            let told = u(&t["notify_ns"]);
            assert!(told <= saw, "{told} {saw} {t}");
            told_early += u64::from(told < release);
        }
        let stored = r.pages.iter().any(|(began, _)| (submit..release).contains(began));
        let verdict = (t["memory"]["kind"].to_string(), r.udp, stored, t["verdict"].to_string());
        *verdicts.entry(verdict).or_insert(0) += 1;
        if t["verdict"] == "mutated" && !stored && !r.pages.iter().any(|(began, _)| *began < release) {
            wrong.push(format!("MUTATED, and nobody stored: {t}"));
        }
        for (page, (began, seen)) in r.pages.iter().enumerate() {
            let row = if *began >= release { 2 } else { usize::from(*began >= submit) };
            matrix[row][usize::from(*seen)] += 1;
            if row == 2 && *seen {
                wrong.push(format!("page {page} stored to {} ns after the release: {t}", began - release));
            }
            if *seen && t["verdict"] == "clean" && *began >= submit {
                wrong.push(format!("page {page} changed, and CLEAN: {t}"));
            }
        }
    }
    println!("lent: stored to     | seen by receiver | not seen");
    for (row, name) in ["before submit", "in the window", "after release"].iter().enumerate() {
        println!("  {name:<17} | {:>16} | {:>8}", matrix[row][1], matrix[row][0]);
    }
    println!("  undecided {undecided}, mapping unknown {unknown}, told early {told_early}; {counts:?}");
    println!("  (memory, udp, stored to in the window, verdict): {verdicts:?}");
    assert!(unknown < rounds.len() / 10, "{unknown}");
    assert!(Api::ALL.iter().all(|api| counts[&(*api, false)] > 0), "{counts:?}");
    assert!(matrix[1][1] > 200 && matrix[2][0] > 200, "{matrix:?}");
    assert_eq!(told_early, 0, "a notification before the release");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

#[test]
fn no_store_arrives_after_the_release() {
    judge("lent", 5_000, &[]);
}

#[test]
fn what_fingerprints_say_of_memory() {
    judge("lent, fingerprints", 2_000, &["--fingerprint", "full"]);
}

#[test]
fn notifications_are_seen_when_the_program_sees_them() {
    let dir = dir();
    let mut rng = rng("notifications");
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let mut ring = IoUring::new(8).unwrap();
    let apis = [Api::MsgZerocopy, Api::SendZc, Api::SendZcFixed, Api::SendmsgZc];
    let rounds: Vec<Round> =
        (0..4_000).map(|n| round(apis[n % apis.len()], &mut ring, None, &mut rng)).collect();
    let trace = recorder.stop_settled();
    let transfers: BTreeMap<u64, &Value> =
        trace.transfers().into_iter().map(|t| (u(&t["submit_ns"]), t)).collect();
    let mut late: Vec<u64> = rounds
        .iter()
        .map(|r| {
            let (_, t) = transfers.range(r.between.0..).next().unwrap();
            r.saw.told.unwrap().abs_diff(u(&t["notify_ns"]))
        })
        .collect();
    late.sort_unstable();
    let p99 = late[late.len() * 99 / 100];
    println!("notify_ns is off by p50 {} ns, p99 {p99} ns", late[late.len() / 2]);
    assert!(p99 < 1_000_000);
}
