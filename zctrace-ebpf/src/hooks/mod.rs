//! One subject per file.

mod cache;
mod change;
mod free;
mod process;
mod receive;
mod socket;
mod syscall;
mod transmit;
mod uring;
