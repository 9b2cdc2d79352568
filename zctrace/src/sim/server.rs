//! A file server under load, in frames with times such as real ones have: for pages, comparisons, and whoever needs a
//! recording that looks like one. Its windows are not independent: the network is slow for a while, then quick again.
//!
//! Deliberately absent: the truth (these windows are plain; [`super::story`] has the hard ones), and losses.

use bytemuck::{Pod, Zeroable, bytes_of};
use zctrace_common::kernel::{
    Ack, ChangeEnter, ChangeExit, Head, HeadFree, OpEnter, OpExit, Path, Sock, change, end, free_flag, kind,
    op, op_flag,
};
use zctrace_common::user::{self, Checkpoint, Start, Stop};

use super::rng::Rng;
use crate::engine::WATCHES;
use crate::event::{frame, user_frame};
use crate::model::{ProbeState, ProbeStatus, TraceInfo};

const MS: u64 = 1_000_000;
const DEV: u32 = 8 << 20 | 1;
/// The wall clock less the monotonic one.
const AHEAD: u64 = 1_790_000_000_000_000_000;
const CGROUP: u64 = 42;

/// Names of files, their bytes, how often each is asked for, of 100.
const FILES: [(&str, u32, u64); 5] = [
    ("/srv/www/index.html", 4 << 10, 45),
    ("/srv/www/app.js", 64 << 10, 30),
    ("/srv/www/logo.svg", 16 << 10, 18),
    ("/srv/www/site.tar", 1 << 20, 5),
    ("/srv/www/video.mp4", 4 << 20, 2),
];

/// What kind of day it is.
#[derive(Clone, Debug)]
pub struct Load {
    /// Everything that is left to chance.
    pub seed: u64,
    /// How many transfers.
    pub transfers: u32,
    /// Between two of them, on average, nanoseconds.
    pub every_ns: u64,
    /// What windows are multiplied by, in thousandths.
    pub slower: u64,
    /// How many clients stop reading for seconds.
    pub stalls: u32,
    /// How often somebody changes a file in place.
    pub changes: u32,
    /// Instead of every name: whatever could do harm to a terminal, a page or a parser.
    pub names: Option<Vec<u8>>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            seed: 1,
            transfers: 6_000,
            every_ns: 3 * MS,
            slower: 1_000,
            stalls: 4,
            changes: 12,
            names: None,
        }
    }
}

/// Said at some moment, by whoever is in the task.
struct Event {
    at: u64,
    /// Which of those of the same moment is first.
    order: u64,
    kind: u16,
    task: u64,
    body: Vec<u8>,
}

struct Server {
    load: Load,
    rng: Rng,
    events: Vec<Event>,
    /// The path of its congestion, in 20 ms: what windows are multiplied by.
    weather: Vec<f64>,
    start: u64,
}

/// One that ends when its last window is closed.
struct Client {
    sock: u64,
    seq: u32,
    free_at: u64,
}

impl Server {
    fn say(&mut self, at: u64, kind: u16, task: u64, body: &impl Pod) {
        let order = self.events.len() as u64;
        self.events.push(Event { at, order, kind, task, body: bytes_of(body).to_vec() });
    }

