//! The clocks of a trace.

use rustix::time::{ClockId, clock_gettime};

fn ns(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// CLOCK_MONOTONIC, nanoseconds: the clock of `bpf_ktime_get_ns()`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    ns(ClockId::Monotonic)
}

/// CLOCK_REALTIME, nanoseconds.
#[must_use]
pub(super) fn realtime_ns() -> u64 {
    ns(ClockId::Realtime)
}
