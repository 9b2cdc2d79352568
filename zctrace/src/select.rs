//! The filters that need a transfer's whole story: path globs, peer, gap. The kernel evaluates the
//! others.

use std::net::IpAddr;
use std::time::Duration;

use globset::GlobSet;

use crate::model::{Fact, SockAddr, Transfer};

/// What is shown of what was traced.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Paths, any of them.
    pub paths: Option<GlobSet>,
    /// Remote address.
    pub peer: Option<IpAddr>,
    /// Shortest gap; a transfer that is not released has none and is shown.
    pub min_gap: Option<Duration>,
}

impl Select {
    /// Whether the fact is shown. Losses and headers always are.
    #[must_use]
    pub fn shows(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Transfer(t) => self.transfer(t),
            Fact::Trace(_) | Fact::Loss(_) => true,
        }
    }

    fn transfer(&self, t: &Transfer) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        if let Some(globs) = &self.paths {
            let Some(path) = &t.file.path else { return false };
            if !globs.is_match(std::ffi::OsStr::from_bytes(path)) {
                return false;
            }
        }
        if let Some(want) = self.peer {
            let remote = t.socket.as_ref().map(|s| &s.remote);
            if !matches!(remote, Some(SockAddr::Inet(ip, _)) if ip.to_canonical() == want) {
                return false;
            }
        }
        match (self.min_gap, t.gap_ns()) {
            (Some(min), Some(gap)) => u128::from(gap) >= min.as_nanos(),
            _ => true,
        }
    }
}
