//! Maps for keys that come out of a recording.
//!
//! The standard hash costs more than the look-up itself. This one is much faster and still seeded anew in every
//! process: a recording is hostile input, and whoever makes one cannot know which keys will collide. The order of
//! such a map differs from run to run, so it must never be visible.

use foldhash::fast::RandomState;

/// A map with the fast hash.
pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set with the fast hash.
pub type HashSet<K> = std::collections::HashSet<K, RandomState>;
