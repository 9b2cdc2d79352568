//! Scenario files: events in a one-line language, then the facts that must follow. Every
//! `scenarios/*.scn` is a test.
//!
//! ```text
//! TIME VERB WORDS.. KEY=VALUE..      an event; names of sockets, heads, pipes, tasks are free
//! = NAME released at=.. by=..        a transfer that must be stated, in this order
//! = loss ring records=..             a loss that must be stated
//! ```
//!
//! An `enter` with `t=NAME` opens the transfer NAME; with `r=NAME` it is a request of io_uring.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use zctrace::engine::{Engine, WATCHES};
use zctrace::event::{Decoded, decode, frame, user_frame};
use zctrace::model::{Fact, Fingerprints, Hit, Mode, Mutation, ProbeState, ProbeStatus, TraceInfo, Transfer};
use zctrace::order::Order;
use zctrace::text;
use zctrace_common::kernel::{
    self, Ack, ChangeEnter, ChangeExit, Dirtied, Extent, Head, HeadFree, HeadLen, MapFull, Mapped, Notify,
    OpAt, OpEnter, OpExit, Pipe, Print, Removed, Retransmit, RxRead, Sock, SockEnd, TCP_CLOSE, change,
    change_flag, end, exit_flag, free_flag, full_map, head_flag, kind, memory, notify_flag, op, op_exit,
    op_flag, op_more, pipe_why, sock_end, watch, when,
};
use zctrace_common::user::{self, Checkpoint, Loss, Running, RunningChange, Start, Stop, loss};

/// One line, taken apart.
struct Line<'a> {
    words: Vec<&'a str>,
    keys: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn new(text: &'a str) -> Self {
        let (mut words, mut keys) = (Vec::new(), BTreeMap::new());
        for part in text.split_whitespace() {
            match part.split_once('=') {
                Some((key, value)) if !key.is_empty() => drop(keys.insert(key, value)),
                _ => words.push(part),
            }
        }
        Self { words, keys }
    }

    fn number(&self, key: &str) -> u64 {
        self.keys.get(key).map_or(0, |v| v.parse().unwrap())
    }

    fn low(&self, key: &str) -> u32 {
        self.number(key).try_into().unwrap()
    }

    /// The bits of those flags that stand in the line.
    fn flags(&self, known: &[(&str, u32)]) -> u32 {
        known.iter().filter(|(name, _)| self.words.contains(name)).map(|(_, bit)| bit).sum()
    }

    fn low_word(&self, n: usize) -> u32 {
        self.words[n].parse().unwrap()
    }
}

/// `FROM+LEN`
fn range(text: &str) -> (u64, u32) {
    let (from, len) = text.split_once('+').unwrap();
    (from.parse().unwrap(), len.parse().unwrap())
}

/// One of a list of words, as its number.
fn one_of<T: Copy>(word: &str, known: &[(&str, T)]) -> T {
    known.iter().find(|(name, _)| *name == word).unwrap_or_else(|| panic!("what is {word:?}?")).1
}

#[derive(Default)]
struct Scenario {
    names: BTreeMap<String, u64>,
    seq: u64,
    transfers: BTreeMap<u64, String>,
    /// Ids of requests.
    requests: BTreeMap<String, u64>,
    frames: Vec<Vec<u8>>,
    expected: Vec<String>,
}

impl Scenario {
    fn id(&mut self, name: &str) -> u64 {
        let next = self.names.len() as u64 + 1;
        *self.names.entry(name.into()).or_insert(next)
    }

    fn say(&mut self, kind: u16, at: u64, task: u64, body: &impl Pod) {
        self.seq += 1;
        self.frames.push(frame(kind, 0, self.seq, at, task, body, &[]));
    }

    fn user(&mut self, kind: u16, at: u64, body: &impl Pod) {
        self.seq += 1;
        self.frames.push(user_frame(kind, self.seq, at, body, &[]));
    }

