//! The filters that need a transfer's whole story: path globs, peer, gap. The kernel evaluates the
//! others.

use std::collections::HashSet;
use std::net::IpAddr;

use globset::{Glob, GlobSet, GlobSetBuilder};

use serde::{Deserialize, Serialize};

use crate::model::{Fact, Shown, SockAddr, Transfer, TransferId, Verdict};

/// What is shown of what was traced.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Select {
    #[serde(skip)]
    asked: Asked,
    /// From and to, CLOCK_MONOTONIC nanoseconds.
    #[serde(skip)]
    span: Option<(u64, u64)>,
    /// Mutated transfers that are not shown.
    hidden: HashSet<TransferId>,
}

/// As a trace's header asks.
#[derive(Clone, Debug, Default)]
struct Asked {
    paths: Option<GlobSet>,
    peer: Option<IpAddr>,
    min_gap_ns: Option<u64>,
    only_mutated: bool,
}

/// The paths as one matcher; `None`: all.
///
/// # Errors
/// When one is not a glob.
pub fn globs(paths: &[String]) -> Result<Option<GlobSet>, globset::Error> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for path in paths {
        set.add(Glob::new(path)?);
    }
    set.build().map(Some)
}

impl Select {
    /// As a trace's header asks.
    #[must_use]
    pub fn new(shown: &Shown) -> Self {
        let mut select = Self::default();
        select.show(shown);
        select
    }

    /// From now on, what a trace's header asks for. Globs were checked when the trace began; a damaged one
    /// shows all.
    pub fn show(&mut self, shown: &Shown) {
        self.asked = Asked {
            paths: globs(&shown.paths).unwrap_or_default(),
            peer: shown.peer,
            min_gap_ns: shown.min_gap_ns,
            only_mutated: shown.only_mutated,
        };
    }

    /// From now on, only what was open in this time.
    pub fn look_at(&mut self, from: u64, to: u64) {
        self.span = Some((from, to));
    }

    /// Whether the fact is shown. Losses and headers always are; a mutation is with one of those it hit.
    pub fn shows(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::Transfer(t) => {
                let shown = self.transfer(t);
                if !shown && !t.mutations.is_empty() {
                    self.hidden.insert(t.id);
                }
                shown
            }
            Fact::Mutation(m) => m.hits.iter().any(|h| !self.hidden.contains(&h.transfer)),
            Fact::Loss(l) => self.span.is_none_or(|(from, to)| l.from_ns <= to && l.to_ns >= from),
            Fact::Trace(_) => true,
        }
    }

    /// Whether a transfer that is not over may be shown once it is.
    #[must_use]
    pub fn may_show(&self, t: &Transfer) -> bool {
        // Where it goes to is not known while it is in a pipe.
        self.belongs(t) || (t.socket.is_none() && self.is_of(t))
    }

    fn transfer(&self, t: &Transfer) -> bool {
        if !self.belongs(t) || (self.asked.only_mutated && t.verdict != Verdict::Mutated) {
            return false;
        }
        match (self.asked.min_gap_ns, t.gap_ns()) {
            (Some(min), Some(gap)) => gap >= min,
            _ => true,
        }
    }

    fn belongs(&self, t: &Transfer) -> bool {
        self.is_of(t) && self.goes_to(t) && self.is_then(t)
    }

    /// Where it is not known when it ends, it may be now.
    fn is_then(&self, t: &Transfer) -> bool {
        let end = t.release_ns.unwrap_or(u64::MAX);
        self.span.is_none_or(|(from, to)| t.submit_ns <= to && end >= from)
    }

    /// Whether what it lends is asked for.
    fn is_of(&self, t: &Transfer) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let Some(globs) = &self.asked.paths else {
            return true;
        };
        let path = t.file.as_ref().and_then(|f| f.path.as_ref());
        path.is_some_and(|path| globs.is_match(std::ffi::OsStr::from_bytes(path)))
    }

    /// Whether its peer is.
    fn goes_to(&self, t: &Transfer) -> bool {
        let Some(want) = self.asked.peer else {
            return true;
        };
        let remote = t.socket.as_ref().map(|s| &s.remote);
        matches!(remote, Some(SockAddr::Inet(ip, _)) if ip.to_canonical() == want)
    }
}
