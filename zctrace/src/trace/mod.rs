//! The recording: the frame stream verbatim, in append-only blocks. `docs/format.md` has the bytes.
//!
//! Owns bytes only; what a frame means is decided by whoever reads it. A block is valid or it is
//! not: header and payload carry a CRC each, and a reader never hands on a frame of a block that
//! does not check.

mod block;
mod end;
mod reader;
mod shared;
mod tally;
mod writer;

pub use block::{MAGIC, VERSION};
pub use end::{End, Known, Rest};
pub use reader::{Block, Reader, TraceError};
pub use shared::{Shared, last_state, span, streams};
pub use writer::{WriteError, Writer};
