//! TCP: which sequence numbers a transfer has, and which skb heads hold them.
//!
//! A hold ends when its bytes are acknowledged (or the socket is closed: nothing unsent will be
//! sent) *and* no live head covers any of them. The first half rules out heads that were never
//! seen: a byte that is acknowledged was transmitted, and a transmitted head is known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zctrace_common::kernel::{PRINT_PAGES, Print, when};

use super::dgram::{MEMORY, cut};
use super::few::Few;
use super::ledger::{Close, Context, Ledger, Told};
use super::prints::{self, Piece};
use super::seq::Unwrap;
use super::witness::Clue;
use crate::model::{Copied, Reason, ReleasedBy, Resent, TransferId};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hold {
    id: TransferId,
    end: u64,
    /// File offset of its first byte; `None`: its bytes are not in one piece.
    off: Option<u64>,
    /// The call still runs: `end` is not known.
    in_call: bool,
    last_free: Option<Close>,
    /// The application was told that its memory is free.
    told: Option<Told>,
}

/// What a freed head says about how it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freed {
    pub(super) at: u64,
    pub(super) by: ReleasedBy,
    pub(super) reason: Option<Reason>,
    pub(super) moved: bool,
    /// Of memory, it had only copies by then, and what it once had was free when the application was told.
    pub(super) copies: bool,
    pub(super) context: Context,
}

/// Where bytes of a transfer are in a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) end: u64,
    /// File offset of the first.
    pub(super) off: Option<u64>,
}

/// A freed head, kept while a call runs that may turn out to have moved bytes into it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Recent {
    /// 0: it is not about a head.
    head: u64,
    start: u64,
    end: u64,
    close: Close,
    reason: Option<Reason>,
    /// When the bytes had been transmitted first.
    xmit: Option<u64>,
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// How many of each are kept.
const RECENT: usize = 1 << 16;

/// How far something has come, and when it got there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Mark {
    to: u64,
    at: u64,
    /// Earlier steps, kept while calls run whose bytes they may cover.
    past: Vec<(u64, u64)>,
}

impl Mark {
    /// When it reached `end`.
    fn reached(&self, end: u64) -> Option<u64> {
        let step = self.past.iter().find(|(to, _)| *to >= end);
        (self.to >= end).then(|| step.map_or(self.at, |(_, at)| *at))
    }

    fn moves(&mut self, to: u64, at: u64, keep: bool) {
        (self.to, self.at) = (to, at);
        if keep && self.past.len() < RECENT {
            self.past.push((to, at));
        }
    }
}

/// One TCP socket's byte stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stream {
    seq: Unwrap,
    acked: Mark,
    /// Nothing unsent will ever be sent, since then.
    closed: Option<u64>,
    pub(super) reset: bool,
    /// Some of its packets were cut in software: what a receiver sees is not what was sent.
    pub(super) segmented: bool,
    holds: Few<(u64, TransferId), Hold>,
    /// Those whose call still runs: where they end is not known.
    #[serde(with = "super::few::keys")]
    running: Few<(u64, TransferId), ()>,
    /// `(end, start, id)` of holds that are not acknowledged and whose call has returned.
    #[serde(with = "super::few::keys")]
    unacked: Few<(u64, u64, TransferId), ()>,
    /// `(start, id)` to end, and when it was first seen.
    heads: Few<(u64, u64), (u64, u64)>,
    /// Calls inside the kernel that move pipe contents here.
    pub(super) movers: u32,
    recent: Vec<Recent>,
    /// A receiver on this machine has copied everything before.
    read: Mark,
    longest_hold: u64,
    longest_head: u64,
    /// Where transfers begin whose memory is not free yet.
    awaiting: Few<TransferId, u64>,
    /// What packets of it held, by where that begins in the stream.
    prints: BTreeMap<(u64, u64), Seen>,
    seen: u64,
}

/// Fingerprints of bytes in the stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seen {
    at: u64,
    #[serde(with = "super::pod::boxed")]
    print: Box<Print>,
    /// Of the bytes that were let go of: those that nobody else held.
    last: Vec<(u64, u64)>,
}

