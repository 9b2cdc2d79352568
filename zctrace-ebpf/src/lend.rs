//! Operations that lend pages: system calls by their task, requests of io_uring by their
//! `struct io_kiocb`.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_comm},
};
use zctrace_common::{
    counter::{self, gate},
    kernel::{
        OpAt, OpEnter, OpExit, Pipe, end, family, full_map, kind, memory, op, op_flag, op_more, pipe_why,
        proto,
    },
};

use crate::{
    emit, filter,
    globals::{cfg_get, off},
    kread::{self, End},
    maps::{CALL, NOTIFS, NotifEnt, OPS, OpEnt, PIPES, REQUESTS, RX_SPLICE, SOCKS},
    memory::{Area, area},
    seq::after,
    track, upper, watch,
};

const O_NONBLOCK: u32 = 0o4000;
const NETIF_F_SG: u64 = 1;

/// What an operation is to lend, from where to where.
#[repr(C)]
#[derive(Default)]
pub struct Call {
    /// `struct io_kiocb *`; 0: a system call of this task.
    pub req: u64,
    /// `struct file *` of the source; 0: memory.
    pub src: u64,
    /// Where in the file, or the address.
    pub pos: u64,
    /// `struct file *` of the destination.
    pub dst: u64,
    pub count: u64,
    /// The request's `struct io_kiocb *` for its notification, or 0.
    pub notif: u64,
    pub segments: u16,
    /// `op::*`
    pub op: u8,
    /// `op_more::*`
    pub more: u8,
    /// 1: it will not wait.
    pub nonblock: u8,
    /// 1: nobody wants to hear of its completion, unless it fails (IOSQE_CQE_SKIP_SUCCESS).
    pub skips: u8,
    /// What is found out on the way.
    pub src_end: End,
    pub dst_end: End,
    pub area: Area,
    pub opens: u64,
    pub ino: u64,
    pub dev: u32,
    pub generation: u32,
    /// `watch::*`
    pub watch: u32,
}

impl Call {
    #[inline(always)]
    fn is_memory(&self) -> bool {
        matches!(self.op, op::VMSPLICE | op::MSG_ZEROCOPY | op::URING_SEND_ZC | op::URING_SENDMSG_ZC)
    }
}

/// The room of a system call, or of a request.
#[inline(always)]
pub fn room(of: u32) -> Option<&'static mut Call> {
    Some(unsafe { &mut *CALL.get_ptr_mut(of)? })
}

/// Room for a system call.
pub const SYSCALL: u32 = 0;
/// Room for a request.
pub const REQUEST: u32 = 1;

/// What is in the room is entered, step by step: before Linux 6.13 a program and all that it calls have
/// 512 bytes of stack, so large functions are called one after the other, not one by the other.
#[inline(always)]
pub fn enter(of: u32) {
    if zct_fn_lend(of) != 0 && zct_fn_known(of) != 0 {
        zct_fn_submit(of);
    }
}

/// Finds out what the operation's ends are. 0: it is of no interest.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_lend(of: u32) -> u64 {
    let Some(call) = room(of) else {
        return 0;
    };
    let src = kread::end_of(call.src);
    let dst = kread::end_of(call.dst);
    let to_pipe = dst.kind == end::PIPE;
    let opens = if call.is_memory() {
        (dst.kind == end::SOCK || to_pipe) && call.count != 0
    } else {
        src.kind == end::FILE
            && (to_pipe || (dst.kind == end::SOCK && call.op == op::SENDFILE))
            && call.op != op::TEE
    };
    (call.src_end, call.dst_end) = (src, dst);
    call.opens = u64::from(opens && passes(call.op, dst));
    if call.is_memory() {
        if call.opens == 0 {
            return 0;
        }
        let at = area(call.pos, if call.segments == 1 { call.count } else { 0 });
        let ptr = if at.file == 0 { 0 } else { kread::get(at.file, off!(file_inode)) };
        call.src_end = End { kind: end::MEMORY, file: at.file, ptr };
        call.area = at;
    } else if src.kind == end::SOCK && to_pipe {
        spliced_from(src.ptr);
    }
    1
}

