//! Where frames come from: a running kernel, or a recording.

#[cfg(feature = "live")]
mod cgroup;
#[cfg(feature = "live")]
mod clock;
#[cfg(feature = "live")]
mod live;

#[cfg(feature = "live")]
pub use clock::monotonic_ns;
#[cfg(feature = "live")]
pub use live::{Asked, Consume, Live, LiveError};
