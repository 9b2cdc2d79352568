//! Transfers by what they have in common: a file, a peer, a socket, a process. Bounded: those that nobody
//! touched for longest are forgotten first, and how many is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::distribution::Distribution;
use crate::model::{FileId, FileRef, Mutation, Outcome, SockAddr, SockRef, Source, Transfer, Verdict};

/// Groups of one kind that are kept.
pub const GROUPS: usize = 1024;
/// How many distinct others of a group are told apart.
pub const FEW: usize = 8;

/// The other end, whatever its port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// An address.
    Ip(IpAddr),
    /// An AF_UNIX socket of that name, raw bytes, hostile.
    Unix(Arc<[u8]>),
    /// A socket of this family whose other end has no name.
    Unnamed(u16),
    /// No socket: the bytes are in a pipe, or were taken from it by a copy.
    Pipe,
}

impl Peer {
    /// Of a transfer.
    #[must_use]
    pub fn of(t: &Transfer) -> Self {
        t.socket.as_deref().map_or(Self::Pipe, Self::of_socket)
    }

    /// Of a socket.
    #[must_use]
    pub fn of_socket(s: &SockRef) -> Self {
        match (&s.remote, &s.local) {
            (SockAddr::Inet(ip, _), _) => Self::Ip(ip.to_canonical()),
            (SockAddr::Unix(name), _) | (SockAddr::None, SockAddr::Unix(name)) => {
                Self::Unix(Arc::clone(name))
            }
            _ => Self::Unnamed(s.family),
        }
    }
}

/// What tells groups apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One file, or the memory of one process.
    Source(Source),
    /// One other end.
    Peer(Peer),
    /// One socket, by the trace's number.
    Socket(u64),
    /// One process.
    Process(u32),
}

/// What a group is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A file.
    File(FileRef),
    /// The memory of a process.
    Memory {
        /// Process.
        pid: u32,
        /// Its name, raw bytes, hostile.
        comm: Arc<[u8]>,
    },
    /// Another end.
    Peer(Peer),
    /// A socket.
    Socket(Arc<SockRef>),
    /// A process.
    Process {
        /// Process.
        pid: u32,
        /// Its name when it was last seen, raw bytes, hostile.
        comm: Arc<[u8]>,
        /// Its cgroup v2 path.
        cgroup: Option<Arc<str>>,
    },
}

impl Label {
    /// A path has become known, or a process has a new name.
    fn is_old(&self, t: &Transfer) -> bool {
        match self {
            Self::File(known) => t.file.as_ref().is_some_and(|f| f.path != known.path),
            Self::Process { comm, cgroup, .. } => *comm != t.comm || *cgroup != t.cgroup,
            _ => false,
        }
    }
}

/// A few distinct things, and whether there are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T> {
    /// The first ones.
    pub first: Vec<T>,
    /// There are others.
    pub more: bool,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: false }
    }
}

impl<T: PartialEq> Few<T> {
    fn add(&mut self, one: T) {
        if self.first.contains(&one) {
            return;
        }
        if self.first.len() < FEW {
            self.first.push(one);
        } else {
            self.more = true;
        }
    }
}

/// Numbers of one group.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Transfers whose fate is known.
    pub transfers: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// Whose bytes could have changed while lent.
    pub mutated: u64,
    /// Of which it is not known whether they did.
    pub unknown: u64,
    /// Still lent when the trace ended.
    pub held: u64,
    /// For which the kernel copied.
    pub copied: u64,
    /// Retransmissions.
    pub retransmits: u64,
    /// Step 1 to step 2.
    pub gap: Distribution,
    /// Told to step 2.
    pub exposure: Distribution,
    /// Changes to lent bytes: of this file; by this process.
    pub changes: u64,
    /// Windows that they fell into.
    pub hits: u64,
    /// The last time it was heard of, CLOCK_MONOTONIC nanoseconds.
    pub last_ns: u64,
}

impl Stats {
    /// `digits` of the distributions come with `gap` and `exposure`.
    #[must_use]
    pub fn new(empty: &Distribution) -> Self {
        Self {
            transfers: 0,
            bytes: 0,
            mutated: 0,
            unknown: 0,
            held: 0,
            copied: 0,
            retransmits: 0,
            gap: empty.clone(),
            exposure: empty.clone(),
            changes: 0,
            hits: 0,
            last_ns: 0,
        }
    }

    /// Adds a transfer.
    pub fn add(&mut self, t: &Transfer) {
        self.transfers += 1;
        self.bytes = self.bytes.saturating_add(t.bytes);
        self.mutated += u64::from(t.verdict == Verdict::Mutated);
        self.unknown += u64::from(t.verdict == Verdict::Unknown);
        self.held += u64::from(t.outcome == Outcome::Held);
        self.copied += u64::from(t.copied.is_some());
        self.retransmits = self.retransmits.saturating_add(u64::from(t.retransmits));
        if let Some(gap) = t.gap_ns() {
            self.gap.add(gap);
        }
        if let Some(exposure) = t.exposure_ns() {
            self.exposure.add(exposure);
        }
        self.last_ns = self.last_ns.max(t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns));
    }

    fn changed(&mut self, m: &Mutation) {
        self.changes += 1;
        self.hits = self.hits.saturating_add(m.hits.len() as u64);
        self.last_ns = self.last_ns.max(m.at_ns);
    }
}

