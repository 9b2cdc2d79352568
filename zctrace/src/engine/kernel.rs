//! Sends by the kernel itself: no call opens them, so each run of file bytes in a packet that was not
//! transmitted before is a transfer, from that moment on.

use std::sync::Arc;

use zctrace_common::frame::Header;
use zctrace_common::kernel::{Extent, watch};

use super::stream::Place;
use super::{Engine, HeadState, Kind};
use crate::model::{Api, FileId, Reason, Transfer, TransferId};

impl Engine {
    /// A packet of a socket of the kernel holds these bytes of a file.
    pub(super) fn sent_by_kernel(&mut self, header: &Header, head: HeadState, x: &Extent) {
        let Some(sock) = self.socks.get_mut(&head.sock) else {
            return;
        };
        let first = head.start.saturating_add(u64::from(x.pos));
        let end = first.saturating_add(u64::from(x.len));
        // What went out before has been said.
        let start = first.max(sock.said);
        if start >= end || x.ino == 0 {
            return;
        }
        sock.said = end;
        let socket = Some(Arc::clone(&sock.name));
        let id = TransferId { cpu: header.cpu, seq: header.seq };
        let offset = x.off.saturating_add(start - first);
        let t = Transfer {
            file: Some(self.names.file(FileId { dev: x.dev, ino: x.ino, generation: x.generation })),
            offset,
            requested: end - start,
            bytes: end - start,
            socket,
            first_xmit_ns: Some(head.at),
            reasons: vec![Reason::SubmitUnseen],
            ..Transfer::opened(id, Api::Kernel, head.at)
        };
        self.changes.lent(&t);
        self.ledger.begin(t, 0);
        self.ledger.no_return(id);
        for (bit, reason) in watch_reasons() {
            if x.watch & bit != 0 {
                self.ledger.reason(id, reason);
            }
        }
        self.sock_doubts(head.sock, id);
        if let Some(Kind::Stream(stream)) = self.socks.get_mut(&head.sock).map(|s| &mut s.kind) {
            stream.add(id, Place { start, end, off: Some(offset) }, header.ts, &mut self.ledger);
        }
    }
}

/// What was known of changes to a file when it was lent.
pub(super) fn watch_reasons() -> [(u32, Reason); 4] {
    [
        (watch::MAPPED, Reason::WritableMapping),
        (watch::BUSY, Reason::FileBusy),
        (watch::FULL, Reason::FileUnwatched),
        (watch::BELOW, Reason::FileStacked),
    ]
}
