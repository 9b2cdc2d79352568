//! `net:net_dev_queue`, `net:net_dev_start_xmit`, `tcp:tcp_retransmit_skb`: heads on their way out;
//! `sock:sock_send_length`: who sends.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::kernel::{Retransmit, head_flag, kind, op, proto};

use crate::{
    emit, filter,
    globals::{cfg_get, off},
    kread,
    maps::{BY_KERNEL, SOCKS},
    skb, track,
};

#[raw_tracepoint(tracepoint = "net_dev_queue")]
pub fn zct_net_dev_queue(ctx: RawTracePointContext) -> i32 {
    packet(ctx.arg(0), 0);
    0
}

/// After software GSO every segment has a head of its own that `net_dev_queue` never saw.
#[raw_tracepoint(tracepoint = "net_dev_start_xmit")]
pub fn zct_start_xmit(ctx: RawTracePointContext) -> i32 {
    packet(ctx.arg(0), head_flag::SEGMENT);
    0
}

#[inline(always)]
fn packet(skb: u64, flags: u32) {
    let sk: u64 = kread::get(skb, off!(skb_sk));
    if sk == 0 {
        return;
    }
    let known = unsafe { SOCKS.get(&sk) };
    let ent = match known {
        Some(ent) => ent,
        // Pages of files on a socket that no call of a process has lent to: the kernel sends them itself.
        None if cfg_get!(ops) & (1 << op::KERNEL) != 0 && zct_fn_by_kernel(skb, sk) != 0 => {
            match unsafe { SOCKS.get(&sk) } {
                Some(ent) => ent,
                None => return,
            }
        }
        None => return,
    };
    skb::learn(skb, sk, ent, flags);
}

/// Tracks a socket of the kernel whose packet holds pages of a file; 0: it is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_by_kernel(skb: u64, sk: u64) -> u64 {
    let flags: u8 = kread::opt(sk, off!(sk_kern)).unwrap_or_default();
    let made_by_kernel = flags >> (off!(sk_kern_bit) & 7) & 1 != 0;
    if kread::get::<u32>(skb, off!(skb_data_len)) == 0
        || (!made_by_kernel && unsafe { BY_KERNEL.get(&sk) }.is_none())
        || kread::get::<u16>(sk, off!(sk_proto)) != proto::TCP
        || skb::zct_fn_lends(skb) == 0
        || !filter::sock(sk)
    {
        return 0;
    }
    track::zct_fn_sock(sk, 1)
}

/// A message was sent, by a thread of the kernel: whose the socket is does not tell (NVMe over TCP has a
/// file for its own, nfsd takes one from a process).
#[raw_tracepoint(tracepoint = "sock_send_length")]
pub fn zct_send_length(ctx: RawTracePointContext) -> i32 {
    const PF_KTHREAD: u32 = 0x0020_0000;
    if cfg_get!(ops) & (1 << op::KERNEL) == 0
        || kread::get::<u32>(kread::task(), off!(task_flags)) & PF_KTHREAD == 0
    {
        return 0;
    }
    let sk: u64 = ctx.arg(0);
    if kread::get::<u16>(sk, off!(sk_proto)) == proto::TCP && unsafe { BY_KERNEL.get(&sk) }.is_none() {
        track::remember_slab(sk);
        let _ = BY_KERNEL.insert(&sk, &1, 0);
    }
    0
}

#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn zct_retransmit(ctx: RawTracePointContext) -> i32 {
    let sk: u64 = ctx.arg(0);
    let skb: u64 = ctx.arg(1);
    let Some(ent) = (unsafe { SOCKS.get(&sk) }) else {
        return 0;
    };
    let cb = skb.wrapping_add(u64::from(off!(skb_cb)));
    emit::emit(
        kind::RETRANSMIT,
        Retransmit { sock: ent.id, seq: kread::get(cb, off!(cb_seq)), end: kread::get(cb, off!(cb_end_seq)) },
    );
    0
}
