//! What fingerprints say of one transfer: which version of its bytes went out, and which of them changed
//! while nobody said so.
//!
//! The sums of pieces add up to that of the whole, so however packets cut a page, those of one moment
//! are compared with those of another by putting pieces together. Where they leave a gap, or cut the
//! page in places that do not meet, nothing is claimed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zctrace_common::kernel::{Print, when};

use crate::event::pages;
use crate::model::{Content, Mode, Transfer};

const PAGE: u64 = 4096;
/// Pieces kept of one transfer.
const MOST: usize = 1 << 16;
/// Ways to put one page together that are told apart.
const WAYS: usize = 8;

/// Some bytes of one page of the file, as they were at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) when: u8,
    /// It was looked at between these, nanoseconds.
    pub(super) since: u64,
    pub(super) at: u64,
    /// File offsets: the first byte, and one past the last.
    pub(super) from: u64,
    pub(super) to: u64,
    /// `None`: they were there, and what they were is not known.
    pub(super) sum: Option<u64>,
}

/// The pieces of a run.
pub(super) fn pieces(p: &Print, at: u64) -> impl Iterator<Item = Piece> {
    let (when, since) = (p.when, p.since.min(at));
    pages(p).map(move |(from, len, sum)| Piece { when, since, at, from, to: from + len, sum: Some(sum) })
}

/// All that was seen of one transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Prints {
    /// By file page.
    pages: BTreeMap<u64, Vec<Piece>>,
    count: usize,
    submitted: Option<u64>,
    /// Some bytes were read, or let go, with nobody looking.
    pub(super) blind: bool,
}

/// Bytes that changed while they were lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) off: u64,
    pub(super) len: u64,
    /// They were as before then, nanoseconds.
    pub(super) after: u64,
    /// They were not any more, nanoseconds.
    pub(super) before: u64,
}

/// A change that an event showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) off: u64,
    pub(super) len: u64,
    pub(super) begin: u64,
}

impl Known {
    fn touches(&self, from: u64, to: u64) -> bool {
        self.off < to && from < self.off.saturating_add(self.len)
    }
}

/// What follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) content: Option<Content>,
    /// Changes that none of those known accounts for.
    pub(super) changed: Vec<Changed>,
    /// Others may be accounted for by what happened as they were first looked at, and that alone.
    pub(super) unsure: bool,
    /// Every byte was looked at each time.
    pub(super) whole: bool,
}

/// What became of the bytes in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// They never changed.
    Same,
    /// Other bytes went out.
    New,
    /// Some went out as they were, and again as they were not.
    Mixed,
    /// They changed; before or after they went out is not certain.
    Changed,
    /// Not everything was seen.
    Unclear,
}

/// One page of one transfer.
#[derive(Clone, Debug)]
struct Unit {
    from: u64,
    to: u64,
    fate: Fate,
    /// Between which moments it changed, if it did.
    between: Option<(u64, u64)>,
    /// It was looked at for the last time.
    last: u64,
    /// It was looked at whenever it should be.
    seen: bool,
}

impl Prints {
    pub(super) fn add(&mut self, piece: Piece) {
        if piece.when == when::SUBMIT {
            self.submitted = self.submitted.max(Some(piece.at));
        }
        if self.count >= MOST {
            self.blind = true;
            return;
        }
        self.count += 1;
        self.pages.entry(piece.from / PAGE).or_default().push(piece);
    }

    /// When the last byte had been looked at before the call was entered, nanoseconds.
    pub(super) fn submitted(&self) -> Option<u64> {
        self.submitted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Concludes. `packets`: its bytes were handed to a network device. `known`: changes in its window;
    /// `before`: those that ended while the call that lent them was held up to look at them.
    pub(super) fn tell(
        &self,
        t: &Transfer,
        mode: Mode,
        packets: bool,
        known: &[Known],
        before: &[Known],
    ) -> Told {
        let end = t.offset.saturating_add(t.bytes);
        if self.is_empty() || t.bytes == 0 || mode == Mode::Off {
            return Told::default();
        }
        let (mut told, mut fates) = (Told::default(), BTreeSet::new());
        let (mut old, mut pages, mut all) = (false, 0, true);
        for (page, pieces) in self.pages.range(t.offset / PAGE..=(end - 1) / PAGE) {
            let from = t.offset.max(page.saturating_mul(PAGE));
            let unit = unit(pieces, from, end.min(page.saturating_add(1).saturating_mul(PAGE)), packets);
            pages += 1;
            all &= unit.seen;
            fates.insert(unit.fate);
            let mut accounts = known.iter().filter(|k| k.touches(unit.from, unit.to)).peekable();
            let changed = unit.between.filter(|_| accounts.peek().is_none());
            let early = before.iter().any(|k| k.touches(unit.from, unit.to));
            told.unsure |= changed.is_some() && early;
            let changed = changed.filter(|_| !early);
            told.changed.extend(changed.map(|(after, before)| Changed {
                off: unit.from,
                len: unit.to - unit.from,
                after,
                before,
            }));
            // It was let go of as it was, and changed only then.
            old |= unit.fate == Fate::Same && unit.seen && accounts.any(|k| k.begin >= unit.last);
        }
        all &= pages == (end - 1) / PAGE - t.offset / PAGE + 1 && !self.blind;
        told.changed = joined(told.changed);
        let has = |fate: Fate| fates.contains(&fate);
        told.whole = all && mode == Mode::Full;
        told.content = match mode {
            // Of the other pages nobody knows.
            Mode::Sample => has(Fate::Mixed).then_some(Content::Mixed),
            _ if has(Fate::Mixed) => Some(Content::Mixed),
            _ if has(Fate::New) && old => Some(Content::Mixed),
            _ if !all || has(Fate::Changed) || has(Fate::Unclear) => None,
            _ if has(Fate::New) => Some(Content::SentNew),
            _ => Some(Content::SentOld),
        };
        told
    }
}

/// Neighbours that changed at a time that may be the same are one change.
fn joined(changed: Vec<Changed>) -> Vec<Changed> {
    let mut all: Vec<Changed> = Vec::new();
    for c in changed {
        match all.last_mut() {
            Some(last)
                if last.off.saturating_add(last.len) == c.off
                    && last.after.max(c.after) <= last.before.min(c.before) =>
            {
                last.len = last.len.saturating_add(c.len);
                (last.after, last.before) = (last.after.max(c.after), last.before.min(c.before));
            }
            _ => all.push(c),
        }
    }
    all
}

/// Every sum that `[from, to)` had, put together from pieces of one kind of moment; `None`: there is a
/// gap, or a piece that fits to no other. `again`: such a piece is no matter if its bytes were looked at
/// again later.
fn sums<'a>(
    pieces: impl Iterator<Item = &'a Piece>,
    from: u64,
    to: u64,
    again: bool,
) -> Option<BTreeSet<u64>> {
    let mut here: Vec<&Piece> = pieces.filter(|p| p.from < to && from < p.to).collect();
    here.sort_by_key(|p| (p.from, p.to));
    let mut reached = BTreeMap::from([(from, BTreeSet::from([0u64]))]);
    for p in &here {
        if let (Some(sum), Some(so_far)) = (p.sum, reached.get(&p.from)) {
            let so_far: Vec<u64> = so_far.iter().map(|s| s.wrapping_add(sum)).collect();
            let there = reached.entry(p.to).or_default();
            there.extend(so_far);
            if there.len() > WAYS {
                return None;
            }
        }
    }
    let mut leads = BTreeSet::from([to]);
    for p in here.iter().rev().filter(|p| p.sum.is_some()) {
        if leads.contains(&p.to) {
            leads.insert(p.from);
        }
    }
    let fits = |p: &&Piece| p.sum.is_some() && reached.contains_key(&p.from) && leads.contains(&p.to);
    let (chain, loose): (Vec<&Piece>, Vec<&Piece>) = here.iter().copied().partition(fits);
    if !loose.iter().all(|p| again && is_covered(p, &chain)) {
        return None;
    }
    reached.remove(&to)
}