/// One group.
#[derive(Clone, Debug)]
pub struct Group {
    /// What tells it apart.
    pub key: Key,
    /// What it is called.
    pub label: Label,
    /// Numbers.
    pub stats: Stats,
    /// Whom its bytes went to.
    pub peers: Few<Peer>,
    /// Which files they were of.
    pub files: Few<FileId>,
    /// Sockets they went through, by the trace's number.
    pub sockets: Few<u64>,
}

impl Group {
    fn new(key: Key, label: Label) -> Self {
        Self {
            key,
            label,
            stats: Stats::new(&Distribution::coarse()),
            peers: Few::default(),
            files: Few::default(),
            sockets: Few::default(),
        }
    }

    /// A group of which nothing has ended yet.
    #[must_use]
    pub fn empty(kind: Kind, t: &Transfer) -> Option<Self> {
        let mut group = Self::new(kind.key(t)?, kind.label(t)?);
        group.involves(t);
        Some(group)
    }

    fn involves(&mut self, t: &Transfer) {
        self.peers.add(Peer::of(t));
        if let Some(s) = &t.socket {
            self.sockets.add(s.id);
        }
        if let Some(f) = &t.file {
            self.files.add(f.id);
        }
    }
}

/// What groups have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was lent.
    Sources,
    /// The other end.
    Peers,
    /// The socket.
    Sockets,
    /// Who sent.
    Processes,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Sources, Self::Peers, Self::Sockets, Self::Processes];

    /// Whether such groups are told apart by that.
    #[must_use]
    pub fn has(self, key: &Key) -> bool {
        match key {
            Key::Source(_) => self == Self::Sources,
            Key::Peer(_) => self == Self::Peers,
            Key::Socket(_) => self == Self::Sockets,
            Key::Process(_) => self == Self::Processes,
        }
    }

    /// Where a transfer belongs; `None`: it has no socket.
    #[must_use]
    pub fn key(self, t: &Transfer) -> Option<Key> {
        Some(match self {
            Self::Sources => Key::Source(t.source()),
            Self::Peers => Key::Peer(Peer::of(t)),
            Self::Sockets => Key::Socket(t.socket.as_ref()?.id),
            Self::Processes => Key::Process(t.pid),
        })
    }

    fn label(self, t: &Transfer) -> Option<Label> {
        Some(match self {
            Self::Sources => match &t.file {
                Some(file) => Label::File(file.clone()),
                None => Label::Memory { pid: t.pid, comm: Arc::clone(&t.comm) },
            },
            Self::Peers => Label::Peer(Peer::of(t)),
            Self::Sockets => Label::Socket(Arc::clone(t.socket.as_ref()?)),
            Self::Processes => {
                Label::Process { pid: t.pid, comm: Arc::clone(&t.comm), cgroup: t.cgroup.clone() }
            }
        })
    }
}

/// All groups of one kind.
#[derive(Clone, Debug)]
pub struct Groups {
    kind: Kind,
    all: BTreeMap<Key, Arc<Group>>,
    /// Groups that were forgotten.
    pub forgotten: u64,
}

impl Groups {
    /// None yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, all: BTreeMap::new(), forgotten: 0 }
    }

    /// What kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether there is a group of that key.
    #[must_use]
    pub fn knows(&self, key: &Key) -> bool {
        self.all.contains_key(key)
    }

    /// By key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.all.values()
    }

    /// Bytes of memory that they take, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.all.values().map(|g| size_of::<Group>() + g.stats.gap.weight() + g.stats.exposure.weight()).sum()
    }

    /// Adds a transfer.
    pub fn add(&mut self, t: &Transfer) {
        let Some(key) = self.kind.key(t) else {
            return;
        };
        self.make_room(&key);
        let kind = self.kind;
        let Some(group) = self.entry(key, || kind.label(t)) else {
            return;
        };
        group.stats.add(t);
        group.involves(t);
        if group.label.is_old(t) {
            group.label = kind.label(t).unwrap_or_else(|| group.label.clone());
        }
    }

    /// Adds a change: to a file, or by a process.
    pub fn changed(&mut self, m: &Mutation) {
        let (key, label) = match (self.kind, &m.file, m.pid) {
            (Kind::Sources, Some(file), _) => (Key::Source(Source::File(file.id)), Label::File(file.clone())),
            (Kind::Processes, _, Some(pid)) => {
                (Key::Process(pid), Label::Process { pid, comm: Arc::clone(&m.comm), cgroup: None })
            }
            _ => return,
        };
        self.make_room(&key);
        if let Some(group) = self.entry(key, || Some(label)) {
            group.stats.changed(m);
        }
    }

    fn entry(&mut self, key: Key, label: impl FnOnce() -> Option<Label>) -> Option<&mut Group> {
        use std::collections::btree_map::Entry;
        let group = match self.all.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(room) => {
                let group = Group::new(room.key().clone(), label()?);
                room.insert(Arc::new(group))
            }
        };
        Some(Arc::make_mut(group))
    }

    /// Forgets an eighth at once, so that this is rare: first those where nothing changed.
    fn make_room(&mut self, key: &Key) {
        if self.all.len() < GROUPS || self.all.contains_key(key) {
            return;
        }
        let rank = |g: &Group| (g.stats.mutated + g.stats.changes > 0, g.stats.last_ns);
        let mut ranks: Vec<_> = self.all.values().map(|g| (rank(g), g.key.clone())).collect();
        ranks.sort_unstable();
        for (_, key) in ranks.into_iter().take(GROUPS / 8) {
            self.all.remove(&key);
            self.forgotten += 1;
        }
    }
}
