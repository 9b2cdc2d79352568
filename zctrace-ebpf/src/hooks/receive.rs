//! The receive side on this machine, which may merge one head's frags into another, and
//! acknowledgements.

use aya_ebpf::{
    helpers::generated::bpf_get_smp_processor_id, macros::raw_tracepoint, programs::RawTracePointContext,
};
use zctrace_common::{
    counter::{gate, turn},
    kernel::{Ack, HeadLen, RxRead, free_flag, kind, proto, when},
};

use crate::{
    content, emit,
    globals::off,
    kread,
    maps::{HEADS, RECEIVERS, RX_SPLICE, Receiver, SOCKS},
    print,
    seq::{after, before},
    skb, track, twice,
};

const TCP_ESTABLISHED: u8 = 1;

/// `tcp_rcv_established()`, before the segment is queued or its acknowledgement processed.
#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn zct_tcp_probe(ctx: RawTracePointContext) -> i32 {
    twice::first(turn::TCP_PROBE, ctx.arg(1), || segment(ctx.arg(0), ctx.arg(1)));
    0
}

/// `__release_sock()` handles segments where softirqs may interrupt, which handle segments too.
#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn zct_tcp_probe2(ctx: RawTracePointContext) -> i32 {
    twice::second(turn::TCP_PROBE, ctx.arg(1), || segment(ctx.arg(0), ctx.arg(1)));
    0
}

#[inline(always)]
fn segment(sk: u64, skb: u64) {
    if let Some(ent) = SOCKS.get_ptr_mut(&sk) {
        let ent = unsafe { &mut *ent };
        if ent.proto == proto::TCP {
            let data: u64 = kread::get(skb, off!(skb_data));
            let una = u32::from_be(kread::get(data, 8));
            let next: u32 = kread::get(sk, off!(tcp_snd_nxt));
            if after(una, ent.acked) && !before(next, una) {
                ent.acked = una;
                emit::emit(kind::ACK, Ack { sock: ent.id, una, pad: 0 });
            }
        }
    }
    if kread::get::<u32>(skb, off!(skb_data_len)) == 0 {
        return;
    }
    let head: u64 = kread::get(skb, off!(skb_head));
    let Some(ent) = HEADS.get_ptr_mut(&head) else {
        return;
    };
    let ent = unsafe { &mut *ent };
    ent.rx = sk;
    ent.flags |= free_flag::RX;
    receiver(sk, ent.sock);
    let seq: u32 = kread::get(skb.wrapping_add(u64::from(off!(skb_cb))), off!(cb_seq));
    let next: u32 = kread::get(sk, off!(tcp_rcv_nxt));
    let queue = sk.wrapping_add(u64::from(off!(sk_rcvq)));
    let tail: u64 = if after(seq, next) {
        // tcp_data_queue_ofo() tries the last out-of-order skb, which is stale when there is none.
        ent.ooo = 1;
        let any: u64 = kread::get(sk, off!(tcp_ooo_queue));
        if any == 0 { 0 } else { kread::get(sk, off!(tcp_ooo_last)) }
    } else {
        // tcp_queue_rcv() tries the tail.
        kread::get(queue, off!(skb_prev))
    };
    if tail != queue && tail != 0 {
        let into: u64 = kread::get(tail, off!(skb_head));
        // Its free says whether that happened; by then the memory may be another head's, whose
        // length is then stated once more than needed.
        if into != head {
            ent.merge = into;
            if unsafe { HEADS.get(&into) }.is_none() {
                skb::learn_received(tail, into, ent);
            }
        }
    }
}

/// Reads of this socket matter from now on.
#[inline(always)]
fn receiver(sk: u64, sender: u64) {
    if let Some(known) = unsafe { RECEIVERS.get(&sk) }
        && known.sock == sender
    {
        return;
    }
    let copied: u32 = kread::get(sk, off!(tcp_copied_seq));
    // No room: its reads are seen later, by their frees.
    if RECEIVERS.insert(&sk, &Receiver { sock: sender, copied, pad: 0 }, 0).is_ok() {
        track::remember_slab(sk);
    }
}

