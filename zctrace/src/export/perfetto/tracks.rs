//! Which track an event goes to.
//!
//! Slices of one track have to nest, and windows of one socket overlap as they please. So a socket has lanes, tracks
//! of the same name that the viewer shows as one: a window goes to a lane where the last one was over before it
//! began. Lanes, not sockets, have numbers, and a number is never given twice: a socket that was forgotten, so that
//! memory is bounded, gets new lanes and is shown as the same.

use std::collections::{BTreeMap, BTreeSet};

use super::proto::{MERGE_BY_KEY, TrackDescriptor, ordering};

/// Tracks that are remembered.
const REMEMBERED: usize = 1 << 16;

/// What a track is of. The number of its part comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Host(u16),
    Losses(u16),
    Changes(u16),
    /// Who makes changes, in words.
    Writer(u16, String),
    /// Who sends.
    Process(u16, u32),
    /// Its socket, by the trace's number; without one, what it left in pipes.
    Socket(u16, u32, Option<u64>),
}

/// A track that does not exist yet.
pub(super) struct New {
    pub(super) name: String,
    pub(super) parent: Option<u64>,
    /// Its place among its siblings.
    pub(super) rank: Option<i32>,
    pub(super) ordering: u32,
}

#[derive(Default)]
struct Track {
    /// When the last window of each was over, and its number.
    lanes: BTreeSet<(u64, u64)>,
    used: u64,
}

/// All tracks.
#[derive(Default)]
pub(super) struct Tracks {
    tracks: BTreeMap<Of, Track>,
    last: u64,
    clock: u64,
}

impl Tracks {
    /// The number of a track without lanes, and what to say of it where it is new.
    pub(super) fn plain(&mut self, of: Of, new: impl FnOnce() -> New) -> (u64, Option<TrackDescriptor>) {
        self.lane(of, (u64::MAX, u64::MAX), new)
    }

    /// The number of a lane that has room from the first moment to the second.
    pub(super) fn lane(
        &mut self,
        of: Of,
        (from, to): (u64, u64),
        new: impl FnOnce() -> New,
    ) -> (u64, Option<TrackDescriptor>) {
        self.forget();
        self.clock += 1;
        let key = match &of {
            Of::Socket(_, _, socket) => Some(socket.map_or_else(|| "pipes".into(), |id| id.to_string())),
            _ => None,
        };
        let track = self.tracks.entry(of).or_default();
        track.used = self.clock;
        // The one that was free for the shortest time: others are left for windows that began earlier.
        if let Some(free) = track.lanes.range(..=(from, u64::MAX)).next_back().copied() {
            track.lanes.remove(&free);
            track.lanes.insert((to, free.1));
            return (free.1, None);
        }
        self.last += 1;
        track.lanes.insert((to, self.last));
        let new = new();
        let descriptor = TrackDescriptor {
            uuid: Some(self.last),
            name: Some(new.name),
            parent_uuid: new.parent,
            child_ordering: Some(new.ordering),
            sibling_order_rank: new.rank,
            sibling_merge_behavior: key.is_some().then_some(MERGE_BY_KEY),
            sibling_merge_key: key,
        };
        (self.last, Some(descriptor))
    }

    /// Half of them, once there are too many: those that nothing went to for longest.
    fn forget(&mut self) {
        if self.tracks.len() < REMEMBERED {
            return;
        }
        let mut used: Vec<u64> = self.tracks.values().map(|t| t.used).collect();
        used.sort_unstable();
        let from = used.get(used.len() / 2).copied().unwrap_or_default();
        self.tracks.retain(|_, t| t.used >= from);
    }
}

impl New {
    /// Below another.
    pub(super) fn under(parent: u64, name: String) -> Self {
        Self { name, parent: Some(parent), rank: None, ordering: ordering::CHRONOLOGICAL }
    }
}