    fn line(&mut self, text: &str) {
        if let Some(fact) = text.strip_prefix('=') {
            self.expected.push(fact.trim().into());
            return;
        }
        let line = Line::new(text);
        let (at, verb): (u64, &str) = (line.words[0].parse().unwrap(), line.words[1]);
        match verb {
            "checkpoint" => self.user(user::kind::CHECKPOINT, at, &Checkpoint::default()),
            "stop" => self.user(user::kind::STOP, at, &Stop::default()),
            "loss" => {
                let known = [
                    ("ring", loss::RING),
                    ("learn_miss", loss::LEARN_MISS),
                    ("free_miss", loss::FREE_MISS),
                    ("map_full", loss::MAP_FULL),
                ];
                let what = one_of(line.words[2], &known);
                let body =
                    Loss { what, cpu: 0, from_ns: line.number("from"), records: line.number("records") };
                self.user(user::kind::LOSS, at, &body);
            }
            "enter" => self.enter(at, &line),
            "exit" => self.exit(at, &line),
            "start_request" => {
                let body = OpAt {
                    call: self.requests[line.words[2]],
                    src_pos: line.number("tail"),
                    dst_pos: line.number("seq") + line.number("head"),
                    src_off: line.low("toff"),
                    src_head: line.low("shead"),
                };
                self.say(kind::OP_AT, at, 0, &body);
            }
            "notify" => {
                let call = line.keys.get("r").map_or(0, |name| self.requests[*name]);
                let flags = line.flags(&[
                    ("copied", notify_flag::COPIED | notify_flag::CLAIMS),
                    ("sent", notify_flag::CLAIMS),
                ]);
                let sock = self.id(line.words[2]);
                let body =
                    Notify { sock, call, first: line.low("first"), last: line.low("last"), flags, pad: 0 };
                self.say(kind::NOTIFY, at, 0, &body);
            }
            "sock" => {
                let (family, proto) = one_of(
                    line.words[3],
                    &[("tcp", (2, 6)), ("udp", (2, 17)), ("unix", (1, 0)), ("mptcp", (2, 262))],
                );
                let sock = self.id(line.words[2]);
                let kernel = line.flags(&[("kernel", 1)]);
                let (snd_una, state) = (line.low("una"), line.flags(&[("unconnected", TCP_CLOSE)]));
                let body = Sock { sock, family, proto, snd_una, kernel, state, ..Sock::zeroed() };
                self.say(kind::SOCK, at, 0, &body);
            }
            "end" => {
                let known =
                    [("reset", sock_end::RESET), ("close", sock_end::CLOSE), ("freed", sock_end::FREED)];
                let body = SockEnd {
                    sock: self.id(line.words[2]),
                    why: one_of(line.words[3], &known),
                    snd_una: line.low("una"),
                };
                self.say(kind::SOCK_END, at, 0, &body);
            }
            "ack" => {
                let body = Ack { sock: self.id(line.words[2]), una: line.low_word(3), pad: 0 };
                self.say(kind::ACK, at, 0, &body);
            }
            "read" => {
                let body = RxRead { sock: self.id(line.words[2]), copied: line.low_word(3), pad: 0 };
                self.say(kind::RX_READ, at, 0, &body);
            }
            "retransmit" => {
                let body =
                    Retransmit { sock: self.id(line.words[2]), seq: line.low_word(3), end: line.low_word(4) };
                self.say(kind::RETRANSMIT, at, 0, &body);
            }
            "pipe" => {
                let known = [
                    ("new", pipe_why::NEW),
                    ("read", pipe_why::READ),
                    ("freed", pipe_why::FREED),
                    ("resized", pipe_why::RESIZED),
                ];
                let (pipe, why) = (self.id(line.words[2]), one_of(line.words[3], &known));
                let body =
                    Pipe { pipe, why, head: line.low("head"), tail: line.low("tail"), off: line.low("off") };
                self.say(kind::PIPE, at, 0, &body);
            }
            "full" => {
                let body = MapFull { map: full_map::HEADS, pad: 0, id: self.id(line.words[2]) };
                self.say(kind::MAP_FULL, at, 0, &body);
            }
            "path" => {
                let mut body =
                    kernel::Path { ino: line.number("ino"), dev: 1, whole: 1, ..kernel::Path::zeroed() };
                let names: Vec<&str> = line.words[2].split('/').rev().filter(|n| !n.is_empty()).collect();
                let text = names.iter().flat_map(|n| [n.as_bytes(), b"\0"].concat()).collect::<Vec<u8>>();
                body.text[..text.len()].copy_from_slice(&text);
                body.used = text.len().try_into().unwrap();
                self.say(kind::PATH, at, 0, &body);
            }
            "start" => {
                let info = TraceInfo {
                    probes: WATCHES
                        .iter()
                        .map(|p| ProbeStatus { name: (*p).into(), state: ProbeState::Attached, reason: None })
                        .collect(),
                    fingerprint: Fingerprints {
                        mode: if line.words.contains(&"full") { Mode::Full } else { Mode::Off },
                        reason: None,
                    },
                    ..TraceInfo::default()
                };
                self.seq += 1;
                let info = serde_json::to_vec(&info).unwrap();
                self.frames.push(user_frame(user::kind::START, self.seq, at, &Start::default(), &info));
            }
            "begin" | "end_change" | "dirtied" | "removed" | "mapped" | "running" => {
                self.change(at, verb, &line);
            }
            "look" => self.look(at, &line),
            _ => self.head(at, verb, &line),
        }
    }

