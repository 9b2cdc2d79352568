//! Indices of the per-CPU counter array. The BPF side writes, the loader reads.

/// Frames stated: delivered or lost.
pub const PRODUCED: u32 = 0;
/// Frames for which the ring had no room.
pub const LOST: u32 = 1;
/// Heads not learned because the map was full.
pub const HEADS_FULL: u32 = 2;
/// Sockets not tracked because the map was full.
pub const SOCKS_FULL: u32 = 3;
/// Pipes not tracked because the map was full.
pub const PIPES_FULL: u32 = 4;
/// Calls not tracked because the map was full.
pub const OPS_FULL: u32 = 5;
/// Files not watched because the map was full.
pub const FILES_FULL: u32 = 6;
/// Changes not followed because the map was full.
pub const CHANGES_FULL: u32 = 7;
/// Runs of a program that the kernel skipped and its second program made good, for each pair of
/// programs [`turn`] lists.
pub const RESCUED: u32 = 8;
/// The same where the second program could not be sure: it may have been skipped itself.
pub const RESCUED_UNSURE: u32 = RESCUED + turn::COUNT;
/// How many counters there are.
pub const COUNT: u32 = RESCUED_UNSURE + turn::COUNT;

/// Pairs of programs on one tracepoint: the second runs what the kernel skipped of the first.
pub mod turn {
    /// `tcp_probe`
    pub const TCP_PROBE: u32 = 0;
    /// `sk_data_ready`
    pub const DATA_READY: u32 = 1;
    /// `kfree`
    pub const KFREE: u32 = 2;
    /// `kmem_cache_free`
    pub const CACHE_FREE: u32 = 3;
    /// How many pairs there are.
    pub const COUNT: u32 = 4;
}

/// Indices of the gate array: numbers of things that make a hook worth running at all.
pub mod gate {
    /// Pipes that hold lent pages.
    pub const PIPES: u32 = 0;
    /// Tracked AF_UNIX sockets.
    pub const UNIX: u32 = 1;
    /// Sockets somebody splices from.
    pub const RX_SPLICE: u32 = 2;
    /// Watched files.
    pub const FILES: u32 = 3;
    /// Requests of io_uring that lend.
    pub const URING: u32 = 4;
    /// Sockets that send memory.
    pub const MEMORY: u32 = 5;
    /// How many gates there are.
    pub const COUNT: u32 = 6;
}
