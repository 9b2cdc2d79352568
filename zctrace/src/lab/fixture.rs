//! Cells and transfers for tests.

use super::{Cell, Notified, Observed, Said, cells};
use crate::model::{Api, Fact, FileId, FileRef, Outcome, ReleasedBy, Transfer, TransferId, Verdict};

/// The process of the actors.
pub(super) const PID: u32 = 7;

/// Submitted at 100, returned at 200, notified at 300 where it notifies; changed from 400 to 500, read at 900.
#[expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
pub(super) fn seen(text: &str, began_ns: u64) -> Observed {
    let cell: Cell = cells().into_iter().find(|c| c.to_string() == text).expect("no such cell");
    let at = |ns: u64| began_ns + ns;
    let notify = cell.api.notifies().then(|| Notified { at_ns: at(300), copied: None });
    let bytes = cell.transport.bytes() as u64;
    Observed {
        cell,
        began_ns,
        ended_ns: at(1000),
        said: Some(Said { submit_ns: at(100), return_ns: at(200), notify, bytes }),
        changed_ns: (cell.writer != super::Writer::None).then(|| (at(400), at(500))),
        got: if cell.receiver.reads() { bytes } else { 0 },
        new_bytes: 0,
        stale_or_wrong: 0,
        read_ns: cell.receiver.reads().then(|| at(900)),
        local: String::new(),
        remote: String::new(),
        skipped: None,
    }
}

/// All of what a cell sent, released then.
pub(super) fn transfer(seen: &Observed, release: Option<u64>) -> Transfer {
    let at = |ns: u64| seen.began_ns + ns;
    let notifies = seen.cell.api.notifies();
    let file = FileRef { id: FileId { dev: 1, ino: seen.began_ns, generation: 0 }, path: None };
    Transfer {
        id: TransferId { cpu: 0, seq: seen.began_ns },
        api: Api::Sendfile,
        pid: PID,
        tid: PID,
        comm: (*b"actors").into(),
        cgroup: None,
        file: seen.cell.memory.is_file().then_some(file),
        memory: None,
        offset: 0,
        requested: seen.cell.transport.bytes() as u64,
        bytes: seen.cell.transport.bytes() as u64,
        socket: None,
        copied: None,
        submit_ns: at(110),
        return_ns: Some(at(190)),
        notify_ns: notifies.then(|| at(290)),
        notify_copied: None,
        first_xmit_ns: None,
        ack_ns: None,
        release_ns: release.map(at),
        retransmits: 0,
        resent: Vec::new(),
        released_by: release.map(|_| ReleasedBy::ReceiverRead),
        outcome: if release.is_some() { Outcome::Released } else { Outcome::Unknown },
        verdict: Verdict::Mutated,
        content: None,
        reasons: Vec::new(),
        rules: Vec::new(),
        mutations: Vec::new(),
    }
}

/// As the trace states it.
pub(super) fn fact(t: Transfer) -> Fact {
    Fact::Transfer(Box::new(t))
}
