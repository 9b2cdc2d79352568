//! What things are called: paths, cgroups, socket addresses, as the frames state them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zctrace_common::kernel::{Path, Sock, family};

use crate::hash::HashMap;
use crate::model::{FileId, FileRef, SockAddr, SockRef};

/// Names seen so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Names {
    paths: HashMap<FileId, Arc<[u8]>>,
    cgroups: HashMap<u64, Arc<str>>,
    #[serde(skip)]
    pub(super) comms: Comms,
}

/// Names of tasks, so that each is kept once; the few that came last.
#[derive(Clone, Debug, Default)]
pub(super) struct Comms {
    known: Vec<([u8; 16], Arc<[u8]>)>,
    next: usize,
}

/// How many.
const COMMS: usize = 16;

impl Comms {
    /// Without its padding.
    pub(super) fn trimmed(&mut self, comm: &[u8; 16]) -> Arc<[u8]> {
        if let Some((_, name)) = self.known.iter().find(|(known, _)| known == comm) {
            return Arc::clone(name);
        }
        let name: Arc<[u8]> = comm.split(|b| *b == 0).next().unwrap_or_default().into();
        let fresh = (*comm, Arc::clone(&name));
        if let Some(old) = self.known.get_mut(self.next) {
            *old = fresh;
        } else {
            self.known.push(fresh);
        }
        self.next = (self.next + 1) % COMMS;
        name
    }
}

impl Names {
    pub(super) fn path(&mut self, p: &Path) {
        let used = (p.used as usize).min(p.text.len());
        let names: Vec<&[u8]> =
            p.text.get(..used).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()).collect();
        let mut path = if p.whole == 0 { "…".as_bytes().to_vec() } else { Vec::new() };
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        let id = FileId { dev: p.dev, ino: p.ino, generation: p.generation };
        self.paths.insert(id, path.into());
    }

    pub(super) fn cgroup(&mut self, id: u64, path: &str) {
        self.cgroups.insert(id, path.into());
    }

    pub(super) fn cgroup_of(&self, id: u64) -> Option<Arc<str>> {
        self.cgroups.get(&id).cloned()
    }

    pub(super) fn file(&self, id: FileId) -> FileRef {
        FileRef { id, path: self.paths.get(&id).cloned() }
    }
}

/// The identity of a socket.
pub(super) fn sock(s: &Sock) -> SockRef {
    let ip = |bytes: &[u8; 16], port| {
        let [a, b, c, d, ..] = *bytes;
        let ip = if s.family == family::INET6 {
            IpAddr::from(Ipv6Addr::from(*bytes))
        } else {
            IpAddr::from(Ipv4Addr::new(a, b, c, d))
        };
        // An unconnected end is all zero.
        if port == 0 && ip.is_unspecified() { SockAddr::None } else { SockAddr::Inet(ip, port) }
    };
    let (mut local, mut remote) = (SockAddr::None, SockAddr::None);
    if s.family == family::UNIX {
        let len = usize::from(s.name_len).min(s.name.len());
        let name = s.name.get(..len).unwrap_or_default();
        // A path ends at its NUL; an abstract name starts with one and is exactly as long as said.
        let name = match name.split_first() {
            Some((0, _)) | None => name,
            Some(_) => name.split(|b| *b == 0).next().unwrap_or_default(),
        };
        if !name.is_empty() {
            let addr = SockAddr::Unix(name.into());
            if s.name_is_peer == 0 { local = addr } else { remote = addr }
        }
    } else {
        local = ip(&s.laddr, s.lport);
        remote = ip(&s.raddr, s.rport);
    }
    SockRef {
        id: s.sock,
        cookie: (s.cookie != 0).then_some(s.cookie),
        family: s.family,
        proto: s.proto,
        local,
        remote,
    }
}