    /// `look TASK submit FROM=SUM,SUM..`, `look TASK return ..`, `look HEAD xmit ..`, `read`, `release`:
    /// whole pages from FROM on, or `len=` bytes; `pos=` in the head.
    fn look(&mut self, at: u64, line: &Line<'_>) {
        let who = self.id(line.words[2]);
        let known = [
            ("submit", when::SUBMIT),
            ("return", when::RETURN),
            ("xmit", when::XMIT),
            ("read", when::READ),
            ("release", when::RELEASE),
        ];
        let when = one_of(line.words[3], &known);
        let cached = when == when::SUBMIT || when == when::RETURN;
        let sums: Vec<u64> = line.keys["sums"].split(',').map(|n| n.parse().unwrap()).collect();
        let len = if line.keys.contains_key("len") {
            line.low("len")
        } else {
            4096 * u32::try_from(sums.len()).unwrap()
        };
        let mut body = Print {
            head: if cached { 0 } else { who },
            ino: line.number("ino"),
            off: line.number("off"),
            dev: 1,
            len,
            pos: line.low("pos"),
            when,
            count: sums.len().try_into().unwrap(),
            since: line.keys.get("since").map_or(at, |s| s.parse().unwrap()),
            ..Print::zeroed()
        };
        body.sums[..sums.len()].copy_from_slice(&sums);
        self.say(kind::PRINT, at, if cached { who } else { 0 }, &body);
    }

