//! Fingerprints at submit, return and transmit: programs of their own on tracepoints that others use
//! too, attached only where content is looked at. Those at the release are in `free` and `receive`.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::kernel::{end, when};

use crate::{
    globals::off,
    kread,
    maps::{HEADS, OPS, OpEnt, REQUESTS},
    print,
};

/// What an operation is about to lend.
#[inline(always)]
fn look(op: &OpEnt) {
    if op.mapping == 0 {
        if op.addr != 0 {
            print::memory(op.id, op.addr, op.count);
        }
        return;
    }
    // A pipe takes no more than it has room for.
    let mut pages = u64::MAX;
    if op.dst_kind == end::PIPE && op.queued == 0 {
        let pos = kread::pipe_pos(op.dst);
        let room: u32 = kread::get(op.dst, off!(pipe_max));
        pages = u64::from(room.wrapping_sub(pos.head.wrapping_sub(pos.tail)));
    }
    print::cached(op.id, op.mapping, op.off, print::lends(op.off, op.count, pages), when::SUBMIT);
}

/// After `zct_sys_enter`: the file is watched by now, and the call itself has not begun.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn zct_content_enter(_: RawTracePointContext) -> i32 {
    let tid = bpf_get_current_pid_tgid() as u32;
    if let Some(op) = unsafe { OPS.get(&tid) } {
        look(op);
    }
    0
}

/// After `zct_uring_submit`: the request has not been issued.
#[raw_tracepoint(tracepoint = "io_uring_submit_req")]
pub fn zct_content_uring(ctx: RawTracePointContext) -> i32 {
    let req: u64 = ctx.arg(0);
    if let Some(op) = unsafe { REQUESTS.get(&req) } {
        look(op);
    }
    0
}

/// Before `zct_sys_exit`, which forgets the call.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn zct_content_exit(ctx: RawTracePointContext) -> i32 {
    let ret: i64 = ctx.arg(1);
    let tid = bpf_get_current_pid_tgid() as u32;
    if ret > 0
        && let Some(op) = unsafe { OPS.get(&tid) }
        && op.mapping != 0
    {
        print::split(op.mapping, op.off, op.count, ret as u64);
    }
    0
}

/// After `zct_start_xmit`: behind every queue of the sender, and before the device looks.
#[raw_tracepoint(tracepoint = "net_dev_start_xmit")]
pub fn zct_content_xmit(ctx: RawTracePointContext) -> i32 {
    let skb: u64 = ctx.arg(0);
    if kread::get::<u32>(skb, off!(skb_data_len)) == 0 {
        return 0;
    }
    let head: u64 = kread::get(skb, off!(skb_head));
    if let Some(known) = unsafe { HEADS.get(&head) } {
        print::frags(head, known, when::XMIT, print::range(0, u32::MAX), 1);
    }
    0
}
