//! Hosts of a merged recording have clocks of their own: times are brought to that of the first by the wall clocks,
//! as far as those agree. Within one host nothing changes.

use std::collections::BTreeMap;

use crate::model::{Fact, Mutation, TraceInfo, Transfer};

/// Hosts that are told apart; the times of others stay as they are.
const PARTS: usize = 1_000;

/// What each host's clock is ahead of the first one's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    first: Option<(u16, i128)>,
    ahead: BTreeMap<u16, i128>,
}

impl Clocks {
    /// A header says how a host's clocks stand.
    pub(crate) fn learn(&mut self, info: &TraceInfo) {
        let wall = info.ahead_ns();
        let (part, first) = *self.first.get_or_insert((info.part, wall));
        if info.part != part && wall != first && (self.ahead.len() < PARTS) {
            self.ahead.insert(info.part, wall - first);
        }
    }

    /// That time of that host, as the first would have it.
    pub(crate) fn at(&self, part: u16, ns: u64) -> u64 {
        match self.ahead.get(&part) {
            None => ns,
            Some(ahead) => u64::try_from((i128::from(ns) + ahead).max(0)).unwrap_or(u64::MAX),
        }
    }

    /// Whether times of this host stay as they are.
    pub(crate) fn is_plain(&self, part: u16) -> bool {
        self.ahead.is_empty() || !self.ahead.contains_key(&part)
    }

    /// All times of a transfer.
    pub(crate) fn transfer(&self, t: &mut Transfer) {
        let part = t.id.part();
        if self.is_plain(part) {
            return;
        }
        let times =
            [&mut t.return_ns, &mut t.notify_ns, &mut t.first_xmit_ns, &mut t.ack_ns, &mut t.release_ns];
        times.into_iter().flatten().for_each(|ns| *ns = self.at(part, *ns));
        t.submit_ns = self.at(part, t.submit_ns);
    }

    /// All times of a change.
    pub(crate) fn mutation(&self, m: &mut Mutation) {
        let part = m.id.part();
        m.at_ns = self.at(part, m.at_ns);
        m.end_ns = m.end_ns.map(|ns| self.at(part, ns));
    }
}

/// As [`Clocks::transfer`] or [`Clocks::mutation`] of a fact, where anything changes: most are handed on as they are.
pub(crate) fn same(clocks: &mut Clocks, fact: &Fact) -> Option<Fact> {
    match fact {
        Fact::Trace(info) => {
            clocks.learn(info);
            let mut info = info.clone();
            info.start_ns = clocks.at(info.part, info.start_ns);
            Some(Fact::Trace(info))
        }
        Fact::Transfer(t) if !clocks.is_plain(t.id.part()) => {
            let mut t = t.clone();
            clocks.transfer(&mut t);
            Some(Fact::Transfer(t))
        }
        Fact::Mutation(m) if !clocks.is_plain(m.id.part()) => {
            let mut m = m.clone();
            clocks.mutation(&mut m);
            Some(Fact::Mutation(m))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixture::{START, info, transfer};

    #[test]
    fn the_second_host_has_the_time_of_the_first() {
        let mut clocks = Clocks::default();
        let booted_later =
            TraceInfo { part: 1, start_ns: 5, start_realtime_ns: info().start_realtime_ns + 100, ..info() };
        for trace in [info(), booted_later] {
            let same = same(&mut clocks, &Fact::Trace(Box::new(trace.clone())));
            assert!(
                matches!(same, Some(Fact::Trace(i)) if i.start_ns == START + u64::from(trace.part) * 100)
            );
        }
        let here = Fact::Transfer(Box::new(transfer(1)));
        assert_eq!(same(&mut clocks, &here), None);
        let mut there = transfer(1);
        there.id = there.id.of_part(1);
        (there.submit_ns, there.release_ns) = (15, Some(1_015));
        let moved = same(&mut clocks, &Fact::Transfer(Box::new(there)));
        assert!(
            matches!(moved, Some(Fact::Transfer(t)) if t.submit_ns == START + 110 && t.gap_ns() == Some(1_000))
        );
    }
}
