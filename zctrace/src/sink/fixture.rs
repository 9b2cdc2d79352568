//! Facts for tests.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::model::{
    Api, Fact, FileId, FileRef, Fingerprints, Hit, LossLine, LossWhat, Mutation, MutationId, MutationKind,
    Outcome, Phase, ProbeState, ProbeStatus, Reason, ReleasedBy, SeenBy, SockAddr, SockRef, TraceInfo,
    Transfer, TransferId, Verdict,
};

/// Nanoseconds of CLOCK_MONOTONIC at which everything here begins.
pub(crate) const START: u64 = 5_000_000_000;

/// Released `ms` milliseconds after its submit; the call took 0.5 ms.
pub(crate) fn transfer(ms: u64) -> Transfer {
    let submit_ns = START + 1_234_567_890;
    Transfer {
        id: TransferId { cpu: 3, seq: 17 },
        api: Api::Sendfile,
        pid: 4242,
        tid: 4243,
        comm: b"nginx".as_slice().into(),
        cgroup: Some("/system.slice/nginx.service".into()),
        file: Some(FileRef {
            id: FileId { dev: (8 << 20) | 1, ino: 12, generation: 7 },
            path: Some(b"/srv/www/site.tar".as_slice().into()),
        }),
        memory: None,
        offset: 4096,
        requested: 1 << 20,
        bytes: 65_536,
        socket: Some(Arc::new(SockRef {
            // More than a JavaScript number holds.
            id: 3 << 48 | 16,
            cookie: Some(77),
            family: 2,
            proto: 6,
            local: SockAddr::Inet(Ipv4Addr::LOCALHOST.into(), 80),
            remote: SockAddr::Inet(Ipv4Addr::new(192, 168, 1, 7).into(), 54_321),
        })),
        copied: None,
        submit_ns,
        return_ns: Some(submit_ns + 500_000),
        notify_ns: None,
        notify_copied: None,
        first_xmit_ns: Some(submit_ns + 20_000),
        ack_ns: Some(submit_ns + 400_000),
        release_ns: Some(submit_ns + ms * 1_000_000),
        retransmits: 0,
        resent: Vec::new(),
        released_by: Some(ReleasedBy::ReceiverRead),
        outcome: Outcome::Released,
        verdict: Verdict::Unknown,
        content: None,
        rules: Vec::new(),
        mutations: Vec::new(),
        reasons: vec![Reason::MutationsUnwatched],
    }
}

/// Left in a pipe by a process with a hostile name, from a file nobody could name.
pub(crate) fn held() -> Transfer {
    Transfer {
        api: Api::Splice,
        comm: b"e\x1b[2J\xff".as_slice().into(),
        cgroup: None,
        file: Some(FileRef { id: FileId { dev: 0x1b, ino: 99, generation: 0 }, path: None }),
        socket: None,
        first_xmit_ns: None,
        ack_ns: None,
        release_ns: None,
        released_by: None,
        outcome: Outcome::Held,
        ..transfer(0)
    }
}

/// A write by a process with a hostile name into the file of [`transfer`].
pub(crate) fn mutation() -> Mutation {
    Mutation {
        id: MutationId(1),
        kind: MutationKind::Write,
        pid: Some(7),
        tid: Some(8),
        comm: b"e\x1b[2J\xff".as_slice().into(),
        file: transfer(1).file,
        offset: 5000,
        len: Some(100),
        at_ns: START + 1_234_667_890,
        end_ns: Some(START + 1_234_668_890),
        seen_by: SeenBy::Syscall,
        hits: vec![Hit { transfer: TransferId { cpu: 3, seq: 17 }, phase: Phase::InFlight }],
    }
}

pub(crate) fn loss(what: LossWhat, records: u64) -> Fact {
    Fact::Loss(LossLine { part: 0, what, cpu: Some(1), from_ns: START, to_ns: START + 40_000_000, records })
}

pub(crate) fn info() -> TraceInfo {
    TraceInfo {
        part: 0,
        series: None,
        tool: "zctrace 0.1.0".into(),
        host: "fileserver".into(),
        kernel: "6.12.1".into(),
        start_ns: START,
        start_realtime_ns: 1_700_000_000_000_000_000,
        shown: crate::model::Shown::default(),
        filters: vec!["pid=4242".into()],
        probes: vec![
            ProbeStatus { name: "kmem:kfree".into(), state: ProbeState::Attached, reason: None },
            ProbeStatus {
                name: "tcp:tcp_probe".into(),
                state: ProbeState::Missing,
                reason: Some("not in this kernel".into()),
            },
        ],
        fingerprint: Fingerprints::default(),
    }
}
