//! zctrace: what happens to page-cache pages between a zero-copy send and the moment the kernel is
//! really done with them.
//!
//! The library is a line of stages: a source yields frames, the recording keeps them verbatim, the
//! [`engine`] turns them into facts about [`model::Transfer`]s, sinks print those. See
//! `docs/architecture.md` for who may import whom.

pub mod board;
#[cfg(feature = "live")]
pub mod bpf;
pub mod cli;
pub mod cmd;
pub mod columns;
pub mod diff;
pub mod distribution;
pub mod engine;
pub mod event;
pub mod explain;
pub mod export;
pub mod hash;
mod html;
pub mod input;
pub mod invoker;
#[cfg(feature = "live")]
pub mod lab;
pub mod merge;
pub mod model;
pub mod offline;
pub mod order;
pub mod pipeline;
pub mod recorder;
pub mod replay;
pub mod select;
#[cfg(feature = "live")]
pub mod send;
pub mod sim;
pub mod sink;
pub mod source;
pub mod stages;
pub mod text;
pub mod trace;
#[cfg(feature = "tui")]
pub mod tui;
