//! Bytes to a made-up trace. What a kernel half promises is kept: sequence numbers are counted, barriers are true,
//! losses are stated. What it says beyond that is any nonsense, about few things.

use zctrace::event::frame;
use zctrace_common::frame::{USER_CPU, id};
use zctrace_common::kernel::{PATH_TEXT, kind};
use zctrace_common::user::{self, Checkpoint, Loss, Running, Start, Stop, kind as said};

use super::pick::Pick;

/// What is stated, more often what is in the middle of everything; and its fields, in the letters of [`Tale::field`].
const KINDS: [(u16, &str); 36] = [
    (kind::OP_ENTER, ENTER),
    (kind::OP_ENTER, ENTER),
    (kind::OP_ENTER, ENTER),
    (kind::OP_ENTER, ENTER),
    (kind::OP_EXIT, EXIT),
    (kind::OP_EXIT, EXIT),
    (kind::OP_EXIT, EXIT),
    (kind::OP_EXIT, EXIT),
    (kind::SOCK, "ipffffoaaaaaaaaUff"),
    (kind::SOCK_END, "ifo"),
    (kind::HEAD, HEAD),
    (kind::HEAD, HEAD),
    (kind::HEAD, HEAD),
    (kind::HEAD_LEN, "ioff"),
    (kind::HEAD_FREE, FREE),
    (kind::HEAD_FREE, FREE),
    (kind::ACK, "iof"),
    (kind::ACK, "iof"),
    (kind::RETRANSMIT, "ioo"),
    (kind::EXTENT, "inpdoogff"),
    (kind::PIPE, "iffof"),
    (kind::PATH, "ndwfgP"),
    (kind::PROC, "ff"),
    (kind::MAP_FULL, "ffi"),
    (kind::RX_READ, "iof"),
    (kind::CHANGE_ENTER, "inpppdbbhgfc"),
    (kind::CHANGE_EXIT, "inppdghhe"),
    (kind::REMOVED, "nppdgc"),
    (kind::DIRTIED, "nppdgffc"),
    (kind::MAPPED, "ndg"),
    (kind::PRINT, "ijpdoobbhtxxx"),
    (kind::OP_AT, "jsppoo"),
    (kind::NOTIFY, "ijffff"),
    (said::CHECKPOINT, ""),
    (said::CHECKPOINT, ""),
    (said::LOSS, ""),
];
const ENTER: &str = "bbbBdniipsooqicgfpohbb";
const EXIT: &str = "qssoojff";
const HEAD: &str = "iioofo";
const FREE: &str = "iooff";

const DEV: u32 = 8 << 20 | 1;
const TASKS: u64 = 4;

struct Tale<'a> {
    pick: Pick<'a>,
    now: u64,
    barrier: u64,
    seq: [u64; 2],
    user: u64,
    delivered: u64,
    lost: u64,
    /// Ids of calls, the newest last.
    calls: Vec<u64>,
    frames: Vec<Vec<u8>>,
}

/// The trace that these bytes make.
pub(super) fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut tale = Tale {
        pick: Pick::new(bytes),
        now: 1 << 30,
        barrier: 1 << 30,
        seq: [0; 2],
        user: 0,
        delivered: 0,
        lost: 0,
        calls: Vec::new(),
        frames: Vec::new(),
    };
    let watched = tale.pick.byte() & 1 == 0;
    tale.begin(watched);
    while !tale.pick.is_over() {
        tale.step();
    }
    // An odd number of frames: it ends in order.
    if tale.frames.len() % 2 == 1 {
        tale.barrier();
        let stop = Stop { produced: tale.delivered + tale.lost, delivered: tale.delivered, lost: tale.lost };
        tale.user(said::STOP, &stop, &[]);
    }
    tale.frames
}

