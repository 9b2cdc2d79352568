//! UDP and AF_UNIX: no sequence numbers, so packets are matched to transfers by the file ranges in
//! their frags, oldest transfer first.
//!
//! Calls that send the same bytes at once cannot be told apart: their holds end together, when all
//! packets that any of them may own are gone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zctrace_common::kernel::{Print, head_flag, when};

use super::HeadState;
use super::ledger::{Close, Ledger, Told};
use super::prints::{self, Piece};
use super::witness::Clue;
use crate::hash::HashMap;
use crate::model::{Copied, Reason, ReleasedBy, Transfer, TransferId};

/// A file, as frags show it.
pub(super) type File = (u32, u64);
/// Memory that is no file's: frags show how much of it, not what.
pub(super) const MEMORY: File = (0, 0);

/// What the packets of a transfer show.
pub(super) fn file_of(t: &Transfer) -> File {
    t.file.as_ref().map_or(MEMORY, |f| (f.id.dev, f.id.ino))
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hold {
    id: TransferId,
    /// The call that made it: holds of one call are in the order of its bytes.
    call: TransferId,
    file: File,
    /// Of memory: its packets may show it as a file's.
    wild: bool,
    /// The bytes it was made for.
    range: (u64, u64),
    /// Holds with the same number end together.
    group: u64,
    /// File ranges no packet has shown yet.
    unsent: Vec<(u64, u64)>,
    heads: BTreeSet<u64>,
    in_call: bool,
    last: Option<Close>,
    /// One past the last byte that was sent.
    to: u64,
    /// Bytes that were looked at when they were let go of.
    seen: u64,
    /// A notification will say that it is over: packets may have been copied, or none been seen.
    awaits: bool,
    told: Option<u64>,
}

impl Hold {
    fn is_done(&self) -> bool {
        !self.in_call && !self.awaits && self.unsent.is_empty() && self.heads.is_empty()
    }
}

/// Bytes of one transfer that a call sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: TransferId,
    pub(super) call: TransferId,
    pub(super) file: File,
    /// Of memory: packets may show it as a file's.
    pub(super) wild: bool,
    pub(super) range: (u64, u64),
}

/// A range in a packet that no transfer claimed, kept while a call is running that may.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Dgram {
    holds: BTreeMap<u64, Hold>,
    /// Holds that wait for packets to show something.
    waiting: BTreeSet<(File, u64)>,
    in_call: BTreeSet<u64>,
    /// Members of groups that have more than one.
    groups: BTreeMap<u64, Vec<u64>>,
    by_head: BTreeMap<u64, Vec<u64>>,
    /// Transfers that will be told, and their holds.
    awaiting: BTreeMap<TransferId, Vec<u64>>,
    next: u64,
    strays: Vec<Stray>,
    freed_strays: BTreeMap<u64, Close>,
    /// Calls inside the kernel that move pipe contents here.
    movers: u32,
    /// While they ran, another call sent here too: whose packets are whose nobody can say, and one
    /// mistake leads to the next.
    mixed: bool,
    /// Content is looked at.
    printed: bool,
    pub(super) ended: bool,
}