/// `tcp_recvmsg()` has copied some bytes and is about to free the skb they came from, perhaps by
/// parking it for another CPU; only then does the free not follow at once.
#[raw_tracepoint(tracepoint = "tcp_rcv_space_adjust")]
pub fn zct_rcv_space(ctx: RawTracePointContext) -> i32 {
    let sk: u64 = ctx.arg(0);
    let Some(known) = RECEIVERS.get_ptr_mut(&sk) else {
        return 0;
    };
    let known = unsafe { &mut *known };
    let copied: u32 = kread::get(sk, off!(tcp_copied_seq));
    if copied == known.copied {
        return 0;
    }
    known.copied = copied;
    let first: u64 = kread::get(sk.wrapping_add(u64::from(off!(sk_rcvq))), off!(skb_next));
    let home: Option<u16> = kread::opt(first, off!(skb_alloc_cpu));
    if home.is_some_and(|cpu| u32::from(cpu) == unsafe { bpf_get_smp_processor_id() }) {
        return 0;
    }
    // splice() out of the socket advances copied_seq without copying.
    if emit::gate(gate::RX_SPLICE) && unsafe { RX_SPLICE.get(&sk) }.is_some() {
        return 0;
    }
    if content::is_on() {
        read(first, known.sock, copied);
    }
    emit::emit(kind::RX_READ, RxRead { sock: known.sock, copied, pad: 0 });
    0
}

/// The receiver has copied everything before `copied`, some of it just now from this skb.
#[inline(always)]
fn read(skb: u64, sock: u64, copied: u32) {
    let head: u64 = kread::get(skb, off!(skb_head));
    let Some(ent) = HEADS.get_ptr_mut(&head) else {
        return;
    };
    let ent = unsafe { &mut *ent };
    let upto = copied.wrapping_sub(ent.seq);
    if ent.sock == sock && (upto as i32) > 0 && upto > ent.printed {
        print::frags(head, ent, when::READ, print::range(ent.printed, upto), 1);
        ent.printed = upto;
    }
}

/// Data was queued on a receiver that `tcp_probe` does not show: UDP, AF_UNIX, TCP outside ESTABLISHED and what
/// makes a connection ESTABLISHED.
#[raw_tracepoint(tracepoint = "sk_data_ready")]
pub fn zct_data_ready(ctx: RawTracePointContext) -> i32 {
    twice::first(turn::DATA_READY, ctx.arg(0), || queued(ctx.arg(0)));
    0
}

/// A sender's own context is interrupted by softirqs that queue data too.
#[raw_tracepoint(tracepoint = "sk_data_ready")]
pub fn zct_data_ready2(ctx: RawTracePointContext) -> i32 {
    twice::second(turn::DATA_READY, ctx.arg(0), || queued(ctx.arg(0)));
    0
}

#[inline(always)]
fn queued(sk: u64) {
    let shown = kread::get::<u16>(sk, off!(sk_proto)) == proto::TCP
        && kread::get::<u8>(sk, off!(sk_state)) == TCP_ESTABLISHED;
    let queue = sk.wrapping_add(u64::from(off!(sk_rcvq)));
    let tail: u64 = kread::get(queue, off!(skb_prev));
    if tail == queue || tail == 0 {
        return;
    }
    let head: u64 = kread::get(tail, off!(skb_head));
    let Some(ent) = HEADS.get_ptr_mut(&head) else {
        return;
    };
    let ent = unsafe { &mut *ent };
    if shown && ent.rx != 0 {
        return;
    }
    ent.rx = sk;
    ent.flags |= free_flag::RX;
    grown(head, ent);
}

/// How many skbs of a receive queue are looked at.
const WALK: u32 = 48;

/// What [`container`] answers when it did not get there.
pub const TOO_LONG: u64 = 1;
/// ... when the byte is not in the queue yet: it is out of order.
pub const LATER: u64 = 2;

/// The skb in a receive queue that holds sequence number `seq`, looked for from the newest back;
/// 0 when none does any more.
#[inline(always)]
pub fn container(rx: u64, seq: u32) -> u64 {
    let queue = rx.wrapping_add(u64::from(off!(sk_rcvq)));
    let mut skb: u64 = kread::get(queue, off!(skb_prev));
    for _ in 0..WALK {
        if skb == queue || skb == 0 {
            return 0;
        }
        let cb = skb.wrapping_add(u64::from(off!(skb_cb)));
        if !before(seq, kread::get(cb, off!(cb_seq))) {
            let end: u32 = kread::get(cb, off!(cb_end_seq));
            return if before(seq, end) { skb } else { LATER };
        }
        skb = kread::get(skb, off!(skb_prev));
    }
    TOO_LONG
}

/// States the frags' length if they grew since last seen.
#[inline(always)]
pub fn grown(head: u64, ent: &mut crate::maps::HeadEnt) {
    let len = skb::frag_bytes(head, ent.end);
    if len > ent.len {
        ent.len = len;
        emit::emit(kind::HEAD_LEN, HeadLen { head: ent.id, len, pad: 0, sock: ent.sock });
    }
}
