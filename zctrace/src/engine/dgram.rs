//! UDP and AF_UNIX: no sequence numbers, so packets are matched to transfers by the file ranges in
//! their frags, oldest transfer first.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Close, Ledger};
use crate::model::{ReleasedBy, TransferId};

/// A file, as frags show it.
pub(super) type File = (u32, u64);

#[derive(Debug)]
struct Hold {
    id: TransferId,
    file: File,
    /// File ranges no packet has shown yet.
    unsent: Vec<(u64, u64)>,
    heads: BTreeSet<u64>,
    in_call: bool,
    last: Option<Close>,
}

/// A range in a packet that no transfer claimed, kept while a call is running that may.
#[derive(Clone, Copy, Debug)]
struct Stray {
    head: u64,
    file: File,
    start: u64,
    end: u64,
    xmit: Option<u64>,
}

/// How many unclaimed ranges are kept.
const STRAYS: usize = 4096;

/// One socket without sequence numbers.
#[derive(Debug, Default)]
pub(super) struct Dgram {
    holds: BTreeMap<u64, Hold>,
    by_head: BTreeMap<u64, Vec<u64>>,
    next: u64,
    strays: Vec<Stray>,
    freed_strays: BTreeMap<u64, Close>,
    /// Calls inside the kernel that move pipe contents here.
    pub(super) movers: u32,
    pub(super) ended: bool,
}

/// Takes `[start, end)` out of `ranges`; answers what of it was there.
fn cut(ranges: &mut Vec<(u64, u64)>, start: u64, end: u64) -> Vec<(u64, u64)> {
    let mut hit = Vec::new();
    let mut left = Vec::with_capacity(ranges.len() + 1);
    for (a, b) in ranges.drain(..) {
        if b <= start || a >= end {
            left.push((a, b));
            continue;
        }
        hit.push((a.max(start), b.min(end)));
        if a < start {
            left.push((a, start));
        }
        if b > end {
            left.push((end, b));
        }
    }
    *ranges = left;
    hit
}

impl Dgram {
    pub(super) fn is_idle(&self) -> bool {
        self.holds.is_empty() && self.by_head.is_empty()
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = TransferId> {
        self.holds.values().map(|h| h.id)
    }

    /// A call begins to send `[start, end)` of `file`. Answers a handle for [`Self::end`].
    pub(super) fn begin(&mut self, id: TransferId, file: File, start: u64, end: u64, ledger: &mut Ledger) -> u64 {
        self.next += 1;
        let hold = Hold { id, file, unsent: vec![(start, end)], heads: BTreeSet::new(), in_call: true, last: None };
        self.holds.insert(self.next, hold);
        ledger.hold(id);
        self.next
    }

    /// It returned, having sent up to `end`; `None`: nothing of this.
    pub(super) fn end(&mut self, handle: u64, end: Option<u64>, at: u64, ledger: &mut Ledger) {
        let Some(hold) = self.holds.get_mut(&handle) else { return };
        let Some(end) = end else {
            let id = hold.id;
            self.holds.remove(&handle);
            ledger.unhold(id);
            return;
        };
        cut(&mut hold.unsent, end, u64::MAX);
        hold.in_call = false;
        if self.ended {
            hold.unsent.clear();
        }
        let close = hold.last.unwrap_or(Close { at, by: ReleasedBy::Close });
        self.check(handle, close, ledger);
    }

    /// As `begin` and `end` at once, for bytes that turned out to be moved when the call returned.
    pub(super) fn add(&mut self, id: TransferId, file: File, start: u64, end: u64, at: u64, ledger: &mut Ledger) {
        let handle = self.begin(id, file, start, end, ledger);
        for stray in std::mem::take(&mut self.strays) {
            let mut rest = vec![(stray.start, stray.end)];
            let claimed = self.claim(handle, stray, &mut rest, ledger);
            self.strays.extend(rest.into_iter().map(|(start, end)| Stray { start, end, ..stray }));
            if claimed
                && let Some(close) = self.freed_strays.get(&stray.head).copied()
                && let Some(hold) = self.holds.get_mut(&handle)
            {
                hold.heads.remove(&stray.head);
                hold.last = hold.last.max(Some(close));
            }
        }
        self.end(handle, Some(end), at, ledger);
    }

    /// A mover has returned; unclaimed ranges are nobody's once none is left.
    pub(super) fn mover_left(&mut self) {
        self.movers = self.movers.saturating_sub(1);
        if self.movers == 0 {
            self.strays.clear();
            self.freed_strays.clear();
        }
    }

    /// Gives the hold what it waits for of `rest`, the ranges of `s` that are still nobody's.
    fn claim(&mut self, handle: u64, s: Stray, rest: &mut Vec<(u64, u64)>, ledger: &mut Ledger) -> bool {
        let Some(hold) = self.holds.get_mut(&handle) else { return false };
        if hold.file != s.file {
            return false;
        }
        let taken: Vec<_> = rest.iter().flat_map(|(a, b)| cut(&mut hold.unsent, *a, *b)).collect();
        if taken.is_empty() {
            return false;
        }
        for (a, b) in taken {
            cut(rest, a, b);
        }
        if hold.heads.insert(s.head) {
            self.by_head.entry(s.head).or_default().push(handle);
        }
        if let (Some(at), Some(t)) = (s.xmit, ledger.get(hold.id)) {
            t.first_xmit_ns.get_or_insert(at);
        }
        true
    }

    /// A packet holds these file bytes. `xmit`: when it was handed to a device.
    pub(super) fn extent(
        &mut self,
        head: u64,
        file: File,
        (start, end): (u64, u64),
        xmit: Option<u64>,
        ledger: &mut Ledger,
    ) {
        let stray = Stray { head, file, start, end, xmit };
        let mut rest = vec![(start, end)];
        let handles: Vec<u64> = self.holds.keys().copied().collect();
        for handle in handles {
            self.claim(handle, stray, &mut rest, ledger);
            if rest.is_empty() {
                return;
            }
        }
        if self.movers > 0 && self.strays.len() < STRAYS {
            self.strays.extend(rest.into_iter().map(|(start, end)| Stray { start, end, ..stray }));
        }
    }

    pub(super) fn free(&mut self, head: u64, close: Close, ledger: &mut Ledger) {
        if self.movers > 0 {
            self.freed_strays.insert(head, close);
        }
        for handle in self.by_head.remove(&head).unwrap_or_default() {
            if let Some(hold) = self.holds.get_mut(&handle) {
                hold.heads.remove(&head);
                hold.last = hold.last.max(Some(close));
            }
            self.check(handle, close, ledger);
        }
    }

    /// The socket is gone: what no packet has shown never will be.
    pub(super) fn close(&mut self, at: u64, ledger: &mut Ledger) {
        self.ended = true;
        let handles: Vec<u64> = self.holds.keys().copied().collect();
        for handle in handles {
            if let Some(hold) = self.holds.get_mut(&handle) {
                hold.unsent.clear();
            }
            self.check(handle, Close { at, by: ReleasedBy::Close }, ledger);
        }
    }

    fn check(&mut self, handle: u64, close: Close, ledger: &mut Ledger) {
        let done = self.holds.get(&handle).is_some_and(|h| !h.in_call && h.unsent.is_empty() && h.heads.is_empty());
        if done && let Some(hold) = self.holds.remove(&handle) {
            ledger.close(hold.id, close);
        }
    }
}