    /// `begin TASK CHANGE WHAT FROM+LEN ino= gen=`, `end_change TASK CHANGE FROM+LEN ino= gen=` and what
    /// happens to folios: `dirtied TASK FROM+LEN ino=`. `+all`: all that follow.
    fn change(&mut self, at: u64, verb: &str, line: &Line<'_>) {
        let task = if verb == "running" { 0 } else { self.id(line.words[2]) };
        let bytes = |text: &str| {
            let (from, len) = text.split_once('+').unwrap();
            (from.parse::<u64>().unwrap(), if len == "all" { u64::MAX } else { len.parse().unwrap() })
        };
        let (ino, generation) = (line.number("ino"), line.low("gen"));
        let dev = u32::from(ino != 0);
        let comm = *b"scenario\0\0\0\0\0\0\0\0";
        match verb {
            "begin" => {
                let known = [
                    ("write", change::WRITE),
                    ("splice", change::SPLICE),
                    ("copy", change::COPY),
                    ("truncate", change::TRUNCATE),
                    ("punch", change::PUNCH),
                ];
                let flags = line.flags(&[
                    ("direct", change_flag::DIRECT.into()),
                    ("by_path", change_flag::BY_PATH.into()),
                    ("late", change_flag::LATE.into()),
                    ("uring", change_flag::URING.into()),
                ]);
                let (off, len) = bytes(line.words[5]);
                let body = ChangeEnter {
                    change: self.id(line.words[3]),
                    ino,
                    off,
                    len,
                    dev,
                    what: one_of(line.words[4], &known),
                    flags: flags.try_into().unwrap(),
                    generation,
                    comm,
                    ..ChangeEnter::default()
                };
                self.say(kind::CHANGE_ENTER, at, task, &body);
            }
            "end_change" => {
                let (off, len) = line.words.get(4).map_or((0, 0), |w| bytes(w));
                let flags = line
                    .flags(&[("removes", exit_flag::REMOVED.into()), ("by_size", exit_flag::BY_SIZE.into())]);
                let body = ChangeExit {
                    change: self.id(line.words[3]),
                    ino,
                    off,
                    len,
                    dev,
                    generation,
                    more: line.flags(&[("more", 1)]).try_into().unwrap(),
                    flags: flags.try_into().unwrap(),
                    errno: 0,
                };
                self.say(kind::CHANGE_EXIT, at, task, &body);
            }
            "dirtied" => {
                let (off, len) = bytes(line.words[3]);
                let body = Dirtied { ino, off, len, dev, generation, mapped: 1, pad: 0, comm };
                self.say(kind::DIRTIED, at, task, &body);
            }
            "removed" => {
                let (off, len) = bytes(line.words[3]);
                self.say(kind::REMOVED, at, task, &Removed { ino, off, len, dev, generation, comm });
            }
            "mapped" => self.say(kind::MAPPED, at, task, &Mapped { ino, dev, generation }),
            _ => {
                let names: Vec<String> = line.words[2..].iter().map(|w| (*w).into()).collect();
                let entries: Vec<RunningChange> = names
                    .iter()
                    .map(|name| RunningChange { change: self.id(name), ino, dev, generation })
                    .collect();
                self.seq += 1;
                let list = Running { count: entries.len().try_into().unwrap(), more: 0 };
                let bytes = bytemuck::cast_slice(&entries);
                self.frames.push(user_frame(user::kind::RUNNING, self.seq, at, &list, bytes));
            }
        }
    }

    fn head(&mut self, at: u64, verb: &str, line: &Line<'_>) {
        let head = self.id(line.words[2]);
        match verb {
            "head" => {
                let (seq, len) = range(line.words[4]);
                let known = [
                    ("loopback", head_flag::LOOPBACK),
                    ("again", head_flag::AGAIN),
                    ("at_free", head_flag::AT_FREE),
                    ("user", head_flag::USER),
                ];
                let (sock, seq, flags) =
                    (self.id(line.words[3]), seq.try_into().unwrap(), line.flags(&known));
                self.say(kind::HEAD, at, 0, &Head { head, sock, seq, len, flags, pad: 0 });
            }
            "extent" => {
                let (off, len) = range(line.words[3]);
                let (ino, dev) = (line.number("ino"), u32::from(line.number("ino") != 0));
                if let Some(name) = line.keys.get("t") {
                    self.transfers.insert(self.seq + 1, (*name).into());
                }
                let (pos, watch) = (line.low("pos"), line.flags(&[("mapped", watch::MAPPED)]));
                let body = Extent { head, ino, off, dev, len, pos, watch, ..Extent::default() };
                self.say(kind::EXTENT, at, 0, &body);
            }
            "len" => {
                let (sock, len) = (self.id(line.words[3]), line.low_word(4));
                self.say(kind::HEAD_LEN, at, 0, &HeadLen { head, len, pad: 0, sock });
            }
            "free" => {
                let known = [
                    ("rx", free_flag::RX),
                    ("rx_shut", free_flag::RX_SHUT),
                    ("ooo", free_flag::RX_OOO),
                    ("spliced", free_flag::RX_SPLICED),
                    ("dropped", free_flag::DROPPED),
                    ("reused", free_flag::REUSED),
                    ("moved", free_flag::MOVED),
                    ("replaced", free_flag::REPLACED),
                ];
                let una = if line.keys.contains_key("una") { free_flag::UNA } else { 0 };
                let flags = line.flags(&known) | una;
                self.say(
                    kind::HEAD_FREE,
                    at,
                    0,
                    &HeadFree { head, len: 0, snd_una: line.low("una"), flags, pad: 0 },
                );
            }
            _ => panic!("what is {verb:?}?"),
        }
    }

