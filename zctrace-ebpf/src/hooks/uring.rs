//! `io_uring:io_uring_submit_req`, `io_uring_queue_async_work` and `io_uring_complete`: requests that
//! lend, and requests that change watched files.
//!
//! A request may run in another task than the one that submitted it, so it is followed by its
//! `struct io_kiocb`, which is used again only when it is over.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::{
    counter::{self, gate},
    kernel::{Notify, change, change_flag, kind, notify_flag, op, op_exit, op_more},
    layout::MISSING,
};

use super::change::{O_TRUNC, appends, fallocate, write};
use crate::{
    change::{ALL, Plan, begin, end, end_unseen, part, place},
    emit,
    globals::off,
    kread,
    lend::{self, Call},
    maps::{ChangeEnt, NOTIFS, REQUESTS, URING},
    memory::Buffers,
    pending,
    watch::{self, Watched},
};

/// `enum io_uring_op`
mod opcode {
    pub const WRITEV: u8 = 2;
    pub const WRITE_FIXED: u8 = 5;
    pub const FALLOCATE: u8 = 17;
    pub const OPENAT: u8 = 18;
    pub const WRITE: u8 = 23;
    pub const OPENAT2: u8 = 28;
    pub const SPLICE: u8 = 30;
    pub const SEND_ZC: u8 = 47;
    pub const SENDMSG_ZC: u8 = 48;
    pub const FTRUNCATE: u8 = 55;
    pub const WRITEV_FIXED: u8 = 61;
}

#[inline(always)]
fn changes(op: u8) -> bool {
    use opcode::{FALLOCATE, FTRUNCATE, OPENAT, OPENAT2, SPLICE, WRITE, WRITE_FIXED, WRITEV, WRITEV_FIXED};
    matches!(
        op,
        WRITEV | WRITE_FIXED | WRITE | WRITEV_FIXED | FALLOCATE | FTRUNCATE | SPLICE | OPENAT | OPENAT2
    )
}

#[inline(always)]
fn lends(op: u8) -> bool {
    matches!(op, opcode::SPLICE | opcode::SEND_ZC | opcode::SENDMSG_ZC)
}

/// It makes the descriptor of the file that it may change.
#[inline(always)]
fn opens(op: u8) -> bool {
    op == opcode::OPENAT || op == opcode::OPENAT2
}

#[inline(always)]
fn plan(op: u8, req: u64, t: &Watched) -> Option<Plan> {
    match op {
        opcode::FALLOCATE => {
            let mode = u64::from(kread::get::<u32>(req, off!(uring_sync_mode)));
            fallocate(mode, kread::get(req, off!(uring_sync_off)), kread::get(req, off!(uring_sync_len)))
        }
        // Its length is not where it was on every kernel.
        opcode::FTRUNCATE => Some(Plan::whole(change::TRUNCATE, 0, ALL)),
        opcode::OPENAT | opcode::OPENAT2 => {
            let flags = kread::opt(req, off!(uring_open_flags)).unwrap_or(O_TRUNC);
            let plan = Plan::new(change::TRUNCATE, 0, ALL, place::SHRUNK);
            if flags & O_TRUNC == 0 { None } else { Some(plan) }
        }
        opcode::SPLICE => at(t, change::SPLICE, kread::get(req, off!(uring_splice_off)), ALL),
        _ => {
            let len: u32 = kread::get(req, off!(uring_rw_len));
            // Of a vector, the number of parts.
            let len = if op == opcode::WRITE || op == opcode::WRITE_FIXED { u64::from(len) } else { ALL };
            at(t, change::WRITE, kread::get(req, off!(uring_rw_pos)), len)
        }
    }
}

#[inline(always)]
fn at(t: &Watched, what: u8, off: u64, len: u64) -> Option<Plan> {
    // At the position, which others may move; or at the end.
    if off == ALL || t.file == 0 || appends(t) {
        return Some(Plan::whole(what, 0, ALL));
    }
    Some(write(t, what, Some(off), len, false))
}

/// The file a request names, before it is looked up.
#[inline(always)]
fn file_of(req: u64) -> u64 {
    const FIXED_FILE: u32 = 1;
    let fd = u64::from(kread::get::<u32>(req, off!(uring_fd)));
    numbered(req, fd, kread::get::<u32>(req, off!(uring_flags)) & FIXED_FILE != 0)
}

