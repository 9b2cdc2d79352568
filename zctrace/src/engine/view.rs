//! What is going on now, for whoever looks while a trace goes on: nothing here changes anything.

use super::changes::Peek;
use super::{Engine, Kind, SockState};
use crate::model::{Api, Mutation, Transfer, TransferId};

/// How far a transfer that has not been stated has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its pages are lent.
    Open,
    /// Nothing is known to hold them any more. Whether that is so, and what can be said of it, is known a
    /// moment later.
    Closing,
}

/// A transfer that has not been stated.
#[derive(Clone, Copy, Debug)]
pub struct Unstated<'a> {
    /// What is known of it, not all of it for certain.
    pub t: &'a Transfer,
    /// How far it has come.
    pub stage: Stage,
    /// Bytes that it lends at most: those asked for while its call runs.
    pub bytes: u64,
    cgroup: u64,
    returned: bool,
    until: u64,
}

/// A look at an engine.
#[derive(Debug)]
pub struct View<'a> {
    engine: &'a Engine,
    changes: Peek<'a>,
}

impl Engine {
    /// The time of the last event, CLOCK_MONOTONIC nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Looks at this moment.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { engine: self, changes: self.changes.peek() }
    }
}

impl<'a> View<'a> {
    /// Every transfer that has not been stated: the open ones by id, then those that are over.
    pub fn unstated(&self) -> impl Iterator<Item = Unstated<'a>> + use<'a> {
        let engine = self.engine;
        engine.ledger.unstated().map(|u| Unstated {
            t: u.t,
            stage: if u.over { Stage::Closing } else { Stage::Open },
            bytes: if u.returned { u.t.bytes } else { u.t.requested },
            cgroup: u.cgroup,
            returned: u.returned,
            until: u.until,
        })
    }

    /// It, with what has come to be known since it began, and nothing that is not certain yet.
    #[must_use]
    pub fn named(&self, u: Unstated<'_>) -> Transfer {
        let mut t = u.t.clone();
        (t.release_ns, t.released_by) = (None, None);
        if !u.returned {
            // Others may have moved parts of it on already.
            t.return_ns = None;
        }
        if let Some(file) = &mut t.file
            && file.path.is_none()
        {
            file.path = self.engine.names.file(file.id).path;
        }
        t.cgroup = self.engine.names.cgroup_of(u.cgroup);
        t
    }

    /// Whether its bytes were changed so far; `None`: it would take too long to find out.
    pub fn is_changed(&mut self, u: Unstated<'_>) -> Option<bool> {
        self.changes.is_changed(u.t, (u.bytes, u.until))
    }

    /// Changes to its bytes so far, the first `most` of them. One that has not been stated has the number 0
    /// unless another transfer has given it one.
    pub fn changes_so_far(&mut self, u: Unstated<'_>, most: usize) -> Vec<Mutation> {
        self.changes.so_far(u.t, (u.bytes, u.until), most)
    }

    /// Changes that have a number, and are stated once no transfer is left that they may hit; the first `most`
    /// by number.
    #[must_use]
    pub fn numbered(&self, most: usize) -> Vec<Mutation> {
        self.changes.numbered(most)
    }

    /// Which of its bytes are lent at most, as `(offset, bytes)`, sorted, none twice; `None`: it is not open.
    #[must_use]
    pub fn lent(&self, id: TransferId) -> Option<Vec<(u64, u64)>> {
        let (t, bytes, exact) = self.engine.ledger.exact(id)?;
        let all = (t.offset, bytes);
        let mut found = Vec::new();
        // The addresses of the other buffers are not known.
        let mut known = exact && t.memory.is_none_or(|m| m.buffers <= 1);
        if known {
            let mut look = |sock: &SockState| match &sock.kind {
                Kind::Stream(s) => known &= s.lent(id, &mut found),
                Kind::Dgram(d) => d.lent(id, &mut found),
            };
            // What goes through pipes can be in several places.
            let parts = matches!(t.api, Api::Splice | Api::Vmsplice | Api::IoUringSplice);
            match t.socket.as_ref().filter(|_| !parts).and_then(|s| self.engine.socks.get(&s.id)) {
                Some(sock) => look(sock),
                None => self.engine.socks.values().for_each(look),
            }
            self.engine.pipes.values().for_each(|p| p.lent(id, &mut found));
        }
        if !known {
            return Some(vec![all]);
        }
        found.sort_unstable();
        let end = all.0.saturating_add(all.1);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (from, to) in found.into_iter().map(|(from, to)| (from.max(all.0), to.min(end))) {
            match ranges.last_mut() {
                _ if from >= to => {}
                Some((off, len)) if *off + *len >= from => *len = (*len).max(to - *off),
                _ => ranges.push((from, to - from)),
            }
        }
        // Something holds it, and which of its bytes is not known.
        Some(if ranges.is_empty() { vec![all] } else { ranges })
    }
}