    /// `enter TASK OP FROM TO`; FROM is `file`, or a pipe; TO a socket, a pipe or `file`.
    fn enter(&mut self, at: u64, line: &Line<'_>) {
        let task = self.id(line.words[2]);
        let mut flags = line.flags(&[
            ("copy", op_flag::COPY_READ.into()),
            ("ulp", op_flag::ULP.into()),
            ("nosg", op_flag::NO_SG.into()),
        ]);
        let watch = line.flags(&[("mapped", watch::MAPPED), ("busy", watch::BUSY), ("below", watch::BELOW)]);
        let op = one_of(
            line.words[3],
            &[
                ("sendfile", op::SENDFILE),
                ("splice", op::SPLICE),
                ("tee", op::TEE),
                ("vmsplice", op::VMSPLICE),
                ("msg_zerocopy", op::MSG_ZEROCOPY),
                ("uring_splice", op::URING_SPLICE),
                ("uring_send_zc", op::URING_SEND_ZC),
            ],
        );
        if let Some(name) = line.keys.get("r") {
            self.requests.insert((*name).into(), self.seq + 1);
        }
        let more =
            line.flags(&[("queued", op_more::QUEUED.into()), ("not_asked", op_more::NOT_ASKED.into())]);
        let request = if line.keys.contains_key("r") { op_more::REQUEST } else { 0 };
        let mut body = OpEnter {
            op,
            count: line.number("count"),
            comm: *b"scenario\0\0\0\0\0\0\0\0",
            generation: line.low("gen"),
            watch,
            zckey: line.low("zckey"),
            more: u8::try_from(more).unwrap() | request,
            ..OpEnter::default()
        };
        match line.words[4] {
            "file" => {
                (body.src_kind, body.dev, body.ino, body.src_pos) =
                    (end::FILE, 1, line.number("ino"), line.number("off"))
            }
            "memory" => {
                (body.src_kind, body.src_pos, body.addr) =
                    (end::MEMORY, line.number("off"), line.number("off"));
                (body.memory, body.segments) = (memory::ANONYMOUS, 1);
                if line.keys.contains_key("ino") {
                    (body.memory, body.dev, body.ino) = (memory::SHARED, 1, line.number("ino"));
                }
            }
            pipe => {
                (body.src_kind, body.src) = (end::PIPE, self.id(pipe));
                (body.src_pos, body.src_off, body.src_head) =
                    (line.number("tail"), line.low("toff"), line.low("shead"));
            }
        }
        match line.words[5] {
            "file" => body.dst_kind = end::FILE,
            pipe if pipe.starts_with('p') => {
                (body.dst_kind, body.dst, body.dst_pos) = (end::PIPE, self.id(pipe), line.number("head"))
            }
            sock => (body.dst_kind, body.dst, body.dst_pos) = (end::SOCK, self.id(sock), line.number("seq")),
        }
        if let Some(name) = line.keys.get("t") {
            flags |= u32::from(op_flag::OPENS);
            self.transfers.insert(self.seq + 1, (*name).into());
        }
        body.flags = flags.try_into().unwrap();
        self.say(kind::OP_ENTER, at, task, &body);
    }

    /// `exit TASK RET`
    fn exit(&mut self, at: u64, line: &Line<'_>) {
        let task = self.id(line.words[2]);
        let dst_pos = line.number("seq") + line.number("head");
        let (src_pos, src_off, src_head) = (line.number("tail"), line.low("toff"), line.low("shead"));
        let body = OpExit {
            ret: line.words[3].parse().unwrap(),
            src_pos,
            dst_pos,
            src_off,
            src_head,
            call: line.keys.get("r").map_or(0, |name| self.requests[*name]),
            zckey: line.low("zckey"),
            flags: line.flags(&[("notifies", op_exit::NOTIFIES), ("unseen", op_exit::UNSEEN)]),
        };
        self.say(kind::OP_EXIT, at, task, &body);
    }