/// The file of this number; with `fixed`, of those registered with the ring.
#[inline(always)]
fn numbered(req: u64, fd: u64, fixed: bool) -> u64 {
    if !fixed {
        return kread::file_of(kread::task(), fd);
    }
    let ctx: u64 = kread::get(req, off!(uring_ctx));
    if off!(uring_nodes) == MISSING || fd >= u64::from(kread::get::<u32>(ctx, off!(uring_nodes_nr))) {
        return 0;
    }
    let nodes: u64 = kread::get(ctx, off!(uring_nodes));
    let node: u64 = kread::at(nodes.wrapping_add(fd << 3));
    // The low bits are flags.
    kread::opt(node, off!(uring_node_file)).unwrap_or(node) & !7
}

/// It is submitted, and may run at once, later, or in another task: fills the room; 0: there is none.
#[inline(never)]
fn lend(req: u64, op: u8) -> u64 {
    const SPLICE_F_NONBLOCK: u32 = 2;
    const SPLICE_F_FD_IN_FIXED: u32 = 1 << 31;
    const FIXED_BUF: u16 = 4;
    let Some(call) = lend::room(lend::REQUEST) else {
        return 0;
    };
    *call = Call { req, dst: file_of(req), op: op::URING_SPLICE, more: op_more::REQUEST, ..Call::default() };
    const REQ_F_CQE_SKIP: u32 = 1 << 6;
    call.skips = u8::from(kread::get::<u32>(req, off!(uring_flags)) & REQ_F_CQE_SKIP != 0);
    if op == opcode::SPLICE {
        let flags: u32 = kread::get(req, off!(uring_splice_flags));
        let fd: u32 = kread::get(req, off!(uring_splice_fd));
        call.src = numbered(req, u64::from(fd), flags & SPLICE_F_FD_IN_FIXED != 0);
        call.pos = kread::get(req, off!(uring_splice_off_in));
        if call.pos == ALL {
            call.pos = kread::get(call.src, off!(file_pos));
        }
        call.count = kread::get(req, off!(uring_splice_len));
        call.nonblock = u8::from(flags & SPLICE_F_NONBLOCK != 0);
        // It always runs in a worker.
        call.more |= op_more::QUEUED;
    } else {
        let at: u64 = kread::get(req, off!(uring_send_buf));
        let buffers = if op == opcode::SEND_ZC {
            call.op = op::URING_SEND_ZC;
            Buffers::one(at, u64::from(kread::get::<u32>(req, off!(uring_send_len))))
        } else {
            call.op = op::URING_SENDMSG_ZC;
            Buffers::of_message(at)
        };
        if kread::get::<u16>(req, off!(uring_send_flags)) & FIXED_BUF != 0 {
            call.more |= op_more::REGISTERED;
        }
        (call.pos, call.count, call.segments) = (buffers.addr, buffers.total, buffers.count as u16);
        call.notif = kread::get(req, off!(uring_send_notif));
        let ctx: u64 = kread::get(req, off!(uring_ctx));
        if kread::opt::<u64>(ctx, off!(uring_chain)).unwrap_or_default() != 0 {
            call.more |= op_more::QUEUED;
        }
    }
    1
}

/// This memory is another request's by now, so what had it is over. Where nobody wanted to hear of its
/// completion it did all that it was to; else its completion was not seen.
#[inline(never)]
fn reused(req: u64) -> u64 {
    if let Some(old) = unsafe { REQUESTS.get(&req) } {
        let old = *old;
        let _ = REQUESTS.remove(&req);
        lend::leave(&old, old.count as i64, if old.skips != 0 { 0 } else { op_exit::UNSEEN });
    }
    let _ = NOTIFS.remove(&req);
    0
}

/// A request starts to run: what its ends stand at now is where it begins.
#[inline(always)]
fn starts(req: u64) {
    if let Some(ent) = REQUESTS.get_ptr_mut(&req) {
        lend::start(unsafe { &mut *ent });
    }
}

/// Handed to a worker, once all that it waits for is over.
#[raw_tracepoint(tracepoint = "io_uring_queue_async_work")]
pub fn zct_uring_async(ctx: RawTracePointContext) -> i32 {
    if emit::gate(gate::URING) {
        starts(ctx.arg(0));
    }
    0
}

