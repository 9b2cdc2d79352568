//! `sock:inet_sk_error_report`: a zerocopy notification lies on a socket's error queue; and what is
//! on it when the application takes it. Those of io_uring are in `uring`.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::kernel::{Notify, kind, notify_flag};

use crate::{
    emit,
    globals::off,
    kread,
    maps::{SOCKS, SockEnt},
};

/// `sk_error_report()`, called by `__msg_zerocopy_callback()` when the queue's tail says it.
#[raw_tracepoint(tracepoint = "inet_sk_error_report")]
pub fn zct_sk_error(ctx: RawTracePointContext) -> i32 {
    let sk: u64 = ctx.arg(0);
    let Some(ent) = (unsafe { SOCKS.get(&sk) }) else {
        return 0;
    };
    let queue = sk.wrapping_add(u64::from(off!(sk_errq)));
    let tail: u64 = kread::get(queue, off!(skb_prev));
    if ent.memory != 0 && tail != queue && tail != 0 {
        state(tail, ent);
    }
    0
}

/// An skb without bytes of a socket that sends memory is freed: one that another CPU took from the
/// queue before it was reported has not been stated yet.
#[inline(always)]
pub fn taken(skb: u64) {
    if kread::get::<u32>(skb, off!(skb_len)) != 0 {
        return;
    }
    let sk: u64 = kread::get(skb, off!(skb_sk));
    if let Some(ent) = unsafe { SOCKS.get(&sk) }
        && ent.memory != 0
    {
        state(skb, ent);
    }
}

#[inline(always)]
fn state(skb: u64, ent: &SockEnt) {
    const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
    const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;
    // struct sock_extended_err
    let ee: [u32; 4] = kread::get(skb.wrapping_add(u64::from(off!(skb_cb))), off!(cb_ee));
    let [origin, _, code, _] = ee[1].to_le_bytes();
    if ee[0] != 0 || origin != SO_EE_ORIGIN_ZEROCOPY {
        return;
    }
    let mut flags = notify_flag::CLAIMS;
    if code & SO_EE_CODE_ZEROCOPY_COPIED != 0 {
        flags |= notify_flag::COPIED;
    }
    emit::emit(kind::NOTIFY, Notify { sock: ent.id, call: 0, first: ee[2], last: ee[3], flags, pad: 0 });
}
