//! Tests of the real tool on the real kernel. They need root: `cargo xtask test`.
//!
//! The bytes a receiver got are the judge; nothing here sleeps where a fact can be awaited, and no
//! port is fixed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod bad_input;
mod content;
mod copied;
mod ends;
mod judge;
mod ktls;
mod lab;
mod lent;
mod load;
mod many;
mod mounted;
mod netns;
mod overload;
mod pagemap;
mod pending;
mod programs;
#[path = "../screen/pty.rs"]
mod pty;
mod screen;
mod segments;
mod send;
mod stall;
mod tool;
mod verdicts;
mod writer;