    /// About normal: mean 0, deviation 1.
    #[expect(clippy::cast_precision_loss, reason = "a random number")]
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.rng.below(1 << 32) as f64 / (1u64 << 32) as f64).sum::<f64>() - 6.0
    }

    fn weather(&mut self, at: u64) -> f64 {
        let slot = usize::try_from((at - self.start) / (20 * MS)).unwrap_or(0);
        while self.weather.len() <= slot {
            let before = self.weather.last().map_or(0.0, |w| w.ln());
            let noise = self.normal();
            self.weather.push((0.9 * before + 0.12 * noise).exp());
        }
        self.weather.get(slot).copied().unwrap_or(1.0)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a random time"
    )]
    fn gap(&mut self, at: u64, bytes: u32) -> u64 {
        let base = 120_000.0 + f64::from(bytes) * 2.0;
        let spread = (self.normal() * 0.45).exp();
        let slower = self.load.slower as f64 / 1000.0;
        (base * spread * self.weather(at) * slower) as u64
    }

    fn name(&self, otherwise: &str) -> Vec<u8> {
        self.load.names.clone().unwrap_or_else(|| otherwise.into())
    }

    fn comm(&self, otherwise: &str) -> [u8; 16] {
        let mut comm = [0; 16];
        comm.iter_mut().zip(self.name(otherwise)).take(15).for_each(|(to, from)| *to = from);
        comm
    }

    fn paths(&mut self, at: u64) {
        for (i, (name, ..)) in FILES.iter().enumerate() {
            let mut path = Path::zeroed();
            (path.ino, path.dev, path.whole) = (100 + i as u64, DEV, 1);
            // The last name first, each with a NUL.
            let mut text = Vec::new();
            for part in name.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
                let part: Vec<u8> = self.name(part).into_iter().filter(|b| *b != 0 && *b != b'/').collect();
                text.extend(part.into_iter().take(80));
                text.push(0);
            }
            path.text.iter_mut().zip(&text).for_each(|(to, from)| *to = *from);
            path.used = u32::try_from(text.len().min(path.text.len())).unwrap_or(0);
            self.say(at, kind::PATH, 0, &path);
        }
    }

    fn client(&mut self, at: u64, n: usize) -> Client {
        let mut sock = Sock { family: 2, proto: 6, lport: 443, ..Sock::zeroed() };
        let id = 1_000 + n as u64;
        (sock.sock, sock.cookie, sock.rport) = (id, id, 40_000 + u16::try_from(n % 20_000).unwrap_or(0));
        sock.laddr[..4].copy_from_slice(&[192, 0, 2, 1]);
        sock.raddr[..4].copy_from_slice(&[203, 0, 113, u8::try_from(n % 40).unwrap_or(0) + 1]);
        self.say(at, kind::SOCK, 0, &sock);
        Client { sock: id, seq: 1, free_at: at }
    }

    /// One `sendfile`; answers when it is released.
    fn send(&mut self, at: u64, client: &mut Client, file: usize, gap: u64) -> u64 {
        let Some((_, bytes, _)) = FILES.get(file).copied() else {
            return at;
        };
        let worker = 2_001 + client.sock % 4;
        let task = worker << 32 | worker;
        let mut enter =
            OpEnter { op: op::SENDFILE, src_kind: end::FILE, dst_kind: end::SOCK, ..OpEnter::zeroed() };
        enter.flags = op_flag::OPENS;
        (enter.dev, enter.ino, enter.dst, enter.dst_pos) =
            (DEV, 100 + file as u64, client.sock, client.seq.into());
        (enter.count, enter.cgroup, enter.comm) = (bytes.into(), CGROUP, self.comm("nginx"));
        let to = client.seq.wrapping_add(bytes);
        let call = (20_000 + u64::from(bytes) / 40).min(gap * 7 / 10);
        self.say(at, kind::OP_ENTER, task, &enter);
        let head = client.sock << 24 | u64::from(client.seq) >> 12;
        let sent = Head { head, sock: client.sock, seq: client.seq, len: bytes, flags: 0, pad: 0 };
        self.say(at + call / 2, kind::HEAD, task, &sent);
        let exit = OpExit { ret: bytes.into(), dst_pos: to.into(), ..OpExit::zeroed() };
        self.say(at + call, kind::OP_EXIT, task, &exit);
        let released = at + gap.max(call + 1_000);
        self.say(released - 500, kind::ACK, 0, &Ack { sock: client.sock, una: to, pad: 0 });
        let free = HeadFree { head, len: bytes, snd_una: to, flags: free_flag::UNA, pad: 0 };
        self.say(released, kind::HEAD_FREE, 0, &free);
        (client.seq, client.free_at) = (to, released + 1_000);
        released
    }

    fn write(&mut self, at: u64, id: u64, file: usize) {
        let ino = 100 + file as u64;
        let off = self.rng.below(4) * 4096;
        let change = (1 << 40) + id;
        let mut enter =
            ChangeEnter { change, ino, dev: DEV, off, len: 512, size: 4 << 20, ..ChangeEnter::zeroed() };
        (enter.what, enter.comm) =
            (change::WRITE, self.comm(if id.is_multiple_of(3) { "rsync" } else { "deploy.sh" }));
        let pid = 4_700 + id % 3;
        self.say(at, kind::CHANGE_ENTER, pid << 32 | pid, &enter);
        let exit = ChangeExit { change, ino, dev: DEV, off, len: 512, ..ChangeExit::zeroed() };
        self.say(at + 6_000, kind::CHANGE_EXIT, pid << 32 | pid, &exit);
    }

    fn run(&mut self) -> u64 {
        let mut at = self.start + MS;
        self.paths(at);
        let mut clients: Vec<Client> = Vec::new();
        let mut stalled = Vec::new();
        let stalls = self.load.transfers.checked_div(self.load.stalls).unwrap_or(u32::MAX).max(1);
        for n in 0..self.load.transfers {
            at += self.rng.within(1, 2 * self.load.every_ns);
            let mut dice = self.rng.below(100);
            let file = FILES.iter().position(|(_, _, often)| {
                let here = dice < *often;
                dice = dice.saturating_sub(*often);
                here
            });
            let stalls = n % stalls == stalls / 2;
            let file = if stalls { 4 - (n as usize / 7) % 2 } else { file.unwrap_or(0) };
            let index = match clients.iter().position(|c| c.free_at < at) {
                Some(index) => index,
                None => {
                    let client = self.client(at, clients.len());
                    clients.push(client);
                    clients.len() - 1
                }
            };
            let bytes = FILES.get(file).map_or(0, |f| f.1);
            let mut gap = self.gap(at, bytes);
            if stalls {
                gap = self.rng.within(1_500, 6_000) * MS;
                stalled.push((at, gap, file));
            }
            let Some(client) = clients.get_mut(index) else { continue };
            let mut moved = Client { sock: client.sock, seq: client.seq, free_at: at };
            self.send(at, &mut moved, file, gap);
            if let Some(client) = clients.get_mut(index) {
                *client = moved;
            }
        }
        for n in 0..u64::from(self.load.changes) {
            // In a window that stays open: what a deployment hits.
            if let Some((from, gap, file)) = stalled.get(self.rng.index(stalled.len())).copied() {
                let when = from + gap / 10 + self.rng.below(gap * 7 / 10);
                self.write(when, n, file);
            }
        }
        // Two that are still lent at the end, where there were any that stall.
        let last = self.events.iter().map(|e| e.at).max().unwrap_or(at);
        for n in 0..2.min(self.load.stalls as usize) {
            let begin = last - (300 + 900 * n as u64) * MS;
            let mut client = self.client(begin - MS, 10_000 + n);
            let before = self.events.len();
            self.send(begin, &mut client, 4, 1 << 50);
            // The trace ends before it is acknowledged.
            self.events.truncate(before + 3);
        }
        last + MS
    }

    fn info(&self) -> TraceInfo {
        let attached =
            |p: &&str| ProbeStatus { name: (*p).into(), state: ProbeState::Attached, reason: None };
        let name = |otherwise: &str| String::from_utf8_lossy(&self.name(otherwise)).into_owned();
        TraceInfo {
            tool: "zctrace (simulated)".into(),
            host: name("fileserver"),
            kernel: name("6.18.0"),
            filters: vec![name("comm=nginx")],
            probes: WATCHES.iter().map(attached).collect(),
            ..TraceInfo::default()
        }
    }
}

