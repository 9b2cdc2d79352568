//! `zctrace diff`: two recordings, and whether what differs between them is more than noise.
//!
//! A [`Side`] collects one recording in bounded memory; [`compare`] makes lines of two, gravest first; `noise` says how
//! far apart two quantiles or counts may be by chance. Transfers of one run depend on each other (a slow peer, a
//! full queue, a deployment hit many at once), so nothing here treats them as independent draws.
//! Deliberately absent: noise between runs. Nobody can see that in one recording of each side, and the output says so.

mod compare;
mod json;
mod noise;
mod side;
mod words;

pub use self::compare::{Change, Diff, Line, Section, compare};
pub use self::json::json;
pub use self::side::{Key, Side};
pub use self::words::print;

#[cfg(test)]
mod tests;