/// Frags may leave a receive queue for a pipe without their head.
#[inline(always)]
fn spliced_from(sk: u64) {
    if RX_SPLICE.insert(&sk, &1, 0).is_ok() {
        track::remember_slab(sk);
        if !emit::gate(gate::RX_SPLICE) {
            emit::gate_add(gate::RX_SPLICE, 1);
        }
    }
}

#[inline(always)]
fn passes(op: u8, dst: End) -> bool {
    if cfg_get!(ops) & (1 << op) == 0 || !filter::task() {
        return false;
    }
    dst.kind != end::SOCK || filter::sock(dst.ptr)
}

/// Its ends are made known. 0: it is not followed.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_known(of: u32) -> u64 {
    let Some(call) = room(of) else {
        return 0;
    };
    let (src, dst) = (call.src_end, call.dst_end);
    let opens = call.opens != 0 && filter::file_at(src.ptr);
    call.opens = u64::from(opens);
    let mut follows = opens;
    // Who waits on an empty pipe may be the one to take the first lent pages out of it.
    if src.kind == end::PIPE {
        let pos = kread::pipe_pos(src.ptr);
        follows |= track::pipe(src.ptr, pos.head == pos.tail);
    }
    // A pipe that takes lent pages from a file or from a tracked pipe is tracked from then on.
    if dst.kind == end::PIPE {
        follows |= track::pipe(dst.ptr, follows);
    }
    if !follows {
        return 0;
    }
    if src.kind == end::FILE || (src.kind == end::MEMORY && src.file != 0) {
        (call.dev, call.ino) = kread::identity(src.ptr);
        if opens {
            (call.watch, call.generation) = watch::start(src.file);
            track::zct_fn_path(src.file, call.generation);
        }
    }
    if dst.kind == end::SOCK { track::zct_fn_sock(dst.ptr, 0) } else { 1 }
}