const PAGE: u64 = 4096;
/// Bytes that one [`Print`] can describe.
const RUN: u64 = PRINT_PAGES as u64 * PAGE;

impl Stream {
    pub(super) fn new(snd_una: u32) -> Self {
        let mut seq = Unwrap::new(snd_una);
        let acked = seq.get(snd_una);
        Self {
            seq,
            acked: Mark { to: acked, ..Mark::default() },
            closed: None,
            reset: false,
            segmented: false,
            holds: Few::default(),
            running: Few::default(),
            unacked: Few::default(),
            heads: Few::default(),
            movers: 0,
            recent: Vec::new(),
            read: Mark::default(),
            longest_hold: 0,
            longest_head: 0,
            awaiting: Few::default(),
            prints: BTreeMap::new(),
            seen: 0,
        }
    }

    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.holds.is_empty() && self.heads.is_empty()
    }

    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.closed.is_some()
    }

    #[inline]
    pub(super) fn seq(&mut self, low: u32) -> u64 {
        self.seq.get(low)
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = TransferId> {
        self.holds.keys().map(|(_, id)| id)
    }

    /// A call begins to write at `start`.
    pub(super) fn begin(&mut self, id: TransferId, start: u64, off: u64, ledger: &mut Ledger) {
        let hold = Hold { id, end: u64::MAX, off: Some(off), in_call: true, last_free: None, told: None };
        self.holds.insert((start, id), hold);
        self.running.insert((start, id), ());
        ledger.hold(id);
    }

    /// That call returned, having written up to `end`; `None`: it wrote nothing.
    pub(super) fn end(&mut self, id: TransferId, start: u64, end: Option<u64>, at: u64, ledger: &mut Ledger) {
        let key = (start, id);
        self.running.remove(&key);
        let Some(end) = end else {
            self.holds.remove(&key);
            ledger.unhold(id);
            return;
        };
        if let Some(hold) = self.holds.get_mut(&key) {
            hold.end = end;
            hold.in_call = false;
            self.longest_hold = self.longest_hold.max(end - start);
        }
        self.returned(key, at, ledger);
        self.forget_past();
    }

    /// A call that returned moved these bytes here. `off`: the file offset of the first, if they are in
    /// one piece.
    pub(super) fn add(&mut self, id: TransferId, place: Place, at: u64, ledger: &mut Ledger) {
        let Place { start, end, off } = place;
        self.longest_hold = self.longest_hold.max(end - start);
        let (mut last_free, mut first) = (None, None);
        for freed in self.recent.iter().filter(|r| r.start < end && r.end > start) {
            last_free = last_free.max(Some(freed.close));
            first = earlier(first, freed.xmit);
            ledger.clue(id, Clue::Head(freed.head));
            ledger.clue(id, Clue::Time(freed.close.at));
            if let Some(reason) = freed.reason {
                ledger.reason(id, reason);
            }
        }
        if self.recent.len() >= RECENT {
            ledger.reason(id, Reason::FreeMissed);
        }
        if self
            .holds
            .insert((start, id), Hold { id, end, off, in_call: false, last_free, told: None })
            .is_none()
        {
            ledger.hold(id);
        }
        for (head, at) in self.heads_in(start, end) {
            ledger.clue(id, Clue::Head(head));
            first = earlier(first, Some(at));
        }
        if let Some(t) = ledger.get(id) {
            t.first_xmit_ns = earlier(t.first_xmit_ns, first);
        }
        self.returned((start, id), at, ledger);
    }

    /// Such a call has returned.
    pub(super) fn mover_left(&mut self) {
        self.movers = self.movers.saturating_sub(1);
        if self.movers == 0 {
            self.recent.clear();
        }
        self.forget_prints();
        self.forget_past();
    }

    /// Adds the bytes of it that are lent, from and to; false: not known.
    pub(super) fn lent(&self, id: TransferId, found: &mut Vec<(u64, u64)>) -> bool {
        let mut known = true;
        for ((start, _), hold) in self.holds.iter().filter(|((_, of), _)| *of == id) {
            let Some(off) = hold.off else {
                known = false;
                continue;
            };
            let at = |seq: u64| off.saturating_add(seq - start);
            let unacked = self.acked.to.max(start);
            if unacked < hold.end && self.closed.is_none() {
                found.push((at(unacked), at(hold.end)));
            }
            let from = start.saturating_sub(self.longest_head);
            for ((head, _), (end, _)) in self.heads.range((from, 0)..(hold.end, 0)) {
                let (head, end) = (head.max(start), (*end).min(hold.end));
                if head < end {
                    found.push((at(head), at(end)));
                }
            }
        }
        known
    }

    /// Live heads that hold some of these bytes, and when each was handed to a device.
    #[inline]
    fn heads_in(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let near = self.heads.range((start.saturating_sub(self.longest_head), 0)..(end, 0));
        near.filter(move |(_, (head_end, _))| *head_end > start).map(|((_, head), (_, at))| (head, *at))
    }

    /// A call runs whose bytes are not known yet.
    #[inline]
    fn in_call(&self) -> bool {
        self.movers > 0 || !self.running.is_empty()
    }

    /// Such a call may turn out to have moved bytes that were in here.
    #[inline]
    fn remember(&mut self, freed: Recent) {
        if self.movers > 0 && self.recent.len() < RECENT {
            self.recent.push(freed);
        }
    }

    #[inline]
    fn forget_past(&mut self) {
        if !self.in_call() {
            self.acked.past.clear();
            self.read.past.clear();
        }
    }

    fn returned(&mut self, key: (u64, TransferId), at: u64, ledger: &mut Ledger) {
        let Some(hold) = self.holds.get(&key) else {
            return;
        };
        let (id, end, last) = (hold.id, hold.end, hold.last_free);
        let mut acked = None;
        if let Some(at) = self.acked.reached(end) {
            acked = Some(Close { at, by: ReleasedBy::Ack });
            note_ack(id, at, ledger);
        } else if self.closed.is_none() {
            self.unacked.insert((end, key.0, id), ());
        }
        // Everything may have happened before the call returned; then the evidence is already here.
        let by = if self.reset { ReleasedBy::Reset } else { ReleasedBy::Close };
        let closed = self.closed.map(|at| Close { at, by });
        let read = self.read.reached(end).map(|at| Close { at, by: ReleasedBy::ReceiverRead });
        let close = last.max(acked.or(closed)).max(read).unwrap_or(Close { at, by });
        self.check(key, close, ledger);
    }

    /// Ends the hold if nothing is left of it.
    fn check(&mut self, key: (u64, TransferId), close: Close, ledger: &mut Ledger) {
        let Some(hold) = self.holds.get(&key) else {
            return;
        };
        let done = !hold.in_call
            && (self.was_acked(hold.end) || self.closed.is_some())
            && !self.covered(key.0, hold.end);
        if done && let Some(hold) = self.holds.remove(&key) {
            self.unacked.remove(&(hold.end, key.0, hold.id));
            self.tell_prints(key.0, &hold, ledger);
            self.forget_prints();
            ledger.close(hold.id, close);
        }
    }

    /// What bytes of a head were, from `start` on.
    pub(super) fn print(&mut self, start: u64, at: u64, print: &Print, ledger: &mut Ledger) {
        self.concerns(start, start.saturating_add(u64::from(print.len)), ledger);
        if (self.holds.is_empty() && self.movers == 0) || self.prints.len() >= RECENT {
            return;
        }
        let end = start.saturating_add(u64::from(print.len));
        let mut last = Vec::new();
        if matches!(print.when, when::READ | when::RELEASE) {
            last.push((start, end));
        }
        if print.when == when::RELEASE {
            let near = self.heads.range((start.saturating_sub(self.longest_head), 0)..(end, 0));
            for ((a, _), (b, _)) in near.filter(|((_, head), _)| *head != print.head) {
                cut(&mut last, a, *b);
            }
        }
        self.seen += 1;
        self.prints.insert((start, self.seen), Seen { at, print: Box::new(*print), last });
    }

    /// This head holds these bytes now: who let go of them before was not the last.
    #[inline]
    fn is_held(&mut self, head: u64, start: u64, end: u64) {
        if self.prints.is_empty() {
            return;
        }
        let near = self.prints.range_mut((start.saturating_sub(RUN), 0)..(end, 0)).map(|(_, seen)| seen);
        for seen in near.filter(|s| s.print.when == when::RELEASE && s.print.head != head) {
            cut(&mut seen.last, start, end);
        }
    }

    /// Hands what was seen of a hold's bytes to its transfer.
    fn tell_prints(&self, start: u64, hold: &Hold, ledger: &mut Ledger) {
        if self.seen == 0 {
            return;
        }
        let Some(first) = hold.off else {
            ledger.unseen(hold.id);
            return;
        };
        let near = self.prints.range((start.saturating_sub(RUN), 0)..(hold.end, 0));
        let mut released = Vec::new();
        for ((seq, _), seen) in near {
            let file = (seen.print.dev, seen.print.ino);
            for piece in prints::pieces(&seen.print, seen.at) {
                let from = seq.saturating_add(piece.from - seen.print.off);
                let to = from.saturating_add(piece.to - piece.from);
                let (a, b) = (from.max(start), to.min(hold.end));
                if a >= b {
                    continue;
                }
                // Of a frag that two transfers share, the sum is not this one's.
                let whole = (a, b) == (from, to);
                let off = piece.from + (a - from);
                let from = first.saturating_add(a - start);
                let to = from.saturating_add(b - a);
                // What memory a packet has it shows by where in its page it begins.
                let fits = if file == MEMORY { from % PAGE == off % PAGE } else { from == off };
                let sum = piece.sum.filter(|_| whole && fits);
                let when = if piece.when == when::READ { when::RELEASE } else { piece.when };
                ledger.print(hold.id, Piece { when, from, to, sum, ..piece }, file);
            }
            released.extend(seen.last.iter().copied());
        }
        released.sort_unstable();
        let reach =
            released.iter().fold(start, |reach, (a, b)| if *a <= reach { reach.max(*b) } else { reach });
        if reach < hold.end {
            ledger.unseen(hold.id);
        }
    }

    /// Nobody can ask any more for what lies before the first hold.
    #[inline]
    fn forget_prints(&mut self) {
        if self.movers > 0 {
            return;
        }
        let first = self.holds.first().map_or(u64::MAX, |((start, _), _)| start.saturating_sub(RUN));
        while self.prints.first_key_value().is_some_and(|((start, _), _)| *start < first) {
            self.prints.pop_first();
        }
    }

    /// Whether a live head overlaps `[start, end)`. What is acknowledged and read by a receiver on
    /// this machine nobody reads again, even where its head is parked for a later free.
    #[inline]
    fn covered(&self, start: u64, end: u64) -> bool {
        let from = start.saturating_sub(self.longest_head);
        let start = start.max(self.over());
        start < end && self.heads.range((from, 0)..(end, 0)).any(|(_, (head_end, _))| *head_end > start)
    }

    /// Everything before this is acknowledged and read by a receiver on this machine.
    #[inline]
    fn over(&self) -> u64 {
        self.read.to.min(self.acked.to)
    }

    /// Whether everything before `end` is acknowledged.
    #[inline]
    pub(super) fn was_acked(&self, end: u64) -> bool {
        self.acked.to >= end
    }

    /// Whether a receiver on this machine has copied everything before `end`.
    #[inline]
    pub(super) fn was_read(&self, end: u64) -> bool {
        self.read.to >= end
    }

    /// A receiver on this machine has copied everything before `copied`.
    pub(super) fn read(&mut self, copied: u32, at: u64, ledger: &mut Ledger) {
        let copied = self.seq.get(copied);
        if copied <= self.read.to {
            return;
        }
        self.concerns(self.read.to, copied, ledger);
        let over = self.over();
        self.read.moves(copied, at, self.in_call());
        self.is_over(over, Close { at, by: ReleasedBy::ReceiverRead });
        let keys: Vec<_> =
            self.holds.range((0, TransferId::MIN)..(copied, TransferId::MIN)).map(|(k, _)| k).collect();
        for key in keys {
            self.check(key, Close { at, by: ReleasedBy::ReceiverRead }, ledger);
        }
    }

    /// What was not over `before` now is: evidence for calls that still run.
    fn is_over(&mut self, before: u64, close: Close) {
        let (start, end) = (before, self.over());
        if start >= end {
            return;
        }
        if self.movers > 0 {
            let xmit = self.heads_in(start, end).map(|(_, at)| at).min();
            self.remember(Recent { head: 0, start, end, close, reason: None, xmit });
        }
        for (key, ()) in self.running.range((0, TransferId::MIN)..(end, TransferId::MIN)) {
            if let Some(hold) = self.holds.get_mut(&key) {
                hold.last_free = hold.last_free.max(Some(close));
            }
        }
    }

    /// Holds with bytes in `[start, end)`; those of running calls may have.
    #[inline]
    fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, TransferId)> {
        let from = start.saturating_sub(self.longest_hold);
        let end = if start < end { end } else { 0 };
        let known = self
            .holds
            .range((from, TransferId::MIN)..(end, TransferId::MIN))
            .filter(move |(_, h)| h.end > start && !h.in_call);
        let running = self.running.range((0, TransferId::MIN)..(end, TransferId::MIN));
        known.map(|(k, _)| k).chain(running.map(|(k, ())| k))
    }

    /// What happens now is about these bytes.
    #[inline]
    pub(super) fn concerns(&self, start: u64, end: u64, ledger: &mut Ledger) {
        if ledger.witness.is_some() {
            self.overlapping(start, end).for_each(|(_, id)| ledger.touch(id));
        }
    }

    /// A head with bytes `[start, end)` was handed to a device.
    /// `orphaned`: whoever receives it gets a copy.
    pub(super) fn head(
        &mut self,
        head: u64,
        start: u64,
        end: u64,
        (at, orphaned): (u64, bool),
        ledger: &mut Ledger,
    ) {
        self.heads.insert((start, head), (end, at));
        self.is_held(head, start, end);
        self.longest_head = self.longest_head.max(end - start);
        for (_, id) in self.overlapping(start, end) {
            if let Some(t) = ledger.get(id) {
                t.first_xmit_ns.get_or_insert(at);
                // The pages of a file may be in a packet with memory, and other packets of theirs are not copied.
                if orphaned && t.api.notifies() {
                    t.copied.get_or_insert(Copied::Loopback);
                }
            }
        }
    }

    /// What is known of the head that starts at `start` is out of date.
    pub(super) fn forget_head(&mut self, head: u64, start: u64) {
        self.heads.remove(&(start, head));
    }

    /// The head holds up to `end` from now on.
    pub(super) fn grow_head(&mut self, head: u64, start: u64, end: u64, ledger: &mut Ledger) {
        if let Some((known, _)) = self.heads.get_mut(&(start, head)) {
            *known = end;
        }
        self.longest_head = self.longest_head.max(end - start);
        self.is_held(head, start, end);
        self.concerns(start, end, ledger);
    }

    /// The application will be told when the memory of this transfer is free.
    pub(super) fn awaits(&mut self, id: TransferId, start: u64) {
        self.awaiting.insert(id, start);
    }

    /// It is told.
    pub(super) fn told(&mut self, id: TransferId, told: Told) {
        let start = self.awaiting.remove(&id);
        if let Some(hold) = start.and_then(|start| self.holds.get_mut(&(start, id))) {
            hold.told = Some(told);
        }
    }

    /// The head that held `[start, end)` is gone.
    pub(super) fn free(&mut self, head: u64, start: u64, end: u64, freed: Freed, ledger: &mut Ledger) {
        let xmit = self.heads.remove(&(start, head)).map(|(_, at)| at);
        if start >= end {
            return;
        }
        let close = Close { at: freed.at, by: freed.by };
        let lost_track = freed.moved && !self.holds_all(start, end);
        let reason = freed.reason.or(lost_track.then_some(Reason::FragsMoved));
        // What was acknowledged and read before does not depend on this head any more.
        let start = start.max(self.over());
        if start >= end {
            return;
        }
        self.remember(Recent { head, start, end, close, reason, xmit });
        self.concerns(start, end, ledger);
        let keys: Vec<_> = self.overlapping(start, end).collect();
        for key in keys {
            let mut close = close;
            if let Some(hold) = self.holds.get_mut(&key) {
                let told = hold.told.filter(|t| freed.copies || t.is_free(freed.at, freed.context));
                close.at = told.map_or(close.at, |told| told.at);
                hold.last_free = hold.last_free.max(Some(close));
            }
            if let Some(reason) = reason {
                ledger.reason(key.1, reason);
            }
            self.check(key, close, ledger);
        }
    }

    /// Whether live heads cover all of `[start, end)`.
    fn holds_all(&self, start: u64, end: u64) -> bool {
        let from = start.saturating_sub(self.longest_head);
        let mut reach = start;
        for ((head_start, _), (head_end, _)) in self.heads.range((from, 0)..(end, 0)) {
            if head_start <= reach {
                reach = reach.max(*head_end);
            }
        }
        reach >= end
    }

    /// Everything before `una` is acknowledged.
    pub(super) fn ack(&mut self, una: u32, at: u64, ledger: &mut Ledger) {
        let una = self.seq.get(una);
        if una <= self.acked.to {
            return;
        }
        self.concerns(self.acked.to, una, ledger);
        let over = self.over();
        self.acked.moves(una, at, self.in_call());
        self.is_over(over, Close { at, by: ReleasedBy::Ack });
        while let Some(((end, start, id), ())) = self.unacked.first() {
            if end > una {
                break;
            }
            self.unacked.remove(&(end, start, id));
            note_ack(id, at, ledger);
            self.check((start, id), Close { at, by: ReleasedBy::Ack }, ledger);
        }
    }

    /// `[start, end)` went out again.
    pub(super) fn retransmit(&mut self, start: u32, end: u32, at: u64, ledger: &mut Ledger) {
        let (start, end) = (self.seq.get(start), self.seq.get(end));
        for key in self.overlapping(start, end) {
            let first = start.max(key.0);
            let resent = match self.holds.get(&key).and_then(|h| h.off) {
                Some(off) => Resent::once(off.saturating_add(first - key.0), end - first, at),
                None => Resent::anything(at),
            };
            ledger.retransmitted(key.1, resent);
        }
    }

    /// Nothing unsent will be sent any more.
    pub(super) fn close(&mut self, at: u64, ledger: &mut Ledger) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(at);
        self.concerns(0, u64::MAX, ledger);
        self.awaiting.clear();
        self.unacked.clear();
        let by = if self.reset { ReleasedBy::Reset } else { ReleasedBy::Close };
        let keys: Vec<_> = self.holds.keys().collect();
        for key in keys {
            self.check(key, Close { at, by }, ledger);
        }
    }

    /// How a head's free reads, given what the socket went through.
    #[inline]
    pub(super) fn freed_by(&self, end: u64, loopback: bool) -> ReleasedBy {
        if self.reset {
            ReleasedBy::Reset
        } else if self.closed.is_some() && !self.was_acked(end) {
            ReleasedBy::Close
        } else if loopback {
            ReleasedBy::ReceiverRead
        } else if self.was_acked(end) {
            ReleasedBy::TxComplete
        } else {
            ReleasedBy::Ack
        }
    }
}

fn note_ack(id: TransferId, at: u64, ledger: &mut Ledger) {
    ledger.clue(id, Clue::Time(at));
    if let Some(t) = ledger.get(id) {
        t.ack_ns = t.ack_ns.max(Some(at));
    }
}
