//! One subject per file.

mod cache;
mod calibrate;
mod change;
mod content;
mod free;
mod notify;
mod process;
mod receive;
mod socket;
mod syscall;
mod transmit;
mod uring;
