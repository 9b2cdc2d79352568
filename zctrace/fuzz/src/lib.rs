//! What every fuzz target does with its bytes, and what must hold whatever they are. Nothing here needs a
//! fuzzer: `zctrace/tests/corpus.rs` includes this file and runs the committed corpus.

mod decode;
mod explain;
mod filter;
mod judge;
mod pick;
mod reader;
mod state;
mod tale;

pub use decode::{decode, pieces};
pub use explain::explain;
pub use filter::filter;
pub use reader::reader;
pub use state::{seed, state};

/// A target: bytes in, a panic where something does not hold.
pub type Target = fn(&[u8]);

/// Every target.
pub const TARGETS: [(&str, Target); 7] = [
    ("decode", decode),
    ("reader", reader),
    ("engine", engine),
    ("frames", frames),
    ("explain", explain),
    ("filter", filter),
    ("state", state),
];

/// A made-up trace: few sockets, heads, pipes, tasks and files, so that its events are about each other, in times
/// and with losses that keep to what a tracer promises.
pub fn engine(bytes: &[u8]) {
    judge::facts_hold(&tale::frames(bytes), judge::Promise::Kept);
}

/// Frames as they are in a recording, one after another, in any state.
pub fn frames(bytes: &[u8]) {
    judge::facts_hold(&pieces(bytes), judge::Promise::None);
}
