//! The cast of `zctrace lab`: every zero-copy API with every kind of memory, transport, receiver and
//! writer, for real, and what these actors observed themselves.
//!
//! The cast knows nothing of the tracer: what that says of the same cell is joined by time in [`judge`]. Each
//! [`Cell`] has memory, file and connection of its own, all ends are in this process, and the order of
//! events within a cell is fixed: send, be told that it is done, change, receive (or receive first).
//! Facts are awaited, never slept for, and each wait has a limit.

mod cell;
mod conclude;
mod content;
mod errqueue;
#[cfg(test)]
mod fixture;
mod html;
mod huge;
mod json;
mod judge;
mod raw;
mod send;
mod stage;
mod table;
mod uring;
mod wire;
mod words;
mod writer;

use std::time::Duration;

pub use cell::{Api, Cell, Memory, Receiver, Transport, Writer, cells};
pub use conclude::{Atlas, Conclusion, Pages, Reached, Row, Share, Total};
pub use html::page;
pub use json::json_lines;
pub use judge::{Contradiction, Done, Judged, Safe, judge};
pub use send::{Notified, Said};
pub use stage::{Observed, Stage, run};
pub use table::table;

/// What must come at all has come by then.
const DEADLINE: Duration = Duration::from_secs(5);