/// The operation is stated, and followed until it leaves.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_submit(of: u32) -> u64 {
    let Some(call) = room(of) else {
        return 0;
    };
    let (src, dst) = (call.src_end, call.dst_end);
    let opens = call.opens != 0;
    let src_pipe = if src.kind == end::PIPE { PIPES.get_ptr_mut(&src.ptr) } else { None };
    let dst_pipe = if dst.kind == end::PIPE { PIPES.get_ptr_mut(&dst.ptr) } else { None };
    let memory = src.kind == end::MEMORY;
    let mut flags = if opens { op_flag::OPENS } else { 0 };
    let mut more = call.more;
    if call.nonblock != 0 || kread::get::<u32>(dst.file, off!(file_flags)) & O_NONBLOCK != 0 {
        flags |= op_flag::NONBLOCK;
    }
    let mut src_pos = if memory && src.file != 0 { call.area.off } else { call.pos };
    if src.kind == end::FILE {
        flags |= reads_by_copy(src.file);
    }
    let (mut to, mut dst_pos, mut zckey) = (0, 0, 0u32);
    if dst.kind == end::SOCK {
        let Some(sock) = (unsafe { SOCKS.get(&dst.ptr) }) else {
            return 0;
        };
        to = sock.id;
        if is_tcp(dst.ptr) {
            flags |= sock_state(dst.ptr);
            dst_pos = kread::get(dst.ptr, off!(tcp_write_seq));
        }
        if memory {
            zckey = kread::get(dst.ptr, off!(sk_zckey));
            let bits: u64 = kread::get(dst.ptr, off!(sk_flags));
            if call.op == op::MSG_ZEROCOPY && bits >> (off!(sock_zerocopy) & 63) & 1 == 0 {
                more |= op_more::NOT_ASKED;
            }
        }
    }
    if let Some(ent) = dst_pipe {
        to = unsafe { (*ent).id };
        dst_pos = kread::pipe_pos(dst.ptr).head;
        if opens || src_pipe.is_some() {
            unsafe { (*ent).busy = (*ent).busy.wrapping_add(1) };
            track::pipe_watch(ent);
        }
    }
    let stamp = emit::stamp();
    let ent = OpEnt {
        id: if call.req == 0 { 0 } else { stamp.id() },
        src: if src_pipe.is_some() { src.ptr } else { 0 },
        dst: if dst_pipe.is_some() || dst.kind == end::SOCK { dst.ptr } else { 0 },
        src_kind: src.kind,
        dst_kind: dst.kind,
        opens: u8::from(opens || src_pipe.is_some()),
        queued: u8::from(more & op_more::QUEUED != 0),
        skips: u64::from(call.skips),
        dst_pos,
        mapping: if opens && src.file != 0 { kread::get(src.file, off!(file_mapping)) } else { 0 },
        off: src_pos,
        count: call.count,
        addr: if memory && src.file == 0 && call.segments == 1 { call.pos } else { 0 },
    };
    if !keep(call, &ent, to) {
        return 0;
    }
    let from_pipe = match src_pipe {
        Some(pipe) => unsafe { (*pipe).memory != 0 },
        None => false,
    };
    if memory || from_pipe {
        if dst.kind == end::SOCK {
            sends_memory(dst.ptr);
        } else if let Some(pipe) = dst_pipe {
            unsafe { (*pipe).memory = 1 };
        }
    }
    // Filled in place: older kernels allow 512 bytes of stack to a program and all that it calls.
    let Some(frame) = emit::reserve::<OpEnter>(kind::OP_ENTER, stamp) else {
        return 0;
    };
    if opens && src.file != 0 {
        call.watch |= watch::mapped(src.file);
    }
    let (mut from, mut src_off, mut src_head) = (0, 0, 0);
    if let Some(ent) = src_pipe {
        let pos = kread::pipe_pos(src.ptr);
        from = unsafe { (*ent).id };
        (src_pos, src_off, src_head) = (u64::from(pos.tail), pos.off, pos.head);
    }
    unsafe {
        let body = &raw mut (*frame).body;
        (*body).op = call.op;
        (*body).src_kind = src.kind;
        (*body).dst_kind = dst.kind;
        (*body).flags = flags;
        (*body).dev = call.dev;
        (*body).ino = call.ino;
        (*body).src = from;
        (*body).dst = to;
        (*body).src_pos = src_pos;
        (*body).dst_pos = u64::from(dst_pos);
        (*body).src_off = src_off;
        (*body).src_head = src_head;
        (*body).count = call.count;
        (*body).cgroup = bpf_get_current_cgroup_id();
        bpf_get_current_comm((&raw mut (*body).comm).cast(), 16);
        (*body).generation = call.generation;
        (*body).watch = call.watch;
        (*body).addr = if memory { call.pos } else { 0 };
        (*body).zckey = zckey;
        (*body).segments = if memory { call.segments } else { 0 };
        (*body).memory = if memory { call.area.kind as u8 } else { memory::NONE };
        (*body).more = more;
    }
    emit::submit(frame);
    0
}

/// `op_flag::*` of a file whose bytes are copied before they are lent.
#[inline(always)]
fn reads_by_copy(file: u64) -> u8 {
    let mut flags = 0;
    if kread::get::<u32>(file, off!(file_flags)) & off!(o_direct) != 0 {
        flags |= op_flag::DIRECT;
    }
    let copy = cfg_get!(copy_splice_read);
    if copy != 0 {
        let fop: u64 = kread::get(file, off!(file_op));
        if kread::get::<u64>(fop, off!(fop_splice_read)) == copy {
            flags |= op_flag::COPY_READ;
        }
    }
    flags
}

/// It goes on until it leaves. `false`: no room.
#[inline(always)]
fn keep(call: &Call, ent: &OpEnt, to: u64) -> bool {
    let kept = if call.req == 0 {
        let tid = bpf_get_current_pid_tgid() as u32;
        OPS.insert(&tid, ent, 0).is_ok()
    } else {
        if !emit::gate(gate::URING) {
            emit::gate_add(gate::URING, 1);
        }
        let notif = NotifEnt { call: ent.id, sock: to };
        (call.notif == 0 || NOTIFS.insert(&call.notif, &notif, 0).is_ok())
            && REQUESTS.insert(&call.req, ent, 0).is_ok()
    };
    if !kept {
        emit::full(emit::stamp(), counter::OPS_FULL, full_map::OPS, to);
    }
    kept
}

