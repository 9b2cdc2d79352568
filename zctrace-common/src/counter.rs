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
/// How many counters there are.
pub const COUNT: u32 = 8;

/// Indices of the gate array: numbers of things that make a hook worth running at all.
pub mod gate {
    /// Pipes that hold lent pages.
    pub const PIPES: u32 = 0;
    /// Tracked AF_UNIX sockets.
    pub const UNIX: u32 = 1;
    /// Sockets somebody splices from.
    pub const RX_SPLICE: u32 = 2;
    /// How many gates there are.
    pub const COUNT: u32 = 4;
}
