//! The contract between zctrace's kernel half and its user half.
//!
//! Owns the wire: [`frame::Header`], one `#[repr(C)]` struct per frame kind ([`kernel`] for frames
//! the BPF side states, [`user`] for frames the loader adds), [`layout::KernelLayout`] (the struct
//! offsets the BPF side needs) and [`config::Config`] (what to trace).
//!
//! Invariants: kinds are integers and never reused; structs only grow at their end; a decoder
//! zero-extends a short payload and ignores the tail of a long one. No kernel address is ever in a
//! frame. Deliberately absent: any conclusion about what a frame means.
#![no_std]

pub mod call;
pub mod config;
pub mod counter;
pub mod frame;
pub mod kernel;
pub mod layout;
pub mod user;
