//! Loading and attaching the kernel half, and reading its counters. Concludes nothing about frames.

mod btf;
mod layout;
mod load;
mod programs;
mod symbols;

pub use load::{Counters, LoadError, Loaded, MapEntries, Options};
pub use programs::{PROGRAMS, Program, Role};