/// Takes `[start, end)` out of `ranges`; answers what of it was there.
pub(super) fn cut(ranges: &mut Vec<(u64, u64)>, start: u64, end: u64) -> Vec<(u64, u64)> {
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

    /// Adds the bytes of it that may be lent, from and to. Holds of a group end together.
    pub(super) fn lent(&self, id: TransferId, found: &mut Vec<(u64, u64)>) {
        found.extend(self.holds.values().filter(|h| h.id == id).map(|h| h.range));
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = TransferId> {
        self.holds.values().map(|h| h.id)
    }

    /// A call begins to send bytes of `file`. Answers a handle for [`Self::end`].
    pub(super) fn begin(&mut self, s: Sent, ledger: &mut Ledger) -> u64 {
        self.next += 1;
        let handle = self.next;
        // Where calls ran at once, what is left of them may be taken for this one's.
        let others = self.in_call.iter().chain(self.groups.values().flatten());
        let rivals: BTreeSet<u64> = others
            .filter_map(|h| self.holds.get(h))
            .filter(|h| {
                h.call != s.call && h.file == s.file && h.range.0 < s.range.1 && h.range.1 > s.range.0
            })
            .map(|h| h.group)
            .collect();
        if !rivals.is_empty() {
            let mut all: Vec<u64> =
                rivals.iter().flat_map(|g| self.groups.remove(g).unwrap_or_else(|| vec![*g])).collect();
            for member in &all {
                if let Some(hold) = self.holds.get_mut(member) {
                    hold.group = handle;
                }
            }
            all.push(handle);
            self.groups.insert(handle, all);
        }
        let hold = Hold {
            id: s.id,
            call: s.call,
            file: s.file,
            wild: s.wild,
            range: s.range,
            group: handle,
            unsent: vec![s.range],
            heads: BTreeSet::new(),
            in_call: true,
            last: None,
            to: s.range.1,
            seen: 0,
            awaits: false,
            told: None,
        };
        self.holds.insert(handle, hold);
        self.waiting.insert((s.file, handle));
        self.in_call.insert(handle);
        ledger.hold(s.id);
        handle
    }

    /// A call begins that sends from a file (`id`), or from a pipe.
    pub(super) fn call(&mut self, id: Option<TransferId>, ledger: &mut Ledger) {
        let others = self.movers > 0 || !self.in_call.is_empty();
        self.movers += u32::from(id.is_none());
        self.mixed |= others && self.movers > 0;
        if self.mixed {
            let running = self.in_call.iter().filter_map(|h| self.holds.get(h)).map(|h| h.id);
            for id in running.chain(id) {
                ledger.reason(id, Reason::PipeChanged);
            }
        }
    }

    /// A mover brought something, and it is not certain whose.
    pub(super) fn mix(&mut self) {
        self.mixed = true;
    }

    /// Whether what a mover moved here can be told from what others sent.
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// It returned, having sent up to `end`; `None`: nothing of this.
    pub(super) fn end(&mut self, handle: u64, end: Option<u64>, at: u64, ledger: &mut Ledger) {
        self.in_call.remove(&handle);
        let Some(hold) = self.holds.get_mut(&handle) else {
            return;
        };
        let Some(end) = end else {
            let (id, group, file) = (hold.id, hold.group, hold.file);
            self.holds.remove(&handle);
            self.waiting.remove(&(file, handle));
            ledger.unhold(id);
            self.check_group(group, ledger);
            return;
        };
        cut(&mut hold.unsent, end, u64::MAX);
        hold.in_call = false;
        hold.to = hold.to.min(end);
        if self.ended {
            hold.unsent.clear();
        }
        if hold.unsent.is_empty() {
            self.waiting.remove(&(hold.file, handle));
        }
        hold.last.get_or_insert(Close { at, by: ReleasedBy::Close });
        self.check(handle, ledger);
    }

    /// As `begin` and `end` at once, for bytes that turned out to be moved when the call returned.
    pub(super) fn add(&mut self, s: Sent, at: u64, ledger: &mut Ledger) {
        let handle = self.begin(s, ledger);
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
                self.by_head.remove(&stray.head);
            }
        }
        self.end(handle, Some(s.range.1), at, ledger);
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
        let Some(hold) = self.holds.get_mut(&handle) else {
            return false;
        };
        // Which memory a packet holds it does not show.
        let any = hold.file == MEMORY;
        if hold.file != s.file && !(any && hold.wild) {
            return false;
        }
        // Packets show the bytes of a call in order: what lies further on is somebody else's.
        let mut taken = Vec::new();
        for (a, b) in rest.iter() {
            let Some((next, _)) = hold.unsent.first().copied() else {
                break;
            };
            if any {
                let got = cut(&mut hold.unsent, next, next.saturating_add(b - a));
                let len: u64 = got.iter().map(|(a, b)| b - a).sum();
                taken.push((*a, a.saturating_add(len)));
            } else if (*a..*b).contains(&next) {
                taken.extend(cut(&mut hold.unsent, next, *b));
            }
        }
        if taken.is_empty() {
            return false;
        }
        for (a, b) in taken {
            cut(rest, a, b);
        }
        if hold.unsent.is_empty() {
            self.waiting.remove(&(hold.file, handle));
        }
        ledger.touch(hold.id);
        ledger.clue(hold.id, Clue::Head(s.head));
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
        for of in [file, MEMORY] {
            let mut next = 0;
            while let Some((_, handle)) = self.waiting.range((of, next)..=(of, u64::MAX)).next().copied() {
                self.claim(handle, stray, &mut rest, ledger);
                if rest.is_empty() {
                    return;
                }
                next = handle + 1;
            }
        }
        if self.movers > 0 && self.strays.len() < STRAYS {
            self.strays.extend(rest.into_iter().map(|(start, end)| Stray { start, end, ..stray }));
        }
    }

    /// What bytes of a head were.
    pub(super) fn print(&mut self, at: u64, print: &Print, ledger: &mut Ledger) {
        self.printed = true;
        let file = (print.dev, print.ino);
        let handles = self.by_head.get(&print.head).map_or(&[][..], Vec::as_slice);
        let alone = handles.len() == 1;
        for handle in handles {
            let Some(hold) = self.holds.get_mut(handle).filter(|h| h.file == file) else {
                continue;
            };
            // A packet has memory in the order in which it was sent; which part of more than one packet, or
            // of more than one call, it does not show.
            let shift = hold.range.0.saturating_add(u64::from(print.pos)).wrapping_sub(print.off);
            if file == MEMORY && (!alone || hold.heads.len() != 1 || shift % 4096 != 0) {
                continue;
            }
            for mut piece in prints::pieces(print, at) {
                if file == MEMORY {
                    piece.from = piece.from.wrapping_add(shift);
                    piece.to = piece.to.wrapping_add(shift);
                }
                let (from, to) = (piece.from.max(hold.range.0), piece.to.min(hold.range.1));
                if from >= to {
                    continue;
                }
                if piece.when == when::RELEASE {
                    hold.seen = hold.seen.saturating_add(to - from);
                }
                let whole = (from, to) == (piece.from, piece.to);
                let sum = piece.sum.filter(|_| whole);
                ledger.print(hold.id, Piece { from, to, sum, ..piece }, file);
            }
        }
    }

    /// The calls of this transfer will be told when its memory is free.
    pub(super) fn awaits(&mut self, id: TransferId, handles: impl Iterator<Item = u64>) {
        let all: Vec<u64> = handles.collect();
        for handle in &all {
            if let Some(hold) = self.holds.get_mut(handle) {
                hold.awaits = true;
            }
        }
        self.awaiting.insert(id, all);
    }

    /// They are told. Whatever no packet has shown was copied, and so was what a receiver on this machine
    /// has; of other packets it is seen when they are freed.
    pub(super) fn told(
        &mut self,
        id: TransferId,
        told: Told,
        heads: &HashMap<u64, HeadState>,
        ledger: &mut Ledger,
    ) {
        for handle in self.awaiting.remove(&id).unwrap_or_default() {
            let Some(hold) = self.holds.get_mut(&handle) else {
                continue;
            };
            let local = |head: &u64| heads.get(head).is_some_and(|h| h.flags & head_flag::LOOPBACK != 0);
            let orphaned = hold.heads.iter().any(local);
            let copied = told.copied == Some(true) || orphaned;
            hold.heads.retain(|head| !local(head));
            hold.unsent.clear();
            hold.awaits = false;
            hold.told = Some(told.at);
            // Segments of a packet are not followed one by one: nothing is free before it is told.
            hold.last = if copied {
                Some(Close { at: told.at, by: ReleasedBy::Copied })
            } else {
                hold.last.max(Some(Close { at: told.at, by: ReleasedBy::TxComplete }))
            };
            self.waiting.remove(&(hold.file, handle));
            if orphaned && let Some(t) = ledger.get(id) {
                t.copied.get_or_insert(Copied::Loopback);
            }
            self.check(handle, ledger);
        }
    }

    /// `replaced`: its frags were copies by then.
    pub(super) fn free(&mut self, head: u64, close: Close, replaced: bool, ledger: &mut Ledger) {
        if self.movers > 0 && self.strays.iter().any(|s| s.head == head) {
            self.freed_strays.insert(head, close);
        }
        for handle in self.by_head.remove(&head).unwrap_or_default() {
            if let Some(hold) = self.holds.get_mut(&handle) {
                ledger.touch(hold.id);
                hold.heads.remove(&head);
                // When they were replaced, the notification came.
                let told = hold.told.filter(|_| replaced);
                hold.last = hold.last.max(Some(Close { at: told.unwrap_or(close.at), ..close }));
            }
            self.check(handle, ledger);
        }
    }

    /// The socket is gone: what no packet has shown never will be.
    pub(super) fn close(&mut self, at: u64, ledger: &mut Ledger) {
        self.ended = true;
        self.awaiting.clear();
        let close = Close { at, by: ReleasedBy::Close };
        let heads: Vec<u64> = self.by_head.keys().copied().collect();
        let handles: Vec<u64> = self.holds.keys().copied().collect();
        for handle in handles {
            if let Some(hold) = self.holds.get_mut(&handle) {
                ledger.touch(hold.id);
                if !hold.unsent.is_empty() && !hold.in_call {
                    hold.last = hold.last.max(Some(close));
                    // Its packet may have been taken for another call's.
                    for head in &heads {
                        if hold.heads.insert(*head) {
                            self.by_head.entry(*head).or_default().push(handle);
                        }
                    }
                }
                hold.unsent.clear();
                hold.awaits = false;
                self.waiting.remove(&(hold.file, handle));
            }
            self.check(handle, ledger);
        }
    }

    fn check(&mut self, handle: u64, ledger: &mut Ledger) {
        if let Some(hold) = self.holds.get(&handle)
            && hold.is_done()
        {
            self.check_group(hold.group, ledger);
        }
    }

    fn check_group(&mut self, group: u64, ledger: &mut Ledger) {
        let all = self.groups.get(&group).cloned().unwrap_or_else(|| vec![group]);
        let holds = || all.iter().filter_map(|k| self.holds.get(k));
        if !holds().all(Hold::is_done) {
            return;
        }
        let last = holds().filter_map(|h| h.last).max();
        self.groups.remove(&group);
        for handle in all {
            if let (Some(hold), Some(close)) = (self.holds.remove(&handle), last) {
                if self.printed && hold.seen < hold.to - hold.range.0 {
                    ledger.unseen(hold.id);
                }
                ledger.close(hold.id, close);
            }
        }
    }
}
