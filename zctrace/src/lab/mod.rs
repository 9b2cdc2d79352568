//! The cast of `zctrace lab`: every zero-copy API with every kind of memory, transport, receiver and
//! writer, for real, and what these actors observed themselves.
//!
//! Nothing here knows the tracer: what it says of the same cell is joined by time and address. Each
//! [`Cell`] has memory, file and connection of its own, all ends are in this process, and the order of
//! events within a cell is fixed: send, be told that it is done, change, receive (or receive first).
//! Facts are awaited, never slept for, and each wait has a limit.

mod cell;
mod content;
mod errqueue;
mod huge;
mod raw;
mod send;
mod stage;
mod uring;
mod wire;
mod writer;

use std::time::Duration;

pub use cell::{Api, Cell, Memory, Receiver, Transport, Writer, cells};
pub use send::{Notified, Said};
pub use stage::{Observed, Stage, run};

/// What must come at all has come by then.
const DEADLINE: Duration = Duration::from_secs(5);
