//! A trace in which everything happens, for the tests of this directory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::board::picture::{Cursor, Focus, Mark};
use crate::board::{Board, Item, Lent, Picture};
use crate::engine::{Engine, Stage};
use crate::model::{
    Api, Copied, Fact, FileId, FileRef, Hit, LossLine, LossWhat, Memory, MemoryKind, Mutation, MutationId,
    MutationKind, Outcome, Phase, Reason, ReleasedBy, Resent, SeenBy, SockAddr, SockRef, Transfer,
    TransferId, Verdict,
};
use crate::select::Select;
use crate::sink::fixture;

/// CLOCK_MONOTONIC nanoseconds of the picture.
pub(super) const NOW: u64 = fixture::START + 65_400_000_000;

const MS: u64 = 1_000_000;

fn file(ino: u64, path: &[u8]) -> FileRef {
    FileRef { id: FileId { dev: (8 << 20) | 1, ino, generation: 1 }, path: Some(path.into()) }
}

fn socket(id: u64, remote: IpAddr, port: u16) -> Option<Arc<SockRef>> {
    let v6 = remote.is_ipv6();
    let local: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    Some(Arc::new(SockRef {
        id,
        cookie: Some(id + 4000),
        family: if v6 { 10 } else { 2 },
        proto: 6,
        local: SockAddr::Inet(local, 80),
        remote: SockAddr::Inet(remote, port),
    }))
}

/// A clean one: the `n`-th.
fn clean(n: u64) -> Transfer {
    let submit_ns = fixture::START + 1_000 * MS + n * 500 * MS;
    let gap = 20_000 + n * n * 40_000;
    let v4 = IpAddr::from(Ipv4Addr::new(192, 0, 2, 7));
    let v6 = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));
    Transfer {
        id: TransferId { cpu: (n % 2) as u32, seq: 100 + n },
        file: Some(if n.is_multiple_of(3) {
            file(12, b"/srv/www/index.html")
        } else {
            file(13, b"/srv/www/video.mp4")
        }),
        offset: n * 65_536,
        requested: 65_536,
        socket: if n.is_multiple_of(2) { socket(7, v4, 40_007) } else { socket(9, v6, 40_009) },
        submit_ns,
        return_ns: Some(submit_ns + 15_000),
        first_xmit_ns: Some(submit_ns + 9_000),
        ack_ns: Some(submit_ns + gap / 2),
        release_ns: Some(submit_ns + gap),
        released_by: Some(if n.is_multiple_of(4) { ReleasedBy::Ack } else { ReleasedBy::TxComplete }),
        verdict: Verdict::Clean,
        reasons: Vec::new(),
        ..fixture::transfer(1)
    }
}

fn mutated() -> Transfer {
    let submit_ns = fixture::START + 30_000 * MS;
    Transfer {
        id: TransferId { cpu: 1, seq: 900 },
        requested: 262_144,
        bytes: 262_144,
        file: Some(file(13, b"/srv/www/video.mp4")),
        offset: 0,
        submit_ns,
        return_ns: Some(submit_ns + 80_000),
        first_xmit_ns: Some(submit_ns + 30_000),
        ack_ns: Some(submit_ns + 1_490 * MS),
        release_ns: Some(submit_ns + 1_500 * MS),
        retransmits: 3,
        resent: vec![Resent {
            off: 8192,
            len: 4096,
            first: submit_ns + 700 * MS,
            at: submit_ns + 1_100 * MS,
            times: 3,
        }],
        released_by: Some(ReleasedBy::Ack),
        verdict: Verdict::Mutated,
        reasons: Vec::new(),
        rules: vec!["write-in-window", "retransmit-after-write"],
        mutations: vec![MutationId(1)],
        ..clean(2)
    }
}

fn mutation() -> Mutation {
    Mutation {
        id: MutationId(1),
        kind: MutationKind::Write,
        pid: Some(777),
        tid: Some(777),
        comm: b"deploy.sh".as_slice().into(),
        file: Some(file(13, b"/srv/www/video.mp4")),
        offset: 131_072,
        len: Some(4096),
        at_ns: fixture::START + 30_500 * MS,
        end_ns: Some(fixture::START + 30_500 * MS + 40_000),
        seen_by: SeenBy::Syscall,
        hits: vec![Hit { transfer: TransferId { cpu: 1, seq: 900 }, phase: Phase::InFlight }],
    }
}

/// Its name tries to draw, and the evidence is incomplete.
fn hostile() -> Transfer {
    Transfer {
        id: TransferId { cpu: 0, seq: 901 },
        comm: b"\x1b[2J\xff\xe2\x80\xae".as_slice().into(),
        pid: 666,
        file: Some(file(14, b"/tmp/\x1b]0;owned\x07\n/e\xcc\x81vil\xe6\x97\xa5\xe6\x9c\xac.bin")),
        submit_ns: fixture::START + 40_000 * MS,
        return_ns: Some(fixture::START + 40_001 * MS),
        outcome: Outcome::Unknown,
        release_ns: None,
        released_by: None,
        verdict: Verdict::Unknown,
        reasons: vec![Reason::Loss, Reason::WritableMapping],
        rules: vec!["writable-mapping-unwatched"],
        ..clean(3)
    }
}