    /// What is stated of a transfer: all that the expectation mentions.
    fn words(&self, t: &Transfer, expected: &str) -> String {
        let name = self.transfers.get(&t.id.seq).map_or("?", String::as_str);
        let time = |n: Option<u64>| n.map_or_else(|| "-".into(), |n| n.to_string());
        let value = |key: &str| match key {
            "at" => time(t.release_ns),
            "by" => t.released_by.map_or_else(|| "-".into(), |by| format!("{by:?}")),
            "bytes" => t.bytes.to_string(),
            "xmit" => time(t.first_xmit_ns),
            "ack" => time(t.ack_ns),
            "return" => time(t.return_ns),
            "gap" => time(t.gap_ns()),
            "exposure" => time(t.exposure_ns()),
            "retransmits" => t.retransmits.to_string(),
            "zero_copy" => t.copied.is_none().to_string(),
            "copied" => t.copied.map_or("-", |by| text::copied(by).0).into(),
            "notify" => time(t.notify_ns),
            "api" => text::api(t.api).into(),
            "verdict" => text::verdict(t.verdict).into(),
            "content" => t.content.map_or("-", text::content).into(),
            "rules" => t.rules.join(","),
            "why" => t.reasons.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>().join(","),
            "path" => {
                let path = t.file.as_ref().and_then(|f| f.path.as_deref());
                path.map_or_else(|| "-".into(), |p| String::from_utf8_lossy(p).into_owned())
            }
            _ => "?".into(),
        };
        let keys = expected.split_whitespace().filter_map(|part| part.split_once('='));
        let said = keys.map(|(key, _)| format!(" {key}={}", value(key))).collect::<String>();
        format!("{name} {}{said}", format!("{:?}", t.outcome).to_lowercase())
    }

    /// `mN KIND by=TASK FROM+LEN hits=T1:phase,T2:phase`
    fn mutation(&self, m: &Mutation) -> String {
        let task = m.tid.and_then(|tid| self.names.iter().find(|(_, id)| **id == u64::from(tid)));
        let who = task.map_or("?", |(name, _)| name.as_str());
        let len = m.len.map_or_else(|| "all".into(), |n| n.to_string());
        let hit = |h: &Hit| {
            let name = self.transfers.get(&h.transfer.seq).map_or("?", String::as_str);
            format!("{name}:{}", text::phase(h.phase))
        };
        let hits: Vec<String> = m.hits.iter().map(hit).collect();
        format!("{} {} by={who} {}+{len} hits={}", m.id, text::mutation(m.kind), m.offset, hits.join(","))
    }

    fn check(&self) -> Result<(), String> {
        let (mut order, mut engine, mut facts) = (Order::default(), Engine::new(), Vec::new());
        for bytes in &self.frames {
            let Decoded::Frame(header, event) = decode(bytes) else { panic!("not a frame") };
            order.push(header, event, &mut |h, e| engine.push(h, e, &mut facts));
        }
        order.finish(&mut |h, e| engine.push(h, e, &mut facts));
        engine.finish(&mut facts);
        let mut expected = self.expected.iter().map(|e| e.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut wrong = String::new();
        for fact in facts.into_iter().filter(|f| !matches!(f, Fact::Trace(_))) {
            let want = expected.next().unwrap_or_default();
            let got = match &fact {
                Fact::Transfer(t) => self.words(t, &want),
                Fact::Loss(l) => {
                    format!("loss {} records={}", format!("{:?}", l.what).to_lowercase(), l.records)
                }
                Fact::Mutation(m) => self.mutation(m),
                Fact::Trace(_) => continue,
            };
            if got != want {
                wrong += &format!("  expected: {want}\n  stated:   {got}\n  ({fact:?})\n");
            }
        }
        expected.for_each(|want| wrong += &format!("  expected: {want}\n  stated:   nothing\n"));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

#[test]
fn scenarios() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "scn"));
    files.sort();
    assert!(files.len() >= 10, "scenario files are missing");
    let mut wrong = String::new();
    for file in &files {
        let mut scenario = Scenario::default();
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            scenario.line(line);
        }
        match scenario.check() {
            Ok(()) => println!("ok {}", file.file_name().unwrap().display()),
            Err(why) => wrong += &format!("{}\n{why}", file.display()),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