/// A completion is posted: of a request that lends, or of a notification.
#[inline(never)]
fn lent(req: u64) -> u64 {
    const CQE_F_MORE: u32 = 2;
    const NOTIF_USAGE_ZC_COPIED: u32 = 1 << 31;
    let flags: u32 = kread::get(req, off!(uring_cqe_flags));
    let res: u32 = kread::get(req, off!(uring_res));
    if let Some(ent) = unsafe { REQUESTS.get(&req) } {
        let ent = *ent;
        let _ = REQUESTS.remove(&req);
        let mut how = if flags & CQE_F_MORE != 0 { op_exit::NOTIFIES } else { 0 };
        // A registered file may be another by the time that a request starts.
        let file: u64 = kread::get(req, off!(uring_file));
        if ent.dst != 0 && file != 0 && kread::end_of(file).ptr != ent.dst {
            how |= op_exit::ELSEWHERE;
        }
        lend::leave(&ent, i64::from(res as i32), how);
    } else if let Some(ent) = unsafe { NOTIFS.get(&req) } {
        let ent = *ent;
        let _ = NOTIFS.remove(&req);
        let mut flags = 0;
        if res & NOTIF_USAGE_ZC_COPIED != 0 {
            flags |= notify_flag::COPIED | notify_flag::CLAIMS;
        }
        emit::emit(kind::NOTIFY, Notify { sock: ent.sock, call: ent.call, first: 0, last: 0, flags, pad: 0 });
    }
    let next: u64 = kread::opt(req, off!(uring_link)).unwrap_or_default();
    if next != 0 {
        starts(next);
    }
    0
}

/// Also while no file is watched: an open that truncates may run long after it was submitted.
#[raw_tracepoint(tracepoint = "io_uring_submit_req")]
pub fn zct_uring_submit(ctx: RawTracePointContext) -> i32 {
    let req: u64 = ctx.arg(0);
    let op: u8 = kread::get(req, off!(uring_opcode));
    if emit::gate(gate::URING) {
        reused(req);
    }
    submitted(req, op);
    if lends(op) && lend(req, op) != 0 {
        lend::enter(lend::REQUEST);
    }
    0
}

/// What it may change. A function of its own, so that its stack is not below that of a lending call.
#[inline(never)]
fn submitted(req: u64, op: u8) -> u64 {
    if let Some(old) = unsafe { URING.get(&req) } {
        // Over without an event: nobody wanted to hear of its completion.
        end_unseen(old);
        let _ = URING.remove(&req);
    }
    pending::over(req);
    if !changes(op) {
        return 0;
    }
    let file = if opens(op) { 0 } else { file_of(req) };
    let t = match pending::watched(req, file) {
        Some(t) => t,
        None if file == 0 => Watched::default(),
        None => return 0,
    };
    let Some(plan) = plan(op, req, &t) else {
        return 0;
    };
    let ent = begin(&t, &plan, change_flag::URING);
    if URING.insert(&req, &ent, 0).is_err() {
        emit::count(counter::CHANGES_FULL);
    }
    0
}

#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub fn zct_uring_complete(ctx: RawTracePointContext) -> i32 {
    let req: u64 = ctx.arg(1);
    if req == 0 {
        return 0;
    }
    if emit::gate(gate::URING) {
        lent(req);
    }
    let op: u8 = kread::get(req, off!(uring_opcode));
    if !changes(op) {
        return 0;
    }
    let ret = i64::from(kread::get::<i32>(req, off!(uring_res)));
    if let Some(ent) = unsafe { URING.get(&req) } {
        let mut ent = *ent;
        if ent.of.file == 0 && ret >= 0 {
            resolve(&mut ent, op, req, ret);
        }
        end(&ent, ret);
        let _ = URING.remove(&req);
    } else if !opens(op)
        && let Some(t) = watch::behind(kread::get(req, off!(uring_file)))
        && let Some(plan) = plan(op, req, &t)
    {
        // Not watched when it was submitted; its position has moved on.
        let ent = begin(&t, &plan, change_flag::LATE | change_flag::URING);
        part(&ent, &t, &Plan::whole(plan.what, 0, ALL), ret, false);
    }
    pending::over(req);
    0
}

/// Its file was not known when it was submitted, nor was its range.
#[inline(always)]
fn resolve(ent: &mut ChangeEnt, op: u8, req: u64, ret: i64) {
    let file = if !opens(op) {
        kread::get(req, off!(uring_file))
    } else if kread::opt::<u32>(req, off!(uring_open_slot)).unwrap_or(1) == 0 {
        // It has a descriptor of its own: whether the file is watched is certain.
        ent.plan.place = place::WHOLE;
        kread::file_of(kread::task(), ret as u64)
    } else {
        return;
    };
    if let Some(t) = watch::behind(file) {
        ent.of = t;
        ent.plan = Plan::whole(ent.plan.what, 0, ALL);
    }
}
