//! zctrace's kernel half: tracepoint programs that state facts and conclude nothing.
//!
//! Layering: [`hooks`] read a few fields through [`kread`], ask [`filter`], and call [`emit`]. The
//! only correlation done here is what saves events: which skb heads, sockets and pipes carry lent
//! pages. Tracepoints only, so that it loads where kprobes and fentry do not.
#![no_std]
#![no_main]
#![expect(
    internal_features,
    reason = "AtomicU64::fetch_add does not exist for the bpf target; the intrinsic does"
)]
#![feature(core_intrinsics)]

mod change;
mod content;
mod emit;
mod filter;
mod globals;
mod hooks;
mod kread;
mod lend;
mod maps;
mod memory;
mod pending;
mod print;
mod seq;
mod skb;
mod track;
mod twice;
mod upper;
mod watch;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No path reaches it: the verifier would refuse the program.
    loop {}
}
