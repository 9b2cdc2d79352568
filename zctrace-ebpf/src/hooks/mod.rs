//! One subject per file.

mod free;
mod process;
mod receive;
mod socket;
mod syscall;
mod transmit;