/// The socket sends memory: its notifications matter from now on, and so does what its frags are.
#[inline(always)]
fn sends_memory(sk: u64) {
    if !emit::gate(gate::MEMORY) {
        emit::gate_add(gate::MEMORY, 1);
    }
    if let Some(sock) = SOCKS.get_ptr_mut(&sk) {
        unsafe { (*sock).memory = 1 };
    }
}

#[inline(always)]
fn is_tcp(sk: u64) -> bool {
    kread::get::<u16>(sk, off!(sk_proto)) == proto::TCP
        && kread::get::<u16>(sk, off!(sk_family)) != family::UNIX
}

/// Properties of a destination TCP socket.
#[inline(always)]
fn sock_state(sk: u64) -> u8 {
    let mut flags = 0;
    if kread::get::<u64>(sk, off!(sk_route_caps)) & NETIF_F_SG == 0 {
        flags |= op_flag::NO_SG;
    }
    flags | upper::at_enter(sk)
}

/// TCP: `write_seq` of a tracked socket. Pipe: its head.
#[inline(always)]
fn reached(kind: u8, dst: u64) -> u64 {
    if dst == 0 {
        return 0;
    }
    if kind == end::PIPE {
        return u64::from(kread::pipe_pos(dst).head);
    }
    match unsafe { SOCKS.get(&dst) } {
        Some(sock) if sock.proto == proto::TCP => u64::from(kread::get::<u32>(dst, off!(tcp_write_seq))),
        _ => 0,
    }
}

/// A queued request starts.
#[inline(always)]
pub fn start(ent: &mut OpEnt) {
    if ent.queued == 0 {
        return;
    }
    ent.queued = 0;
    let mut body = OpAt { call: ent.id, dst_pos: reached(ent.dst_kind, ent.dst), ..OpAt::default() };
    ent.dst_pos = body.dst_pos as u32;
    if ent.src != 0 {
        let pos = kread::pipe_pos(ent.src);
        (body.src_pos, body.src_off, body.src_head) = (u64::from(pos.tail), pos.off, pos.head);
    }
    emit::emit(kind::OP_AT, body);
}

/// The operation returned. `flags`: `op_exit::*`.
#[inline(always)]
pub fn leave(ent: &OpEnt, ret: i64, flags: u32) {
    let mut body = OpExit { ret, call: ent.id, flags, ..OpExit::default() };
    if ent.src != 0 {
        let pos = kread::pipe_pos(ent.src);
        body.src_pos = u64::from(pos.tail);
        body.src_off = pos.off;
        body.src_head = pos.head;
        if let Some(pipe) = PIPES.get_ptr_mut(&ent.src) {
            track::pipe_drained(pipe, pos.tail);
        }
    }
    let mut behind = None;
    body.dst_pos = reached(ent.dst_kind, ent.dst);
    if ent.dst_kind == end::SOCK && ent.dst != 0 {
        if is_tcp(ent.dst) {
            body.flags |= upper::at_exit(ent.dst);
        }
        if ent.src_kind == end::MEMORY {
            body.zckey = kread::get(ent.dst, off!(sk_zckey));
        }
    } else if ent.dst_kind == end::PIPE && ent.dst != 0 {
        let pos = kread::pipe_pos(ent.dst);
        if let Some(pipe) = PIPES.get_ptr_mut(&ent.dst) {
            if ent.opens != 0 {
                unsafe {
                    (*pipe).busy = (*pipe).busy.wrapping_sub(1);
                    (*pipe).lent = pos.head;
                }
            }
            // Somebody drained it while the producer was inside.
            if after(pos.tail, ent.dst_pos) {
                behind = Some(Pipe {
                    pipe: unsafe { (*pipe).id },
                    head: pos.head,
                    tail: pos.tail,
                    off: pos.off,
                    why: pipe_why::READ,
                });
            }
            track::pipe_drained(pipe, pos.tail);
        }
    }
    emit::emit(kind::OP_EXIT, body);
    if let Some(pipe) = behind {
        emit::emit(kind::PIPE, pipe);
    }
}