fn copied() -> Transfer {
    let submit_ns = fixture::START + 50_000 * MS;
    Transfer {
        id: TransferId { cpu: 0, seq: 902 },
        api: Api::MsgZerocopy,
        file: None,
        memory: Some(Memory {
            kind: MemoryKind::Anonymous,
            address: 0x7f00_dead_b000,
            buffers: 1,
            registered: false,
        }),
        offset: 0x7f00_dead_b000,
        submit_ns,
        return_ns: Some(submit_ns + 10_000),
        notify_ns: Some(submit_ns + 40_000),
        notify_copied: Some(true),
        release_ns: Some(submit_ns + 39_000),
        copied: Some(Copied::Loopback),
        released_by: Some(ReleasedBy::ReceiverRead),
        ..clean(4)
    }
}

fn open(seq: u64, age_ms: u64, changed: bool) -> Item {
    let submit_ns = NOW - age_ms * MS;
    let t = Transfer {
        id: TransferId { cpu: 0, seq },
        requested: 2 << 20,
        bytes: 2 << 20,
        offset: 0,
        file: Some(file(13, b"/srv/www/video.mp4")),
        submit_ns,
        return_ns: Some(submit_ns + 150_000),
        first_xmit_ns: Some(submit_ns + 20_000),
        ack_ns: None,
        release_ns: None,
        released_by: None,
        outcome: Outcome::Held,
        verdict: Verdict::Unknown,
        ..clean(5)
    };
    let change = Mutation {
        id: MutationId(0),
        at_ns: submit_ns + MS,
        end_ns: Some(submit_ns + 2 * MS),
        hits: Vec::new(),
        ..mutation()
    };
    Item {
        t: Arc::new(t),
        stage: Some(Stage::Open),
        so_far: if changed { vec![change].into() } else { Arc::default() },
    }
}

/// What a live view shows.
pub(super) fn picture() -> Picture {
    let mut board = Board::default();
    let engine = Engine::new();
    let mut facts = vec![Fact::Trace(Box::new(fixture::info()))];
    facts.extend((0..60).map(|n| Fact::Transfer(Box::new(clean(n)))));
    facts.extend([mutated(), hostile(), copied()].map(|t| Fact::Transfer(Box::new(t))));
    facts.push(Fact::Mutation(Box::new(mutation())));
    facts.push(Fact::Loss(LossLine {
        part: 0,
        what: LossWhat::Ring,
        cpu: Some(1),
        from_ns: fixture::START + 39_000 * MS,
        to_ns: fixture::START + 40_000 * MS,
        records: 3,
    }));
    for fact in facts {
        let now = match &fact {
            Fact::Transfer(t) => t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns),
            _ => fixture::START,
        };
        board.fact(fact, now);
    }
    let mut p = board.picture(&engine, &Select::default(), NOW, None);
    p.open = vec![open(801, 42_000, true), open(802, 3_200, false), open(803, 12, false)];
    let mut lent = Lent::default();
    for item in &p.open {
        lent.windows += 1;
        lent.bytes += item.t.bytes;
        lent.pages += item.t.bytes / 4096;
        lent.oldest_ns = Some(lent.oldest_ns.unwrap_or(u64::MAX).min(item.t.submit_ns));
        lent.changed += u64::from(!item.so_far.is_empty());
    }
    p.lent = lent;
    let changed = p.open.iter().flat_map(|i| i.so_far.iter()).map(|m| Arc::new(m.clone()));
    p.mutations = changed.chain(p.mutations.iter().cloned()).collect();
    for row in p
        .files
        .iter_mut()
        .filter(|r| matches!(&r.group.label, crate::board::group::Label::File(f) if f.id.ino == 13))
    {
        row.lent = lent;
    }
    for row in p.peers.iter_mut().chain(&mut p.sockets).chain(&mut p.processes).take(1) {
        row.lent = lent;
    }
    p.focus = Some(Focus { id: TransferId { cpu: 0, seq: 801 }, lent: Some(vec![(1 << 20, 1 << 20)]) });
    p
}

/// What a replay shows.
pub(super) fn replay() -> Picture {
    let mark = |i: usize| Mark {
        transfers: u32::from(!i.is_multiple_of(3)),
        mutated: u32::from(i == 50),
        unknown: u32::from(i == 70),
        losses: u32::from(i == 90),
    };
    Picture {
        cursor: Some(Cursor {
            span: (fixture::START, fixture::START + 90_000 * MS),
            speed: Some(2.0),
            known: 1.0,
            seeking: false,
            landmark: None,
            marks: (0..128).map(mark).collect(),
            problem: None,
        }),
        ..picture()
    }
}
