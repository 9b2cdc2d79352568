//! Long recordings, made up: a server that sends files over many sockets, with some that are changed meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use zctrace::engine::WATCHES;
use zctrace::event::{frame, user_frame};
use zctrace::model::{ProbeState, ProbeStatus, TraceInfo};
use zctrace::trace::Writer;
use zctrace_common::frame::id;
use zctrace_common::kernel::{
    Ack, ChangeEnter, ChangeExit, Head, HeadFree, OpEnter, OpExit, Sock, SockEnd, change, end, kind, op,
    op_flag, sock_end,
};
use zctrace_common::user::{self, Checkpoint, Start, Stop};

/// Bytes of a transfer.
const LEN: u32 = 65536;
/// Transfers that are open at once.
const OPEN: usize = 64;
/// Of so many, one is mutated.
const MUTATED: u64 = 10_007;
/// A socket is closed after so many.
const OF_SOCKET: u32 = 200;

/// A server that sends files, in frames.
struct Server {
    to: Writer<File>,
    seq: u64,
    now: u64,
}

impl Server {
    fn say(&mut self, kind: u16, task: u64, body: &impl Pod) -> u64 {
        self.seq += 1;
        self.now += 1000;
        self.to.push(&frame(kind, 0, self.seq, self.now, task, body, &[])).unwrap();
        id(0, self.seq)
    }

    fn user(&mut self, kind: u16, body: &impl Pod, text: &[u8]) {
        self.to.push(&user_frame(kind, 0, self.now, body, text)).unwrap();
    }

    fn release(&mut self, (sock, head, una): (u64, u64, u32)) {
        self.say(kind::ACK, 0, &Ack { sock, una, pad: 0 });
        self.say(kind::HEAD_FREE, 0, &HeadFree { head, len: LEN, snd_una: una, flags: 0, pad: 0 });
    }
}

/// Writes one of so many transfers.
pub fn record(path: &Path, transfers: u64, files: u64, sockets: u64) {
    let to = Writer::new(File::create(path).unwrap()).unwrap();
    let mut server = Server { to, seq: 0, now: 1_000_000_000 };
    let attached = |p: &&str| ProbeStatus { name: (*p).into(), state: ProbeState::Attached, reason: None };
    let info = TraceInfo { probes: WATCHES.iter().map(attached).collect(), ..TraceInfo::default() };
    let start = Start { mono_ns: server.now, real_ns: server.now };
    server.user(user::kind::START, &start, &serde_json::to_vec(&info).unwrap());
    let mut socks: VecDeque<(u64, u32, u32)> = VecDeque::new();
    let mut open: VecDeque<(u64, u64, u32)> = VecDeque::new();
    for n in 0..transfers {
        if socks.len() < usize::try_from(sockets).unwrap() {
            let mut sock =
                Sock { family: 2, proto: 6, snd_una: 0, lport: 80, rport: 40_000, ..Sock::zeroed() };
            sock.sock = id(0, server.seq + 1);
            [.., sock.raddr[2], sock.raddr[3]] = [0, 0, 10, u8::try_from(n % 250).unwrap()];
            let id = server.say(kind::SOCK, 0, &sock);
            socks.push_back((id, 0, 0));
        }
        let (sock, at, used) = socks.pop_front().unwrap();
        let task = (1000 + n % 8) << 32 | 7;
        let ino = 1 + n.wrapping_mul(2_654_435_761) % files;
        let mut enter =
            OpEnter { op: op::SENDFILE, src_kind: end::FILE, dst_kind: end::SOCK, ..OpEnter::zeroed() };
        enter.flags = op_flag::OPENS;
        (enter.dev, enter.ino, enter.dst, enter.dst_pos) = (1, ino, sock, at.into());
        (enter.count, enter.comm) = (LEN.into(), *b"server\0\0\0\0\0\0\0\0\0\0");
        server.say(kind::OP_ENTER, task, &enter);
        let to = at.wrapping_add(LEN);
        let head = id(0, server.seq + 1);
        server.say(kind::HEAD, task, &Head { head, sock, seq: at, len: LEN, flags: 0, pad: 0 });
        let exit = OpExit { ret: LEN.into(), dst_pos: to.into(), ..OpExit::zeroed() };
        server.say(kind::OP_EXIT, task, &exit);
        if n % MUTATED == MUTATED / 2 {
            let change = id(0, server.seq + 1);
            let mut enter =
                ChangeEnter { change, ino, dev: 1, len: 10, size: 1 << 20, ..ChangeEnter::zeroed() };
            enter.what = change::WRITE;
            server.say(kind::CHANGE_ENTER, 77 << 32 | 77, &enter);
            let exit = ChangeExit { change, ino, dev: 1, len: 10, ..ChangeExit::zeroed() };
            server.say(kind::CHANGE_EXIT, 77 << 32 | 77, &exit);
        }
        open.push_back((sock, head, to));
        if open.len() > OPEN {
            let oldest = open.pop_front().unwrap();
            server.release(oldest);
        }
        if used < OF_SOCKET {
            socks.push_back((sock, to, used + 1));
        } else {
            let why = sock_end::CLOSE;
            server.say(kind::SOCK_END, 0, &SockEnd { sock, why, snd_una: to });
            server.say(kind::SOCK_END, 0, &SockEnd { sock, why: sock_end::FREED, snd_una: to });
        }
        if n % 5000 == 4999 {
            server.user(user::kind::CHECKPOINT, &Checkpoint::default(), &[]);
        }
    }
    open.into_iter().for_each(|o| server.release(o));
    server.user(user::kind::STOP, &Stop::default(), &[]);
    server.to.finish().unwrap();
    println!("{} frames, {} MiB", server.seq, std::fs::metadata(path).unwrap().len() >> 20);
}
