//! Loading and attaching the kernel half, and reading its counters. Concludes nothing about frames.

mod btf;
mod calls;
mod content;
mod counters;
mod layout;
mod load;
mod programs;
mod symbols;

pub use counters::{Counters, Skips, lost_since};
pub use load::{LoadError, Loaded, MapEntries, Options};
pub use programs::{PROGRAMS, Program, Role, SECONDS, Second};
