//! The receive side on this machine, which may merge one head's frags into another, and
//! acknowledgements.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::kernel::{Ack, HeadLen, free_flag, kind};

use crate::{
    emit,
    globals::off,
    kread,
    maps::{HEADS, SOCKS},
    skb,
    track::TCP,
};

const TCP_ESTABLISHED: u8 = 1;

/// `tcp_rcv_established()`, before the segment is queued or its acknowledgement processed.
#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn zct_tcp_probe(ctx: RawTracePointContext) -> i32 {
    let sk: u64 = ctx.arg(0);
    let skb: u64 = ctx.arg(1);
    if let Some(ent) = SOCKS.get_ptr_mut(&sk) {
        let ent = unsafe { &mut *ent };
        if ent.proto == TCP {
            let data: u64 = kread::get(skb, off!(skb_data));
            let una = u32::from_be(kread::get(data, 8));
            let next: u32 = kread::get(sk, off!(tcp_snd_nxt));
            if (una.wrapping_sub(ent.acked) as i32) > 0 && (next.wrapping_sub(una) as i32) >= 0 {
                ent.acked = una;
                emit::emit(kind::ACK, Ack { sock: ent.id, una, pad: 0 });
            }
        }
    }
    if kread::get::<u32>(skb, off!(skb_data_len)) == 0 {
        return 0;
    }
    let head: u64 = kread::get(skb, off!(skb_head));
    let Some(ent) = HEADS.get_ptr_mut(&head) else {
        return 0;
    };
    let ent = unsafe { &mut *ent };
    ent.rx = sk;
    ent.flags |= free_flag::RX;
    let seq: u32 = kread::get(skb.wrapping_add(u64::from(off!(skb_cb))), off!(cb_seq));
    let next: u32 = kread::get(sk, off!(tcp_rcv_nxt));
    if (seq.wrapping_sub(next) as i32) > 0 {
        ent.flags |= free_flag::RX_OOO;
    }
    // tcp_queue_rcv() tries to merge it into the tail.
    let queue = sk.wrapping_add(u64::from(off!(sk_rcvq)));
    let tail: u64 = kread::get(queue, off!(skb_prev));
    if tail != queue && tail != 0 {
        let into: u64 = kread::get(tail, off!(skb_head));
        if into != head
            && let Some(other) = unsafe { HEADS.get(&into) }
        {
            ent.merge = into;
            ent.merge_id = other.id;
        }
    }
    0
}

/// Data was queued on a receiver that `tcp_probe` does not show: UDP, AF_UNIX, TCP outside
/// ESTABLISHED.
#[raw_tracepoint(tracepoint = "sk_data_ready")]
pub fn zct_data_ready(ctx: RawTracePointContext) -> i32 {
    let sk: u64 = ctx.arg(0);
    if kread::get::<u16>(sk, off!(sk_proto)) == TCP && kread::get::<u8>(sk, off!(sk_state)) == TCP_ESTABLISHED {
        return 0;
    }
    let queue = sk.wrapping_add(u64::from(off!(sk_rcvq)));
    let tail: u64 = kread::get(queue, off!(skb_prev));
    if tail == queue || tail == 0 {
        return 0;
    }
    let head: u64 = kread::get(tail, off!(skb_head));
    let Some(ent) = HEADS.get_ptr_mut(&head) else {
        return 0;
    };
    let ent = unsafe { &mut *ent };
    ent.rx = sk;
    ent.flags |= free_flag::RX;
    grown(head, ent);
    0
}

/// States the frags' length if they grew since last seen.
#[inline(always)]
pub fn grown(head: u64, ent: &mut crate::maps::HeadEnt) {
    let len = skb::frag_bytes(head, ent.end);
    if len > ent.len {
        ent.len = len;
        emit::emit(kind::HEAD_LEN, HeadLen { head: ent.id, len, pad: 0 });
    }
}