/// The frames of a whole recording.
#[must_use]
pub fn server(load: &Load) -> Vec<Vec<u8>> {
    let start = 1_000_000_000;
    let mut server = Server {
        load: load.clone(),
        rng: Rng::new(load.seed),
        events: Vec::new(),
        weather: Vec::new(),
        start,
    };
    let end = server.run();
    server.events.sort_by_key(|e| (e.at, e.order));
    let info = serde_json::to_vec(&server.info()).unwrap_or_default();
    let clock = Start { mono_ns: start, real_ns: start + AHEAD };
    let mut frames = vec![user_frame(user::kind::START, 0, start, &clock, &info)];
    let cgroup: Vec<u8> = server.name("/system.slice/nginx.service");
    frames.push(user_frame(user::kind::CGROUP, 0, start, &user::Cgroup { id: CGROUP }, &cgroup));
    let mut next = start;
    for (seq, event) in (1..).zip(&server.events) {
        while event.at > next {
            frames.push(user_frame(user::kind::CHECKPOINT, 0, next, &Checkpoint::default(), &[]));
            next += 50 * MS;
        }
        // What kind the body is of is in its header: bytes are handed on as they are.
        frames.push(frame(event.kind, 0, seq, event.at, event.task, &(), &event.body));
    }
    frames.push(user_frame(user::kind::CHECKPOINT, 0, end, &Checkpoint::default(), &[]));
    frames.push(user_frame(user::kind::STOP, 0, end, &Stop::default(), &[]));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Decoded, decode};
    use crate::pipeline::Pipeline;

    #[test]
    fn every_window_of_a_quiet_day_is_clean_and_those_of_a_deployment_are_not() {
        for (changes, stalls) in [(0, 0), (12, 4)] {
            let load = Load { transfers: 500, changes, stalls, ..Load::default() };
            let mut pipeline = Pipeline::new(None, Vec::new());
            for frame in server(&load) {
                assert!(matches!(decode(&frame), Decoded::Frame(..)));
                assert!(pipeline.frame(&frame).is_ok());
            }
            let summary = pipeline.finish().unwrap_or_default();
            assert_eq!(summary.transfers(), 500 + u64::from(stalls.min(2)));
            assert_eq!(summary.held(), u64::from(stalls.min(2)));
            assert_eq!(summary.mutated() > 0, changes > 0, "{}", summary.mutated());
            assert_eq!((summary.unknown(), summary.lost_records()), (0, 0));
        }
    }
}