impl Tale<'_> {
    fn user(&mut self, kind: u16, body: &impl bytemuck::Pod, text: &[u8]) {
        self.user += 1;
        self.frames.push(frame(kind, USER_CPU, self.user, self.now, 0, body, text));
    }

    fn begin(&mut self, watched: bool) {
        let state = if watched { "attached" } else { "missing" };
        let names = zctrace::engine::WATCHES;
        let probes: Vec<String> =
            names.iter().map(|name| format!(r#"{{"name":"{name}","state":"{state}"}}"#)).collect();
        let json = format!(
            r#"{{"tool":"t","kernel":"k","filters":[],"probes":[{}],"fingerprint":{{"mode":"full"}}}}"#,
            probes.join(",")
        );
        let start = Start { mono_ns: self.now, real_ns: self.now };
        self.user(said::START, &start, json.as_bytes());
    }

    fn barrier(&mut self) {
        self.now += 1;
        let body = Checkpoint { delivered: self.delivered, lost: self.lost };
        self.user(said::CHECKPOINT, &body, &[]);
        self.barrier = self.now;
        self.now += 1;
    }

    fn step(&mut self) {
        let which = usize::from(self.pick.byte());
        let when = self.pick.byte();
        self.now += u64::from(when >> 1) * 64;
        match which {
            250.. => {
                let id = u64::from(self.pick.below(8));
                let n = usize::from(self.pick.byte());
                let text = self.pick.take(n);
                self.user(said::CGROUP, &user::Cgroup { id }, text);
            }
            246..250 => self.running(),
            _ => {
                let Some((kind, fields)) = KINDS.get(which % KINDS.len()) else {
                    return;
                };
                match *kind {
                    said::CHECKPOINT => self.barrier(),
                    said::LOSS => self.loss(),
                    kind => self.say(kind, fields, when),
                }
            }
        }
    }

    fn say(&mut self, kind: u16, fields: &str, when: u8) {
        let cpu = usize::from(when & 1);
        let task = u64::from(self.pick.byte()) % TASKS;
        let mut body = Vec::new();
        for letter in fields.chars() {
            self.field(letter, &mut body);
        }
        let Some(seq) = self.seq.get_mut(cpu) else {
            return;
        };
        *seq += 1;
        let cpu = u32::from(when & 1);
        // Now and then in another order than that of time, between the same two barriers.
        let back = if when & 0x1f == 0x1e { (self.now - self.barrier) / 2 } else { 0 };
        let ts = (self.now - back).max(self.barrier + 1);
        self.now = self.now.max(ts);
        if kind == kind::OP_ENTER {
            self.calls.push(id(cpu, *seq));
        }
        self.delivered += 1;
        let task = task << 32 | task;
        self.frames.push(frame(kind, cpu, *seq, ts, task, &[0u8; 0], &body));
    }

    fn field(&mut self, letter: char, body: &mut Vec<u8>) {
        let word = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap_or_default().to_le_bytes();
        let pick = &mut self.pick;
        match letter {
            // Codes and flags.
            'b' => body.push(pick.byte()),
            'h' => body.extend([pick.byte(), 0]),
            'f' => body.extend([pick.byte(), 0, 0, 0]),
            // Flags of a call, which mostly opens.
            'B' => body.push(pick.byte() ^ 1),
            // An errno.
            'e' => body.extend(word(u64::from(pick.byte()).wrapping_neg())),
            // Small numbers, round ones.
            'o' => body.extend(word(pick.number())),
            'p' | 's' => body.extend(pick.number().to_le_bytes()),
            // What a call asked for or moved, seldom an error.
            'q' => {
                let n = match pick.byte() {
                    n @ 0..250 => u64::from(n) * 1024,
                    n => u64::from(n).wrapping_neg(),
                };
                body.extend(n.to_le_bytes());
            }
            // Ids: sockets, heads, pipes, changes, cgroups.
            'i' => body.extend(u64::from(pick.below(6)).to_le_bytes()),
            'n' => body.extend(u64::from(pick.below(4)).to_le_bytes()),
            // A call that is a request, or none.
            'j' => {
                let back = usize::from(pick.below(8));
                let newest = self.calls.len().checked_sub(back).and_then(|i| self.calls.get(i));
                body.extend(newest.copied().unwrap_or_default().to_le_bytes());
            }
            'd' => body.extend((DEV + u32::from(pick.byte() == 255)).to_le_bytes()),
            'g' => body.extend(u32::from(pick.byte() == 255).to_le_bytes()),
            // A moment ago.
            't' => body.extend(self.now.saturating_sub(u64::from(pick.byte()) * 8).to_le_bytes()),
            // A sum: two of them, or nothing.
            'x' => body.extend(u64::from(pick.byte() & 3).to_le_bytes()),
            // An address.
            'a' => body.extend([pick.byte(), 0, 0, 0]),
            'w' => body.extend(u32::from(pick.byte()).to_le_bytes()),
            'c' => {
                let name = pick.take(4);
                body.extend(name.iter().copied().chain([0; 16]).take(16));
            }
            'U' => {
                let n = usize::from(pick.below(108));
                body.extend(pick.take(n).iter().copied().chain([0; 108]).take(108));
            }
            'P' => {
                let n = usize::from(pick.byte());
                body.extend(pick.take(n).iter().copied().chain([0; PATH_TEXT]).take(PATH_TEXT));
            }
            _ => {}
        }
    }

    /// Stated with its barrier; since the last one.
    fn loss(&mut self) {
        let what = u32::from(self.pick.below(6));
        let cpu = self.pick.below(2);
        let records = u64::from(self.pick.byte());
        if what == user::loss::RING {
            self.lost += records;
            if let Some(seq) = self.seq.get_mut(usize::from(cpu)) {
                *seq += records;
            }
        }
        self.now += 1;
        let body = Loss { what, cpu: cpu.into(), from_ns: self.barrier, records };
        self.user(said::LOSS, &body, &[]);
        let body = Checkpoint { delivered: self.delivered, lost: self.lost };
        self.user(said::CHECKPOINT, &body, &[]);
        self.barrier = self.now;
        self.now += 1;
    }

    fn running(&mut self) {
        let count = u32::from(self.pick.below(4));
        let more = u32::from(self.pick.byte() == 255);
        let mut list = Vec::new();
        for _ in 0..count {
            for letter in "indg".chars() {
                self.field(letter, &mut list);
            }
        }
        self.user(said::RUNNING, &Running { count, more }, &list);
    }
}
