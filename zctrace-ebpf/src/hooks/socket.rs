//! The ends of TCP connections. Freed sockets are seen in `free`.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use aya_log_ebpf::debug;
use zctrace_common::{
    config::flag,
    kernel::{SockEnd, kind, proto, sock_end},
};

use crate::{
    emit,
    globals::{cfg_get, off},
    kread,
    maps::SOCKS,
};

const TCP_CLOSE: u32 = 7;

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn zct_set_state(ctx: RawTracePointContext) -> i32 {
    let new: u32 = ctx.arg(2);
    if new == TCP_CLOSE {
        if cfg_get!(flags) & flag::LOG != 0 {
            debug!(&ctx, "a TCP socket is closed");
        }
        ended(ctx.arg(0), sock_end::CLOSE);
    }
    0
}

/// Fires before the write queue is purged.
#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn zct_reset(ctx: RawTracePointContext) -> i32 {
    ended(ctx.arg(0), sock_end::RESET);
    0
}

#[inline(always)]
fn ended(sk: u64, why: u32) {
    let Some(ent) = (unsafe { SOCKS.get(&sk) }) else {
        return;
    };
    if ent.proto != proto::TCP {
        return;
    }
    let snd_una = kread::get(sk, off!(tcp_snd_una));
    emit::emit(kind::SOCK_END, SockEnd { sock: ent.id, why, snd_una });
}