/// Whether all bytes of a piece were looked at again, later.
fn is_covered(p: &Piece, by: &[&Piece]) -> bool {
    let later = by.iter().filter(|b| b.since >= p.at);
    later.fold(p.from, |reach, b| if b.from <= reach { reach.max(b.to) } else { reach }) >= p.to
}

fn of(pieces: &[Piece], when: u8) -> impl Iterator<Item = &Piece> {
    pieces.iter().filter(move |p| p.when == when)
}

/// What `[from, to)` held when it was lent.
fn lent(pieces: &[Piece], from: u64, to: u64) -> Option<u64> {
    let submit = of(pieces, when::SUBMIT).find(|p| p.from <= from && p.to >= to)?;
    if (submit.from, submit.to) == (from, to) {
        return submit.sum;
    }
    // The call moved less than it was asked to: if both halves still add up, this half is as it was.
    let halves = |a, b| {
        let half = of(pieces, when::RETURN).find(|p| (p.from, p.to) == (a, b));
        half.and_then(|p| p.sum)
    };
    let (first, second) = (halves(from, to)?, halves(to, submit.to)?);
    (submit.from == from && Some(first.wrapping_add(second)) == submit.sum).then_some(first)
}

fn unit(pieces: &[Piece], from: u64, to: u64, packets: bool) -> Unit {
    let times = |when| of(pieces, when).map(|p| p.at);
    let last = times(when::RELEASE).max().unwrap_or(0);
    let mut unit = Unit { from, to, fate: Fate::Unclear, between: None, last, seen: false };
    let lent = lent(pieces, from, to);
    let released = sums(of(pieces, when::RELEASE), from, to, true);
    let sent = if packets { sums(of(pieces, when::XMIT), from, to, false) } else { None };
    // That it was as before is certain of when a look began; that it was not, of when it ended.
    let submitted = of(pieces, when::SUBMIT).map(|p| p.since).min().unwrap_or(0);
    let first_sent = of(pieces, when::XMIT).map(|p| p.since).min().unwrap_or(last);
    let last_sent = times(when::XMIT).max().unwrap_or(last);

    if let Some(sent) = &sent {
        if sent.len() > 1 {
            unit.fate = Fate::Mixed;
            unit.between = Some((first_sent, last_sent));
        } else if lent.is_some_and(|sum| !sent.contains(&sum)) {
            // What a receiver on this machine reads, it reads later: it must have stayed new.
            let back = released.as_ref().is_none_or(|r| lent.is_some_and(|sum| r.contains(&sum)));
            unit.fate = if back { Fate::Changed } else { Fate::New };
            unit.between = Some((submitted, last_sent));
        }
    }
    let before = if packets { sent.as_ref().and_then(|s| s.first().copied()).or(lent) } else { lent };
    if unit.between.is_none()
        && let (Some(before), Some(released)) = (before, &released)
        && released.iter().any(|sum| *sum != before)
    {
        unit.fate = Fate::Changed;
        // A byte that was looked at first may have changed while others were looked at.
        let unchanged = sent.is_some() || lent.is_none();
        unit.between = Some((if unchanged && packets { first_sent } else { submitted }, last));
    }
    unit.seen = lent.is_some() && released.is_some() && (sent.is_some() || !packets);
    if unit.seen && unit.between.is_none() {
        unit.fate = Fate::Same;
    }
    unit
}

#[cfg(test)]
mod tests;
